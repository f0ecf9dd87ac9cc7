#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client's TLS beside a real Postfix's: what the log says of each recipient and handshake."""

import os
import re
import smtplib
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_postfix
import small_ca
import smtp_tls_cases
import tap
from instance import Instance, wait_until

# What Postfix does not know before 3.11, or checks in another way.
NEW = ("sts, other host", "sts, its host", "bad policy type")
# The peer throws text away that came before TLS; we go away.
OWN = ("may, injected text",)
OTHER_LINES = ("may, no TLS behind STARTTLS",
               "encrypt, no TLS behind STARTTLS")


def lines(log, address):
    """What smtp says of ADDRESS, but for the recipient's line."""
    found = re.findall(r"postfix/smtp\[\d+\]: (.*)", log)
    return [neutral(line) for line in found if address + "]" in line and ": to=<" not in line]


def neutral(line):
    # OpenSSL's releases differ in which of two errors is an address's.
    line = re.sub(r"num=6[24]:\S+( address)? mismatch", "num=N:mismatch", line)
    # Names of groups changed with OpenSSL 3.5; since 3.11 another's certificate is called trusted.
    line = re.sub(r"key-exchange \S+", "key-exchange GROUP", line)
    return re.sub(r"^(Trusted|Untrusted) ", "", line)


def outcome(log, i):
    found = smtp_tls_cases.outcome(log, i)
    return found and re.sub(r"^tls=[^,]*, ", "", found)


def submit(port, count):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        for i in range(count):
            smtp.sendmail("a@sender.test", [f"u@c{i}.test"], "Subject: x\n\nhello\n")


def compare(ours, theirs, cases, version):
    for i, case in enumerate(cases):
        if case.name in OWN or (version < (3, 11) and case.name in NEW):
            continue
        for side in (ours, theirs):
            wait_until(lambda side=side: outcome(side.log(), i), f"{case.name}: an outcome", 60)
        tap.equal(outcome(ours.log(), i), outcome(theirs.log(), i), f"{case.name}: the recipient")
        if version >= (3, 11):
            tap.equal(smtp_tls_cases.outcome(ours.log(), i), smtp_tls_cases.outcome(theirs.log(), i),
                      f"{case.name}: tls=")
        if case.name not in OTHER_LINES:
            address = smtp_tls_cases.addr(i)
            tap.equal(lines(ours.log(), address), lines(theirs.log(), address),
                      f"{case.name}: the rest of the log")


def main():
    peer_postfix.find()
    small_ca.find()
    version = peer_postfix.version()
    root = peer_postfix.ROOT
    with tempfile.TemporaryDirectory(dir=root + "/tmp" if root else None) as directory:
        os.chmod(directory, 0o755)
        s = smtp_tls_cases.Servers(directory)
        cases = smtp_tls_cases.make(s)
        main_cf = smtp_tls_cases.main_cf(cases, s.ca)
        inside = {name: value.replace(directory, directory.removeprefix(root))
                  for name, value in main_cf.items()}
        with Instance(main_cf, "smtp unix - - n - - smtp\n") as ours, \
                peer_postfix.PeerPostfix(inside) as theirs:
            with ours.smtp() as smtp:
                for i in range(len(cases)):
                    smtp.sendmail("a@sender.test", [f"u@c{i}.test"], "Subject: x\n\nhello\n")
            submit(theirs.smtp_port, len(cases))
            compare(ours, theirs, cases, version)


tap.run(main)
