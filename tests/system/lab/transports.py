# SPDX-License-Identifier: MIT
"""The two ways in which the daemon sends: by raw sockets, as root, and by what anybody may open, as nobody.

The modules in TWICE run their tests with each. What the second can't do stands in LACKS, with its reason: those cases
are left out there, and the reasons are told at the end of a run.
"""

import contextlib
import pathlib
import re
import shutil
import tempfile

RAW, PLAIN = "raw", "plain"
TWICE = ("test_hosts", "test_path", "test_wire", "test_clients", "test_storm", "test_flow", "test_detail", "test_too_big",
         "test_segment", "test_segments", "test_way_out", "test_signals", "test_allocators", "test_sweep",
         "test_kinds", "test_limits", "test_socket", "test_tools_kinds", "test_passing_faults")

# An ordinary user without any capability, and no way to get one.
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
             "--inh-caps=-all")

NO_MARK = "SO_MARK needs a capability"
RETRANSMITTED = "the kernel sends a SYN again after a second; only what answers the first counts"
KERNEL_REFUSES = "what an output filter, a queue or a tunnel refuses, the kernel takes for lost on some of these sockets"
FLOWS = ("short quotes have nothing to tell udp probes of one flow apart, and by the same ports the kernel connects one "
         "tcp socket at a time")
LEARNED = "a socket that may look past the path's MTU does not learn it: routers make the fragments"

# (pattern of MODULE::TEST[PARAMETERS], or of what a test asks able() about, why it can't be done without privileges)
LACKS = [
    (r"\bsctp\b|test_sctp|test_mtr_report\[plain--S", "there is no sctp without a raw socket, unless the kernel has it"),
    (r"\[.*mark \d|test_mtr_options\[plain--M7|::.*'mark'", NO_MARK),
    (r"test_mtr_options\[plain--u-P53-L4000",
     "with both ports fixed a probe is known by its payload alone, and some routers quote none"),
    (r"test_mtr_from_the_port_of_another", "sockets must be bound to the port, which is another program's"),
    (r"test_header\[.*both-tcp", "the kernel sets the two ECN bits of TOS itself in tcp"),
    (r"test_rules_by_user", "it has no other user's rights"),
    (r"test_tcp_is_never_retransmitted", RETRANSMITTED),
    (r"test_packet_too_big\[.*tcp", "the kernel takes packet too big for its own path MTU discovery in tcp"),
    (r"mapping.*ip4-(3/99|11/1)$|mapping.*ip4-(3/99|11/1)\]",
     "the kernel hands over no unknown code, and no time exceeded of fragments"),
    (r"test_translated_(quotes|targets)|test_thousands_behind_a_nat.*-4\]",
     "the kernel hands over a quote only where its source is the socket's own"),
    (r"labels::length in bytes", "the kernel keeps the length field of an error to itself"),
    (r"segments::tcp", "the kernel looks for a connection to the segment that is quoted, and there is none"),
    (r"test_quoted_in_a_tunnel|test_segments::.*tunnel", "the kernel hands over no quote whose headers it has not sent itself"),
    (r"forgery::udp, .*another checksum and IP id", "the kernel keeps the quoted checksum to itself"),
    (r"forgery::tcp, .*quote of the next sequence number", "the kernel takes that number, too, for the SYN's"),
    (r"forgery::.*quote with (version|a later fragment|the last fragment)",
     "the kernel looks at no version and no fragment of a quote"),
    (r"test_flow::.*(udp|tcp|test_answers_of_the_target|test_ordinary_probes)|flow 3 of (udp|tcp)", FLOWS),
    (r"test_fragments\[.*-4\]", LEARNED),
    (r"detail::quoted|test_what_the_router_saw|test_nat", "the kernel hands over nothing of the quoted IP header"),
    (r"test_accurate_ecn|test_a_router_that_clears_bits|test_ecn_that_arrives|test_ecn_of_linux|test_closed_port",
     "what answers a SYN of accurate ECN the kernel does not tell, and it sends none before Linux 7"),
    (r"test_error_in_its_place", "without privileges it asks for no clock and no codepoint, and hears no error of IPv6 about an "
                                 "extended echo request"),
    (r"test_routers_before_an_interface\[.*-6", "the kernel hands over no error of IPv6 about an extended echo request"),
    (r"test_clocks_of_every_habit|test_tools_kinds::test_\w*clocks?(_|\[)", "ping sockets do not take ICMP timestamps"),
    (r"detail::reply-id", "the kernel keeps the IP header of what comes back to itself"),
    (r"detail::size", "the kernel keeps the length of the packet to itself, but for an echo reply"),
    (r"detail::header of tcp", "connect() tells that it was answered, not how"),
    (r"test_duplicates\[.*tcp", "a connection is answered once"),
    (r"test_refused_behind_a_route\[plain|test_queue_full\[plain-6", KERNEL_REFUSES),
    (r"test_local_refusal\[.*97(\.1-permission-denied-tcp|::1-permission-denied-(tcp|icmp))", KERNEL_REFUSES),
]

PROTOCOLS = {RAW: ("icmp", "udp", "tcp", "sctp"), PLAIN: ("icmp", "udp", "tcp")}

current = RAW
program = None  # that starts the daemon, where it is not the daemon itself
_left_out = {}  # reason -> cases


def served(protocols):
    """Those of the protocols that the transport under test has."""
    return [protocol for protocol in protocols if protocol in PROTOCOLS[current]]


def lack(name):
    """Why the case of this name can't be done without privileges, or None."""
    return next((reason for pattern, reason in LACKS if re.search(pattern, name)), None)


def able(name):
    """Whether a part of a test, of this name, can be done with the transport under test."""
    reason = lack(name) if current == PLAIN else None
    if reason:
        _left_out[reason] = _left_out.get(reason, 0) + 1
    return reason is None


def leave_out(items):
    """Parts the items into (those that run, those that can't), and keeps count of the reasons."""
    stay, out = [], []
    for item in items:
        callspec = getattr(item, "callspec", None)
        reason = None
        if callspec and callspec.params.get("transport") == PLAIN:
            reason = lack(f"{item.module.__name__}::{item.name}")
        if reason:
            _left_out[reason] = _left_out.get(reason, 0) + 1
        (out if reason else stay).append(item)
    return stay, out


def reasons():
    """What to say at the end of a run."""
    return [f"{count} cases are not for the transport without privileges: {reason}"
            for reason, count in _left_out.items()]


@contextlib.contextmanager
def using(transport, binary):
    """The tests' daemons have this transport while this lasts: without privileges by a program that gives them up."""
    global current, program  # pylint: disable=global-statement
    if transport == RAW:
        yield
        return
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hopline-test-"))
    try:
        directory.chmod(0o755)
        copy, starter = directory / "copy", directory / "mtr-packet"
        shutil.copyfile(binary, copy)
        starter.write_text(f'#!/bin/sh\nexec {" ".join(AS_NOBODY)} {copy} "$@"\n', encoding="ascii")
        for file in (copy, starter):
            file.chmod(0o755)
        current, program = transport, str(starter)
        yield
    finally:
        current, program = RAW, None
        shutil.rmtree(directory, ignore_errors=True)
