#!/bin/sh
# SPDX-License-Identifier: MIT
# Behind a Linux router that translates a destination, traceroute sees the target at every hop.
#
# A port is forwarded, or a service address balanced, by a DNAT rule: packets to 203.0.113.80 go on to 10.0.9.2. A
# router behind, 10.0.8.2, says that a probe has expired there. One expects its error to come through with what it
# quotes translated back, as RFC 5508 wants it for address translators, and with the router's own address as its
# source, or with the translator's if private addresses are to be hidden. Linux makes it come from 203.0.113.80: the
# source of every packet of the connection is translated back, whoever sent it, errors of routers and of the translator
# itself too. So the target seems to answer "time exceeded" for itself, once for each router from there on; a program that ends a trace at the first
# answer of the target (by address, not by kind) ends too soon, and one that counts hosts counts one.
#
# Four hosts in network namespaces: client, translator, router, server. Installs traceroute and nft from Debian in a
# temporary folder. Needs root. Exit status 1 if Linux does anything else now.
set -eu

TRACEROUTE=traceroute=1:2.1.2-1 # Debian 12, like these
NFT='nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 libmnl0=1.0.4-3 libedit2=3.1-20221030-2
    libxtables12=1.8.9-2 libjansson4=2.14-2'

folder=$(mktemp -d)
hosts=
trap 'kill $hosts 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q update >apt.log 2>&1 || true # lists that are there may do
# shellcheck disable=SC2086 # a word for each package
apt-get -q download $TRACEROUTE $NFT >>apt.log 2>&1 || { cat apt.log; exit 1; }
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name libnftables.so.1)")
export LD_LIBRARY_PATH
nft=$folder/root/usr/sbin/nft traceroute=$folder/root/usr/bin/traceroute.db

# A network namespace that lives as long as this script.
new_host() {
    unshare --net setpriv --pdeathsig KILL sleep 600 &
    host=$!
    hosts="$hosts $host"
    until test "$(readlink "/proc/$host/ns/net")" != "$(readlink /proc/self/ns/net)"; do sleep 0.05; done
    on "$host" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

on() {
    number=$1
    shift
    nsenter --target "$number" --net "$@"
}

# link NEAR FAR NETWORK: .1 at the near end, .2 at the far one, which has its default route by the near one.
link() {
    ip link add "far$3" netns "$1" type veth peer name "near$3" netns "$2"
    on "$1" ip address add "10.0.$3.1/24" dev "far$3"
    on "$2" ip address add "10.0.$3.2/24" dev "near$3"
    on "$1" ip link set "far$3" up
    on "$2" ip link set "near$3" up
    on "$2" ip route add default via "10.0.$3.1"
}

new_host && client=$host
new_host && translator=$host
new_host && router=$host
new_host && server=$host
link "$client" "$translator" 7
link "$translator" "$router" 8
link "$router" "$server" 9
on "$client" ip route add default via 10.0.7.2
on "$translator" ip route add 10.0.9.0/24 via 10.0.8.2
on "$translator" "$nft" 'add table ip nat
    add chain ip nat before { type nat hook prerouting priority -100; }
    add rule ip nat before ip daddr 203.0.113.80 dnat to 10.0.9.2'

echo "Linux $(uname -r)"
"$nft" --version
"$traceroute" -V 2>&1 | head -n 1
echo 'the way of a packet to 203.0.113.80: 10.0.7.2 (translator), 10.0.8.2 (router), 10.0.9.2 (server)'
for target in 10.0.9.2 203.0.113.80; do on "$client" "$traceroute" -n -q 1 -m 5 "$target" | tee "said-$target"; done

hops() {
    awk 'NR > 1 { print $2 }' "said-$1" | tr '\n' ' '
}
test "$(hops 10.0.9.2)" = '10.0.7.2 10.0.8.2 10.0.9.2 '
test "$(hops 203.0.113.80)" = '203.0.113.80 203.0.113.80 203.0.113.80 '
