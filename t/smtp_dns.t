#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How smtp and lmtp find hosts, with a BIND that postcote_dns_server names: order, limits, loops,
fallback relays, DNSSEC.  t/smtp_hosts.t has the same beside a real Postfix, at port 25."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import bind                                           # noqa: E402
import instance                                       # noqa: E402
import tap                                            # noqa: E402
from instance import Instance                         # noqa: E402
from smtp_dialogue import Dialogue                    # noqa: E402
from smtp_server import Server                        # noqa: E402

ZONE = """
a A 127.0.0.2
b A 127.0.0.3
dead A 127.0.0.9
me A 127.0.0.1
first MX 10 a
first MX 20 b
second MX 10 dead
second MX 20 b
own MX 10 me
worse MX 10 dead
worse MX 20 me
null MX 0 .
refused MX 10 reject
reject A 127.0.0.4
alias CNAME first
address A 127.0.0.2
lame MX 10 x.lame.test.
xn--mnchen-3ya MX 10 a
_submission._tcp.srv SRV 0 0 {port} b
_submission._tcp.nosrv SRV 0 0 0 .
many MX 10 m
nullmix MX 0 .
nullmix MX 10 a
cl1 CNAME cl2
cl2 CNAME cl1
loop MX 10 cl1
odd MX 10 x\\027[2J\\010y
crowd MX 10 dead
""" + "".join(f"crowd MX 5 n{i}\n" for i in range(90)) + "\n".join(f"m A 127.0.1.{i}" for i in range(1, 31)) + "\n"
SIGNED = "@ MX 10 mx\nmx A 127.0.0.2\n"
NO_NAME = "Host or domain name not found. Name service error for name={} type={}: Host not found"


class Side:
    """Servers at one port of several addresses."""

    def __init__(self):
        self.port = instance.free_ports(1)[0]
        self.servers = {f"127.0.0.{i}": Server(address=f"127.0.0.{i}", port=self.port) for i in (2, 3)}
        self.servers["127.0.0.4"] = Server({"RCPT": "550 5.1.1 no such user"}, address="127.0.0.4",
                                           port=self.port)

    def main(self, dns, **more):
        return {"postcote_dns_server": dns.server, "inet_protocols": "ipv4", "mydestination": "",
                "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks, reject",
                "smtpd_recipient_restrictions": "", "smtp_tcp_port": str(self.port),
                "smtp_tls_security_level": "none", "smtp_connect_timeout": "10s", **more}


def send(mail, domains):
    d = Dialogue(mail.smtp_port)
    d.ask("EHLO x")
    for domain in domains:
        d.ask("MAIL FROM:<>")
        d.ask(f"RCPT TO:<u@{domain}>")
        d.ask("DATA")
        d.ask("Subject: x\r\n\r\nx\r\n.")
    d.close()


def outcome(mail, domain):
    """relay=, dsn= and the text."""
    found = mail.wait_for_log(rf"to=<u@{re.escape(domain)}>, (relay=\S+), .*(dsn=\S+), status=(.*)")
    return f"{found[1]}, {found[2]} {found[3]}"


def test_choice(side, dns):
    port = side.port
    want = {
        "first.t.test": f"relay=a.t.test[127.0.0.2]:{port}, dsn=2.0.0 sent",
        "second.t.test": f"relay=b.t.test[127.0.0.3]:{port}, dsn=2.0.0 sent",
        "alias.t.test": f"relay=a.t.test[127.0.0.2]:{port}, dsn=2.0.0 sent",
        "address.t.test": f"relay=address.t.test[127.0.0.2]:{port}, dsn=2.0.0 sent",
        "null.t.test": "relay=none, dsn=5.1.0 bounced (Domain null.t.test does not accept mail (nullMX))",
        "nothing.t.test": "relay=none, dsn=5.4.4 bounced (" + NO_NAME.format("nothing.t.test", "A"),
        "nullmix.t.test": "relay=none, dsn=5.1.0 bounced (Domain nullmix.t.test does not accept mail (nullMX))",
        "cl1.t.test": "relay=none, dsn=4.4.3 deferred (" + NO_NAME.format("cl1.t.test", "MX") + ", try again",
        "loop.t.test": "relay=none, dsn=4.4.3 deferred (" + NO_NAME.format("cl1.t.test", "A") + ", try again",
        "odd.t.test": "relay=none, dsn=5.4.4 bounced (Name service error for name=odd.t.test type=MX: Malformed ",
        "crowd.t.test": "relay=none, dsn=",
        "lame.t.test": "relay=none, dsn=4.4.3 deferred (" + NO_NAME.format("x.lame.test", "A") + ", try again",
        "bogus.test": "relay=none, dsn=4.4.3 deferred (" + NO_NAME.format("bogus.test", "MX") + ", try again",
        "own25.n": "relay=none, dsn=5.4.6 bounced (mail for own.t.test loops back to myself)",
        "worse25.n": "relay=none, dsn=4.4.1 deferred (connect to dead.t.test[127.0.0.9]:25: ",
        "nothing25.n": "relay=b.t.test[127.0.0.3]:",
        "srv.n": f"relay=b.t.test[127.0.0.3]:{port}, dsn=2.0.0 sent",
        "nosrv.n": "relay=none, dsn=5.1.0 bounced (Domain _submission._tcp.nosrv.t.test does not support SRV",
        "refused.t.test": f"relay=reject.t.test[127.0.0.4]:{port}, dsn=5.1.1 bounced (host reject.t.test",
        "list.n": f"relay=a.t.test[127.0.0.2]:{port}, dsn=2.0.0 sent",
        "idn.n": f"relay=a.t.test[127.0.0.2]:{port}, dsn=2.0.0 sent",
        "bad.n": 'relay=none, dsn=4.3.5 deferred (missing "]" in server description: [bad)',
    }
    maps = {"own25.n": "smtp:own.t.test:25", "worse25.n": "relay:worse.t.test:25",
            "nothing25.n": "relay:nothing.t.test:25", "srv.n": "smtp:srv.t.test:submission",
            "nosrv.n": "smtp:nosrv.t.test:submission", "idn.n": "smtp:m\u00fcnchen.t.test", "bad.n": "smtp:[bad",
            "list.n": "smtp:nothing.t.test, first.t.test"}
    main = side.main(dns, use_srv_lookup="submission", transport_maps="inline:{ " + " ".join(
        f"{{{name}={hop}}}" for name, hop in maps.items()) + " }")
    master = ("smtp unix - - n - - smtp\n"
              f"relay unix - - n - - smtp -o smtp_fallback_relay=[b.t.test]:{port}\n")
    with Instance(main, master) as mail:
        send(mail, want)
        for domain, start in want.items():
            got = outcome(mail, domain)
            tap.ok(got.startswith(start), domain, f"{got}\nwanted {start}")
        tap.unlike(mail.postfix_log(), r"[\x00-\x08\x0b-\x1f]", "names cannot move a cursor in the log")
    tap.equal(len(side.servers["127.0.0.4"].sessions), 1, "what a host refuses is not tried again")


def test_limit(side, dns):
    """Of thirty addresses at most three are tried, chosen anew each time."""
    with Instance(side.main(dns, smtp_mx_address_limit="3"), "smtp unix - - n - - smtp\n") as mail:
        send(mail, ["many.t.test"])
        outcome(mail, "many.t.test")
        tried = re.findall(r"connect to m\.t\.test\[(\S+?)\]", mail.postfix_log())
        tap.ok(len(set(tried)) == 3, "smtp_mx_address_limit", " ".join(tried))


def test_dnssec(side, dns):
    with Instance(side.main(dns, smtp_dns_support_level="dnssec"), "smtp unix - - n - - smtp\n") as mail:
        send(mail, ["first.t.test"])
        outcome(mail, "first.t.test")
        tap.like(mail.postfix_log(), r"warning: DNSSEC validation may be unavailable\n.*dnssec_probe 'ns:.' "
                 "received a response that is not DNSSEC validated", "the probe of an unsigned root")
    with Instance(side.main(dns, smtp_dns_support_level="dnssec"), "smtp unix - - n - - smtp\n") as mail:
        send(mail, ["signed.test"])
        tap.like(outcome(mail, "signed.test"), r"mx\.signed\.test\[127\.0\.0\.2\]", "a signed domain")
        tap.unlike(mail.postfix_log(), "DNSSEC", "asks for no probe")


def test_lmtp(side, dns):
    """No MX; a UNIX socket."""
    with Instance(side.main(dns, lmtp_tcp_port=str(side.port), transport_maps="inline:{ "
                            "{inet.n=lmtp:inet:address.t.test} {mx.n=lmtp:first.t.test} "
                            "{unix.n=lmtp:unix:nowhere} }"), "lmtp unix - - n - - lmtp\n") as mail:
        send(mail, ["inet.n", "mx.n", "unix.n"])
        tap.like(outcome(mail, "inet.n"), r"relay=address\.t\.test\[127\.0\.0\.2\]", "inet:")
        tap.like(outcome(mail, "mx.n"), "5.4.4 bounced .*name=first.t.test type=A: Host found but no data",
                 "a domain with MX alone")
        tap.like(outcome(mail, "unix.n"), r"4\.4\.1 deferred \(connect to \S+\[nowhere\]: No such file",
                 "unix:")


def test_no_resolver(side, dns):
    dns.stop_resolver()
    with Instance(side.main(dns), "smtp unix - - n - - smtp\n") as mail:
        send(mail, ["first.t.test"])
        tap.like(outcome(mail, "first.t.test"), r"4\.4\.3 deferred .*type=MX: Host not found, try again",
                 "no resolver at all")


def main():
    side = Side()
    zones = {"t.test": ZONE.format(port=side.port), "signed.test": SIGNED, "bogus.test": SIGNED}
    with bind.Bind(zones, signed=["signed.test"], bogus=["bogus.test"], lame=["lame.test"]) as dns:
        for test in (test_choice, test_limit, test_dnssec, test_lmtp, test_no_resolver):
            test(side, dns)


tap.run(main)
