#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Notices to senders, as Python's email reads them (RFC 3464)."""

import email
import email.policy
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402

# An address that smtpd takes and the agent does not know.
MAIN = {"virtual_mailbox_maps": "inline:{ {alice@example.test = example.test/alice/} "
                                "{bob@example.test = example.test/bob/} }",
        "smtpd_reject_unlisted_recipient": "no", "bounce_size_limit": "5000"}


def notices(count):
    the_mail.wait_for_mail("alice", count)
    found = [email.message_from_bytes(m, policy=email.policy.default) for m in the_mail.mails("alice")]
    return [m for m in found if m.get_content_type() == "multipart/report"]


def send(subject, to, body="Hello."):
    smtp = the_mail.smtp()
    smtp.ehlo("client.example.net")
    smtp.mail("alice@example.test")
    for address in to:
        tap.equal(smtp.rcpt(address)[0], 250, f"{address} is taken")
    reply = smtp.data(f"From: alice@example.test\r\nSubject: {subject}\r\n\r\n{body}\r\n")
    tap.equal(reply[0], 250, f"{subject} is taken")
    smtp.quit()
    return reply[1].split()[-1].decode()


def test_failed():
    queue_id = send("fails", ["nobody@example.test", "bob@example.test", "noone@example.test"])
    notice = notices(1)[0]
    tap.equal(notice["Subject"], "Undelivered Mail Returned to Sender", "Subject")
    tap.equal(notice["From"], "Mail Delivery System <MAILER-DAEMON@example.test>", "From")
    tap.equal(notice["To"], "alice@example.test", "To")
    tap.equal(notice["Return-Path"], "<>", "the sender is null")
    tap.equal(notice["Auto-Submitted"], "auto-replied", "Auto-Submitted")
    tap.ok(notice["Message-Id"] and notice["Date"], "Message-Id and Date")
    tap.equal(notice.get_param("report-type"), "delivery-status", "report-type")
    tap.like(notice["Received"], r"by mail\.example\.test \(Postfix\)\s+id [0-9A-F]+; ", "Received")
    parts = list(notice.iter_parts())
    tap.equal([p.get_content_type() for p in parts],
              ["text/plain", "message/delivery-status", "message/rfc822"], "three parts")
    tap.equal([p["Content-Description"] for p in parts],
              ["Notification", "Delivery report", "Undelivered Message"], "their descriptions")
    text = parts[0].get_content()
    tap.like(text, r"^This is the mail system at host mail\.example\.test\.$", "it says who speaks")
    tap.like(text, r'^<nobody@example\.test>: unknown user: "nobody@example\.test"$', "and why")
    tap.ok(all(len(line) < 80 for line in text.splitlines()), "lines are short")
    groups = parts[1].get_payload()
    tap.equal(len(groups), 3, "one group for the message, one for each recipient")
    tap.equal(groups[0]["Reporting-MTA"], "dns; mail.example.test", "Reporting-MTA")
    tap.equal(groups[0]["X-Postfix-Queue-ID"], queue_id, "X-Postfix-Queue-ID")
    tap.equal(groups[0]["X-Postfix-Sender"], "rfc822; alice@example.test", "X-Postfix-Sender")
    tap.ok(groups[0]["Arrival-Date"], "Arrival-Date")
    for group, address in zip(groups[1:], ("nobody", "noone")):
        tap.equal([group[name] for name in ("Final-Recipient", "Original-Recipient", "Action", "Status")],
                  [f"rfc822; {address}@example.test", f"rfc822;{address}@example.test", "failed", "5.1.1"],
                  f"{address}'s group")
        tap.like(group["Diagnostic-Code"], r"^X-Postfix; unknown user", "Diagnostic-Code")
    original = parts[2].get_payload()[0]
    tap.equal((original["Subject"], original.get_content()), ("fails", "Hello.\n"), "the original")
    the_mail.wait_for_log(rf"{queue_id}: sender non-delivery notification: [0-9A-F]+$")
    tap.equal(len([m for m in the_mail.mails("bob") if b"Subject: fails" in m]), 1,
              "the recipient that is there got it")
    the_mail.wait_for_log(rf"{queue_id}: removed$")


def test_large():
    send("large", ["nobody@example.test"], "x" * 60 + "\r\n" + ("y" * 60 + "\r\n") * 200)
    notice = [n for n in notices(2) if b"large" in n.as_bytes()][0]
    parts = list(notice.iter_parts())
    tap.equal((parts[2].get_content_type(), parts[2]["Content-Description"]),
              ("text/rfc822-headers", "Undelivered Message Headers"), "only the header of a large one")
    tap.unlike(parts[2].as_string(), "yyyy", "nothing of its body")


def test_null_sender():
    """Nobody is told about a notice, nor about mail from nobody."""
    smtp = the_mail.smtp()
    smtp.ehlo()
    smtp.mail("")
    smtp.rcpt("nobody@example.test")
    queue_id = smtp.data("Subject: from nobody\r\n\r\nx\r\n")[1].split()[-1].decode()
    smtp.quit()
    the_mail.wait_for_log(rf"{queue_id}: removed$")
    tap.unlike(the_mail.log(), rf"{queue_id}: sender non-delivery", "no notice for the null sender")


def test_hostile():
    """A first line like a header's end, dots, a boundary, 8 bits: the parts stay parts."""
    body = "\r\n".join(["..", "--boundary", "", "\xe4", "Final-Recipient: x", "x" * 3000])
    send("hostile", ["nobody@example.test"], body.encode("latin-1").decode("latin-1")
         .encode("ascii", "replace").decode())
    notice = [n for n in notices(3) if b"hostile" in n.as_bytes()][0]
    tap.equal([p.get_content_type() for p in notice.iter_parts()],
              ["text/plain", "message/delivery-status", "message/rfc822"], "three parts")
    tap.ok(not notice.defects, "without defects", notice.defects)
    tap.like(list(notice.iter_parts())[2].as_string(), r"\n\.\.\n--boundary\n\n\?\nFinal-Recipient: x\nx{3000}",
             "the original is as it was")


def test_bounce_dies():
    """A bounce that was killed is asked again: nothing is lost."""
    for pid in the_mail.pids("bounce"):
        os.kill(pid, 9)
    queue_id = send("after a death", ["nobody@example.test"])
    the_mail.command("postqueue", "-f")

    def told():
        the_mail.command("postqueue", "-f")
        return re.search(rf"{queue_id}: sender non-delivery notification", the_mail.log())
    instance.wait_until(told, "a notice")
    tap.ok(any(b"after a death" in m for m in the_mail.wait_for_mail("alice", 4)), "the sender is told")


def test_no_loop():
    """A postmaster who cannot be reached is told nothing more, whatever his mail's sender became."""
    main = {**MAIN, "notify_classes": "bounce, 2bounce", "bounce_notice_recipient": "nobody@example.test",
            "2bounce_notice_recipient": "nobody@example.test",
            "sender_canonical_maps": "inline:{ {double-bounce@mail.example.test = loop@example.test} }"}
    with instance.Instance(main=main) as mail:
        for sender in ("alice@example.test", ""):
            smtp = mail.smtp()
            smtp.ehlo("client.example.net")
            smtp.mail(sender)
            smtp.rcpt("nobody@example.test")
            queue_id = smtp.data("Subject: x\r\n\r\nx\r\n")[1].split()[-1].decode()
            smtp.quit()
            mail.wait_for_log(rf"{queue_id}: postmaster non-delivery notification: ")
            last = re.search(rf"{queue_id}: postmaster non-delivery notification: (\w+)", mail.log()).group(1)
            mail.wait_for_log(rf"warning: {last}: undeliverable postmaster notification discarded$")
            mail.wait_for_log(rf"{last}: removed$")
            tap.like(mail.log(), rf"{last}: from=<loop@example.test>", f"<{sender}>: the sender was mapped")
            tap.unlike(mail.log(), rf"{last}: .* notification: ", f"<{sender}>: and nothing is sent about it")


with instance.Instance(main=MAIN) as the_mail:
    tap.run(test_failed, test_large, test_null_sender, test_hostile, test_bounce_dies, test_no_loop)
