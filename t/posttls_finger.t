#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""posttls-finger: what it says of servers of all sorts, and of TLSA records in a real DNS."""

import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import bind
import small_ca
import tap
from instance import stage
from smtp_tls_cases import NO_OFFER, REFUSES, WRAPPED, Server

TALK = ["Connected to ADDR", "< 220 mx.example.test ESMTP", "> EHLO own.example.test",
        "< 250-mx.example.test"]
OFFER = TALK + ["< 250-STARTTLS", "< 250 8BITMIME", "> STARTTLS", "< 220 go"]
END = ["> EHLO own.example.test", "< 250-mx.example.test", "< 250 8BITMIME", "> QUIT", "< 221 bye"]
LINE = ("TLS connection established to ADDR: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 "
        "bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256")


class Finger:
    def __init__(self, directory):
        self.dir = directory
        with open(os.path.join(directory, "main.cf"), "w", encoding="ascii") as f:
            f.write("compatibility_level = 3.6\nmyhostname = own.example.test\n")
        self.command = os.path.join(stage(), "sbin/posttls-finger")

    def run(self, *args):
        return subprocess.run([self.command, *args], env={**os.environ, "MAIL_CONFIG": self.dir},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    def lines(self, server, *args, match=()):
        done = self.run(*args, f"[127.0.0.1]:{server.port}", *match)
        lines = [line.removeprefix("posttls-finger: ") for line in done.stdout.splitlines()]
        return [line.replace(f"127.0.0.1[127.0.0.1]:{server.port}", "ADDR") for line in lines]


def test_servers(finger, ca):
    good, late = Server(ca.path("good.chain")), Server(ca.path("alone.chain"))
    prints = (f"subject_CN=mx.example.test, issuer=Test CA, cert fingerprint={ca.fingerprint('good')}, "
              f"pkey fingerprint={ca.key_fingerprint('good')}")
    tap.equal(finger.lines(good, "-l", "may"),
              OFFER + ["ADDR: " + prints, "Untrusted " + LINE] + END, "level may")
    tap.equal(finger.lines(good, "-l", "verify", "-F", ca.path("ca.pem"), match=["mx.example.test"]),
              OFFER + ["ADDR: matched peername: mx.example.test", "ADDR: " + prints,
                       "Verified " + LINE] + END, "verified")
    tap.equal(finger.lines(good, "-c", "-L", "summary", "-l", "secure", "-A", ca.path("ca.pem"),
                           match=["other.test"]),
              ["server certificate verification failed for ADDR: num=62:hostname mismatch",
               "Trusted " + LINE], "another's")
    tap.equal(finger.lines(late, "-c", "-l", "fingerprint", "-L", "none",
                           match=[ca.fingerprint("good")]),
              ["server certificate verification failed for ADDR: num=65:no matching DANE TLSA "
               "records"], "fingerprint")
    chain = finger.lines(good, "-c", "-C", "-L", "none", "-l", "encrypt")
    tap.equal(chain[:7], ["", "---", "Certificate chain", " 0 subject: /CN=mx.example.test",
                          "    issuer: /CN=Test CA", f"   cert digest={ca.fingerprint('good')}",
                          f"   pkey digest={ca.key_fingerprint('good')}"], "the chain")
    with open(ca.path("good.pem"), encoding="ascii") as f:
        tap.equal(chain[7:], f.read().splitlines(), "its certificate")
    tap.equal(finger.lines(Server(mode=NO_OFFER), "-l", "encrypt"),
              TALK + ["< 250 8BITMIME", "> QUIT", "< 221 bye"], "no offer")
    tap.equal(finger.lines(Server(mode=REFUSES), "-l", "encrypt")[-2:],
              ["< 454 4.7.0 TLS not available due to local problem",
               "STARTTLS rejected: 454 4.7.0 TLS not available due to local problem"], "refused")
    tap.equal(finger.lines(Server(ca.path("good.chain"), mode=WRAPPED), "-w", "-L", "1", "-l", "may"),
              TALK[:1] + ["Untrusted " + LINE] + TALK[1:] + END[2:], "wrapper mode")
    again = finger.lines(good, "-r", "1", "-l", "may", "-c")
    tap.ok("ADDR: Reusing old session" in again, "reconnected", "\n".join(again))
    tap.equal(again[-1], "Found a previously used server.  Done reconnecting.", "... and done")


def test_options(finger):
    for args, status, text in (
            ([], 1, "usage: posttls-finger "), (["-l", "half-dane", "x"], 1, "fatal: Invalid TLS level"),
            (["-a", "ipv9", "x"], 1, "fatal: bad '-a' option value: ipv9"),
            (["-H", "a", "-k", "b", "x"], 1, "fatal: When the '-H' option is used"),
            (["-A", "/nonexistent", "x"], 1, "fatal: Failed to load trust anchor file: /nonexistent"),
            (["-S", "unix:/nonexistent"], 0, "Failed to establish session to unix:/nonexistent: "
             "connect to own.example.test[/nonexistent]: No such file or directory")):
        done = finger.run(*args)
        tap.equal(done.returncode, status, f"{args}: status")
        tap.ok(text in done.stdout + done.stderr, f"{args}: {text}", done.stdout + done.stderr)


def test_dane(finger, ca):
    server = Server(ca.path("good.chain"))
    key = ca.key_fingerprint("good").replace(":", "")
    zone = (f"@ MX 10 mx\nmx A 127.0.0.1\n_{server.port}._tcp.mx TLSA 3 1 1 {key}\n"
            "plain MX 10 b.plain\nb.plain A 127.0.0.1\n")
    with bind.Bind({"signed.test": zone}, signed=["signed.test"]) as dns:
        run = lambda domain: finger.run("-c", "-o", f"postcote_dns_server={dns.server}",
                                        f"{domain}:{server.port}").stdout
        out, name = run("signed.test"), f"mx.signed.test[127.0.0.1]:{server.port}"
        for line in (f"_{server.port}._tcp.mx.signed.test: DNSSEC-signed TLSA record: 3 1 1 {key}",
                     f"{name}: Matched DANE EE certificate at depth 0: 3 1 1 {key}",
                     f"Verified TLS connection established to {name}: TLSv1.3"):
            tap.ok(line in out, line, out)
        tap.equal(server.sessions[-1]["sni"], "mx.signed.test", "SNI")
        out = run("plain.signed.test")
        tap.ok('no TLSA records found, resorting to "secure"' in out, "no records", out)
        tap.ok("Untrusted TLS connection established" in out, "... and no CA", out)


def main():
    small_ca.find()
    with tempfile.TemporaryDirectory() as directory:
        ca = small_ca.SmallCa(directory)
        ca.server("good")
        ca.self_signed("alone")
        finger = Finger(directory)
        test_servers(finger, ca)
        test_options(finger)
        bind.find()
        test_dane(finger, ca)


tap.run(main)
