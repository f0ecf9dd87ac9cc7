#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the intake does to messages on their way from SMTP, sendmail and notices to mailboxes."""

import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402

DOMAIN = instance.DOMAIN
MAIN = {
    "recipient_canonical_maps": f"inline:{{ {{old@{DOMAIN}=bob@{DOMAIN}}} }}",
    "virtual_alias_maps": f"inline:{{ {{both@{DOMAIN}=alice@{DOMAIN}, bob@{DOMAIN}}} }}",
    "recipient_bcc_maps": f"inline:{{ {{alice@{DOMAIN}=bob@{DOMAIN}}} }}",
}


def by_subject(mail, user, subject, count=1):
    mark = f"\nSubject: {subject}\n".encode()

    def found():
        got = [m for m in mail.mails(user) if mark in m]
        return got if len(got) >= count else None
    return instance.wait_until(found, f"mail {subject} for {user}")


def send(mail, rcpt, header, body="body\r\n", sender=f"alice@{DOMAIN}", submit=False):
    """The reply to the message."""
    smtp = mail.submission() if submit else mail.smtp()
    try:
        smtp.ehlo_or_helo_if_needed()
        smtp.mail(sender)
        for one in [rcpt] if isinstance(rcpt, str) else rcpt:
            reply = smtp.rcpt(f"{one}@{DOMAIN}")
            if reply[0] != 250:
                return reply
        return smtp.data(header + "\r\n\r\n" + body)
    finally:
        smtp.close()


def test_canonical(mail):
    code, _ = send(mail, "old", "Subject: canonical\r\nTo: old")
    tap.equal(code, 250, "a recipient that only canonical maps know")
    got = by_subject(mail, "bob", "canonical")[0]
    tap.ok(f"\nTo: bob@{DOMAIN}\n".encode() in got, "its header shows the new name", got)
    tap.ok(f"\nX-Original-To: old@{DOMAIN}\n".encode() in got, "and the old one", got)
    tap.equal(send(mail, "nobody", "Subject: x")[0], 550, "others are unknown as before")


def test_copies(mail):
    send(mail, "both", "Subject: both")
    by_subject(mail, "alice", "both")
    by_subject(mail, "bob", "both")
    send(mail, "alice", "Subject: copy")
    by_subject(mail, "alice", "copy")
    tap.equal(len(by_subject(mail, "bob", "copy")), 1, "recipient_bcc_maps")


def test_roles(mail):
    """A second cleanup service with other checks, for submission only."""
    code, text = send(mail, "bob", "Subject: secret")
    tap.equal(code, 250, "the first service has other checks")
    code, text = send(mail, "bob", "Subject: secret", submit=True)
    tap.equal((code, text), (550, b"5.7.1 not from here"), "the second service has its own")
    tap.like(mail.log(), r"postfix/sender-cleanup/cleanup\[\d+\]: \w+: reject: header Subject: secret from "
             rf"localhost\[127.0.0.1\]; from=<alice@{DOMAIN}> to=<bob@{DOMAIN}> proto=ESMTP "
             r"helo=<[^>]+>: 5.7.1 not from here$", "and logs under its name")
    send(mail, "bob", "Subject: everywhere", submit=True)
    send(mail, "bob", "Subject: everywhere")
    tap.equal(len(re.findall(r"postfix/cleanup\[\d+\]: \w+: warning: header Subject: everywhere "
                             r".*: seen$", mail.log(), re.M)), 1, "the first one's are its alone")
    got = by_subject(mail, "bob", "everywhere", 2)
    tap.equal(sum(b"\nX-Submitted: yes\n" in m for m in got), 1, "headers of the second service")


def test_sendmail(mail):
    """A refusal of what came from a command goes to its sender as a notice."""
    mail.command("sendmail", "-f", f"alice@{DOMAIN}", f"bob@{DOMAIN}",
                 input="Subject: refuse me\n\nbody\n")
    got = instance.wait_until(
        lambda: [m for m in mail.mails("alice") if b"Undelivered Mail" in m], "a notice")[0]
    tap.ok(b"no commands here" in got and b"\nStatus: 5.7.1\n" in got, "a notice", got)
    tap.like(mail.log(), r"postfix/cleanup\[\d+\]: \w+: reject: header Subject: refuse me from local; "
             rf"from=<alice@{DOMAIN}> to=<bob@{DOMAIN}>: 5.7.1 no commands here$", "its line")


def test_edited(mail):
    """Tables that were edited apply to the next message, also of commands."""
    path = mail.path("etc/postfix/aliases-of-ours")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"moving@{DOMAIN} alice@{DOMAIN}\n")
    mail.own(path)
    tap.equal(mail.command("postmap", f"lmdb:{path}").returncode, 0, "postmap")
    mail.command("sendmail", "-f", f"bob@{DOMAIN}", f"moving@{DOMAIN}",
                 input="Subject: moved once\n\nx\n")
    by_subject(mail, "alice", "moved once")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"moving@{DOMAIN} bob@{DOMAIN}\n")
    mail.command("postmap", f"lmdb:{path}")
    mail.command("sendmail", "-f", f"bob@{DOMAIN}", f"moving@{DOMAIN}",
                 input="Subject: moved twice\n\nx\n")
    by_subject(mail, "bob", "moved twice")
    tap.equal(len([m for m in mail.mails("alice") if b"moved twice" in m]), 0, "the new one counts")


def test_held(mail):
    code, text = send(mail, "bob", "Subject: hold me")
    ident = re.search(rb"queued as (\w+)", text).group(1).decode()
    instance.wait_until(lambda: os.path.exists(mail.path("spool/hold", ident)), "held")
    tap.equal(code, 250, "HOLD")
    before = len(mail.mails("bob"))
    code, text = send(mail, "bob", "Subject: forget me")
    ident = re.search(rb"queued as (\w+)", text).group(1).decode()
    tap.equal(code, 250, "DISCARD")
    send(mail, "bob", "Subject: after")
    by_subject(mail, "bob", "after")
    tap.equal(len(mail.mails("bob")), before + 1, "nothing is delivered of what is discarded")
    tap.unlike(mail.log(), rf"/qmgr\[\d+\]: {ident}:", "and the queue manager never hears of it")
    send(mail, "bob", "Subject: redirect me")
    by_subject(mail, "alice", "redirect me")
    tap.ok(not any(b"redirect me" in m for m in mail.mails("bob")), "REDIRECT")
    _, text = send(mail, "bob", "Subject: filter me")
    ident = re.search(rb"queued as (\w+)", text).group(1).decode()
    mail.wait_for_log(rf"{ident}: to=<bob@{DOMAIN}>, .*dsn=4.3.0, status=deferred "
                      r"\(mail transport unavailable\)")
    tap.ok(True, "FILTER to a transport that is not there waits")


def test_canceled(mail):
    """A message that was begun and is not kept says so, though it may never have been a file."""
    smtp = mail.smtp()
    smtp.ehlo()
    smtp.mail(f"alice@{DOMAIN}")
    smtp.rcpt(f"bob@{DOMAIN}")
    ident = re.findall(r"smtpd\[\d+\]: (\w+): client=", mail.log())[-1]
    smtp.rset()
    mail.wait_for_log(rf"postfix/cleanup\[\d+\]: {ident}: removed \(canceled\)$")
    smtp.mail(f"alice@{DOMAIN}")
    smtp.rcpt(f"bob@{DOMAIN}")
    smtp.data("Subject: refuse me\r\n\r\nx\r\n")
    ident = re.findall(r"smtpd\[\d+\]: (\w+): client=", mail.log())[-1]
    mail.wait_for_log(rf"postfix/cleanup\[\d+\]: {ident}: removed \(canceled\)$")
    smtp.quit()
    tap.ok(True, "removed (canceled), for RSET and for a refusal")


def test_held_without_qmgr(mail):
    """A hold that qmgr never heard of, since it died, is one all the same."""
    pid = mail.pids("qmgr")[0]
    os.kill(pid, signal.SIGSTOP)
    code, text = send(mail, "bob", "Subject: hold me too")
    ident = re.search(rb"queued as (\w+)", text).group(1).decode()
    tap.equal(code, 250, "HOLD while qmgr does not answer")
    tap.ok(os.path.exists(mail.path("spool/incoming", ident)), "it has its name in incoming")
    os.kill(pid, signal.SIGKILL)
    instance.wait_until(lambda: os.path.exists(mail.path("spool/hold", ident)) or
                        re.search(rf"{ident}: removed", mail.log()), "the next qmgr has seen it")
    tap.ok(os.path.exists(mail.path("spool/hold", ident)), "the next qmgr holds it", mail.log())
    tap.ok(not any(b"hold me too" in m for m in mail.mails("bob")), "and delivers nothing")
    mail.command("postsuper", "-H", ident)
    by_subject(mail, "bob", "hold me too")


def test_copy_to_nonsense(mail):
    """Blind copies to a piece of a folded header do no harm to the message."""
    code, _ = send(mail, "bob", f"X-Copy: a\r\n b@{DOMAIN}\r\nSubject: odd copy")
    tap.equal(code, 250, "BCC to what is no address")
    by_subject(mail, "bob", "odd copy")
    tap.equal(os.listdir(mail.path("spool/corrupt")), [], "nothing is corrupt")


def main():
    mail = instance.Instance(main=MAIN)
    with open(mail.path("etc/postfix/hc"), "w", encoding="ascii") as f:
        f.write("/^Subject: everywhere/ WARN seen\n/^Subject: refuse me/ REJECT no commands here\n"
                "/^Subject: hold me/ HOLD\n/^Subject: forget me/ DISCARD\n"
                f"/^Subject: redirect me/ REDIRECT alice@{DOMAIN}\n"
                "/^Subject: filter me/ FILTER nothere:x\n/^X-Copy: (.*)/ BCC $1\n")
    with open(mail.path("etc/postfix/hs"), "w", encoding="ascii") as f:
        f.write("/^Subject: secret/ REJECT not from here\n/^Subject:/ PREPEND X-Submitted: yes\n")
    for name in ("hc", "hs"):
        os.chmod(mail.path("etc/postfix", name), 0o644)
    with open(mail.path("etc/postfix/aliases-of-ours"), "w", encoding="ascii") as f:
        f.write(f"unused@{DOMAIN} bob@{DOMAIN}\n")
    mail.own(mail.path("etc/postfix"))
    mail.command("postmap", f"lmdb:{mail.path('etc/postfix/aliases-of-ours')}")
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="ascii") as f:
        f.write(f"virtual_alias_maps = {MAIN['virtual_alias_maps']} "
                f"lmdb:{mail.path('etc/postfix/aliases-of-ours')}\n")
        f.write(f"header_checks = regexp:{mail.path('etc/postfix/hc')}\n")
    with open(mail.path("etc/postfix/master.cf"), encoding="utf-8") as f:
        text = f.read()
    role = "  -o syslog_name=postfix/submission\n"
    assert role in text, text
    text = text.replace(role, role + "  -o cleanup_service_name=sender-cleanup\n")
    text += ("sender-cleanup unix n - n - 0 cleanup\n"
             "  -o syslog_name=postfix/sender-cleanup\n"
             f"  -o header_checks=regexp:{mail.path('etc/postfix/hs')}\n")
    with open(mail.path("etc/postfix/master.cf"), "w", encoding="utf-8") as f:
        f.write(text)
    with mail:
        tap.run(lambda: test_canonical(mail), lambda: test_copies(mail), lambda: test_roles(mail),
                lambda: test_sendmail(mail), lambda: test_edited(mail), lambda: test_held(mail),
                lambda: test_canceled(mail),
                lambda: test_held_without_qmgr(mail), lambda: test_copy_to_nonsense(mail))


main()
