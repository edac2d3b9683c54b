/* SPDX-License-Identifier: MIT */
#include "host/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

#define SPARE_SHARE 8 /* one of so many, */
#define SPARE_MAX 256

int
descriptors_to_use(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
        return INT32_MAX;
    rlim_t spare = limit.rlim_cur / SPARE_SHARE;
    return (int)(limit.rlim_cur - (spare < SPARE_MAX ? spare : SPARE_MAX));
}
