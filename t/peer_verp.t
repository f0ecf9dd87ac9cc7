#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""VERP beside a real Postfix: replies to XVERP, the senders that recipients see, where notices of
failures go, sendmail -XV, the record in the queue file."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import side_by_side                                   # noqa: E402
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from smtp_dialogue import Dialogue                    # noqa: E402

BOXES = ("alice", "bob", "carol", "list-nobody+example.test", "list-nobody2+example.test")
MAIN = {
    **side_by_side.MAIN, "mynetworks": "127.0.0.0/8",
    "virtual_mailbox_maps": "inline:{ %s }" % " ".join(
        f"{{{a}@example.test=example.test/{a}/}}" for a in BOXES),
    "virtual_alias_maps": "inline:{ old@example.test=bob@example.test }",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_reject_unlisted_recipient": "no", "relay_domains": "later.test, bad.test",
    "transport_maps": "inline:{ {bad.test=error:5.1.2 no such place} {later.test=retry:4.4.1 later} }",
    "recipient_delimiter": "", "smtpd_authorized_verp_clients": "127.0.0.1",
    "smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_authorized_xforward_hosts": "127.0.0.1",
}
LIST = "MAIL FROM:<list@example.test>"
DIALOGUE = (
    "EHLO x", f"{LIST} XVERP=", f"{LIST} XVERP=+", f"{LIST} XVERP=ab", f"{LIST} XVERP=+=-",
    "MAIL FROM:<> XVERP", "MAIL FROM:<> XVERP=ab", "MAIL FROM:<> XVERP FOO", f"{LIST} XVERPx",
    f"{LIST} XVERP XVERP=ab", f"{LIST} xverp=-= SIZE=10", "RSET", f"{LIST} XVERP=++", "RSET",
    # Addresses before rewriting and aliases.
    "MAIL FROM:<list> XVERP", "RCPT TO:<bob@example.test>", "RCPT TO:<Carol@example.test>",
    "RCPT TO:<old@example.test>", "RCPT TO:<alice>", "DATA", "Subject: one\r\n\r\nx\r\n.",
    'MAIL FROM:<"a b"@example.test> XVERP', "RCPT TO:<bob@example.test>", "DATA",
    "Subject: two\r\n\r\nx\r\n.",
    # Notices: two of failures, one of success.
    f"{LIST} XVERP=-+ ENVID=e", "RCPT TO:<nobody@example.test>", "RCPT TO:<nobody2@example.test>",
    "RCPT TO:<bob@example.test>", "DATA", "Subject: three\r\n\r\nx\r\n.",
    "MAIL FROM:<alice@example.test> XVERP=-=", "RCPT TO:<bob@example.test> NOTIFY=SUCCESS", "DATA",
    "Subject: four\r\n\r\nx\r\n.",
    f"{LIST} XVERP=-+", "RCPT TO:<x@later.test>", "DATA", "Subject: five\r\n\r\nx\r\n.", "QUIT",
)
FIELDS = re.compile(rb"^((?:Return-Path|X-Original-To|To|Subject|X-Postfix-Sender|Final-Recipient|"
                    rb"Original-Envelope-Id): .*)", re.M)
MAILS = 10


def delivered(side):
    """{recipient: [lines of each message]}; ours has its mailboxes elsewhere than the peer's."""
    found = {}
    for name in BOXES:
        box = side.path("mail/example.test", name, "new")
        for file in os.listdir(box) if os.path.isdir(box) else ():
            with open(os.path.join(box, file), "rb") as f:
                found.setdefault(name, []).append(FIELDS.findall(f.read()))
    return {name: sorted(mails) for name, mails in found.items()}


def talk(side, port):
    d = Dialogue(port)
    replies = [side_by_side.neutral(d.ask(step)) for step in DIALOGUE]
    d.close()
    wait_until(lambda: sum(map(len, delivered(side).values())) >= MAILS, f"{MAILS} messages")
    return replies


def deferred(side):
    return [os.path.join(folder, name) for folder, _, names in os.walk(side.path("spool/deferred"))
            for name in names]


def test_dialogue(ours, peer):
    got, want = talk(ours, ours.smtp_port), talk(peer, peer.smtp_port)
    for step, a, b in zip(DIALOGUE, got, want):
        tap.equal(a, b, f"reply to {step.splitlines()[0]}")
    a, b = delivered(ours), delivered(peer)
    for name in BOXES:
        tap.equal(a.get(name), b.get(name), f"what {name} sees of senders, and of notices")
    file = wait_until(lambda: deferred(ours), "deferred")[0]
    shown = subprocess.run(["/usr/sbin/postcat", "-c", peer.path("etc"), "-e", file], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    tap.like(shown, r"^verp_delimiters: -\+\n(named|original).*\n(.*\n)*recipient: x@later.test$",
             "a real postcat finds the delimiters before the recipient")


def sendmail(program, config, spool, readable, args):
    """How it ends, and the envelope of what it leaves in maildrop."""
    env = dict(os.environ, MAIL_CONFIG=config)
    done = subprocess.run([*program, *args], input="Subject: s\n\nx\n", text=True, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    said = re.sub(r"postdrop: warning: unable to look up public/pickup.*\n", "", done.stderr)
    found = []
    for name in os.listdir(f"{spool}/maildrop"):
        path = f"{spool}/maildrop/{name}"
        shown = subprocess.run(["/usr/sbin/postcat", "-c", readable, "-e", path], check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        found.append(re.findall(r"^(?:verp_delimiters|sender|recipient): .*", shown, re.M))
        os.unlink(path)
    return done.returncode, said.replace("root(0)", "(0)").rstrip(), found


SENDMAIL = (["-XV", "-f", "list", "bob"], ["-XV-=", "-f", "list", "bob"], ["-XVab", "bob"],
            ["-XV+", "bob"], ["-XV+=", "-f", "", "bob"], ["-V", "+=", "bob"], ["-V-=", "-f", "list", "bob"], ["-V", "an-id", "-f", "list", "bob"])


def test_sendmail(ours, peer):
    """With nobody to pick up what is submitted."""
    sides = (([os.path.join(instance.stage(), "sbin/sendmail")], ours.path("etc/postfix"), ours.path("spool")),
             (["/usr/sbin/sendmail"], peer.path("etc"), peer.path("spool")))
    for args in SENDMAIL:
        got, want = (sendmail(*side, peer.path("etc"), args) for side in sides)
        tap.equal(got, want, f"sendmail {' '.join(args)}")


def test_bounces_to_sender():
    """disable_verp_bounces: one notice, for all, to the sender."""
    def send(side, port):
        d = Dialogue(port)
        for step in ("EHLO x", "MAIL FROM:<alice@example.test> XVERP", "RCPT TO:<x@bad.test>",
                     "RCPT TO:<y@bad.test>", "DATA", "Subject: s\r\n\r\nx\r\n.", "QUIT"):
            d.ask(step)
        d.close()
        return wait_until(lambda: delivered(side), "a notice")
    main = {**MAIN, "disable_verp_bounces": "yes"}
    with peer_postfix.PeerPostfix(main) as peer, instance.Instance(main=main) as ours:
        got, want = send(ours, ours.smtp_port), send(peer, peer.smtp_port)
        tap.equal(got, want, "disable_verp_bounces")


def test_strangers():
    """Who may not is told what others are of an unknown option."""
    main = {**MAIN, "smtpd_authorized_verp_clients": "192.0.2.1"}
    with instance.Instance(main=main) as ours:
        d = Dialogue(ours.smtp_port)
        tap.unlike(d.ask("EHLO x"), "XVERP", "a stranger sees no XVERP")
        for word in ("XVERP", "XVERP=+=", "XVERP=ab"):
            tap.equal(d.ask(f"{LIST} {word}"), f"555 5.5.4 Unsupported option: {word}", word)
        d.close()


def test_damaged():
    """Delimiters that nobody checked: the mail goes out with the sender as it is."""
    main = {**MAIN, "verp_delimiter_filter": "-=", "mynetworks_style": "host"}
    with instance.Instance(main=main) as ours:
        d = Dialogue(ours.smtp_port)
        for step in ("EHLO x", f"{LIST} XVERP", "RCPT TO:<bob@example.test>", "DATA",
                     "Subject: s\r\n\r\nx\r\n."):
            d.ask(step)
        d.close()
        mail = ours.wait_for_mail("bob")[0]
        tap.like(mail.decode(), "^Return-Path: <list@example.test>$", "no VERP")
        tap.like(ours.log(), r'qmgr\[\d+\]: warning: \w+: ignoring bad VERP request: "\+="', "said")


def test_peer():
    with peer_postfix.PeerPostfix(MAIN) as peer, instance.Instance(main=MAIN) as ours:
        test_dialogue(ours, peer)
        ours.stop()
        wait_until(lambda: not ours.pids(), "stopped")
        test_sendmail(ours, peer)


def main():
    peer_postfix.find()
    tap.run(test_peer, test_bounces_to_sender, test_strangers, test_damaged)


main()
