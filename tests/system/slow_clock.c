/* SPDX-License-Identifier: MIT */
/*
 * clock_gettime() for LD_PRELOAD that takes 2 ms to reach the wall clock, as on a busy virtual machine whose clocks are read
 * by system calls: so this always seems a millisecond later than it is.
 */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOWNESS 2000000 /* ns */

static long long
monotonic(void)
{
    struct timespec time;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int
clock_gettime(clockid_t id, struct timespec *time)
{
    if (id == CLOCK_REALTIME)
        for (long long end = monotonic() + SLOWNESS; monotonic() < end;)
            ;
    return (int)syscall(SYS_clock_gettime, id, time);
}
