#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same transactions by our client and a real Postfix's: what the server hears, what it gets, and
what the log says of each recipient."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_postfix
import smtp_cases
import tap
from instance import Instance

# The peer has no BDAT.
OURS_ALONE = ("chunked", "chunk-no")
SERVICES = "smtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n"


def neutral(text, case):
    text = peer_postfix.neutral(text).replace(str(case.server.port), "PORT")
    return re.sub(r"SIZE=\d+|message size \d+", "SIZE", text)


def seen(mail, case, queue_id):
    """What the log says of each recipient, and what the server heard."""
    found = [" ".join(smtp_cases.outcome(mail, queue_id, case, rcpt)) for rcpt in case.rcpts]
    case.server.wait(lambda s: s.sessions[0].closed.is_set())
    # The peer says RSET before QUIT when nothing was sent, and does not say QUIT when it is to say
    # nothing at all.
    said = [neutral(line, case) for line in case.server.sessions[0].lines if line not in ("RSET", "QUIT")]
    return [neutral(line, case) for line in found], said


def body(message):
    return message.split(b"\r\n\r\n", 1)[-1]


def main():
    peer_postfix.find()
    sides = [smtp_cases.make(), smtp_cases.make()]
    main_cf = {"myhostname": "mail.example.test", "mydomain": "example.test", "mydestination": "",
               "inet_protocols": "ipv4", "smtpd_relay_restrictions": "reject_unauth_destination"}
    theirs = peer_postfix.PeerPostfix({**main_cf, **smtp_cases.main_cf(sides[1])})
    with open(theirs.path("etc/master.cf"), "a", encoding="ascii") as f:
        f.write("lmtp unix - - n - - lmtp\n")
    with Instance({**main_cf, **smtp_cases.main_cf(sides[0])}, SERVICES) as ours, theirs:
        ids = [[smtp_cases.submit(mail, case) for case in cases]
               for mail, cases in ((ours, sides[0]), (theirs, sides[1]))]
        for own, their, own_id, their_id in zip(*sides, *ids):
            if own.name in OURS_ALONE:
                continue
            got, want = seen(ours, own, own_id), seen(theirs, their, their_id)
            tap.equal(got[0], want[0], f"{own.name}: the log")
            tap.equal(got[1], want[1], f"{own.name}: the dialogue")
            tap.equal([body(m) for m in own.server.messages], [body(m) for m in their.server.messages],
                      f"{own.name}: the message")


tap.run(main)
