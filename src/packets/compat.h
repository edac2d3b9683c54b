/* SPDX-License-Identifier: MIT */
/* What the headers of a kernel before 5.9, or of another C library than glibc, lack; the only place that asks which. */
#ifndef HOPLINE_COMPAT_H
#define HOPLINE_COMPAT_H

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/uio.h>

#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884 31
#endif

#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* Whether valgrind(1) runs us; unknown, so no, where its header is not at hand. */
#if defined __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

/* What only glibc can be told of its memory; without it nothing but memory is lost. */
#ifdef __GLIBC__
#include <malloc.h>
#else
#define mallopt(parameter, value) ((void)0)
#define malloc_trim(pad) ((void)0)
#endif

#endif
