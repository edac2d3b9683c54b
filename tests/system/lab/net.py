# SPDX-License-Identifier: MIT
"""Network namespaces and the links between them.

Everything here lives inside namespaces named hopline-PID-LABEL. Nothing of the host's own network is read or changed,
and whatever a run leaves behind (it was killed) is swept away by the next one.
"""

import atexit
import contextlib
import ctypes
import fcntl
import functools
import itertools
import os
import re
import socket
import struct
import subprocess
import time

import pytest

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
NETNS_DIR = "/run/netns"

# Hosts that answer everything at once and on which an address is usable as soon as it is set.
SYSCTLS = {
    "net.ipv4.icmp_ratelimit": 0,
    "net.ipv4.icmp_ratemask": 0,  # with a mask each error takes from what a route of type unreachable may say
    "net.ipv4.icmp_msgs_per_sec": 10_000_000,
    "net.ipv4.icmp_msgs_burst": 10_000_000,
    "net.ipv6.icmp.ratelimit": 0,
    "net.ipv4.ping_group_range": "0 2147483647",
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv6.conf.all.disable_ipv6": 0,
    "net.ipv6.conf.default.disable_ipv6": 0,
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.all.dad_transmits": 0,
    "net.ipv6.conf.default.dad_transmits": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
}

_libc = ctypes.CDLL(None, use_errno=True)
_open_namespaces = []
_indexes = itertools.count(1000)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Namespace:
    """A network namespace with its loopback up. Close it, or use it as a context manager."""

    def __init__(self, label):
        self.label = label
        self.name = f"hopline-{os.getpid()}-{label}"
        self._processes = []
        _command("ip", "netns", "add", self.name)
        _open_namespaces.append(self)
        try:
            self.ip("link set lo up")
            for name, value in SYSCTLS.items():
                with contextlib.suppress(OSError):  # not every kernel has each, or has it per namespace
                    self.sysctl(name, value)
        except BaseException:
            self.close()
            raise

    def __repr__(self):
        return f"<namespace {self.label}>"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, *argv, check=True, **kw):
        """Runs a command inside; its output is in the result unless keywords say otherwise."""
        kw.setdefault("text", True)
        if "stdout" not in kw and "stderr" not in kw:
            kw.setdefault("capture_output", True)
        return _command("ip", "netns", "exec", self.name, *argv, check=check, **kw)

    def popen(self, *argv, **kw):
        """Starts a command inside (its process id is the command's own); close() kills it if it still runs."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name, *map(str, argv)], **kw)
        self._processes.append(process)
        return process

    def ip(self, *commands):
        """ip(8) commands inside, in one go: ip("link set x up", "-6 route add default via fd00::1")."""
        for family, group in _by_family(commands):
            _command("ip", *family, "-n", self.name, "-batch", "-", input="\n".join(group) + "\n",
                     capture_output=True, text=True)

    def nft(self, text):
        """Loads an nftables script."""
        self.run("nft", "-f", "-", input=text)

    def sysctl(self, name, value):
        with self.enter(), open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(f"{value}\n")

    @contextlib.contextmanager
    def enter(self):
        """The calling thread is inside while this lasts: sockets opened in it belong to the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(f"{NETNS_DIR}/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield self
            finally:
                _setns(home)
        finally:
            os.close(home)

    def socket(self, *args):
        with self.enter():
            return socket.socket(*args)

    def close(self):
        """Kills what popen() started and deletes the namespace. Never fails."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            with contextlib.suppress(Exception):
                process.wait(timeout=5)
        self._processes.clear()
        if self in _open_namespaces:
            _open_namespaces.remove(self)
            _delete(self.name)


def join(a, ifname_a, b, ifname_b, a_addrs=(), b_addrs=(), mtu=None):
    """A veth pair between two namespaces; addresses are written with their prefix length."""
    ends = (a, ifname_a, a_addrs), (b, ifname_b, b_addrs)
    # Two ends with the same index (usual in fresh namespaces) hear of their carrier only a second later.
    _command("ip", "link", "add", ifname_a, "index", next(_indexes), "netns", a.name, "type", "veth",
             "peer", "name", ifname_b, "index", next(_indexes), "netns", b.name)
    for namespace, ifname, addresses in ends:
        _checksums_by_software(namespace, ifname)
        namespace.ip(*([f"link set {ifname} mtu {mtu}"] if mtu else []),
                     *(f"addr add {address} dev {ifname}{' nodad' if ':' in address else ''}"
                       for address in addresses),
                     f"link set {ifname} up")
    for namespace, ifname, addresses in ends:
        _wait_until_usable(namespace, ifname, addresses)


@functools.lru_cache(maxsize=None)
def why_no_namespaces():
    """None when namespaces can be made here, else the reason."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    name = f"hopline-{os.getpid()}-try"
    try:
        _command("ip", "netns", "add", name)
        _delete(name)
    except FileNotFoundError:
        return "needs ip(8), package iproute2"
    except subprocess.CalledProcessError as error:
        return f"cannot make a network namespace: {(error.stderr or '').strip()}"
    return None


def needs_root():
    """Skips the calling test, saying why, where namespaces can't be made."""
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)


def sweep():
    """Deletes the namespaces of test runs whose process is gone."""
    try:
        names = os.listdir(NETNS_DIR)
    except OSError:
        return
    for name in names:
        match = re.fullmatch(r"hopline-(\d+)-.*", name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            _delete(name)


def close_all():
    for namespace in list(_open_namespaces):
        namespace.close()


atexit.register(close_all)


def _command(*argv, check=True, **kw):
    if not kw:
        kw = {"capture_output": True, "text": True}
    result = subprocess.run([str(word) for word in argv], check=False, **kw)
    if check and result.returncode != 0:
        raise CommandError(result.returncode, result.args, result.stdout, result.stderr)
    return result


class CommandError(subprocess.CalledProcessError):
    """Says what the command wrote, too."""

    def __str__(self):
        return f"{super().__str__()} {(self.stderr or '')!s}"


def _delete(name):
    with contextlib.suppress(OSError):
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _by_family(commands):
    """Consecutive commands with the same leading -4 or -6 together (a batch knows no options a line)."""
    groups = []
    for command in commands:
        words = command.split(None, 1)
        family, rest = ([words[0]], words[1]) if words[0] in ("-4", "-6") else ([], command)
        if not groups or groups[-1][0] != family:
            groups.append((family, []))
        groups[-1][1].append(rest)
    return groups


def _wait_until_usable(namespace, ifname, addresses, timeout=5):
    """Until the carrier is seen and each IPv6 address is heard by its neighbours."""
    groups = {"ff0200000000000000000001ff" + socket.inet_pton(socket.AF_INET6, address.split("/")[0])[-3:].hex()
              for address in addresses if ":" in address}
    end = time.monotonic() + timeout
    with namespace.enter():
        while not (_running(ifname) and groups <= _groups6(ifname)):
            if time.monotonic() > end:
                raise TimeoutError(f"{ifname} of {namespace} is not usable after {timeout} s")
            time.sleep(0.001)


def _running(ifname):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH14x", ifname.encode(), 0))
    return bool(struct.unpack_from("H", answer, 16)[0] & IFF_RUNNING)


def _groups6(ifname):
    with open("/proc/thread-self/net/igmp6", encoding="ascii") as file:
        return {words[2] for words in map(str.split, file) if words[1] == ifname}


def _checksums_by_software(namespace, ifname):
    """Without this a capture sees the kernel's own packets before their checksum is filled in."""
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
        request = struct.pack("16sP16x", ifname.encode(), ctypes.addressof(value))
        fcntl.ioctl(sock, SIOCETHTOOL, request)
