#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Restrictions and tables in a running smtpd, inside of its walls: replies, log lines, and a table
that is replaced meanwhile."""

import os
import pwd
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402
from instance import DOMAIN, Instance, wait_until  # noqa: E402

TABLES = tempfile.mkdtemp(prefix="postcote-t-tables-")
os.chmod(TABLES, 0o755)


def path(name):
    return os.path.join(TABLES, name)


def write(name, text):
    with open(path(name), "w", encoding="ascii") as f:
        f.write(text)


def rcpt(mail, sender, recipient):
    """The reply to RCPT, or to a MAIL that is refused."""
    smtp = mail.smtp()
    try:
        smtp.ehlo("client.test")
        reply = smtp.docmd("MAIL", f"FROM:<{sender}>")
        if reply[0] == 250:
            reply = smtp.docmd("RCPT", f"TO:<{recipient}>")
        return f"{reply[0]} {reply[1].decode()}"
    finally:
        smtp.close()


def test_replies():
    mail = MAIL
    for sender, recipient, want in (
            ("a@far.test", f"bob@{DOMAIN}", "250 2.1.5 Ok"),
            ("", f"bob@{DOMAIN}", "250 2.1.5 Ok"),
            ("a@far.test", "postmaster", "250 2.1.5 Ok"),
            ("a@far.test", "x@other.test", "554 5.7.1 <x@other.test>: Relay access denied"),
            ("a@far.test", f"x%other.test@{DOMAIN}",
             f"554 5.7.1 <x%other.test@{DOMAIN}>: Relay access denied"),
            ("a@far.test", f"nobody@{DOMAIN}", f"550 5.1.1 <nobody@{DOMAIN}>: Recipient address "
             "rejected: User unknown in virtual mailbox table"),
            ("a@far.test", "x@bad..test", "501 5.1.3 Bad recipient address syntax"),
            ("a@bad..test", f"bob@{DOMAIN}", "501 5.1.7 Bad sender address syntax"),
            ("spam@far.test", f"bob@{DOMAIN}",
             "554 5.7.1 <spam@far.test>: Sender address rejected: no, thanks"),
            ("later@far.test", f"bob@{DOMAIN}",
             "450 4.7.1 <later@far.test>: Sender address rejected: Access denied"),
            ("broken@far.test", f"bob@{DOMAIN}", "451 4.3.5 Server configuration error")):
        tap.equal(rcpt(mail, sender, recipient), want, f"<{sender}> to <{recipient}>")
    tap.ok(mail.wait_for_log(
        r"postfix/smtpd\[\d+\]: NOQUEUE: reject: RCPT from \S+\[127\.0\.0\.1\]: 554 5\.7\.1 "
        r"<x@other\.test>: Relay access denied; from=<a@far\.test> to=<x@other\.test> "
        r"proto=ESMTP helo=<client\.test>$"), "the refusal in the log")
    tap.ok(mail.wait_for_log(r'warning: unknown smtpd restriction: "nonsense"'),
           "and what is wrong with the configuration")


def test_refresh():
    mail = MAIL
    tap.equal(rcpt(mail, "new@far.test", f"bob@{DOMAIN}"), "250 2.1.5 Ok", "before")
    pids = sorted(mail.pids("smtpd"))
    write("senders", "new@far.test REJECT\n")
    built = mail.command("postmap", "hash:" + path("senders"))
    tap.equal((built.returncode, built.stderr), (0, ""), "postmap")
    tap.equal(rcpt(mail, "new@far.test", f"bob@{DOMAIN}"),
              "554 5.7.1 <new@far.test>: Sender address rejected: Access denied",
              "the new table counts at the next message")
    tap.equal(rcpt(mail, "spam@far.test", f"bob@{DOMAIN}"), "250 2.1.5 Ok", "and the old one not")
    tap.equal(sorted(mail.pids("smtpd")), pids, "in the same processes")


def test_restart():
    """A texthash table cannot be read again by who has no rights to: the process is replaced."""
    mail = MAIL
    tap.equal(rcpt(mail, "t@far.test", f"bob@{DOMAIN}"), "250 2.1.5 Ok", "before")
    write("text", "t@far.test REJECT\n")
    wait_until(lambda: rcpt_or_none(mail) == "554", "the new text counts")
    tap.ok(mail.wait_for_log(r"table texthash:\S+/text has changed -- restarting"), "says so")


def rcpt_or_none(mail):
    try:
        return rcpt(mail, "t@far.test", f"bob@{DOMAIN}")[:3]
    except OSError:
        return None


write("senders", "spam@far.test REJECT no, thanks\nlater@far.test DEFER\nbroken@far.test nonsense\n")
write("text", "nobody@far.test REJECT\n")
if os.geteuid() == 0:
    for entry in (TABLES, path("senders"), path("text")):
        os.chown(entry, pwd.getpwnam("nobody").pw_uid, -1)
MAIL = Instance(main={
    "mynetworks": "10.0.0.0/8",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_sender_restrictions": f"check_sender_access hash:{path('senders')}, "
    f"check_sender_access texthash:{path('text')}"})
try:
    MAIL.start()
    tap.ok(os.path.exists(path("senders.lmdb")), "a missing table is built at start")
    tap.run(test_replies, test_refresh, test_restart)
finally:
    MAIL.close()
    shutil.rmtree(TABLES, ignore_errors=True)
