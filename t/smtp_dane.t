#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""DANE (RFC 7672) with a real BIND: which records hold, and what a server must show for them."""

import hashlib
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import bind
import small_ca
import tap
from instance import Instance, wait_until
from smtp_tls_cases import NO_OFFER, Server

SENT = r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 taken\)"
DEFERRED = r"dsn=4\.7\.5, status=deferred \(%s\)"
NOT_VERIFIED = DEFERRED % "Server certificate not verified"


def digest(ca, name, selector):
    if selector == 0:
        return hashlib.sha256(ca.der(name)).hexdigest()
    return ca.key_fingerprint(name).replace(":", "").lower()


class Case:
    """RECORDS: of the zone ZONE, below NAME; "PORT" is SERVER's.  AT: the domain, NAME.ZONE."""

    def __init__(self, name, records, server, dane, dane_only=None, zone="signed.test", sni=None):
        self.name, self.records, self.server, self.zone = name, records, server, zone
        self.wants = {"dane": dane, "dane-only": dane_only or dane.replace("dane", "dane-only")}
        self.domain, self.sni = f"{name}.{zone}", sni


def records(name, *more):
    """An MX, its address, and records of its own."""
    return "\n".join((f"{name} MX 10 mx.{name}", f"mx.{name} A 127.0.0.1", *more)) + "\n"


def make(ca, good, alone, chained, plain):
    no_dane = (r"tls=may, " + SENT, r"tls=unknown\?, " + DEFERRED % "no TLSA records found")
    right, key = digest(ca, "good", 0), digest(ca, "good", 1)
    wrong, self_signed = digest(ca, "ec", 1), digest(ca, "alone", 1)
    anchor = digest(ca, "ca", 0)
    tlsa = lambda name, text: f"_PORT._tcp.mx.{name} TLSA {text}"
    simple = lambda name, text, server, *wants, **more: Case(
        name, records(name, tlsa(name, text)), server, *wants, **more)
    return [
        simple("key", f"3 1 1 {key}", good, "tls=dane, " + SENT, sni="mx.key.signed.test"),
        simple("cert", f"3 0 1 {right}", good, "tls=dane, " + SENT),
        simple("alone", f"3 1 1 {self_signed}", alone, "tls=dane, " + SENT),
        simple("wrong", f"3 1 1 {wrong}", good, "tls=!dane, " + NOT_VERIFIED),
        Case("two", records("two", tlsa("two", f"3 1 1 {wrong}"), tlsa("two", f"3 1 1 {key}")),
             good, "tls=dane, " + SENT),
        simple("anchor", f"2 0 1 {anchor}", chained, "tls=dane, " + SENT),
        simple("other", f"2 0 1 {anchor}", good, "tls=!dane, " + NOT_VERIFIED),
        simple("pkix", f"1 1 1 {wrong}", good, "tls=dane:encrypt, " + SENT,
               r"tls=unknown\?, " + DEFERRED % "TLSA records unusable"),
        simple("digest", f"3 1 255 {wrong}", good, "tls=dane:encrypt, " + SENT,
               r"tls=unknown\?, " + DEFERRED % "TLSA records unusable"),
        simple("clear", f"3 1 1 {key}", plain,
               r"tls=!dane, dsn=4\.7\.4, status=deferred \(TLS is required, but was not offered .*\)"),
        Case("none", records("none"), good, *no_dane),
        Case("alias", records("alias").replace("mx.alias A 127.0.0.1", "mx.alias CNAME mx.key"), good,
             "tls=dane, " + SENT),
        Case("failing", records("failing", "_PORT._tcp.mx.failing CNAME t.bogus.test."), good,
             r"tls=unknown\?, " + DEFERRED % r"TLSA lookup error for mx\.failing\.signed\.test:\d+"),
        Case("far", "far MX 10 mx.key.signed.test.\n", good, "tls=dane:halfdane, " + SENT,
             r"tls=unknown\?, " + DEFERRED % "non DNSSEC destination", zone="plain.test"),
        Case("near", records("near", tlsa("near", f"3 1 1 {key}")), good, no_dane[0],
             r"tls=unknown\?, " + DEFERRED % "non DNSSEC destination", zone="plain.test"),
    ]


def zones(cases):
    texts = {"signed.test": "", "plain.test": "", "bogus.test": "t TLSA 3 1 1 " + "00" * 32 + "\n"}
    for case in cases:
        texts[case.zone] += case.records.replace("PORT", str(case.server.port))
    return texts


def main_cf(dns, cases):
    both = ", ".join(f"{{ {level}.{case.domain} = {level}:{case.domain}:{case.server.port} }}"
                     for case in cases for level in case.wants)
    return {"transport_maps": f"inline:{{ {both} }}", "smtp_dns_support_level": "dnssec",
            "smtp_host_lookup": "dns", "smtp_tls_loglevel": "1", "inet_protocols": "ipv4",
            "smtp_mx_session_limit": "1", "smtp_tls_cert_file": "",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "mynetworks": "127.0.0.0/8",
            "postcote_dns_server": dns.server}


def outcome(mail, address):
    pattern = rf"to=<{re.escape(address)}>.* delays=[^,]*, (.*)"
    wait_until(lambda: re.search(pattern, mail.log()), f"an outcome of {address}")
    return re.search(pattern, mail.log())[1]


def check(mail, cases):
    with mail.smtp() as smtp:
        for case in cases:
            for level in case.wants:
                smtp.sendmail("a@sender.test", [f"u@{level}.{case.domain}"], "Subject: x\n\nhi\n")
    for case in cases:
        for level, want in case.wants.items():
            got = outcome(mail, f"u@{level}.{case.domain}")
            tap.ok(re.fullmatch(want, got), f"{case.name}, {level}", f"{got}\nwanted {want}")
        if case.sni:
            tap.ok(case.sni in [x["sni"] for x in case.server.sessions], f"{case.name}: SNI")


def check_log(mail, good):
    log = mail.log()
    for line in (f"Verified TLS connection established to mx.key.signed.test[127.0.0.1]:{good.port}",
                 "num=65:no matching DANE TLSA records",
                 f"warning: TLS policy lookup for pkix.signed.test:{good.port}/mx.pkix.signed.test: "
                 "TLSA records unusable"):
        tap.ok(line in log, line)
    # Behind an MX that anybody could have made.
    tap.ok(f"Trusted TLS connection established to mx.key.signed.test[127.0.0.1]:{good.port}" in log,
           "half-dane is not called verified")


def main():
    bind.find()
    small_ca.find()
    with tempfile.TemporaryDirectory() as directory:
        ca = small_ca.SmallCa(directory)
        ca.server("good")
        ca.server("ec", "ec")
        ca.self_signed("alone")
        ca.server("anchored", host="mx.anchor.signed.test")
        with open(ca.path("whole.chain"), "w", encoding="ascii") as out:
            for part in ("anchored.chain", "ca.pem"):
                with open(ca.path(part), encoding="ascii") as f:
                    out.write(f.read())
        good, alone, chained = (Server(ca.path(name + ".chain"))
                                for name in ("good", "alone", "whole"))
        cases = make(ca, good, alone, chained, Server(mode=NO_OFFER))
        services = "".join(f"{level} unix - - n - - smtp\n  -o smtp_tls_security_level={level}\n"
                           for level in ("dane", "dane-only"))
        with bind.Bind(zones(cases), signed=["signed.test"], bogus=["bogus.test"]) as dns, \
                Instance(main_cf(dns, cases), services) as mail:
            check(mail, cases)
            check_log(mail, good)


tap.run(main)
