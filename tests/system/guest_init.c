/* SPDX-License-Identifier: MIT */
/*
 * The first program of lab/emulated.py's kernels: loads the modules that the root needs, makes the host's files the
 * root, and goes on with the program of its argument there. Alone in an initramfs, so linked statically.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
fail(const char *what)
{
    fprintf(stderr, "guest_init: %s: %s\n", what, strerror(errno));
    sleep(1); /* the kernel ends with this program, and the console is slow */
    return 1;
}

int
main(int argc, char **argv)
{
    if (argc < 2)
        return fail("no program named");
    for (int number = 0;; number++) {
        char path[32];
        snprintf(path, sizeof(path), "/modules/%02d", number);
        int module = open(path, O_RDONLY | O_CLOEXEC);
        if (module < 0)
            break;
        if (syscall(SYS_finit_module, module, "", 0) < 0)
            return fail(path);
        close(module);
    }
    if (mount("host", "/root", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,msize=262144,cache=loose") < 0)
        return fail("the host's files");
    if (mount("devtmpfs", "/root/dev", "devtmpfs", 0, "mode=0755") < 0)
        return fail("/dev");
    if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return fail("its root");
    execv(argv[1], argv + 1);
    return fail(argv[1]);
}
