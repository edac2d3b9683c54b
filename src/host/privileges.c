/* SPDX-License-Identifier: MIT */
#include "host/privileges.h"

#include <errno.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct privileges {
    cap_t lowered; /* what stays for good: CAP_NET_RAW permitted, if we have it, and none effective */
    cap_t raised;  /* the same with CAP_NET_RAW effective */
    bool mark;
    bool callers;  /* see privileges_are_callers() */
};

static bool
has(cap_t caps, cap_value_t cap, cap_flag_t flag)
{
    cap_flag_value_t value = CAP_CLEAR;
    return cap_get_flag(caps, cap, flag, &value) == 0 && value == CAP_SET;
}

/* A new set with CAP_NET_RAW in those of its flags that are asked for, and nothing else. */
static cap_t
only_net_raw(bool permitted, bool effective)
{
    const cap_value_t net_raw[] = { CAP_NET_RAW };
    cap_t caps = cap_init();
    if (caps && permitted)
        cap_set_flag(caps, CAP_PERMITTED, 1, net_raw, CAP_SET);
    if (caps && effective)
        cap_set_flag(caps, CAP_EFFECTIVE, 1, net_raw, CAP_SET);
    return caps;
}

/*
 * What an exec leaves as it was: the real user; the inheritable set; and the ambient set, unless the file gives something
 * (then it is empty, so that what is there did not come from the file).
 */
static bool
callers_had_net_raw(cap_t caps)
{
    return getuid() == 0 || has(caps, CAP_NET_RAW, CAP_INHERITABLE) || cap_get_ambient(CAP_NET_RAW) == CAP_SET;
}

struct privileges *
privileges_raise_all(void)
{
    /* NET_ADMIN: buffers over the host's limit (socket(7)); SETPCAP: to empty the bounding set, and lock securebits */
    const cap_value_t wanted[] = { CAP_NET_RAW, CAP_NET_ADMIN, CAP_SETPCAP };
    struct privileges *privileges = calloc(1, sizeof *privileges);
    cap_t caps = cap_get_proc();
    if (!privileges || !caps) {
        free(privileges);
        return NULL;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (has(caps, wanted[i], CAP_PERMITTED))
            cap_set_flag(caps, CAP_EFFECTIVE, 1, &wanted[i], CAP_SET);
    cap_set_proc(caps); /* what it can't raise, it does without */

    bool permitted = has(caps, CAP_NET_RAW, CAP_PERMITTED);
    privileges->mark = permitted;
    privileges->callers = callers_had_net_raw(caps);
    privileges->lowered = only_net_raw(permitted, false);
    privileges->raised = only_net_raw(permitted, permitted);
    cap_free(caps);
    if (privileges->lowered && privileges->raised)
        return privileges;
    privileges_free(privileges);
    errno = ENOMEM;
    return NULL;
}

void
privileges_free(struct privileges *privileges)
{
    if (!privileges)
        return;
    cap_free(privileges->lowered);
    cap_free(privileges->raised);
    free(privileges);
}

/*
 * Sets and locks bits, beside those that are set already. A call that would change a locked bit fails as a whole, so
 * what belongs together goes with a call of its own.
 */
static void
lock_securebits(unsigned bits, unsigned cleared)
{
    cap_set_secbits((cap_get_secbits() & ~cleared) | bits);
}

/*
 * Works where CAP_SETPCAP is held. A program that has just cap_net_raw, by setcap(8), keeps its bounding set: there
 * no_new_privs alone keeps exec from giving capabilities (privileges_drop()).
 */
static void
empty_bounding_set(void)
{
    for (cap_value_t cap = 0; cap_drop_bound(cap) == 0; cap++)
        ;                                                      /* up to the first that the kernel does not know */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* libcap would ask for each of them first */
    lock_securebits(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0);
    lock_securebits(SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0);
    /* NO_SETUID_FIXUP keeps capabilities when uid 0 is left, so KEEP_CAPS can be cleared (capabilities(7)). */
    lock_securebits(SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED, SECBIT_KEEP_CAPS);
}

static bool
drop_identity(void)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    return setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0;
}

static bool
identity_is_dropped(void)
{
    uid_t real_uid, effective_uid, saved_uid;
    gid_t real_gid, effective_gid, saved_gid;
    return getresuid(&real_uid, &effective_uid, &saved_uid) == 0 &&
           getresgid(&real_gid, &effective_gid, &saved_gid) == 0 && real_uid == effective_uid &&
           real_uid == saved_uid && real_gid == effective_gid && real_gid == saved_gid;
}

static bool
capabilities_are(cap_t wanted)
{
    cap_t now = cap_get_proc();
    bool same = now && cap_compare(now, wanted) == 0;
    cap_free(now);
    return same;
}

/* True if CAP_NET_RAW is enough for SO_MARK (since Linux 5.17): asks the kernel, with a socket that goes nowhere. */
static bool
mark_works(struct privileges *privileges)
{
    int mark = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) /* a service manager may leave us no other family than those that probes need */
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    privileges_raise_for_mark(privileges);
    bool works = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;
    privileges_lower(privileges);
    close(fd);
    return works;
}

/* Gives up the mark, and with it the last capability. */
static bool
forget_mark(struct privileges *privileges)
{
    privileges->mark = false;
    return cap_clear(privileges->lowered) == 0 && cap_clear(privileges->raised) == 0;
}

bool
privileges_drop(struct privileges *privileges, bool keep_mark)
{
    if ((!keep_mark || !privileges->callers) && !forget_mark(privileges))
        return false;
    prctl(PR_SET_KEEPCAPS, 1); /* else leaving uid 0 would clear CAP_NET_RAW */
    empty_bounding_set();      /* while we still may */
    if (!drop_identity())
        return false;
    prctl(PR_SET_KEEPCAPS, 0); /* refused where the securebits lock it already, at 0 */
    if (cap_set_proc(privileges->lowered) < 0)
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return false;
    if (!identity_is_dropped() || !capabilities_are(privileges->lowered) ||
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        errno = EPERM;
        return false;
    }
    privileges->mark = privileges->mark && mark_works(privileges);
    return true;
}

bool
privileges_seal(void)
{
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_NPROC, &none); /* two more locks on doors that the sandbox and the kernel shut as well: */
    setrlimit(RLIMIT_CORE, &none);  /* a host may refuse them */
    return prctl(PR_SET_DUMPABLE, 0) == 0;
}

bool
privileges_are_callers(const struct privileges *privileges)
{
    return privileges->callers;
}

bool
privileges_allow_mark(const struct privileges *privileges)
{
    return privileges->mark;
}

void
privileges_raise_for_mark(struct privileges *privileges)
{
    cap_set_proc(privileges->raised);
}

void
privileges_lower(struct privileges *privileges)
{
    cap_set_proc(privileges->lowered);
}
