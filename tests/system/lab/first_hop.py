# SPDX-License-Identifier: MIT
"""Which first hop mtr, probe-trace, traceroute(8) and the kernel's own sockets name on one host.

All send to the same target with time to live 1, by whatever way the host takes for them; the routers are namespaces
that answer, and that know no way back but to their own link: a source of another link is not answered.
"""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

from . import hop_by_socket, net, transports
from .daemon import ROOT
from .hop_by_socket import Probe

NETWORK = {4: "198.51.100.0/24", 6: "2001:db8:ffff::/64"}
PROTOCOLS = "icmp", "udp", "tcp"
ANY = {4: "0.0.0.0", 6: "::"}
WAIT = 0.3  # seconds for an answer
# Somebody else than root, who may still open raw sockets; and may not.
AS_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw",
           "--ambient-caps=+net_raw")
WITHOUT_RAW = "setpriv", "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"


def own(family, uplink):
    return f"10.1.{uplink}.1" if family == 4 else f"2001:db8:{uplink + 1}::1"


def router(family, uplink):
    return f"10.1.{uplink}.2" if family == 4 else f"2001:db8:{uplink + 1}::2"


class Routed:
    """`host` with uplinks up0, up1...; at the other end of each a router of its own, in far[0], far[1]..."""

    def __init__(self, label="", uplinks=2):
        self.host = net.Namespace(f"{label}host")
        self.far = [net.Namespace(f"{label}far{i}") for i in range(uplinks)]
        for i, far in enumerate(self.far):
            net.join(self.host, f"up{i}", far, f"far{i}", [own(4, i) + "/24", own(6, i) + "/64"],
                     [router(4, i) + "/24", router(6, i) + "/64"])
            far.sysctl("net.ipv4.ip_forward", 1)
            far.sysctl("net.ipv6.conf.all.forwarding", 1)
            # The time to live is looked at before it is seen that this leads back.
            far.ip(*(f"-{family} route add {NETWORK[family]} via {own(family, i)}" for family in (4, 6)))

    def close(self):
        for namespace in (self.host, *self.far):
            namespace.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- the programs: words to run, or None where a program has no such option

@functools.lru_cache(maxsize=None)
def mtr_names_devices():
    """Up to 0.95 mtr makes of -I no more than the source."""
    said = subprocess.run(["mtr", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return tuple(map(int, said.split()[-1].split(".")[:2])) > (0, 95)


def _mtr(probe, as_user=False):
    if probe.device and not mtr_names_devices():
        return None
    words = ["mtr", "-r", "-j", "-n", f"-{probe.family}", "-c1", "-f1", "-m1", "-i1" if as_user else "-i0.1",
             "-G", WAIT, "-Z1"]
    words += {"icmp": [], "udp": ["-u", "-P", probe.to_port], "tcp": ["-T", "-P", probe.to_port]}[probe.protocol]
    words += _options(probe, sport="-L", tos="-Q", mark="-M", device="-I", source="-a", size="-s")
    return words + [probe.target]


def _mtr_by_any(probe, as_user):
    """mtr names a source of its own accord, that of a UDP socket, unless it is told this one, which is none."""
    return _mtr(dataclasses.replace(probe, source=probe.source or ANY[probe.family]), as_user)


def _traceroute(probe, _):
    words = ["traceroute", "-n", f"-{probe.family}", "-q1", "-m1", "-N1", f"-w{WAIT}"]
    words += {"icmp": ["-I"], "udp": ["-U", "-p", probe.to_port], "tcp": ["-T", "-p", probe.to_port]}[probe.protocol]
    words += _options(probe, tos="-t", mark="--fwmark=", device="-i", source="-s", sport="--sport=")
    return words + [probe.target] + ([probe.size] if probe.size else [])


def _probe_trace(probe, _):
    if probe.mark or probe.sport or (probe.device and probe.source):
        return None
    port = f":{probe.to_port}" if probe.to_port else ""
    words = ["probe-trace", "-n", "--json", f"-{probe.family}", "-f1", "-m1", "-q1", f"-W{WAIT}",
             "-p", probe.protocol + port]
    return words + _options(probe, tos="-Q", device="-I", source="-I", size="-s") + [probe.target]


def _socket(probe, _):
    return [sys.executable, "-S", "-E", "hop_by_socket.py", json.dumps(dataclasses.asdict(probe))]


def _options(probe, **letters):
    words = []
    for name, letter in letters.items():
        value = getattr(probe, name)
        if value:
            words += [f"{letter}{value}"] if letter.startswith("--") else [letter, value]
    return words


def _read_mtr(said):
    if not said.startswith("{"):
        return None
    return next((hub["host"] for hub in json.loads(said)["report"]["hubs"] if hub["host"] != "???"), None)


def _read_traceroute(said):
    words = said.splitlines()[-1].split() if said.splitlines()[1:] else []
    return words[1] if words[1:] and words[1] != "*" else None


def _read_probe_trace(said):
    return next((one.get("from") for one in map(json.loads, said.splitlines()) if one.get("hop") == 1), None)


def _read_socket(said):
    return said.strip() or None


PROGRAMS = {  # name: words of a probe, reader of what is written
    "mtr": (_mtr_by_any, _read_mtr),
    "mtr-plain": (_mtr_by_any, _read_mtr),
    "mtr-as-usual": (_mtr, _read_mtr),
    "probe-trace": (_probe_trace, _read_probe_trace),
    "probe-trace-plain": (_probe_trace, _read_probe_trace),
    "mtr-its-own": (_mtr, _read_mtr),
    "traceroute": (_traceroute, _read_traceroute),
    "socket": (_socket, _read_socket),
}
OURS = "mtr", "mtr-plain", "mtr-as-usual", "probe-trace", "probe-trace-plain"


def ask(host, probes, directory, as_user=False, wrapper=(), confine=(), programs=tuple(PROGRAMS)):
    """{probe: {program: first hop or None}}, of those programs that can send it; all at once, since all but wait.

    directory: of prepare(). wrapper: before the programs. confine: before our daemon.
    """
    started, found = [], {probe: {} for probe in probes}
    for probe in probes:
        for number, name in enumerate(programs):
            # Of a fixed port each has its own: two can't have one at once.
            words = PROGRAMS[name][0](dataclasses.replace(probe, sport=probe.sport and probe.sport + number), as_user)
            if words is None or (name.endswith("plain") and probe.mark):
                continue
            env = {key: value for key, value in os.environ.items() if not key.startswith("MTR_PACKET")}
            if name in OURS:
                nobody = (WITHOUT_RAW if as_user else transports.AS_NOBODY) if name.endswith("plain") else ()
                env["MTR_PACKET"] = str(_starter(directory, [*nobody, *confine, directory / "mtr-packet"]))
            words[0] = {"probe-trace": directory / "probe-trace"}.get(words[0], words[0])
            process = host.popen(*wrapper, *(AS_USER if as_user else ()), *words, env=env, text=True,
                                 cwd=directory,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            started.append((probe, name, process))
    for probe, name, process in started:
        said, complaint = process.communicate(timeout=20)
        found[probe][name] = PROGRAMS[name][1](said)
        if os.environ.get("FIRST_HOP_DEBUG") and found[probe][name] is None:
            print(f"{probe}, {name}: {said}{complaint}", file=sys.stderr)
    return found


def _starter(directory, words):
    """mtr runs one file, without words."""
    if len(words) == 1:
        return words[0]
    text = "#!/bin/sh\nexec " + " ".join(map(str, words)) + ' "$@"\n'
    path = directory / f"start-{sum(text.encode()):x}"
    if not path.exists():
        path.write_text(text, encoding="ascii")
        path.chmod(0o755)
    return path


def prepare(directory, binary):
    """Puts what is to be run into a directory that others may read: our daemon, without capabilities of its own."""
    directory = pathlib.Path(directory)
    directory.chmod(0o755)
    files = {"mtr-packet": binary, "hop_by_socket.py": hop_by_socket.__file__,
             "probe-trace": pathlib.Path(binary).parent / "probe-trace"}
    for name, file in files.items():
        shutil.copyfile(file, directory / name)
        (directory / name).chmod(0o755)
    return directory
