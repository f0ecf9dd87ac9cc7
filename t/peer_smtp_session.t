#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same sessions by our client and a real Postfix's: what each server hears, and every line of the
log."""

import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_postfix
import smtp_session_cases
import tap
from instance import Instance


def make(directory):
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    cases = smtp_session_cases.make(directory) + smtp_session_cases.make_tls()
    os.chmod(f"{directory}/lmtp", 0o666)
    return cases


def said(case):
    """The peer says RSET before QUIT where we do not."""
    return [line for line in case.heard() if line != "RSET"]


def neutral(line, directory):
    """Without directories, and with the commas that Postfix 3.7 leaves out."""
    line = line.replace(directory.removeprefix(peer_postfix.ROOT), "").replace("/theirs/", "/ours/")
    return line.replace("PIPELINING DSN", "PIPELINING, DSN")


def main():
    peer_postfix.find()
    smtp_session_cases.Case.with_tls = peer_postfix.version() >= (3, 11)
    main_cf = {"myhostname": "mail.example.test", "mydomain": "example.test", "mydestination": "",
               "inet_protocols": "ipv4", "smtpd_relay_restrictions": "reject_unauth_destination"}
    root = peer_postfix.ROOT + "/tmp" if peer_postfix.ROOT else None
    with tempfile.TemporaryDirectory(prefix="postcote-t-", dir=root) as directory:
        os.chmod(directory, 0o755)
        sides = [make(f"{directory}/ours"), make(f"{directory}/theirs")]
        for case in sides[1]:
            case.rule = case.rule.replace(f"unix:{peer_postfix.ROOT}/", "unix:/")
        theirs = peer_postfix.PeerPostfix({**main_cf, **smtp_session_cases.main_cf(sides[1])})
        with open(theirs.path("etc/master.cf"), "a", encoding="ascii") as f:
            f.write(smtp_session_cases.services(sides[1]))
        ours = Instance({**main_cf, **smtp_session_cases.main_cf(sides[0])},
                        smtp_session_cases.services(sides[0]))
        with ours, theirs:
            for mail, cases in ((ours, sides[0]), (theirs, sides[1])):
                smtp_session_cases.submit(mail, cases)
            for own, their in zip(*sides):
                got, want = ([neutral(line.replace(directory, ""), directory) for line in case.wait(mail)]
                             for mail, case in ((ours, own), (theirs, their)))
                tap.equal(got, want, f"{own.name}: the log")
                tap.equal(said(own), said(their), f"{own.name}: the dialogue")


tap.run(main)
