#!/bin/sh
# SPDX-License-Identifier: MIT
# tcpdump prints one label of an MPLS stack in an ICMP error, whatever the stack has.
#
# A router in an MPLS network tells in its ICMP errors with which labels the packet came (RFC 4950): an object that
# holds the whole stack, of which the last entry has the bit "bottom of stack" set. One expects of a packet analyser
# that it prints all that is there, or says that there is more. tcpdump 4.99.3 prints the object's length, and the
# first label only; nothing says that two more follow, so that an RSVP tunnel inside an LDP one looks like one label.
# Who checks a traceroute's labels against tcpdump takes the traceroute to be wrong.
#
# The packet is made here, as RFC 792, 4884 and 4950 have it: time exceeded, 128 bytes of quote, three labels.
# Installs tcpdump from Debian in a temporary folder. Exit status 1 if it does anything else now.
set -eu

TCPDUMP=tcpdump=4.99.3-1 LIBPCAP=libpcap0.8=1.10.3-1 # Debian 12

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q update >apt.log 2>&1 || true # lists that are there may do
apt-get -q download "$TCPDUMP" "$LIBPCAP" >>apt.log 2>&1 || { cat apt.log; exit 1; }
for package in ./*.deb; do dpkg-deb -x "$package" root; done
tcpdump() {
    LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name 'libpcap.so.0.8')") "$folder/root/usr/bin/tcpdump" "$@"
}

python3 - >packet.pcap <<'PYTHON'
import struct
import sys


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def filled(data, at):
    return data[:at] + struct.pack("!H", checksum(data)) + data[at + 2:]


def ipv4(protocol, source, destination, ttl, payload):
    return filled(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, ttl, protocol, 0, bytes(source),
                              bytes(destination)), 10) + payload


probe = ipv4(17, (192, 0, 2, 1), (203, 0, 113, 80), 1, struct.pack("!HHHH", 40000, 33434, 72, 0) + bytes(64))
stack = b"".join(struct.pack("!I", label << 12 | (label == 24003) << 8 | 1) for label in (24001, 24002, 24003))
extensions = filled(struct.pack("!BBH", 0x20, 0, 0) + struct.pack("!HBB", 4 + len(stack), 1, 1) + stack, 2)
error = filled(struct.pack("!BBHBBH", 11, 0, 0, 0, 128 // 4, 0) + probe.ljust(128, b"\0") + extensions, 2)
packet = ipv4(1, (198, 51, 100, 7), (192, 0, 2, 1), 64, error)
sys.stdout.buffer.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101)
                        + struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
PYTHON

tcpdump --version 2>&1 | head -n 2
tcpdump -n -vvv -r packet.pcap 2>/dev/null | tee said
labels=$(grep -c 'label 2400' said || true)
echo "labels in the packet: 3 (24001, 24002, 24003); printed with -vvv: $labels"
test "$labels" = 1 && grep -q 'label 24001' said && grep -q 'MPLS Stack Entry Object (1), Class-Type: 1, length 16' said
