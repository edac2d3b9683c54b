/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/reply.h"
#include "lines/request.h"
#include "lines/word.h"
#include "packets/protocol.h"
#include "suites.h"
#include "support.h"

/*
 * A line, and what becomes of it: the reply that complains, "empty", or the request as the words below, in which only
 * what differs from an argument left out is said. A new case is one line.
 */
struct line_case {
    const char *line;
    size_t length;
    const char *expected;
};

#define LINE(line, expected) { line, sizeof line - 1, expected }
#define V4 "7 send-probe ip-4 192.0.2.1 "
#define V6 "7 send-probe ip-6 2001:db8::1 "
#define BAD(argument) "7 invalid-argument reason bad-value argument " argument
#define RANGE(argument) "7 invalid-argument reason out-of-range argument " argument
#define FAMILY(argument) "7 invalid-argument reason wrong-family argument " argument
#define PROTOCOL(argument) "7 invalid-argument reason protocol-not-supported argument " argument
#define PARSE_ERROR "0 command-parse-error"

static const struct line_case lines[] = {
    /* what every line has */
    LINE("", "empty"),
    LINE("   ", "empty"),
    LINE("\t\r\v\f ", "empty"),
    LINE("\r", "empty"),
    LINE("7 send-probe ip-4 192.0.2.1", "7 192.0.2.1"),
    LINE("  7\tsend-probe \t ip-4\v192.0.2.1\f ", "7 192.0.2.1"),
    LINE("7 send-probe ip-4 192.0.2.1\r", "7 192.0.2.1"),
    LINE("7\rsend-probe\rip-4\r192.0.2.1\rttl\r3\r", "7 192.0.2.1 ttl 3"),

    /* TOKEN */
    LINE("0 send-probe ip-4 192.0.2.1", "0 192.0.2.1"),
    LINE("-1 send-probe ip-4 192.0.2.1", "-1 192.0.2.1"),
    LINE("-0 send-probe ip-4 192.0.2.1", "0 192.0.2.1"),
    LINE("007 send-probe ip-4 192.0.2.1", "7 192.0.2.1"),
    LINE("2147483647 send-probe ip-4 192.0.2.1", "2147483647 192.0.2.1"),
    LINE("2147483648 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("4294967296 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("-2147483648 send-probe ip-4 192.0.2.1", "-2147483648 192.0.2.1"),
    LINE("-2147483649 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("99999999999999999999 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("18446744073709551623 send-probe ip-4 192.0.2.1", PARSE_ERROR), /* 2^64 + 7 */
    LINE("-18446744073709551609 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("7x send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("x7 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("0x7 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("7.0 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("- send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("--7 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("7- send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("\xff send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("7\0 send-probe ip-4 192.0.2.1", PARSE_ERROR),
    LINE("\0", PARSE_ERROR),

    /* COMMAND and pairs */
    LINE("7", PARSE_ERROR),
    LINE("frobnicate", PARSE_ERROR),
    LINE("7 frobnicate", "7 unknown-command"),
    LINE("7 frobnicate a b", "7 unknown-command"),
    LINE("7 frobnicate a", PARSE_ERROR),
    LINE("7 7", "7 unknown-command"),
    LINE("7 SEND-PROBE ip-4 192.0.2.1", "7 unknown-command"),
    LINE("7 send-probes ip-4 192.0.2.1", "7 unknown-command"),
    LINE("7 send-prob ip-4 192.0.2.1", "7 unknown-command"),
    LINE("7 send-probe\0 ip-4 192.0.2.1", "7 unknown-command"),
    LINE("7 \xc3\xa4\xff ip-4 192.0.2.1", "7 unknown-command"),
    LINE("7 send-probe ip-4", PARSE_ERROR),
    LINE("7 send-probe ip-4 192.0.2.1 ttl", PARSE_ERROR),
    LINE("7 send-probe ip-4 192.0.2.1 bogus", PARSE_ERROR),
    LINE("7 send-probe ip-4 192.0.2.1 ttl 3 4", PARSE_ERROR),
    LINE("7 check-support feature", PARSE_ERROR),
    LINE(V4 "bogus 1", "7 192.0.2.1"),
    LINE(V4 "bogus 1 ttl 3 another 2", "7 192.0.2.1 ttl 3"),
    LINE(V4 "TTL 3", "7 192.0.2.1"),
    LINE(V4 "ttl\0 3", "7 192.0.2.1"),
    LINE(V4 "\xff\xfe \x80", "7 192.0.2.1"),
    LINE(V4 "feature udp", "7 192.0.2.1"),

    /* the last of a name counts, and only that */
    LINE(V4 "ttl 3 ttl 4", "7 192.0.2.1 ttl 4"),
    LINE(V4 "ttl 999 ttl 4", "7 192.0.2.1 ttl 4"),
    LINE(V4 "ttl 4 ttl x", BAD("ttl")),
    LINE(V4 "ip-4 192.0.2.2", "7 192.0.2.2"),
    LINE(V4 "protocol udp protocol tcp", "7 192.0.2.1 tcp"),
    LINE(V4 "port 80 port 0", "7 192.0.2.1"),
    LINE(V4 "local-ip-4 10.0.0.1 local-ip-4 0.0.0.0", "7 192.0.2.1"),
    LINE(V4 "bit-pattern 5 bit-pattern 6", "7 192.0.2.1 pattern 6"),
    LINE("7 check-support feature udp feature tcp", "7 feature tcp"),

    /* ip-4, ip-6 */
    LINE("7 send-probe ip-4 0.0.0.0", "7 127.0.0.1"),
    LINE("7 send-probe ip-6 ::", "7 ::1"),
    LINE("7 send-probe", "7 invalid-argument reason missing-address"),
    LINE("7 send-probe ttl 3", "7 invalid-argument reason missing-address"),
    LINE("7 send-probe local-ip-4 192.0.2.1", "7 invalid-argument reason missing-address"),
    LINE("7 send-probe ip-4 255.255.255.255", "7 255.255.255.255"),
    LINE("7 send-probe ip-4 192.0.2", BAD("ip-4")),
    LINE("7 send-probe ip-4 192.0.2.256", BAD("ip-4")),
    LINE("7 send-probe ip-4 192.0.2.1.", BAD("ip-4")),
    LINE("7 send-probe ip-4 192.0.2.1.1", BAD("ip-4")),
    LINE("7 send-probe ip-4 3221225985", BAD("ip-4")),
    LINE("7 send-probe ip-4 0xc0.0.2.1", BAD("ip-4")),
    LINE("7 send-probe ip-4 -192.0.2.1", BAD("ip-4")),
    LINE("7 send-probe ip-4 localhost", BAD("ip-4")),
    LINE("7 send-probe ip-4 ::1", BAD("ip-4")),
    LINE("7 send-probe ip-4 192.0.2.1\0", BAD("ip-4")),
    LINE("7 send-probe ip-4 \0", BAD("ip-4")),
    LINE("7 send-probe ip-4 192.0.2.1\xff", BAD("ip-4")),
    LINE("7 send-probe ip-4 000000000000000000000000000000000000000000000000001.2.3.4", BAD("ip-4")),
    LINE("7 send-probe ip-6 ::1", "7 ::1"),
    LINE("7 send-probe ip-6 2001:DB8:0:0::0:1", "7 2001:db8::1"),
    LINE("7 send-probe ip-6 ::ffff:192.0.2.1", "7 ::ffff:192.0.2.1"),
    LINE("7 send-probe ip-6 FFFF:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
         "7 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    LINE("7 send-probe ip-6 FFFF:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", BAD("ip-6")),
    LINE("7 send-probe ip-6 192.0.2.1", BAD("ip-6")),
    LINE("7 send-probe ip-6 1:2:3:4:5:6:7", BAD("ip-6")),
    LINE("7 send-probe ip-6 1:2:3:4:5:6:7:8:9", BAD("ip-6")),
    LINE("7 send-probe ip-6 ::1::", BAD("ip-6")),
    LINE("7 send-probe ip-6 12345::", BAD("ip-6")),
    LINE("7 send-probe ip-6 ::1\0", BAD("ip-6")),
    LINE("7 send-probe ip-6 [::1]", BAD("ip-6")),
    LINE("7 send-probe ip-6 ::1/64", BAD("ip-6")),

    /* protocol */
    LINE(V4 "protocol icmp", "7 192.0.2.1"),
    LINE(V4 "protocol udp", "7 192.0.2.1 udp"),
    LINE(V4 "protocol tcp", "7 192.0.2.1 tcp"),
    LINE(V4 "protocol sctp", "7 192.0.2.1 sctp"),
    LINE(V6 "protocol sctp", "7 2001:db8::1 sctp"),
    LINE(V4 "protocol UDP", "7 invalid-argument reason protocol-not-supported argument protocol"),
    LINE(V4 "protocol ud", "7 invalid-argument reason protocol-not-supported argument protocol"),
    LINE(V4 "protocol udpp", "7 invalid-argument reason protocol-not-supported argument protocol"),
    LINE(V4 "protocol udp\0", "7 invalid-argument reason protocol-not-supported argument protocol"),
    LINE(V4 "protocol udp\0\0\0", "7 invalid-argument reason protocol-not-supported argument protocol"),
    LINE(V4 "protocol 17", "7 invalid-argument reason protocol-not-supported argument protocol"),

    /* port */
    LINE(V4 "port 0", "7 192.0.2.1"),
    LINE(V4 "port 1", "7 192.0.2.1 port 1"),
    LINE(V4 "port 00080", "7 192.0.2.1 port 80"),
    LINE(V4 "port 65535", "7 192.0.2.1 port 65535"),
    LINE(V4 "port 65536", RANGE("port")),
    LINE(V4 "port 65616", RANGE("port")),
    LINE(V4 "port 4294967376", RANGE("port")), /* 2^32 + 80 */
    LINE(V4 "port 18446744073709551696", RANGE("port")), /* 2^64 + 80 */
    LINE(V4 "port 99999999999999999999999999999999999999", RANGE("port")),
    LINE(V4 "port -1", RANGE("port")),
    LINE(V4 "port -80", RANGE("port")),
    LINE(V4 "port +80", BAD("port")),
    LINE(V4 "port 80x", BAD("port")),
    LINE(V4 "port x80", BAD("port")),
    LINE(V4 "port 0x50", BAD("port")),
    LINE(V4 "port 80.0", BAD("port")),
    LINE(V4 "port 80\0", BAD("port")),
    LINE(V4 "port \xb2", BAD("port")),
    LINE(V4 "port -", BAD("port")),
    LINE(V4 "port http", BAD("port")),

    /* local-ip-4, local-ip-6, local-address */
    LINE(V4 "local-ip-4 10.0.0.1", "7 192.0.2.1 local 10.0.0.1"),
    LINE("7 send-probe local-ip-4 10.0.0.1 ip-4 192.0.2.1", "7 192.0.2.1 local 10.0.0.1"),
    LINE(V6 "local-ip-6 fd00::1", "7 2001:db8::1 local fd00::1"),
    LINE(V4 "local-address 10.0.0.1", "7 192.0.2.1 local 10.0.0.1"),
    LINE(V6 "local-address fd00::1", "7 2001:db8::1 local fd00::1"),
    LINE("7 send-probe local-address fd00::1 ip-6 ::1", "7 ::1 local fd00::1"),
    LINE("7 send-probe ip-6 ::1 ip-4 192.0.2.1", "7 192.0.2.1"),
    LINE("7 send-probe ip-4 192.0.2.1 ip-6 ::1", "7 ::1"),
    LINE("7 send-probe ip-6 nonsense ip-4 192.0.2.1", "7 192.0.2.1"),
    LINE(V4 "local-ip-4 0.0.0.0", "7 192.0.2.1"),
    LINE(V6 "local-ip-6 ::", "7 2001:db8::1"),
    LINE(V6 "local-ip-6 0:0:0:0:0:0:0:0", "7 2001:db8::1"),
    LINE(V4 "local-address 0.0.0.0", "7 192.0.2.1"),
    LINE(V6 "local-address ::", "7 2001:db8::1"),
    LINE(V4 "local-address ::", "7 192.0.2.1"),
    LINE(V6 "local-address 0.0.0.0", "7 2001:db8::1"),
    LINE(V4 "local-ip-6 ::", "7 192.0.2.1"),
    LINE(V6 "local-ip-4 0.0.0.0", "7 2001:db8::1"),
    LINE(V4 "local-ip-6 fd00::1", FAMILY("local-ip-6")),
    LINE(V6 "local-ip-4 10.0.0.1", FAMILY("local-ip-4")),
    LINE(V4 "local-address fd00::1", FAMILY("local-address")),
    LINE(V6 "local-address 10.0.0.1", FAMILY("local-address")),
    LINE(V4 "local-ip-4 fd00::1", BAD("local-ip-4")),
    LINE(V6 "local-ip-6 10.0.0.1", BAD("local-ip-6")),
    LINE(V4 "local-ip-4 10.0.0", BAD("local-ip-4")),
    LINE(V4 "local-ip-4 eth0", BAD("local-ip-4")),
    LINE(V6 "local-ip-6 fd00:::1", BAD("local-ip-6")),
    LINE(V4 "local-address eth0", BAD("local-address")),
    LINE(V6 "local-address fd00::1\0", BAD("local-address")),

    /* local-port */
    LINE(V4 "local-port 1024", "7 192.0.2.1 local-port 1024"),
    LINE(V4 "local-port 1023", RANGE("local-port")),
    LINE(V4 "local-port 0", RANGE("local-port")),
    LINE(V4 "local-port -1024", RANGE("local-port")),
    LINE(V4 "local-port 65535", "7 192.0.2.1 local-port 65535"),
    LINE(V4 "local-port 65536", RANGE("local-port")),
    LINE(V4 "local-port any", BAD("local-port")),

    /* local-device */
    LINE(V4 "local-device eth0", "7 192.0.2.1 device eth0"),
    LINE(V4 "local-device a", "7 192.0.2.1 device a"),
    LINE(V4 "local-device fifteen.letters", "7 192.0.2.1 device fifteen.letters"),
    LINE(V4 "local-device sixteen..letters", BAD("local-device")),
    LINE(V4 "local-device eth0\0x", BAD("local-device")),
    LINE(V4 "local-device \xc3\xa4", "7 192.0.2.1 device \xc3\xa4"),

    /* timeout */
    LINE(V4 "timeout 10", "7 192.0.2.1"),
    LINE(V4 "timeout 0", "7 192.0.2.1 timeout 0"),
    LINE(V4 "timeout 1", "7 192.0.2.1 timeout 1000000"),
    LINE(V4 "timeout 0001", "7 192.0.2.1 timeout 1000000"),
    LINE(V4 "timeout 0.5", "7 192.0.2.1 timeout 500000"),
    LINE(V4 "timeout 0.25", "7 192.0.2.1 timeout 250000"),
    LINE(V4 "timeout 1.5", "7 192.0.2.1 timeout 1500000"),
    LINE(V4 "timeout 10.0", "7 192.0.2.1"),
    LINE(V4 "timeout 0.000001", "7 192.0.2.1 timeout 1"),
    LINE(V4 "timeout 0.123456", "7 192.0.2.1 timeout 123456"),
    LINE(V4 "timeout 0.1234567", "7 192.0.2.1 timeout 123456"),
    LINE(V4 "timeout 0.0000001", "7 192.0.2.1 timeout 0"),
    LINE(V4 "timeout 0.3000000000000000000000000000000001", "7 192.0.2.1 timeout 300000"),
    LINE(V4 "timeout 86400.999999", "7 192.0.2.1 timeout 86400999999"),
    LINE(V4 "timeout 2147483647", "7 192.0.2.1 timeout 2147483647000000"),
    LINE(V4 "timeout 99999999999999999999", RANGE("timeout")),
    LINE(V4 "timeout 18446744073709551617", RANGE("timeout")),
    LINE(V4 "timeout 99999999999999999999.5", RANGE("timeout")),
    LINE(V4 "timeout -1", RANGE("timeout")),
    LINE(V4 "timeout -0.5", RANGE("timeout")),
    LINE(V4 "timeout -0", "7 192.0.2.1 timeout 0"),
    LINE(V4 "timeout 1.", BAD("timeout")),
    LINE(V4 "timeout .5", BAD("timeout")),
    LINE(V4 "timeout .", BAD("timeout")),
    LINE(V4 "timeout -", BAD("timeout")),
    LINE(V4 "timeout +1", BAD("timeout")),
    LINE(V4 "timeout 1.5.5", BAD("timeout")),
    LINE(V4 "timeout 1.-5", BAD("timeout")),
    LINE(V4 "timeout 1,5", BAD("timeout")),
    LINE(V4 "timeout 1e1", BAD("timeout")),
    LINE(V4 "timeout 0x1", BAD("timeout")),
    LINE(V4 "timeout 1s", BAD("timeout")),
    LINE(V4 "timeout nan", BAD("timeout")),
    LINE(V4 "timeout inf", BAD("timeout")),
    LINE(V4 "timeout 1\0", BAD("timeout")),
    LINE(V4 "timeout 99999999999999999999x", BAD("timeout")),

    /* ttl */
    LINE(V4 "ttl 1", "7 192.0.2.1 ttl 1"),
    LINE(V4 "ttl 0", RANGE("ttl")),
    LINE(V4 "ttl -1", RANGE("ttl")),
    LINE(V4 "ttl 254", "7 192.0.2.1 ttl 254"),
    LINE(V4 "ttl 255", "7 192.0.2.1"),
    LINE(V4 "ttl 256", RANGE("ttl")),
    LINE(V4 "ttl 257", RANGE("ttl")),
    LINE(V4 "ttl 1.0", BAD("ttl")),

    /* size */
    LINE(V4 "size 64", "7 192.0.2.1"),
    LINE(V4 "size 0", "7 192.0.2.1 size 0"),
    LINE(V4 "size 1", "7 192.0.2.1 size 1"),
    LINE(V4 "size 65535", "7 192.0.2.1 size 65535"),
    LINE(V4 "size 65536", RANGE("size")),
    LINE(V4 "size -1", RANGE("size")),
    LINE(V4 "size 64k", BAD("size")),

    /* bit-pattern */
    LINE(V4 "bit-pattern 0", "7 192.0.2.1 pattern 0"),
    LINE(V4 "bit-pattern 255", "7 192.0.2.1 pattern 255"),
    LINE(V4 "bit-pattern 256", "7 192.0.2.1 pattern 0"),
    LINE(V4 "bit-pattern -1", "7 192.0.2.1 pattern 255"),
    LINE(V4 "bit-pattern -300", "7 192.0.2.1 pattern 212"),
    LINE(V4 "bit-pattern 4294967295", "7 192.0.2.1 pattern 255"),
    LINE(V4 "bit-pattern 4294967296", RANGE("bit-pattern")),
    LINE(V4 "bit-pattern -2147483648", "7 192.0.2.1 pattern 0"),
    LINE(V4 "bit-pattern -2147483649", RANGE("bit-pattern")),
    LINE(V4 "bit-pattern 0xff", BAD("bit-pattern")),
    LINE(V4 "bit-pattern --1", BAD("bit-pattern")),

    /* tos */
    LINE(V4 "tos 0", "7 192.0.2.1"),
    LINE(V4 "tos 1", "7 192.0.2.1 tos 1"),
    LINE(V4 "tos 255", "7 192.0.2.1 tos 255"),
    LINE(V4 "tos 256", RANGE("tos")),
    LINE(V4 "tos -1", RANGE("tos")),
    LINE(V4 "tos ef", BAD("tos")),

    /* mark */
    LINE(V4 "mark 0", "7 192.0.2.1"),
    LINE(V4 "mark 1", "7 192.0.2.1 mark 1"),
    LINE(V4 "mark 2147483648", "7 192.0.2.1 mark 2147483648"),
    LINE(V4 "mark 4294967295", "7 192.0.2.1 mark 4294967295"),
    LINE(V4 "mark 4294967296", RANGE("mark")),
    LINE(V4 "mark -1", "7 192.0.2.1 mark 4294967295"),
    LINE(V4 "mark -2147483648", "7 192.0.2.1 mark 2147483648"),
    LINE(V4 "mark -2147483649", RANGE("mark")),
    LINE(V4 "mark -4294967295", RANGE("mark")),
    LINE(V4 "mark 0x1", BAD("mark")),

    /* flow, flow-label */
    LINE(V4 "flow 0", "7 192.0.2.1 flow 0"),
    LINE(V4 "flow 65535", "7 192.0.2.1 flow 65535"),
    LINE(V4 "flow 65536", RANGE("flow")),
    LINE(V4 "flow -1", RANGE("flow")),
    LINE(V4 "flow x", BAD("flow")),
    LINE("7 send-probe flow 5 protocol tcp ip-4 192.0.2.1", "7 192.0.2.1 tcp flow 5"),
    LINE(V4 "flow 5 protocol sctp", "7 invalid-argument reason protocol-not-supported argument flow"),
    LINE(V6 "flow-label 0", "7 2001:db8::1 label 0"),
    LINE(V6 "flow-label 1048575", "7 2001:db8::1 label 1048575"),
    LINE(V6 "flow-label 1048576", RANGE("flow-label")),
    LINE(V6 "flow-label 0xabcde", BAD("flow-label")),
    LINE(V4 "flow-label 5", FAMILY("flow-label")),

    /* icmp-request */
    LINE(V4 "icmp-request echo", "7 192.0.2.1 request 0"),
    LINE(V6 "icmp-request echo size 99 payload 00 flow 3", "7 2001:db8::1 size 99 payload 00 request 0 flow 3"),
    LINE(V4 "icmp-request timestamp", "7 192.0.2.1 size 40 request 1"),
    LINE(V4 "size 1000 icmp-request timestamp bit-pattern 3", "7 192.0.2.1 size 40 pattern 3 request 1"),
    LINE(V4 "icmp-request timestamp icmp-request echo", "7 192.0.2.1 request 0"),
    LINE(V4 "size 65536 icmp-request timestamp", RANGE("size")),
    LINE(V4 "icmp-request 13", BAD("icmp-request")),
    LINE(V4 "icmp-request time", BAD("icmp-request")),
    LINE(V4 "icmp-request timestamp\0", BAD("icmp-request")),
    LINE(V6 "icmp-request timestamp", FAMILY("icmp-request")),
    LINE(V4 "icmp-request timestamp protocol udp", PROTOCOL("icmp-request")),
    LINE(V4 "protocol tcp icmp-request echo", PROTOCOL("icmp-request")),
    LINE(V4 "icmp-request timestamp payload 00", PROTOCOL("payload")),
    LINE(V4 "icmp-request timestamp flow 0", PROTOCOL("flow")),

    /* icmp-request extended-echo, and the interface that it is about */
    LINE(V4 "icmp-request extended-echo interface-name eth0", "7 192.0.2.1 size 40 request 2 name eth0"),
    LINE(V6 "interface-name ge-0/0/1.7 icmp-request extended-echo", "7 2001:db8::1 size 68 request 2 name ge-0/0/1.7"),
    LINE(V4 "icmp-request extended-echo interface-index 1", "7 192.0.2.1 size 40 request 2 index 1"),
    LINE(V4 "icmp-request extended-echo interface-index 4294967295", "7 192.0.2.1 size 40 request 2 index 4294967295"),
    LINE(V6 "icmp-request extended-echo interface-address 10.0.0.1", "7 2001:db8::1 request 2 address 10.0.0.1"),
    LINE(V4 "icmp-request extended-echo interface-address fd00::1", "7 192.0.2.1 size 56 request 2 address fd00::1"),
    LINE(V4 "icmp-request extended-echo interface-name a interface-index 7", "7 192.0.2.1 size 40 request 2 index 7"),
    LINE(V4 "icmp-request extended-echo interface-index x interface-name a", "7 192.0.2.1 size 40 request 2 name a"),
    LINE(V4 "interface-address x interface-name a icmp-request extended-echo interface-index 7 size 1",
         "7 192.0.2.1 size 40 request 2 index 7"),
    LINE(V4 "icmp-request extended-echo", BAD("icmp-request")),
    LINE(V4 "icmp-request extended-echo interface-name a\0", BAD("interface-name")),
    LINE(V4 "icmp-request extended-echo interface-name "
         "123456789012345678901234567890123456789012345678901234567890123",
         "7 192.0.2.1 size 100 request 2 name 123456789012345678901234567890123456789012345678901234567890123"),
    LINE(V4 "icmp-request extended-echo interface-name "
         "1234567890123456789012345678901234567890123456789012345678901234", BAD("interface-name")),
    LINE(V4 "icmp-request extended-echo interface-index 0", RANGE("interface-index")),
    LINE(V4 "icmp-request extended-echo interface-index 4294967296", RANGE("interface-index")),
    LINE(V4 "icmp-request extended-echo interface-index -1", RANGE("interface-index")),
    LINE(V4 "icmp-request extended-echo interface-index eth0", BAD("interface-index")),
    LINE(V4 "icmp-request extended-echo interface-address eth0", BAD("interface-address")),
    LINE(V4 "icmp-request extended-echo interface-address fe80::1%2", BAD("interface-address")),
    LINE(V4 "icmp-request extended-echo interface-index 1 payload 00", PROTOCOL("payload")),
    LINE(V6 "icmp-request extended-echo interface-index 1 flow 1", PROTOCOL("flow")),
    LINE(V4 "icmp-request extended-echo interface-index 1 protocol udp", PROTOCOL("icmp-request")),
    LINE(V4 "interface-name eth0", "7 192.0.2.1 name eth0"), /* of no use, as a port is to icmp */
    LINE(V4 "interface-index 0", RANGE("interface-index")),

    /* reply-payload */
    LINE(V4 "reply-payload 1", "7 192.0.2.1 reply-payload 1"),
    LINE(V6 "protocol udp reply-payload 1024", "7 2001:db8::1 udp reply-payload 1024"),
    LINE(V4 "reply-payload 0", RANGE("reply-payload")),
    LINE(V4 "reply-payload 1025", RANGE("reply-payload")),
    LINE(V4 "reply-payload all", BAD("reply-payload")),
    LINE(V4 "reply-payload 7 protocol tcp", PROTOCOL("reply-payload")),
    LINE(V4 "reply-payload 7 protocol sctp", PROTOCOL("reply-payload")),
    LINE(V4 "reply-payload 7 icmp-request timestamp", PROTOCOL("reply-payload")),
    LINE(V4 "reply-payload 7 icmp-request echo", "7 192.0.2.1 request 0 reply-payload 7"),

    /* tcp-ecn */
    LINE(V4 "protocol tcp tcp-ecn off", "7 192.0.2.1 tcp ecn 0"),
    LINE(V4 "protocol tcp tcp-ecn classic", "7 192.0.2.1 tcp ecn 1"),
    LINE(V4 "tcp-ecn accurate protocol tcp", "7 192.0.2.1 tcp ecn 2"),
    LINE(V4 "protocol tcp tcp-ecn accurate tcp-ecn off", "7 192.0.2.1 tcp ecn 0"),
    LINE(V4 "protocol tcp tcp-ecn 1", BAD("tcp-ecn")),
    LINE(V4 "protocol tcp tcp-ecn Classic", BAD("tcp-ecn")),
    LINE(V4 "protocol tcp tcp-ecn classical", BAD("tcp-ecn")),
    LINE(V4 "protocol tcp tcp-ecn classic\0", BAD("tcp-ecn")),
    LINE(V4 "tcp-ecn nothing", BAD("tcp-ecn")),
    LINE(V4 "tcp-ecn off", PROTOCOL("tcp-ecn")),
    LINE(V4 "tcp-ecn classic protocol udp", PROTOCOL("tcp-ecn")),
    LINE(V6 "tcp-ecn accurate protocol sctp", PROTOCOL("tcp-ecn")),

    /* payload */
    LINE(V4 "payload 00", "7 192.0.2.1 payload 00"),
    LINE(V4 "payload 0aF9", "7 192.0.2.1 payload 0aF9"),
    LINE(V4 "payload 0", BAD("payload")),
    LINE(V4 "payload 001", BAD("payload")),
    LINE(V4 "payload 0g", BAD("payload")),
    LINE(V4 "payload 0x00", BAD("payload")),
    LINE(V4 "payload 00:11", BAD("payload")),
    LINE(V4 "payload 00\0", BAD("payload")),
    LINE(V4 "payload -1", BAD("payload")),
    LINE(V4 "payload 0011 size 30", "7 192.0.2.1 size 30 payload 0011"),
    LINE(V4 "payload 0011 size 29", RANGE("payload")),
    LINE(V4 "payload 0011 size 0", RANGE("payload")),
    LINE(V6 "protocol udp size 50 payload 0011", "7 2001:db8::1 udp size 50 payload 0011"),
    LINE(V6 "protocol udp size 49 payload 0011", RANGE("payload")),
    LINE(V6 "payload 000102030405060708090a0b0c0d0e0f10", /* 17 bytes: one more than the usual size holds */
         "7 2001:db8::1 size 65 payload 000102030405060708090a0b0c0d0e0f10"),
    LINE(V4 "protocol tcp payload 00", "7 invalid-argument reason protocol-not-supported argument payload"),
    LINE(V4 "protocol sctp payload 00", "7 invalid-argument reason protocol-not-supported argument payload"),

    /* of two values */
    LINE(V4 "dont-fragment 0", "7 192.0.2.1 df 0"),
    LINE(V4 "dont-fragment 1", "7 192.0.2.1 df 1"),
    LINE(V4 "dont-fragment 2", RANGE("dont-fragment")),
    LINE(V4 "dont-fragment yes", BAD("dont-fragment")),
    LINE(V4 "broadcast 0", "7 192.0.2.1"),
    LINE(V4 "broadcast 1", "7 192.0.2.1 broadcast"),
    LINE(V6 "broadcast 1", "7 2001:db8::1 broadcast"),
    LINE(V4 "broadcast 2", RANGE("broadcast")),
    LINE(V4 "detail 0", "7 192.0.2.1"),
    LINE(V4 "detail 1", "7 192.0.2.1 detail"),
    LINE(V4 "detail -1", RANGE("detail")),
    LINE(V4 "collect 0", "7 192.0.2.1"),
    LINE(V4 "collect 1", "7 192.0.2.1 collect"),
    LINE(V4 "collect true", BAD("collect")),

    /* scopes */
    LINE("7 send-probe ip-6 fe80::1%eth0", "7 fe80::1 scope eth0"),
    LINE("7 send-probe ip-6 fe80::1%2", "7 fe80::1 scope 2"),
    LINE("7 send-probe ip-6 febf::1%a%b", "7 febf::1 scope a%b"),
    LINE("7 send-probe ip-6 ff02::1%fifteen.letters", "7 ff02::1 scope fifteen.letters"),
    LINE("7 send-probe ip-6 ff0e::1%eth0", "7 ff0e::1 scope eth0"),
    LINE("7 send-probe ip-6 ff02::1%sixteen..letters", BAD("ip-6")),
    LINE("7 send-probe ip-6 fe80::1%", BAD("ip-6")),
    LINE("7 send-probe ip-6 fe80::1%eth0\0", BAD("ip-6")),
    LINE("7 send-probe ip-6 %eth0", BAD("ip-6")),
    LINE("7 send-probe ip-6 fe80:::1%eth0", BAD("ip-6")),
    LINE("7 send-probe ip-6 2001:db8::1%eth0", BAD("ip-6")),
    LINE("7 send-probe ip-6 ::1%lo", BAD("ip-6")),
    LINE("7 send-probe ip-4 169.254.0.1%eth0", BAD("ip-4")),
    LINE(V6 "local-ip-6 fe80::1%eth0", "7 2001:db8::1 local fe80::1 local-scope eth0"),
    LINE(V6 "local-address fe80::1%7", "7 2001:db8::1 local fe80::1 local-scope 7"),
    LINE("7 send-probe ip-6 fe80::2%eth0 local-ip-6 fe80::1%7", "7 fe80::2 local fe80::1 scope eth0 local-scope 7"),
    LINE(V6 "local-ip-6 fe80::1%eth0 local-address fe80::2", "7 2001:db8::1 local fe80::2"),
    LINE(V6 "local-ip-6 fe80::1%", BAD("local-ip-6")),
    LINE(V6 "local-ip-6 ::%eth0", BAD("local-ip-6")),
    LINE(V6 "local-ip-6 2001:db8::2%eth0", BAD("local-ip-6")),
    LINE(V4 "local-ip-6 fe80::1%eth0", FAMILY("local-ip-6")),

    /* all at once, and as mtr sends them */
    LINE("33000 send-probe ip-4 192.0.2.1 local-ip-4 10.0.0.1 protocol udp size 1400 bit-pattern -1 tos 8 ttl 5 "
         "timeout 30 port 53 local-port 4000 local-device eth0 mark 9",
         "33000 192.0.2.1 udp port 53 local 10.0.0.1 local-port 4000 device eth0 timeout 30000000 ttl 5 size 1400 "
         "tos 8 mark 9 pattern 255"),
    LINE("1 send-probe ip-6 ::1 local-ip-6 :: protocol icmp size 64 bit-pattern 0 tos 0 ttl 1 timeout 10 mark 0",
         "1 ::1 ttl 1 pattern 0"),

    /* check-support */
    LINE("7 check-support feature ip-4", "7 feature ip-4"),
    LINE("7 check-support feature no-such-thing", "7 feature no-such-thing"),
    LINE("7 check-support bogus 1 feature version", "7 feature version"),
    LINE("7 check-support", "7 invalid-argument reason missing-feature"),
    LINE("7 check-support ip-4 192.0.2.1", "7 invalid-argument reason missing-feature"),
};

/* With --strict nothing else changes. */
static const struct line_case strict_lines[] = {
    LINE(V4 "ttl 3", "7 192.0.2.1 ttl 3"),
    LINE(V4 "bogus 1", "7 invalid-argument reason unknown-argument argument bogus"),
    LINE(V4 "first 1 second 2", "7 invalid-argument reason unknown-argument argument first"),
    LINE(V4 "TTL 3", "7 invalid-argument reason unknown-argument argument TTL"),
    LINE(V4 "feature udp", "7 invalid-argument reason unknown-argument argument feature"),
    LINE(V4 "\xff\xfe 1", "7 invalid-argument reason unknown-argument"),
    LINE(V4 "a\x7f 1", "7 invalid-argument reason unknown-argument"),
    LINE(V4 "a\033[2J 1", "7 invalid-argument reason unknown-argument"),
    LINE(V4 "ttl\0 1", "7 invalid-argument reason unknown-argument"),
    LINE(V4 "bogus", PARSE_ERROR),
    LINE(V4 "ttl 300", RANGE("ttl")),
    LINE("7 send-probe", "7 invalid-argument reason missing-address"),
    LINE("7 frobnicate bogus 1", "7 unknown-command"),
    LINE("7 check-support bogus 1 feature udp", "7 feature udp"),
};

static void
add_word(struct text *text, const char *name, struct word word)
{
    if (word.length)
        text_add(text, " %s %.*s", name, (int)word.length, word.at);
}

static void
add_request(struct text *text, const struct request *request)
{
    static const char *const names[] = { "icmp", "udp", "tcp", "sctp" };
    text_add(text, "%d", request->token);
    if (request->command == COMMAND_CHECK_SUPPORT) {
        text_add(text, " feature %.*s", (int)request->feature.length, request->feature.at);
        return;
    }
    text_add(text, " %s", address_text(request->family, &request->target));
    if (request->protocol != PROTOCOL_ICMP)
        text_add(text, " %s", names[request->protocol]);
    if (request->port)
        text_add(text, " port %u", request->port);
    if (!address_is_unspecified(&request->local))
        text_add(text, " local %s", address_text(request->family, &request->local));
    if (request->local_port)
        text_add(text, " local-port %u", request->local_port);
    if (request->device[0])
        text_add(text, " device %s", request->device);
    if (request->timeout != 10000000)
        text_add(text, " timeout %lld", (long long)request->timeout);
    if (request->ttl != 255)
        text_add(text, " ttl %u", request->ttl);
    if (request->size != 64)
        text_add(text, " size %u", request->size);
    if (request->tos)
        text_add(text, " tos %u", request->tos);
    if (request->mark)
        text_add(text, " mark %u", request->mark);
    if (request->pattern_given || request->pattern)
        text_add(text, " pattern %u", request->pattern & 0xff);
    add_word(text, "scope", request->scope);
    add_word(text, "local-scope", request->local_scope);
    MUST((request->scope.length || request->local_scope.length) == request_has(request, FEATURE_SCOPE_ID));
    add_word(text, "payload", request->payload);
    if (request_has(request, FEATURE_ICMP_REQUEST))
        text_add(text, " request %u", request->icmp_request);
    add_word(text, "name", request->interface.name);
    if (request->interface.by == PROBED_BY_INDEX)
        text_add(text, " index %u", request->interface.index);
    if (request->interface.by == PROBED_BY_ADDRESS)
        text_add(text, " address %s", address_text(request->interface.family, &request->interface.address));
    if (request_has(request, FEATURE_TCP_ECN))
        text_add(text, " ecn %u", request->tcp_ecn);
    if (request->reply_payload)
        text_add(text, " reply-payload %u", request->reply_payload);
    if (request_has(request, FEATURE_FLOW))
        text_add(text, " flow %u", request->flow);
    if (request_has(request, FEATURE_FLOW_LABEL))
        text_add(text, " label %u", request->flow_label);
    if (request_has(request, FEATURE_DONT_FRAGMENT))
        text_add(text, " df %u", request->dont_fragment);
    text_add(text, "%s%s%s", request->broadcast ? " broadcast" : "", request->detail ? " detail" : "",
             request->collect ? " collect" : "");
}

/* As the client is told. */
static void
add_complaint(struct text *text, const struct complaint *complaint)
{
    static const enum reply_kind kinds[] = { REPLY_PARSE_ERROR, REPLY_UNKNOWN_COMMAND, REPLY_INVALID_ARGUMENT };
    char line[REPLY_MAX];
    struct reply reply = {
        .token = complaint->token,
        .kind = kinds[complaint->kind],
        .reason = complaint->reason,
        .argument = complaint->argument,
    };
    size_t length = reply_write(&reply, false, line);
    ck_assert_int_eq(line[length - 1], '\n');
    text_add(text, "%.*s", (int)length - 1, line);
}

/* Reads LENGTH bytes in memory that ends with them. */
static struct text
outcome(const char *line, size_t length, bool strict)
{
    struct request request;
    struct complaint complaint;
    struct text text = { .length = 0 };
    struct blob blob = blob_copy(line, length);
    switch (request_parse((const char *)blob.bytes, length, strict, &request, &complaint)) {
    case LINE_EMPTY:
        text_add(&text, "empty");
        break;
    case LINE_REQUEST:
        add_request(&text, &request);
        break;
    case LINE_COMPLAINT:
        add_complaint(&text, &complaint);
        break;
    }
    blob_free(&blob);
    return text;
}

static void
check_line(const struct line_case *row, bool strict)
{
    struct text text = outcome(row->line, row->length, strict);
    ck_assert_msg(strcmp(text.text, row->expected) == 0, "\"%.*s\" became \"%s\", not \"%s\"", (int)row->length,
                  row->line, text.text, row->expected);
}

static void
check_bytes(const char *line, size_t length, const char *expected)
{
    check_line(&(struct line_case){ line, length, expected }, false);
}

START_TEST(line)
{
    check_line(&lines[_i], false);
}
END_TEST

START_TEST(strict_line)
{
    check_line(&strict_lines[_i], true);
}
END_TEST

/* A client that says nothing unknown gets the same from --strict. */
START_TEST(strict_changes_nothing_else)
{
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct text text = outcome(lines[i].line, lines[i].length, true);
        if (!strstr(text.text, "unknown-argument"))
            ck_assert_str_eq(text.text, lines[i].expected);
    }
}
END_TEST

/* Whatever is cut off, and wherever a byte is another: something comes of it, within the line's own memory. */
START_TEST(damaged_lines)
{
    static const char bytes[] = { '\0', ' ', '-', '9', ':', 'x', '\x7f', '\xff' };
    char copy[512];
    for (size_t i = 0; i < COUNT(lines); i++) {
        for (size_t at = 0; at < lines[i].length; at++) {
            (void)outcome(lines[i].line, at, i % 2);
            memcpy(copy, lines[i].line, lines[i].length);
            copy[at] = bytes[(i + at) % sizeof bytes];
            (void)outcome(copy, lines[i].length, i % 2);
        }
    }
}
END_TEST

START_TEST(any_number_of_pairs)
{
    char text[32768] = "7 send-probe ip-4 192.0.2.1";
    size_t length = strlen(text);
    for (int ttl = 1; length < sizeof text - 32; ttl = ttl % 200 + 1)
        length += (size_t)sprintf(text + length, " ttl %d a b", ttl);
    strcpy(text + length, " ttl 42");
    check_bytes(text, strlen(text), "7 192.0.2.1 ttl 42");
}
END_TEST

START_TEST(long_words)
{
    char *text = memory(40000);
    for (size_t digits = 1; digits < 30000; digits = digits * 3 + 1) {
        size_t length = (size_t)sprintf(text, "7 send-probe ip-4 192.0.2.1 ttl ");
        memset(text + length, '0', digits);
        text[length + digits] = '5';
        check_bytes(text, length + digits + 1, "7 192.0.2.1 ttl 5");
        memset(text + length, '9', digits + 1);
        const char *expected = digits < 2 ? "7 192.0.2.1 ttl 99" : RANGE("ttl");
        check_bytes(text, length + digits + 1, expected);
        length = (size_t)sprintf(text, "7 send-probe ip-4 ");
        memset(text + length, '1', digits);
        check_bytes(text, length + digits, BAD("ip-4"));
    }
    free(text);
}
END_TEST

START_TEST(feature_names)
{
    static const struct {
        const char *name;
        enum feature feature;
    } features[] = {
        { "local-device", FEATURE_LOCAL_DEVICE },
        { "timeout-fraction", FEATURE_TIMEOUT_FRACTION },
        { "scope-id", FEATURE_SCOPE_ID },
        { "detail", FEATURE_DETAIL },
        { "dont-fragment", FEATURE_DONT_FRAGMENT },
        { "packet-too-big", FEATURE_PACKET_TOO_BIG },
        { "flow", FEATURE_FLOW },
        { "flow-label", FEATURE_FLOW_LABEL },
        { "payload", FEATURE_PAYLOAD },
        { "broadcast", FEATURE_BROADCAST },
        { "collect", FEATURE_COLLECT },
        { "sweep", FEATURE_SWEEP },
        { "flow-labe", FEATURE_NONE },
        { "timeout", FEATURE_NONE },
        { "ttl", FEATURE_NONE },
        { "", FEATURE_NONE },
    };
    ck_assert_uint_ge(COUNT(features), FEATURES - 1);
    for (size_t i = 0; i < COUNT(features); i++) {
        struct word word = { features[i].name, strlen(features[i].name) };
        ck_assert_int_eq(feature_find(word), features[i].feature);
    }
    ck_assert_int_eq(feature_find((struct word){ "flow\0", 5 }), FEATURE_NONE);
}
END_TEST

/* As many bytes as a line holds; the packet grows with them. */
START_TEST(long_payload)
{
    struct request request;
    struct complaint complaint;
    char *text = memory(40000);
    size_t start = (size_t)sprintf(text, "7 send-probe ip-4 192.0.2.1 payload ");
    size_t digits = (32767 - start) / 2 * 2;
    memset(text + start, 'a', digits);
    ck_assert_int_eq(request_parse(text, start + digits, false, &request, &complaint), LINE_REQUEST);
    ck_assert_uint_eq(request.size, 28 + digits / 2);
    ck_assert(request.payload.at == text + start && request.payload.length == digits);
    ck_assert_int_eq(request_parse(text, start + digits - 1, false, &request, &complaint), LINE_COMPLAINT);
    free(text);
}
END_TEST

START_TEST(words)
{
    static struct word word = { "abc", 2 }; /* static: else the compiler warns of what it makes of a constant */
    ck_assert(word_is(word, "ab") && !word_is(word, "a") && !word_is(word, "abc"));
    word.length = 0;
    ck_assert(word_is(word, "") && !word_is(word, "a"));
    /* a NUL is a byte like others, whatever stands behind the text's own */
    static const char zeros[8] = "ab";
    for (word.at = zeros, word.length = 0; word.length < sizeof zeros; word.length++)
        ck_assert_int_eq(word_is(word, zeros), word.length == 2);
}
END_TEST

START_TEST(numbers_and_digits)
{
    static const struct {
        const char *word;
        uint32_t number; /* 0: it is none */
    } words_[] = {
        { "1", 1 }, { "2147483647", INT32_MAX }, { "007", 7 }, { "0", 0 }, { "-1", 0 }, { "2147483648", 0 },
        { "4294967297", 0 }, { "", 0 }, { "1x", 0 }, { "eth0", 0 }, { " 1", 0 },
    };
    for (size_t i = 0; i < COUNT(words_); i++) {
        uint32_t number = 0;
        struct word word = { words_[i].word, strlen(words_[i].word) };
        ck_assert_int_eq(word_is_number(word, &number), words_[i].number != 0);
        ck_assert_uint_eq(number, words_[i].number);
    }
    for (int c = CHAR_MIN; c <= CHAR_MAX; c++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *at = c ? strchr(digits, c) : NULL;
        ck_assert_int_eq(hex_value((char)c), at ? (at - digits) % 16 : -1);
    }
}
END_TEST

Suite *
request_suite(void)
{
    Suite *suite = suite_create("request");
    TCase *tests = tcase_create("request");
    tcase_add_loop_test(tests, line, 0, COUNT(lines));
    tcase_add_loop_test(tests, strict_line, 0, COUNT(strict_lines));
    tcase_add_test(tests, strict_changes_nothing_else);
    tcase_add_test(tests, damaged_lines);
    tcase_add_test(tests, any_number_of_pairs);
    tcase_add_test(tests, long_words);
    tcase_add_test(tests, feature_names);
    tcase_add_test(tests, long_payload);
    tcase_add_test(tests, numbers_and_digits);
    tcase_add_test(tests, words);
    suite_add_tcase(suite, tests);
    return suite;
}
