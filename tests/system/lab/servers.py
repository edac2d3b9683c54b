# SPDX-License-Identifier: MIT
"""Real servers of Debian's, in a namespace: one row for each service that the tools ask for."""

import contextlib
import dataclasses
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from .net import Namespace

UNBOUND = """server:
  interface: {v4}
  interface: {v6}
  port: 53
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  access-control: 0.0.0.0/0 allow
  access-control: ::0/0 allow
  local-zone: "." static
  local-data: ". 3600 IN NS a.root-servers.net."
"""

# Without -R it would look for its own file of addresses, and with no upstream server it refuses: an answer all the same.
DNSMASQ = "no-resolv\nno-hosts\nlisten-address={v4}\nlisten-address={v6}\nbind-interfaces\nport=53\nuser=root\n"

CHRONY = "local stratum 10\nallow all\nport 123\ncmdport 0\npidfile {folder}/pid\nbindcmdaddress /\nuser root\n"

SNMPD = "agentaddress udp:{v4}:161,udp6:[{v6}]:161\nrocommunity public\nrocommunity6 public\n"

TURN = ("listening-ip={v4}\nlistening-ip={v6}\nlistening-port=3478\nstun-only\nno-tls\nno-dtls\nno-cli\nlog-file=stdout\n"
        "pidfile={folder}/pid\nuserdb={folder}/db\n")

KAMAILIO = """debug=0
log_stderror=yes
children=1
disable_tcp=yes
listen=udp:{v4}:5060
listen=udp:[{v6}]:5060
loadmodule "sl.so"
request_route {{
  sl_send_reply("200", "OK");
}}
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """The command's words and the file have {v4}, {v6} and {folder} filled in; {file} is the file's path."""
    service: str
    port: int
    package: str
    command: str
    file: str = ""
    certificate: bool = False
    each_family: bool = False  # a process for each, which is told {address}


SERVERS = {
    "unbound": Server("dns", 53, "unbound", "unbound -d -c {file}", UNBOUND),
    "dnsmasq": Server("dns", 53, "dnsmasq-base", "dnsmasq -k -C {file}", DNSMASQ),
    "chrony": Server("ntp", 123, "chrony", "chronyd -x -d -f {file}", CHRONY),
    "coturn": Server("stun", 3478, "coturn", "turnserver -c {file}", TURN),
    "snmpd": Server("snmp", 161, "snmpd", "snmpd -f -Lo -C -c {file} -p {folder}/pid", SNMPD),
    "openssl": Server("dtls", 4433, "openssl",
                      "openssl s_server -dtls -listen -accept {address}:4433 -cert {folder}/cert -key {folder}/key -quiet",
                      certificate=True, each_family=True),
    "kamailio": Server("sip", 5060, "kamailio", "kamailio -DD -E -f {file} -Y {folder} -m 16 -M 4", KAMAILIO),
    "ngtcp2": Server("quic", 443, "ngtcp2-server", "gtlsserver -q {bare} 443 {folder}/key {folder}/cert", certificate=True,
                     each_family=True),
}


def _sockets(namespace, port):
    """How many UDP sockets have that port there."""
    said = namespace.run("ss", "-Hulnp", f"sport = :{port}").stdout
    return len(said.splitlines())


def _make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=probe.invalid", "-keyout", f"{folder}/key", "-out", f"{folder}/cert"],
                   check=True, capture_output=True)


@contextlib.contextmanager
def serving(namespace: Namespace, name, addresses, timeout=10):
    """The server of that name, on both of the addresses, while this lasts; skips where it is not installed."""
    server = SERVERS[name]
    if not shutil.which(server.command.split()[0], path="/usr/sbin:/usr/bin:/sbin:/bin"):
        pytest.skip(f"no {server.command.split()[0]} (Debian package {server.package})")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hopline-test-"))
    folder.chmod(0o755)
    values = {"v4": addresses[4], "v6": addresses[6], "folder": folder, "file": folder / "conf"}
    (folder / "conf").write_text(server.file.format(**values), encoding="ascii")
    if server.certificate:
        _make_certificate(folder)
    ends = [addresses[4], addresses[6]] if server.each_family else [""]
    log = open(folder / "log", "wb")  # pylint: disable=consider-using-with
    processes = []
    try:
        for end in ends:
            words = server.command.format(**values, bare=end, address=f"[{end}]" if ":" in end else end)
            processes.append(namespace.popen(*words.split(), stdin=subprocess.PIPE, stdout=log, stderr=log))
        began = time.monotonic()
        while _sockets(namespace, server.port) < 2:
            if time.monotonic() - began > timeout or any(process.poll() is not None for process in processes):
                raise AssertionError(f"{name} does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield server
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)
