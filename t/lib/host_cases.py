# SPDX-License-Identifier: BSD-2-Clause
"""Domains with all kinds of MX, address and SRV records, for tests of how a client finds hosts.

Names a, b and c have servers at 192.0.2.1 to 3, 4: none listens at DEAD.  me is this host.
"""

DEAD = "192.0.2.9"
SERVERS = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
ZONE = r"""
a A 192.0.2.1
b A 192.0.2.2
c A 192.0.2.3
ok MX 10 a
dead A 192.0.2.9
me A 127.0.0.1
deadfirst MX 10 dead
deadfirst MX 20 a
alldead MX 10 dead
alldead A 192.0.2.1
null MX 0 .
nullmix MX 0 .
nullmix MX 10 a
null10 MX 10 .
cl1 CNAME cl2
cl2 CNAME cl1
self MX 10 me
self2 MX 10 a
self2 MX 20 me
self2 MX 30 b
self3 MX 10 nosuch
self3 MX 20 me
self4 MX 10 me
self4 MX 20 a
self5 MX 10 me
self5 MX 10 a
self6 MX 10 dead
self6 MX 20 me
self6 MX 30 a
aonly A 192.0.2.1
v6only AAAA 2001:db8::1
v6mx MX 10 v6only
aself A 127.0.0.1
noaddr MX 10 nosuch
noaddr2 MX 10 txtonly
txtonly TXT hello
nomxlame MX 10 x.lame.test.
mixlame MX 10 x.lame.test.
mixlame MX 20 a
numeric MX 10 192.0.2.1.
badname MX 10 a\032b
badmix MX 10 a\032b
badmix MX 20 a
cname CNAME ok
mxcname MX 10 al
al CNAME a
mxcl MX 10 cl1
under_score MX 10 a
mixed MX 10 me
mixed MX 5 nosuch
mixed MX 5 a
"""
SRV_ZONE = r"""
_submission._tcp.s1 SRV 0 0 2587 a.t.test.
_submission._tcp.s2 SRV 0 0 0 .
s2 MX 10 a.t.test.
s3 A 192.0.2.1
_submission._tcp.s4 SRV 0 0 25 me.t.test.
_submission._tcp.s5 SRV 0 0 2587 nosuch.t.test.
_submission._tcp.s6 SRV 10 0 25 a.t.test.
_submission._tcp.s6 SRV 0 0 2587 dead.t.test.
_submission._tcp.s7 CNAME _submission._tcp.s1
_submission._tcp.s8 SRV 0 0 2587 192.0.2.1.
_submission._tcp.s9 SRV 0 0 2587 a\032b
_submission._tcp.s10 SRV 0 0 25 a.t.test.
_smtp._tcp.s11 SRV 0 0 2525 a.t.test.
s11 A 192.0.2.1
_submission._tcp.s12 SRV 0 0 25 me.t.test.
_submission._tcp.s12 SRV 10 0 25 a.t.test.
_submission._tcp.s13 NS ns.lame.test.
_submission._tcp.s14 TXT x
s14 MX 10 a.t.test.
_submission._tcp.s15 SRV 0 0 0 a.t.test.
_smtp._tcp.s16 SRV 0 0 25 me.t.test.
"""
ZONES = {"t.test": ZONE, "s.test": SRV_ZONE, "bogus.test": "@ MX 10 a\na A 192.0.2.1\n"}
LAME, BOGUS = ["lame.test"], ["bogus.test"]


def domains():
    """The domains that are tried as they are."""
    names = dict.fromkeys(line.split()[0] for line in ZONE.strip().splitlines())
    return [name + ".t.test" for name in names] + ["nosuch.t.test", "lame.test", "bogus.test", "x.invalid"]


# What stands for a domain in transport_maps.
NEXTHOPS = (
    "[192.0.2.1]:26", "[ipv6:::1]:26", "192.0.2.1", "[nosuch.t.test]", "[txtonly.t.test]",
    "[x.lame.test]", "[a.t.test]:submission", "[me.t.test]", "[me.t.test]:2526", "self.t.test:2526",
    "nosuch.t.test, ok.t.test", "[dead.t.test], [a.t.test]", "[127.0.0.1]", "[::1]:26",
    "nosuch.t.test, lame.test", "[192.0.2.1]:", "null.t.test, ok.t.test", "deadfirst.t.test:26",
    "[a.t.test]:025", "[v6only.t.test]",
)
# The peer's process ends over these; the mail stays.
BAD_NEXTHOPS = {
    "[bad": 'missing "]" in server description: [bad',
    "ok.t.test:nosuchservice": "unknown service: nosuchservice",
    "[192.0.2.1]:0": "bad network port for destination: [192.0.2.1]:0",
    "[192.0.2.1]:99999": "bad network port for destination: [192.0.2.1]:99999",
    "-bad.test": "valid hostname or network address required in server description: -bad.test",
    "[1.2.3]": "valid hostname or network address required in server description: [1.2.3]",
    "1.2.3": "valid hostname or network address required in server description: 1.2.3",
    ":26": "missing host information in server description: :26",
    "[]": "valid hostname or network address required in server description: []",
    "[192.0.2.1]x:26": 'garbage after "]" in server description: [192.0.2.1]x:26',
}
SERVICES = [f"s{i}.s.test:submission" for i in range(1, 16)] + [
    "[s1.s.test]:submission", "lame.test:submission", "s1.s.test:587", "s11.s.test", "s11.s.test:smtp",
    "s11.s.test:25", "s16.s.test"]
