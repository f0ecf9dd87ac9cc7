#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Commands beside mail: VRFY, ETRN, HELP, no-ops; SMTPUTF8 and DSN parameters; filters and what is
no command at all.

Replies beside a real Postfix are compared in t/peer_smtpd.t.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

MAIN = {
    "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "1000",
    "smtpd_forbid_unauth_pipelining": "yes", "compatibility_level": "3.11",
    "relay_domains": "relay.test", "smtpd_junk_command_limit": "100",
    "smtpd_recipient_restrictions": "permit_mynetworks, reject",
}
A_UMLAUT = "\xc3\xa4"  # as Dialogue sends it: one byte a character


def ask_all(port, rows):
    with Dialogue(port) as d:
        for command, want in rows:
            tap.equal(d.ask(command), want, f"{command[:60]!r}")


def test_etrn():
    ask_all(the_mail.smtp_port, (
        ("ETRN", "500 Syntax: ETRN domain"), ("ETRN a b", "500 Syntax: ETRN domain"),
        ("ETRN -x", "501 Error: invalid parameter syntax"),
        ("ETRN <x>", "501 Error: invalid parameter syntax"),
        ("ETRN " + "x" * 300, "501 Error: invalid parameter syntax"),
        ("ETRN [", "501 Error: invalid parameter syntax"),
        ("ETRN example.test", "459 <example.test>: service unavailable"),
        ("ETRN @other.test", "459 <other.test>: service unavailable"),
        ("ETRN [127.0.0.1]", "459 <[127.0.0.1]>: service unavailable"),
        ("ETRN relay.test", "250 Queuing started"), ("ETRN #relay.test", "250 Queuing started"),
        ("ETRN @sub.relay.test", "250 Queuing started"),
        ("MAIL FROM:<alice@example.test>", "250 2.1.0 Ok"),
        ("ETRN relay.test", "503 Error: MAIL transaction in progress")))
    the_mail.wait_for_log(r"warning: reject: ETRN other\.test\.\.\. from localhost\[127\.0\.0\.1\]$")
    ask_all(strict_port, (
        ("ETRN relay.test", "503 5.5.1 Error: send HELO/EHLO first"), ("HELO x", "250 mail.example.test"),
        ("ETRN relay.test", "554 5.7.1 <relay.test>: Etrn command rejected: Access denied"),
        ("ETRN sub.relay.test", "250 Queuing started")))
    the_mail.wait_for_log("NOQUEUE: reject: ETRN from localhost.*: 554 5.7.1 <relay.test>: Etrn command "
                          "rejected: Access denied; proto=SMTP helo=<x>$")


def test_vrfy():
    utf8 = f"{A_UMLAUT}@example.test"
    unknown = "550 5.1.1 <{}>: Recipient address rejected: User unknown in virtual mailbox table"
    ask_all(the_mail.smtp_port, (
        ("VRFY", "501 5.5.4 Syntax: VRFY address [SMTPUTF8]"),
        ("VRFY SMTPUTF8", "501 5.5.4 Syntax: VRFY address [SMTPUTF8]"),
        ("VRFY bob@example.test", "252 2.0.0 bob@example.test"),
        ("VRFY <bob@example.test>", "252 2.0.0 <bob@example.test>"),
        ("VRFY bob@example.test smtputf8", "252 2.0.0 bob@example.test"),
        ("VRFY bob@example.test FOO", "501 5.1.3 Bad recipient address syntax"),
        ("VRFY bobSMTPUTF8", "550 5.1.1 <bobSMTPUTF8>: Recipient address rejected: "
         "User unknown in virtual mailbox table"),
        (f"VRFY {utf8}", unknown.format(utf8)), (f"VRFY {utf8} SMTPUTF8", unknown.format(utf8)),
        ("VRFY \xe4@example.test", "500 5.5.2 Error: bad UTF-8 syntax"),
        # hostile-input row 19: nothing of it is left over.
        ("RCPT TO:<bob@example.test>", "503 5.5.1 Error: need MAIL command"),
        ("DATA", "503 5.5.1 Error: need RCPT command")))
    the_mail.wait_for_log(r"warning: Illegal address syntax from localhost\[127\.0\.0\.1\] in VRFY "
                          r"command: bob@example\.test FOO$")
    ask_all(strict_port, (
        ("HELO x", "250 mail.example.test"),
        (f"VRFY {utf8}", "553 5.6.7 Must declare SMTPUTF8 to send unicode address"),
        (f"VRFY {utf8} SMTPUTF8", unknown.format(utf8))))
    ask_all(ascii_port, (
        ("VRFY", "501 5.5.4 Syntax: VRFY address"),
        ("VRFY bob@example.test SMTPUTF8", "501 5.1.3 Bad recipient address syntax"),
        ("NOOP \xe4", "250 2.0.0 Ok"), ("HELO a\xe4b", "250 mail.example.test"),
        ("MAIL FROM:<a@b.c> SMTPUTF8", "555 5.5.4 Unsupported option: SMTPUTF8")))


def test_help():
    ask_all(the_mail.smtp_port, (
        ("EXPN bob", "500 5.5.2 Error: command not recognized"),
        ("EXPN " + A_UMLAUT, "500 5.5.2 Error: command not recognized"),
        ("NOOP x", "250 2.0.0 Ok"), ("RSET x", "501 5.5.4 Syntax: RSET")))
    with Dialogue(the_mail.smtp_port) as d:
        answer = d.ask("HELP me")
        tap.like(answer, "^214 2.0.0 Commands: AUTH BDAT DATA EHLO ETRN HELO HELP MAIL NOOP QUIT RCPT "
                 "RSET STARTTLS VRFY", "HELP names the commands")


def test_smtputf8():
    with Dialogue(the_mail.smtp_port) as d:
        tap.like(d.ask(f"EHLO {A_UMLAUT}.example"), "^250.SMTPUTF8$", "SMTPUTF8 is announced")
        tap.equal(d.ask(f"MAIL FROM:<{A_UMLAUT}@example.net> SMTPUTF8 BODY=8BITMIME"), "250 2.1.0 Ok", "MAIL")
        tap.equal(d.ask("RCPT TO:<bob@example.test>"), "250 2.1.5 Ok", "RCPT")
        d.ask("DATA")
        tap.like(d.ask(f"Subject: utf8 {A_UMLAUT}\r\n\r\nx\r\n."), "^250 ", "a message")
    mail = instance.wait_until(lambda: [m for m in the_mail.mails("bob") if b"Subject: utf8" in m], "mail")[0]
    tap.like(mail.decode(), r"^Received: from \u00e4\.example .*\n.*with UTF8SMTP id", "its Received line")
    tap.like(mail.decode(), "^Return-Path: <\u00e4@example.net>", "its sender")
    ask_all(the_mail.smtp_port, (
        ("MAIL FROM:<a@b.c> SMTPUTF8=1", "555 5.5.4 Unsupported option: SMTPUTF8=1"),
        ("MAIL FROM:<\xe4@b.c> SMTPUTF8", "500 5.5.2 Error: bad UTF-8 syntax"),
        (f"MAIL FROM:<{A_UMLAUT}@b.c>", "250 2.1.0 Ok"), ("RSET", "250 2.0.0 Ok")))
    ask_all(strict_port, (
        ("EHLO x\0", "500 5.5.2 Error: bad UTF-8 syntax"), ("HELO x", "250 mail.example.test"),
        (f"MAIL FROM:<{A_UMLAUT}@b.c>", "553 5.6.7 Must declare SMTPUTF8 to send unicode address"),
        ("MAIL FROM:<a@b.c>", "250 2.1.0 Ok"),
        (f"RCPT TO:<{A_UMLAUT}@example.test>", "553 5.6.7 Must declare SMTPUTF8 to send unicode address"),
        ("RSET", "250 2.0.0 Ok"), (f"MAIL FROM:<{A_UMLAUT}@b.c> SMTPUTF8", "250 2.1.0 Ok")))


def test_dsn():
    """hostile-input row 25."""
    bad = "501 5.5.4 Error: Bad {} parameter syntax"
    ask_all(the_mail.smtp_port, (
        ("MAIL FROM:<a@b.c> RET=x", "501 5.5.4 Bad RET parameter syntax"),
        ("MAIL FROM:<a@b.c> RET=FULL RET=FULL", "501 5.5.4 Bad RET parameter syntax"),
        ("MAIL FROM:<a@b.c> ENVID=+00", "501 5.5.4 Bad ENVID parameter syntax"),
        ("MAIL FROM:<a@b.c> ENVID=+0D+0A", "501 5.5.4 Bad ENVID parameter syntax"),
        ("MAIL FROM:<a@b.c> ENVID=a ENVID=b", "501 5.5.4 Bad ENVID parameter syntax"),
        ("MAIL FROM:<a@b.c> NOTIFY=NEVER", "555 5.5.4 Unsupported option: NOTIFY=NEVER"),
        ("MAIL FROM:<a@b.c> RET=HDRS ENVID=a+20b", "250 2.1.0 Ok"),
        ("RCPT TO:<bob@example.test> NOTIFY=", bad.format("NOTIFY")),
        ("RCPT TO:<bob@example.test> NOTIFY=NEVER,DELAY", bad.format("NOTIFY")),
        ("RCPT TO:<bob@example.test> NOTIFY=DELAY NOTIFY=DELAY", bad.format("NOTIFY")),
        ("RCPT TO:<bob@example.test> ORCPT=rfc822;a+00", bad.format("ORCPT")),
        ("RCPT TO:<bob@example.test> ORCPT=rfc822;a+0D+0Ab", bad.format("ORCPT")),
        ("RCPT TO:<bob@example.test> ORCPT=utf-8;\\x{110000}", bad.format("ORCPT")),
        ("RCPT TO:<bob@example.test> ORCPT=rfc822;a ORCPT=rfc822;a", bad.format("ORCPT")),
        ("RCPT TO:<bob@example.test> RET=FULL", "555 5.5.4 Unsupported option: RET=FULL"),
        ("RCPT TO:<bob@example.test> ORCPT=utf-8;\\x{e4}@x.y NOTIFY=SUCCESS,FAILURE", "250 2.1.5 Ok")))
    with Dialogue(hold_port) as d:
        for command in ("EHLO x", "MAIL FROM:<alice@example.test> RET=HDRS ENVID=a+20b",
                        "RCPT TO:<bob@example.test> ORCPT=utf-8;\\x{e4}@x.y NOTIFY=SUCCESS,FAILURE",
                        "RCPT TO:<alice@example.test> NOTIFY=NEVER", "DATA"):
            d.ask(command)
        queue_id = d.ask("Subject: dsn\r\n\r\nx\r\n.").split()[-1]
    dump = the_mail.command("postcat", "-evq", queue_id).stdout
    for line in ("envelope_id=a b", "ret_flags=2", "dsn_orig_rcpt=utf-8;\u00e4@x.y", "notify_flags=6",
                 "notify_flags=1"):
        tap.like(dump, rf"named_attribute: {line}$", f"the queue file has {line}")
    the_mail.command("postsuper", "-d", queue_id)
    ask_all(hidden_port, (
        ("MAIL FROM:<a@b.c> RET=FULL", "501 5.7.1 DSN support is disabled"),
        ("MAIL FROM:<a@b.c> ENVID=x", "501 5.7.1 DSN support is disabled"),
        ("MAIL FROM:<a@b.c> SMTPUTF8", "555 5.5.4 Unsupported option: SMTPUTF8"),
        ("MAIL FROM:<a@b.c>", "250 2.1.0 Ok"),
        ("RCPT TO:<bob@example.test> NOTIFY=NEVER", "501 5.7.1 DSN support is disabled"),
        ("RCPT TO:<bob@example.test> ORCPT=rfc822;x", "501 5.7.1 DSN support is disabled")))


def test_filters():
    with Dialogue(filter_port) as d:
        for command, want in (
                ("xyzzy", "250 2.0.0 Ok"), ("QQ", "500 5.5.2 Error: command not recognized"),
                ("FOO", "250 2.0.0 Ok"),
                ("bar x y", "250 2.0.0 Ok"), ("HELLO z", "501 Syntax: EHLO hostname"),
                ("QUIT", "221 2.0.0 Bye")):
            tap.equal(d.ask(command), want, f"filter: {command}")
    the_mail.wait_for_log(r'localhost\[127\.0\.0\.1\]: replacing command "HELLO z" with "EHLO"$')
    the_mail.wait_for_log("disconnect from .* ehlo=0/1 noop=1 quit=1 unknown=0/1 commands=2/4$")
    with Dialogue(junk_port) as d:
        replies = [d.ask("FOO") for _ in range(6)]
        tap.equal([r[:3] for r in replies], ["250"] * 5 + ["421"], "no-ops are junk, too")
    with Dialogue(broken_port) as d:
        tap.equal(d.ask("EHLO x"), "421 4.3.0 mail.example.test Server local data error", "a broken filter")
        tap.equal(d.rest(), [], "ends the session")
    the_mail.wait_for_log("NOQUEUE: reject: CONNECT from localhost.*: 421 4.3.0 mail.example.test "
                          "Server local data error$")


def test_no_commands():
    """hostile-input row 30: other protocols, and a message where a command should be."""
    for line in ("GET / HTTP/1.0", "post /x HTTP/1.1", "Subject: x", "Subject:", "X-Y:z", "foo@bar:x",
                 "EHLO: x", ":x", "<x>", "1 2 3", A_UMLAUT + "abc"):
        with Dialogue(the_mail.smtp_port) as d:
            tap.equal(d.ask(line), "221 2.7.0 Error: I can break rules, too. Goodbye.", repr(line))
            tap.equal(d.rest(), [], "... and the end")
    the_mail.wait_for_log(r"warning: non-SMTP command from localhost\[127\.0\.0\.1\]: \\303\\244abc$")
    ask_all(the_mail.smtp_port, (
        ("Subject : x", "500 5.5.2 Error: command not recognized"),
        ("foo", "500 5.5.2 Error: command not recognized"),
        ("helo x", "250 mail.example.test")))
    with Dialogue(the_mail.smtp_port) as d:
        for i in range(200):  # row 28
            reply = d.ask(f"FOO{i}")
        tap.equal(reply, "500 5.5.2 Error: command not recognized", "200 unknown commands")


def test_hello():
    """hostile-input rows 21 and 32: names, and who says hello again."""
    with Dialogue(the_mail.smtp_port) as d:
        tap.like(d.ask("EHLO first.example"), "^250.STARTTLS$", "EHLO")
        tap.like(d.ask("EHLO second.example"), "^250.STARTTLS$", "EHLO again")
        d.ask("MAIL FROM:<alice@example.test>")
        tap.equal(d.ask("STARTTLS"), "220 2.0.0 Ready to start TLS", "STARTTLS")
        d.tls(the_mail.tls())
        tap.like(d.ask("RCPT TO:<bob@example.test>"), "^503 5.5.1 Error: need MAIL", "all is forgotten")
        tap.unlike(d.ask("EHLO third.example"), "STARTTLS", "EHLO with another name")
        for command in ("MAIL FROM:<alice@example.test>", "RCPT TO:<bob@example.test>", "DATA"):
            d.ask(command)
        d.ask("Subject: hello\r\n\r\nx\r\n.")
    mail = instance.wait_until(lambda: [m for m in the_mail.mails("bob") if b"Subject: hello" in m], "mail")[0]
    tap.like(mail.decode(), r"^Received: from third\.example ", "the last name counts")
    ask_all(the_mail.smtp_port, (
        ("HELO " + "x" * 4096, "500 5.5.2 mail.example.test Error: command too long"),
        ("HELO x\0y", "500 5.5.2 Error: bad UTF-8 syntax"), ("HELO a\\b\x01c d", "250 mail.example.test"),
        ("MAIL FROM:<a@b.c>", "250 2.1.0 Ok"),
        ("RCPT TO:<x@y.z>", "554 5.7.1 <x@y.z>: Relay access denied")))
    the_mail.wait_for_log(r"reject: RCPT .*helo=<a\?b\?c\?d>$")


def test_pipelining():
    for first in ("RSET", "MAIL FROM:<alice@example.test>", "QUIT"):
        with Dialogue(the_mail.smtp_port) as d:
            d.ask("HELO x")
            d.send(f"{first}\r\nRSET\r\n")
            tap.equal(d.rest(), ["554 5.5.0 Error: SMTP protocol synchronization"],
                      f"no EHLO, no pipelining: {first}")
    the_mail.wait_for_log(r"improper command pipelining after QUIT from localhost\[127\.0\.0\.1\]: RSET\\r\\n$")
    with Dialogue(the_mail.smtp_port) as d:
        d.ask("EHLO x")
        d.send("MAIL FROM:<alice@example.test>\r\n" + "RCPT TO:<bob@example.test>\r\n" * 5000 + "RSET\r\n")
        replies = [d.line() for _ in range(5002)]  # row 29
        tap.equal(replies.count("250 2.1.5 Ok"), 1000, "5,000 RCPT at once: as many as the limit says")
        tap.equal(replies[1001], "452 4.5.3 Error: too many recipients", "then no more")


def service(port, **options):
    lines = [f"127.0.0.1:{port} inet n - n - - smtpd"]
    lines += [f"  -o {{ {name} = {value} }}" for name, value in options.items()]
    return "\n".join(lines) + "\n"


(strict_port, ascii_port, hold_port, hidden_port, filter_port, broken_port,
 junk_port) = instance.free_ports(7)
MASTER = (
    service(strict_port, strict_smtputf8="yes", smtpd_helo_required="yes",
            smtpd_etrn_restrictions="check_etrn_access inline:{relay.test=REJECT}",
            parent_domain_matches_subdomains="fast_flush_domains")
    + service(ascii_port, smtputf8_enable="no")
    + service(hold_port, smtpd_data_restrictions="check_sender_access static:HOLD")
    + service(hidden_port, smtpd_discard_ehlo_keywords="dsn smtputf8 silent-discard")
    + service(filter_port, smtpd_noop_commands="foo, BAR", smtpd_command_filter=
              "inline:{ {xyzzy = NOOP} {QQ = XX} {HELLO z = EHLO} }")
    + service(junk_port, smtpd_noop_commands="FOO", smtpd_junk_command_limit="2",
              smtpd_hard_error_limit="2")
    + service(broken_port, smtpd_command_filter="fail:x"))
with instance.Instance(main=MAIN, master=MASTER) as the_mail:
    tap.run(test_etrn, test_vrfy, test_help, test_smtputf8, test_dsn, test_filters, test_no_commands,
            test_hello, test_pipelining)
