/* SPDX-License-Identifier: MIT */
/*
 * ptrace() for LD_PRELOAD under a user-mode Linux, which keeps a program's registers in 2696 bytes (up to AVX-512). On a
 * processor with AMX the host takes back no fewer than all of them, 11008 bytes, and not even init starts. Here a short
 * set is filled up with zeros, which is what a program without AMX has there.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202

static long (*real_ptrace)(enum __ptrace_request, ...);

__attribute__((constructor)) static void
find(void)
{
    *(void **)&real_ptrace = dlsym(RTLD_NEXT, "ptrace");
}

static long
set_registers(pid_t pid, void *kind, struct iovec *given)
{
    static _Thread_local unsigned char all[1 << 16];
    struct iovec whole = { .iov_base = all, .iov_len = sizeof(all) };
    if (real_ptrace(PTRACE_GETREGSET, pid, kind, &whole) < 0 || given->iov_len >= whole.iov_len)
        return real_ptrace(PTRACE_SETREGSET, pid, kind, given);
    memcpy(all, given->iov_base, given->iov_len);
    memset(all + given->iov_len, 0, whole.iov_len - given->iov_len);
    return real_ptrace(PTRACE_SETREGSET, pid, kind, &whole);
}

long
ptrace(enum __ptrace_request request, ...)
{
    va_list rest;
    va_start(rest, request);
    pid_t pid = va_arg(rest, pid_t);
    void *address = va_arg(rest, void *), *data = va_arg(rest, void *);
    va_end(rest);
    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE)
        return set_registers(pid, address, data);
    return real_ptrace(request, pid, address, data);
}
