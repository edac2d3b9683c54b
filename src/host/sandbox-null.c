/* SPDX-License-Identifier: MIT */
#include "host/sandbox.h"

bool
sandbox_available(void)
{
    return false;
}

bool
sandbox_enter(bool unprivileged)
{
    (void)unprivileged;
    return true;
}
