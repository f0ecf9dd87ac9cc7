#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The SMTP server, by hand: framing of messages, TLS, AUTH, limits, what clients do that vanish.

Replies to plain commands are compared with a real Postfix's in t/peer_smtpd.t.
"""

import base64
import os
import socket
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

ENVELOPE = ("EHLO client.example.net", "MAIL FROM:<alice@example.test>",
            "RCPT TO:<bob@example.test>", "DATA")


def dialogue(port=None, steps=(), tls=False):
    d = Dialogue(port or the_mail.smtp_port)
    if tls:
        d.ask("EHLO x")
        d.ask("STARTTLS")
        d.tls(the_mail.tls())
    for step in steps:
        d.ask(step)
    return d


def content(subject):
    """The body of the message with that subject in bob's mailbox."""
    mark = f"Subject: {subject}\n".encode()
    found = instance.wait_until(
        lambda: [m for m in the_mail.mails("bob") if mark in m], f"mail {subject}")
    tap.equal(len(found), 1, f"{subject}: there is one message")
    return found[0].split(b"\n\n", 1)[1]


def test_framing():
    """hostile-input rows 1 to 11: only CRLF.CRLF ends a message."""
    rows = (
        ("LF.LF", b"\n.\n", b"\n\n"), ("CRLF.LF", b"\r\n.\n", b"\n\n"),
        ("LF.CRLF", b"\n.\r\n", b"\n\n"), ("CR.CR", b"\r.\r", b" . "),
        ("CRLF.CR", b"\r\n.\r", b"\n "), ("CR.CRLF", b"\r.\r\n", b" .\n"),
        ("CRLF-NUL.CRLF", b"\r\n\0.\r\n", b"\n\0.\n"), ("CRLF.CRCRLF", b"\r\n.\r\r\n", b"\n \n"),
        ("CRLF..CRLF", b"\r\n..\r\n", b"\n.\n"), ("LF..LF", b"\n..\n", b"\n.\n"),
        ("CRLF.x", b"\r\n.x\r\n", b"\nx\n"), ("CR", b"\r", b" "),
    )
    for name, hidden, want in rows:
        with dialogue(steps=ENVELOPE) as d:
            d.send(b"Subject: frame %s\r\n\r\nbefore" % name.encode() + hidden
                   + b"MAIL FROM:<evil@example.net>\r\n.\r\n")
            tap.like("\n".join(d.reply()), r"^250 2\.0\.0 Ok: queued as \w+$", f"{name}: accepted once")
            tap.ok(d.quiet(), f"{name}: nothing behind it was a command")
        got = content(f"frame {name}")
        tap.equal(got, b"before" + want + b"MAIL FROM:<evil@example.net>\n", f"{name}: content")
    with dialogue(steps=ENVELOPE) as d:
        data = b"Subject: frame split\r\n\r\nline\r\n.\r\n"
        for i in range(len(data)):
            d.send(data[i:i + 1])
        tap.like("\n".join(d.reply()), "^250 2.0.0", "byte by byte")
    tap.equal(content("frame split"), b"line\n", "byte by byte: content")
    for size in range(2040, 2056):
        with dialogue(steps=ENVELOPE) as d:
            d.send(b"Subject: frame long%d\r\n\r\n" % size + b"x" * size + b"\r\n." + b"." * size
                   + b"\r\r\n.\r\n")
            d.reply()
        if content(f"frame long{size}") != b"x" * size + b"\n" + b"." * size + b" \n":
            tap.ok(False, f"a line of {size} bytes")
    with dialogue(steps=ENVELOPE) as d:
        tap.like(d.ask("."), "^250 ", "a lone dot at once is an empty message")


def test_header():
    def send(text):
        with dialogue(steps=ENVELOPE) as d:
            d.send(text.replace("\n", "\r\n") + "\r\n.\r\n")
            return d.reply()[0]

    send("From one\n>>From two\n folded?\nSubject: no header\n\nx")
    got = instance.wait_until(
        lambda: [m for m in the_mail.mails("bob") if b"X-Mailbox-Line: >>From two" in m], "mail")[0]
    tap.like(got.decode(), r"\nX-Mailbox-Line: From one\nX-Mailbox-Line: >>From two\n"
             r"(.+\n)*\n folded\?\nSubject: no header\n", "separators and a blank in front")
    with Dialogue(the_mail.smtp_port) as d:
        for step in ("EHLO a\rb(c)<d>", *ENVELOPE[1:]):
            d.ask(step)
        d.ask("Subject: evil name\r\nMessage-Id: <a\x01\rb>\r\n\r\nx\r\n.")
    content("evil name")
    got = [m for m in the_mail.mails("bob") if b"evil name" in m][0]
    tap.like(got.decode(), r"^Received: from a\?b\?c\?\?d\? \(", "a HELO name is made harmless")
    tap.ok("status=bounced" not in the_mail.log() and not os.listdir(the_mail.path("spool/corrupt")),
           "and the message arrives")
    with dialogue(steps=ENVELOPE[:3]) as d:
        for _ in range(2):
            d.ask("RCPT TO:<BOB@example.test>")
        d.ask("DATA")
        d.ask("Subject: twice\r\n\r\nx\r\n.")
    content("twice")


def test_limits():
    with dialogue() as d:
        d.send("NOOP " + "x" * 100000 + "\r\nNOOP\r\n")
        tap.equal(d.reply(), ["500 5.5.2 mail.example.test Error: command too long"],
                  "a command too long")
        tap.equal(d.reply(), ["250 2.0.0 Ok"], "is skipped whole")
    with dialogue() as d:
        d.send("x" * 3000000)
        lines = d.rest()
        tap.ok(lines in ([], ["500 5.5.2 mail.example.test Error: command too long"]),
               "a line without end ends the session", lines)
    with dialogue() as d:
        # The tarpit: 354 and 220 must not be kept from a client that is waited for.
        for _ in range(3):
            d.ask("FOO")
        for step in ENVELOPE:
            last = d.ask(step)
        tap.like(last, "^354 ", "DATA in the tarpit")
        tap.like(d.ask("Subject: tarpit\r\n\r\nx\r\n."), "^250 ", "a message in the tarpit")
        for _ in range(3):
            d.ask("FOO")
        tap.like(d.ask("STARTTLS"), "^220 ", "STARTTLS in the tarpit")
        d.tls(the_mail.tls())
        tap.like(d.ask("EHLO x"), "^250-", "and the handshake goes on")
    with dialogue() as d:
        replies = [d.ask("FOO") for _ in range(6)]
        tap.equal([r[:3] for r in replies], ["500"] * 6, "errors below the limit")
        tap.equal(d.rest(), ["421 4.7.0 mail.example.test Error: too many errors"], "at the limit")
    the_mail.wait_for_log("NOQUEUE: too many errors after UNKNOWN from localhost")
    with dialogue() as d:
        for _ in range(300):
            if not d.ask("EHLO " + "x" * 200).startswith("250"):
                break
        tap.ok(True, "many EHLOs end")


def test_gone():
    """Clients that vanish."""
    for steps, after in ((ENVELOPE[:1], "EHLO"), (ENVELOPE[:2], "MAIL"), (ENVELOPE[:3], "RCPT")):
        dialogue(steps=steps).close()
        the_mail.wait_for_log(rf"lost connection after {after} from localhost\[127.0.0.1\]$")
        tap.ok(True, f"lost after {after}")
    d = dialogue(steps=ENVELOPE)
    d.send("Subject: cut\r\n\r\nx\r\n.")
    d.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    d.close()
    the_mail.wait_for_log(r"[0-9A-F]+: lost connection after DATA \(\d+ bytes\) from localhost")
    tap.ok(True, "lost in DATA, with the message's id")
    tap.equal(os.listdir(the_mail.path("spool/incoming")), [], "nothing of it is left")


def test_timeout():
    port = slow_port
    with dialogue(port, ENVELOPE[:2]) as d:
        tap.equal(d.rest(), ["421 4.4.2 mail.example.test Error: timeout exceeded"], "idle too long")
    the_mail.wait_for_log("NOQUEUE: timeout after MAIL from localhost")
    with dialogue(port, ENVELOPE) as d:
        d.send("Subject: crawl\r\n\r\nx")
        tap.equal(d.rest(), ["421 4.4.2 mail.example.test Error: timeout exceeded"], "... in DATA")
    the_mail.wait_for_log(r"[0-9A-F]+: timeout after DATA \(\d+ bytes\) from localhost")
    with dialogue(port) as d:
        d.send("NOO")
        tap.equal(d.rest(), ["421 4.4.2 mail.example.test Error: timeout exceeded"], "... in a command")


def test_bare_reject():
    with dialogue(reject_port, ENVELOPE[:3]) as d:
        d.send("NOOP\n")
        tap.equal(d.rest(), ["550 5.5.2 mail.example.test Error: bare <LF> received"],
                  "reject: a command with a bare LF")
    with dialogue(reject_port, ENVELOPE) as d:
        d.send("Subject: bare\r\n\r\na\nb\r\n.\r\n")
        tap.equal(d.reply(), ["550 5.5.2 mail.example.test Error: bare <LF> received"],
                  "reject: a message with one")
        tap.like(d.ask("QUIT"), "^221 ", "... and the session goes on")
    the_mail.wait_for_log(r"[0-9A-F]+: reject: END-OF-MESSAGE from \S+: bare <LF> received; "
                          "from=<alice@example.test> to=<bob@example.test> proto=ESMTP "
                          "helo=<client.example.net>$")
    with dialogue(note_port, ENVELOPE) as d:
        d.send("Subject: noted\n\na\n.\nb\r\n.\r\n")
        tap.like("\n".join(d.reply()), "^250 ", "note: a message with bare LF")
        tap.ok(d.quiet(), "note: LF.LF does not end it")
    the_mail.wait_for_log("disconnect from .* notes=bare_lf$")


def test_starttls():
    with dialogue() as d:
        d.ask("EHLO x")
        d.ask("MAIL FROM:<alice@example.test>")
        tap.like(d.ask("STARTTLS x"), "^501 5.5.4 Syntax: STARTTLS", "STARTTLS has no argument")
        d.ask("RSET")
        d.ask("MAIL FROM:<alice@example.test>")
        tap.equal(d.ask("STARTTLS"), "220 2.0.0 Ready to start TLS", "STARTTLS")
        d.tls(the_mail.tls())
        tap.like(d.ask("RCPT TO:<bob@example.test>"), "^503 5.5.1 Error: need MAIL",
                 "nothing is left of the transaction")
        answer = d.ask("EHLO x")
        tap.unlike(answer, "STARTTLS", "it is not offered again")
        tap.equal(d.ask("STARTTLS"), "554 5.5.1 Error: TLS already active", "nor taken")
        tap.equal(d.ask("QUIT"), "221 2.0.0 Bye", "QUIT")
        try:
            end = d.sock.recv(1)
        except ssl.SSLError as error:
            end = error
        tap.equal(end, b"", "close_notify is sent")
    the_mail.wait_for_log("Anonymous TLS connection established from localhost.*: TLSv1.3 with cipher")
    with dialogue(steps=ENVELOPE[:1]) as d:
        d.send("STARTTLS\r\nMAIL FROM:<evil@example.net>\r\n")
        tap.equal(d.reply(), ["220 2.0.0 Ready to start TLS"], "STARTTLS with more behind it")
        d.tls(the_mail.tls())
        d.ask("EHLO x")
        tap.like(d.ask("RCPT TO:<bob@example.test>"), "^503", "what was injected is gone")
    with dialogue(injection_port, ENVELOPE[:1]) as d:
        d.send("STARTTLS\r\nMAIL FROM:<evil@example.net>\r\n")
        tap.equal(d.reply(), ["220 2.0.0 Ready to start TLS"], "pipelining allowed: STARTTLS")
        d.tls(the_mail.tls())
        d.ask("EHLO x")
        tap.like(d.ask("RCPT TO:<bob@example.test>"), "^503", "what was injected is gone")
    with dialogue(steps=ENVELOPE[:1]) as d:
        d.ask("STARTTLS")
        d.send("NOOP\r\nNOOP\r\n")
        tap.ok(not any(line.startswith("250") for line in d.rest()), "clear text after 220 is no command")
    the_mail.wait_for_log("SSL_accept error from localhost")
    sock = socket.create_connection(("127.0.0.1", wrapped_port), 60)
    with the_mail.tls().wrap_socket(sock, server_hostname="mail.example.test") as wrapped:
        tap.like(wrapped.recv(1000).decode(), "^220 mail.example.test ESMTP", "wrapper mode")
    with dialogue(the_mail.submission_port) as d:
        d.ask("EHLO x")
        tap.equal(d.ask("MAIL FROM:<a@example.test>"), "530 5.7.0 Must issue a STARTTLS command first",
                  "TLS is required")
        tap.equal(d.ask("NOOP"), "250 2.0.0 Ok", "NOOP needs none")


def b64(text):
    return base64.b64encode(text.encode("latin-1")).decode()


def test_auth():
    port, plain = the_mail.submission_port, b64("\0bob@example.test\0bob")

    def tls():
        d = dialogue(port, tls=True)
        return d, d.ask("EHLO x")

    with dialogue(port) as d:
        tap.unlike(d.ask("EHLO x"), "AUTH", "AUTH is not offered in clear")
        tap.like(d.ask("AUTH PLAIN " + plain), "^(530 5.7.0|504 5.5.4) ", "nor taken")
    d, answer = tls()
    tap.like(answer, "^250-AUTH .*PLAIN", "it is with TLS")
    tap.equal(d.ask("AUTH"), "501 5.5.4 Syntax: AUTH mechanism", "AUTH alone")
    tap.like(d.ask("AUTH FOO"),
             "^535 5.7.8 Error: authentication failed: Invalid authentication mechanism: 'FOO'$",
             "a mechanism that is none")
    tap.equal(d.ask("AUTH PLAIN"), "334 ", "PLAIN without a response")
    tap.equal(d.ask("*"), "501 5.7.0 Authentication aborted", "abort")
    d.ask("AUTH PLAIN")
    tap.like(d.ask("%%%"), "^(535 5.7.8|501 5.5.2) ", "bad base64")
    tap.like(d.ask("AUTH PLAIN " + b64("\0bob@example.test\0wrong")),
             "^535 5.7.8 Error: authentication failed:", "a wrong password")
    d.close()
    the_mail.wait_for_log(r"disconnect from \S+ ehlo=2 starttls=1 auth=0/5 commands=3/8$")
    d, _ = tls()
    tap.equal(d.ask("AUTH PLAIN " + plain), "235 2.7.0 Authentication successful", "PLAIN")
    tap.equal(d.ask("AUTH PLAIN " + plain), "503 5.5.1 Error: already authenticated", "twice")
    d.ask("MAIL FROM:<bob@example.test> AUTH=alice+40example.test")
    tap.like(d.ask("RCPT TO:<bob@example.test>"), "^250 ", "a login may send")
    d.ask("DATA")
    d.ask("Subject: with login\r\n\r\nx\r\n.")
    d.close()
    the_mail.wait_for_log(r"client=localhost\[127.0.0.1\], sasl_method=PLAIN, "
                          r"sasl_username=bob@example.test, sasl_sender=alice\+40example.test$")
    the_mail.wait_for_log(r"warning: localhost\[127.0.0.1\]: SASL PLAIN authentication failed: .*"
                          r"sasl_username=")
    content("with login")
    got = [m for m in the_mail.mails("bob") if b"with login" in m][0].decode()
    tap.like(got, r"with ESMTPSA id ", "Received: says ESMTPSA")
    the_mail.wait_for_log(r"disconnect from \S+ ehlo=2 starttls=1 auth=1/2 mail=1 rcpt=1 data=1 "
                          r"commands=7/8$")
    d, _ = tls()
    tap.equal(d.ask("AUTH LOGIN"), "334 " + b64("Username:"), "LOGIN")
    tap.equal(d.ask(b64("bob@example.test")), "334 " + b64("Password:"), "LOGIN's second question")
    tap.equal(d.ask(b64("bob")), "235 2.7.0 Authentication successful", "LOGIN's end")
    d.close()
    d, _ = tls()
    tap.equal(d.ask("AUTH LOGIN " + b64("bob@example.test")), "334 " + b64("Password:"),
              "LOGIN with an initial response")
    tap.equal(d.ask("*"), "501 5.7.0 Authentication aborted", "abort")
    d.ask("AUTH PLAIN")
    d.send("A" * 20000 + "\r\n")
    tap.equal(d.reply(), ["500 5.5.6 SASL response limit exceeded"], "a response too long")
    d.close()
    d, _ = tls()
    tap.like(d.ask("MAIL FROM:<x@example.test>"), "^(530|250)", "MAIL without a login")
    tap.like(d.ask("RCPT TO:<bob@example.test>"), "^(554 5.7.1|503)", "is refused there")
    tap.like(d.ask("AUTH PLAIN " + plain), "^503 5.5.1 Error: MAIL transaction in progress",
             "AUTH in a transaction")
    d.close()
    d, _ = tls()
    the_mail.command("dovecot", "-c", the_mail.path("etc/dovecot/dovecot.conf"), "stop")
    tap.like(d.ask("AUTH PLAIN " + plain), "^454 4.7.0 Temporary authentication failure: ",
             "no auth server")
    d.close()


slow_port, reject_port, note_port, wrapped_port, injection_port = instance.free_ports(5)
MASTER = "".join(f"127.0.0.1:{port} inet n - n - - smtpd{options}\n" for port, options in (
    (slow_port, " -o smtpd_timeout=3s"),
    (reject_port, " -o smtpd_forbid_bare_newline=reject -o smtpd_forbid_bare_newline_exclusions="),
    (note_port, " -o smtpd_forbid_bare_newline=note"),
    (wrapped_port, " -o smtpd_tls_wrappermode=yes"),
    (injection_port, " -o smtpd_forbid_unauth_pipelining=no"),
))
with instance.Instance(master=MASTER, main={
        "smtpd_soft_error_limit": "3", "smtpd_hard_error_limit": "6",
        "smtpd_error_sleep_time": "1s", "smtpd_forbid_bare_newline_exclusions": "",
}) as the_mail:
    for extra in (slow_port, reject_port, note_port, wrapped_port, injection_port):
        instance.wait_until(lambda p=extra: instance._listens(p), "port")
    tap.run(test_framing, test_header, test_limits, test_gone, test_timeout, test_bare_reject,
            test_starttls, test_auth)
