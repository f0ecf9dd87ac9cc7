#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which hosts mail goes to, beside a real Postfix: both in a network of its own with a BIND, whose
zones have every kind of MX, address and SRV records (t/lib/host_cases.py)."""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import bind                                           # noqa: E402
import host_cases                                     # noqa: E402
import hostroot                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import tap                                            # noqa: E402
from instance import Instance, wait_until             # noqa: E402
from smtp_dialogue import Dialogue                    # noqa: E402
from smtp_server import Server                        # noqa: E402

INSIDE = """
ip link set lo up
for a in 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.9; do ip addr add $a/32 dev lo; done
ip addr add 2001:db8::1/128 dev lo nodad || true
for root in / "$PC_PEER_ROOT/"; do
	[ -z "$root" ] || mount --bind "$1" "${root}etc/resolv.conf"
done
shift
exec "$@"
"""
MAIN = {
    "myhostname": "mail.example.test", "mynetworks": "127.0.0.0/8", "inet_interfaces": "127.0.0.1",
    "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_recipient_restrictions": "",
    "mydestination": "", "smtp_tls_security_level": "none", "maximal_queue_lifetime": "1d",
    "smtpd_tls_security_level": "none", "smtp_connect_timeout": "5s",
}
# Where we mean to be different from the peer: (pattern of ours, why).
DIFFERENT = {}


def enter():
    """A network and a resolv.conf of our own."""
    if os.environ.get("PC_ALONE"):
        return
    peer_postfix.find()
    bind.find()
    hostroot.private_mounts_or_skip()
    with tempfile.NamedTemporaryFile("w", prefix="postcote-resolv-") as resolv:
        resolv.write("nameserver 127.0.0.1\n")
        resolv.flush()
        os.chmod(resolv.name, 0o644)
        env = dict(os.environ, PC_ALONE="yes", PC_PEER_ROOT=peer_postfix.ROOT)
        sys.exit(subprocess.run(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", INSIDE, "sh",
             resolv.name, sys.executable, os.path.abspath(sys.argv[0])], env=env).returncode)


def table(nexthops):
    if not nexthops:
        return ""
    return "inline:{ " + " ".join(f"{{n{i}.n=smtp:{n}}}" for i, n in enumerate(nexthops)) + " }"


def submit(port, domains):
    d = Dialogue(port)
    d.ask("EHLO x")
    for domain in domains:
        d.ask("MAIL FROM:<>")
        d.ask(f"RCPT TO:<u@{domain}>")
        d.ask("DATA")
        d.ask("Subject: x\r\n\r\nx\r\n.")
    d.close()


def outcomes(log):
    found = {}
    for m in re.finditer(r"to=<u@(\S+)>, (relay=\S+), .*(dsn=\S+, status=.*)", log):
        found.setdefault(m[1], f"{m[2]} {m[3]}")
    return found


def notes(log):
    """What smtp says beside the results, each once: in what order and how often is chance."""
    lines = re.findall(r"postfix/smtp\[\d+\]: (.*)", re.sub(r" \d+ IN ", " TTL IN ", log))
    return sorted({line for line in lines if "to=<" not in line and
                   not re.search("valid_hostname: |statistics: |malformed domain name", line)})


def results(side, log, domains):
    submit(side.smtp_port, domains)
    wait_until(lambda: len(outcomes(log())) >= len(domains), f"{len(domains)} results")
    return outcomes(log())


def compare(name, domains, nexthops=(), **main):
    """Sends to both; NEXTHOPS is in transport_maps as n0.n, n1.n, ..."""
    main = {**MAIN, **main, "transport_maps": table(nexthops)}
    names = {**{d: d for d in domains}, **{f"n{i}.n": n for i, n in enumerate(nexthops)}}
    with peer_postfix.PeerPostfix(main) as peer, \
            Instance(main, "smtp unix - - n - - smtp\n") as ours:
        def peer_log():
            with open(peer.mail_log, encoding="utf-8", errors="replace") as f:
                return f.read()
        wanted = results(peer, peer_log, names)
        got = results(ours, ours.postfix_log, names)
        for key, text in names.items():
            want = wanted[key]
            if text in DIFFERENT:
                tap.like(got[key], DIFFERENT[text][0], f"{name}: {text}: {DIFFERENT[text][1]}")
            else:
                tap.equal(got[key], want, f"{name}: {text}")
        tap.equal("\n".join(notes(ours.postfix_log())), "\n".join(notes(peer_log())),
                  f"{name}: what is said beside")


def test_domains():
    compare("domains", host_cases.domains())


def test_nexthops():
    compare("next hops", [], host_cases.NEXTHOPS)


def test_lookups():
    some = ["ok.t.test", "aonly.t.test", "v6only.t.test", "v6mx.t.test", "cname.t.test", "nosuch.t.test",
            "lame.test", "noaddr.t.test", "badname.t.test"]
    compare("ignore_mx_lookup_error", some, ignore_mx_lookup_error="yes")
    compare("smtp_defer_if_no_mx_address_found", some, smtp_defer_if_no_mx_address_found="yes")
    compare("ipv4 alone", some, ["[2001:db8::1]"], inet_protocols="ipv4")
    compare("disabled", ["aonly.t.test", "v6only.t.test", "nosuch.t.test"],
            smtp_dns_support_level="disabled")
    compare("native", ["ok.t.test", "aonly.t.test", "nosuch.t.test"], smtp_host_lookup="dns, native")
    compare("proxy_interfaces", ["ok.t.test", "aonly.t.test", "self2.t.test", "mixed.t.test"],
            proxy_interfaces="192.0.2.1")
    compare("filter", ["ok.t.test", "aonly.t.test", "v6only.t.test", "cname.t.test", "txtonly.t.test"],
            smtp_dns_reply_filter="pcre:{ {/^ok.* MX / IGNORE} {/ AAAA / ignore} {/^a.t.test. \\d+ IN A/ FOO} }")


def test_bind():
    compare("no such address", ["ok.t.test", "v6only.t.test"], smtp_bind_address="192.0.2.77")
    compare("enforced", ["ok.t.test", "v6only.t.test"], smtp_bind_address="192.0.2.77",
            smtp_bind_address_enforce="yes")


def test_services():
    if peer_postfix.version() < (3, 8):
        tap.skip("SRV is known since Postfix 3.8", "SRV")
        return
    for more in ({}, {"allow_srv_lookup_fallback": "yes"}, {"ignore_srv_lookup_error": "yes"}):
        compare(f"SRV {more}", [], host_cases.SERVICES, use_srv_lookup="submission smtp", **more)


def test_bad_nexthops():
    """The peer's smtp ends over them."""
    main = {**MAIN, "transport_maps": table(host_cases.BAD_NEXTHOPS)}
    with Instance(main, "smtp unix - - n - - smtp\n") as ours:
        got = results(ours, ours.postfix_log, [f"n{i}.n" for i in range(len(host_cases.BAD_NEXTHOPS))])
        for i, (nexthop, text) in enumerate(host_cases.BAD_NEXTHOPS.items()):
            tap.equal(got[f"n{i}.n"], f"relay=none dsn=4.3.5, status=deferred ({text})", nexthop)


def main():
    enter()
    servers = [Server(address=addr, port=25) for addr in host_cases.SERVERS]
    with bind.Bind(host_cases.ZONES, bogus=host_cases.BOGUS, lame=host_cases.LAME, port=53):
        for test in (test_domains, test_nexthops, test_lookups, test_bind, test_services,
                     test_bad_nexthops):
            test()
    for server in servers:
        server.__exit__()


tap.run(main)
