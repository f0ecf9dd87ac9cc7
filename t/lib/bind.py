# SPDX-License-Identifier: BSD-2-Clause
"""A real BIND for tests: a name server with zones of the test's own and, in front of it, a resolver
that validates.  Both run as whoever runs the test, in a directory of their own.

    with bind.Bind({"plain.test": "@ MX 10 mx\\nmx A 127.0.0.1\\n",
                    "signed.test": "mx A 127.0.0.1\\n_25._tcp.mx TLSA 3 1 1 ...\\n"},
                   signed=["signed.test"]) as dns:
        main["postcote_dns_server"] = dns.server        # "127.0.0.1:PORT" of the resolver

Answers from a zone in SIGNED come with AD; one in BOGUS is signed by keys that the resolver does not
take (SERVFAIL); one in LAME has no server (SERVFAIL); names outside of all zones do not exist.  A
zone's text needs no SOA and NS.  In a network of its own (hostroot) PORT may be 53, for programs
that read resolv.conf.
"""

import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile

import instance
import tap

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "AAAA": 28, "SRV": 33, "TLSA": 52}
OPTIONS = """
options {{
	directory "{dir}";
	pid-file "{dir}/{name}.pid";
	session-keyfile none;
	listen-on port {port} {{ 127.0.0.1; }};
	listen-on-v6 {{ none; }};
	empty-zones-enable no;
	notify no;
	minimal-responses yes;
	max-cache-size 32m;
{more}}};
controls {{ }};
"""
HEAD = """$TTL 60
@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 5
@ NS ns.invalid.
"""


def find():
    """Skips the whole test where there is no BIND."""
    os.environ["PATH"] += ":/usr/sbin"
    for program in ("named", "dnssec-keygen", "dnssec-signzone"):
        if not shutil.which(program):
            tap.skip_all(f"no {program} here (packages bind9 and bind9-utils)")


def query(port, name, kind, seconds=1):
    """Asks 127.0.0.1: (rcode, AD, number of answers); None without an answer."""
    ident = random.randrange(65536)
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x)
    packet = (struct.pack("!6H", ident, 0x0120, 1, 0, 0, 1) + labels + b"\0" +
              struct.pack("!HH", TYPES[kind], 1) + struct.pack("!BHHIH", 0, 41, 1232, 0x8000, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        try:
            s.connect(("127.0.0.1", port))
            s.send(packet)
            got = s.recv(65535)
        except OSError:
            return None
    got_ident, flags, _, answers = struct.unpack("!4H", got[:8])
    return (flags & 15, bool(flags & 0x20), answers) if got_ident == ident else None


class Bind:
    """ZONES: a dictionary of name and text."""

    def __init__(self, zones, signed=(), bogus=(), lame=(), port=None):
        find()
        self.dir = tempfile.mkdtemp(prefix="postcote-bind-")
        self.zones, self.signed, self.bogus, self.lame = zones, signed, bogus, lame
        self.authority, free, self._nowhere = instance.free_ports(3)
        self.port = port or free
        self.server = f"127.0.0.1:{self.port}"
        self._processes = []
        self._anchors = []

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def _write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)

    def _run(self, *argv):
        done = subprocess.run(argv, cwd=self.dir, timeout=60, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stdout}")
        return done.stdout

    def _key(self, zone, *flags):
        """The public key of a new pair, as a trust anchor has it."""
        name = self._run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", *flags, zone).strip()
        with open(self.path(name + ".key"), encoding="ascii") as f:
            return [line for line in f if "DNSKEY" in line][0].split("DNSKEY", 1)[1].split()

    def _sign(self, zone, file):
        anchor = self._key(zone, "-f", "KSK")
        self._key(zone)
        self._run("dnssec-signzone", "-S", "-o", zone, "-f", file + ".signed", file)
        if zone in self.bogus:
            for pair in os.listdir(self.dir):
                if pair.startswith(f"K{zone}."):
                    os.unlink(self.path(pair))
            anchor = self._key(zone, "-f", "KSK")
        self._anchors.append(f'"{zone}" static-key {" ".join(anchor[:3])} "{"".join(anchor[3:])}";')
        return file + ".signed"

    def _write_authority(self):
        config = OPTIONS.format(dir=self.dir, name="authority", port=self.authority,
                                more="\trecursion no;\n\tdnssec-validation no;\n\tcheck-names primary ignore;\n"
                                     "\tcheck-mx ignore;\n\tcheck-mx-cname ignore;\n\tcheck-srv-cname ignore;\n"
                                     "\tcheck-integrity no;\n")
        for zone, text in {".": "ns.invalid. A 127.0.0.1\n", **self.zones}.items():
            file = "root.zone" if zone == "." else zone + ".zone"
            self._write(file, HEAD + text)
            if zone in self.signed or zone in self.bogus:
                file = self._sign(zone, file)
            config += f'zone "{zone}" {{ type primary; file "{file}"; }};\n'
        self._write("authority.conf", config)

    def _write_resolver(self):
        config = OPTIONS.format(
            dir=self.dir, name="resolver", port=self.port,
            more="\trecursion yes;\n\tallow-recursion { any; };\n\tdnssec-validation yes;\n"
                 "\tqname-minimization off;\n\tforward only;\n"
                 f"\tforwarders {{ 127.0.0.1 port {self.authority}; }};\n")
        config += "trust-anchors {\n" + "\n".join(self._anchors) + "\n};\n" if self._anchors else ""
        for zone in self.lame:
            config += (f'zone "{zone}" {{ type forward; forward only; '
                       f"forwarders {{ 127.0.0.1 port {self._nowhere}; }}; }};\n")
        self._write("resolver.conf", config)

    def _start(self, name, port):
        with open(self.path(name + ".log"), "wb") as log:
            process = subprocess.Popen(
                ["named", "-g", "-n", "1", "-c", self.path(name + ".conf")], cwd=self.dir,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)

        def ready():
            if process.poll() is not None:
                raise RuntimeError(f"named ended: {self.log(name)}")
            answer = query(port, ".", "SOA")
            return answer and answer[0] == 0
        instance.wait_until(ready, f"named as {name}")

    def log(self, name="resolver"):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop_resolver(self):
        """From now on nobody answers at the resolver's port."""
        self._processes[-1].terminate()
        self._processes.pop().wait(30)

    def __enter__(self):
        try:
            self._write_authority()
            self._write_resolver()
            self._start("authority", self.authority)
            if "not loaded" in self.log("authority"):
                raise RuntimeError(f"a zone is bad:\n{self.log('authority')}")
            self._start("resolver", self.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
