#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Transcripts of SMTP sessions for the postmaster (notify_classes) beside a real Postfix."""

import difflib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import side_by_side                                   # noqa: E402
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from smtp_dialogue import Dialogue                    # noqa: E402

BOXES = ("postmaster", "chief", "bouncer", "bob")
MAIN = {
    **side_by_side.MAIN, "mynetworks": "127.0.0.0/8", "smtpd_delay_reject": "no",
    "virtual_mailbox_maps": "inline:{ %s }" % " ".join(
        f"{{{a}@example.test=example.test/{a}/}}" for a in BOXES),
    "smtpd_relay_restrictions": "reject_unauth_destination", "message_size_limit": "2000",
    "smtpd_recipient_restrictions": "check_recipient_access inline:{ {no@example.test=REJECT} "
                                    "{later@example.test=DEFER} {twisted@example.test=511 5.7.9 Twisted} }",
    "smtpd_helo_restrictions": "reject_invalid_helo_hostname", "queue_minfree": "0",
    "header_checks": "regexp:{{/^Subject: evil/ REJECT evil}}", "hopcount_limit": "5",
    "smtpd_recipient_limit": "2", "bounce_notice_recipient": "bouncer", "error_notice_recipient": "chief",
}
HELLO, FROM, BOB = "EHLO x", "MAIL FROM:<a@far.test>", "RCPT TO:<bob@example.test>"
BODY = "Subject: x\r\n\r\nx\r\n."
# Name: the session's lines; one that does not end with QUIT is cut.
SESSIONS = {
    "nothing wrong": (HELLO, FROM, BOB, "DATA", BODY, "QUIT"),
    "an unknown command": (HELLO, "FOO bar", "QUIT"),
    "another protocol": ("GET / HTTP/1.1",),
    "bad syntax": (HELLO, "MAIL FROM:<a b>", "QUIT"),
    "bad order": (HELLO, "RCPT TO:<bob@example.test>", "QUIT"),
    "no address": (HELLO, FROM, "RCPT TO:<@>", "QUIT"),
    "relay": (HELLO, FROM, "RCPT TO:<x@other.test>", "QUIT"),
    "refused": (HELLO, FROM, "RCPT TO:<no@example.test>", BOB, "QUIT"),
    "put off": (HELLO, FROM, "RCPT TO:<later@example.test>", "QUIT"),
    "its own code": (HELLO, FROM, "RCPT TO:<twisted@example.test>", "QUIT"),
    "unknown user": (HELLO, FROM, "RCPT TO:<nobody@example.test>", "QUIT"),
    "a bad name": ("HELO -x-", "QUIT"),
    "too large": (HELLO, FROM + " SIZE=5000", "QUIT"),
    "too large in the end": (HELLO, FROM, BOB, "DATA", "Subject: x\r\n\r\n" + "0123456789\r\n" * 400 + ".", "QUIT"),
    "header_checks": (HELLO, FROM, BOB, "DATA", "Subject: evil\r\n\r\nx\r\n.", "QUIT"),
    "a loop": (HELLO, FROM, BOB, "DATA", "Received: x\r\n" * 7 + "\r\nx\r\n.", "QUIT"),
    "too many recipients": (HELLO, FROM, BOB, "RCPT TO:<chief@example.test>", BOB.replace("bob", "bouncer"), "QUIT"),
    "gone after an error": (HELLO, "FOO"),
    "a long line": (HELLO, "FOO " + "word " * 60 + "end", "QUIT"),
}
CLASSES = "bounce, policy, protocol, resource, software, data"


def box(side, name):
    folder = side.path("mail/example.test", name, "new")
    for file in os.listdir(folder) if os.path.isdir(folder) else ():
        with open(os.path.join(folder, file), encoding="latin-1") as f:
            yield f.read()
        os.unlink(os.path.join(folder, file))


def neutral(text):
    text = re.sub(r"queued as \w+", "queued as ID", text)
    text = re.sub(r"id \w+;", "id ID;", text)
    text = re.sub(r"<\d{14}\.\w+@", "<ID@", text)
    return re.sub(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \S+ \(\w+\)", "DATE", text)


def transcripts(side):
    return sorted((name, neutral(text)) for name in BOXES for text in box(side, name)
                  if "Transcript of session" in text)


def ask(side, steps):
    skip = len(side.postfix_log())
    with Dialogue(side.smtp_port) as d:
        for step in steps:
            d.ask(step)

    def over():
        log = side.postfix_log()[skip:]
        made = set(re.findall(r"(\w+): message-id=<", log))
        done = set(re.findall(r"(\w+): (?:removed|reject:|milter-reject)|warning: (\w+): ", log))
        return "disconnect from" in log and made <= {i for pair in done for i in pair}
    wait_until(over, "the session's end")


def compare(ours, peer, name):
    ask(peer, SESSIONS[name])
    want = transcripts(peer)
    ask(ours, SESSIONS[name])
    got = []
    wait_until(lambda: not want or got.extend(transcripts(ours)) or got, f"{name}: our transcript")
    got += transcripts(ours)
    tap.equal([n for n, _ in got], [n for n, _ in want], f"{name}: who gets it")
    for (_, a), (_, b) in zip(got, want):
        lines = difflib.unified_diff(b.split("\n"), a.split("\n"), "peer", "ours", "", "", 1, "")
        tap.ok(a == b, f"{name}: the transcript", "\n".join(lines))


def main():
    peer_postfix.find()
    values = {**MAIN, "notify_classes": CLASSES}
    with peer_postfix.PeerPostfix(values) as peer, instance.Instance(main=values) as ours:
        for side in (ours, peer):
            wait_until(lambda s=side: side_by_side.looks_have_ended(s), "the first sessions' end")
        tap.run(*(lambda n=name: compare(ours, peer, n) for name in SESSIONS))


main()
