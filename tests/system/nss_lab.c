/* SPDX-License-Identifier: MIT */
/*
 * A name service for nsswitch.conf(5), as libnss_lab.so.2: "neighbour.lab" is 127.0.0.1 and ::1, at once; "slow.lab" the
 * same after half a second; "stuck.lab" nobody ever hears of.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <string.h>
#include <unistd.h>

enum nss_status _nss_lab_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size,
                                          int *error, int *reason);

enum nss_status
_nss_lab_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size, int *error,
                          int *reason)
{
    static char *none[] = { NULL };
    static char four[4] = { 127, 0, 0, 1 }, six[16] = { [15] = 1 };
    char **list = (char **)(void *)buffer;
    if (strcmp(name, "stuck.lab") == 0)
        pause();
    if (strcmp(name, "slow.lab") == 0)
        usleep(500000);
    if ((strcmp(name, "neighbour.lab") != 0 && strcmp(name, "slow.lab") != 0) || size < 64) {
        *error = ENOENT;
        *reason = HOST_NOT_FOUND;
        return NSS_STATUS_NOTFOUND;
    }
    list[0] = family == AF_INET ? four : six;
    list[1] = NULL;
    *host = (struct hostent){ .h_name = (char *)(unsigned long)name, .h_aliases = none, .h_addrtype = family,
                              .h_length = family == AF_INET ? 4 : 16, .h_addr_list = list };
    return NSS_STATUS_SUCCESS;
}
