#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""XCLIENT and XFORWARD: what they change, and what they leave.

Their replies and log lines are compared with a real Postfix's in t/peer_clients.t.
"""

import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

BANNER = "220 mail.example.test ESMTP Postfix"
REFUSED = "550 5.7.0 Error: insufficient authorization"
PROXY_PORT, LOCKED_PORT, VERBOSE_PORT = instance.free_ports(3)
MASTER = f"""
127.0.0.1:{VERBOSE_PORT} inet n - n - - smtpd -v -o syslog_name=loud
127.0.0.1:{PROXY_PORT} inet n - n - - smtpd
  -o smtpd_authorized_xclient_hosts=127.0.0.1 -o smtpd_authorized_xforward_hosts=127.0.0.1
  -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=may -o smtpd_tls_auth_only=no
  -o smtpd_relay_restrictions=permit_sasl_authenticated,permit_mynetworks,reject_unauth_destination
  -o mynetworks=192.0.2.64/26
127.0.0.1:{LOCKED_PORT} inet n - n - - smtpd
  -o smtpd_authorized_xclient_hosts=192.0.2.1 -o smtpd_authorized_xforward_hosts=192.0.2.1
"""
RELAY = "RCPT TO:<x@example.org>"


def login(d, user="alice"):
    word = base64.b64encode(f"\0{user}@example.test\0{user}".encode()).decode()
    return d.ask(f"AUTH PLAIN {word}")


def may_relay(d):
    d.ask("MAIL FROM:<alice@example.test>")
    code = d.ask(RELAY)[:3]
    d.ask("RSET")
    return code == "250"


def message(d, subject):
    d.ask("MAIL FROM:<alice@example.test>")
    d.ask("RCPT TO:<bob@example.test>")
    d.ask("DATA")
    return d.ask(f"Subject: {subject}\r\n\r\nx\r\n.")


def mail_of(subject):
    mark = f"Subject: {subject}\n".encode()
    return instance.wait_until(
        lambda: [m for m in the_mail.mails("bob") if mark in m], subject)[0].decode()


def test_strangers():
    with Dialogue(LOCKED_PORT) as d:
        tap.unlike(d.ask("EHLO x"), "XCLIENT|XFORWARD", "strangers are told of neither")
        tap.equal(d.ask("XCLIENT ADDR=192.0.2.1"), REFUSED, "XCLIENT is refused")
        tap.equal(d.ask("XFORWARD ADDR=192.0.2.1"), REFUSED, "XFORWARD is refused")
        tap.equal(d.ask("XCLIENT NAME=x.example"), REFUSED, "and stays so")
        message(d, "strangers")
    tap.like(mail_of("strangers"), r"^Received: from x \(localhost \[127\.0\.0\.1\]\)", "and nothing came of it")


def test_identity():
    with Dialogue(PROXY_PORT) as d:
        tap.equal(d.ask("XCLIENT NAME=c.example ADDR=192.0.2.7 HELO=h.example PROTO=ESMTP"), BANNER,
                  "the session begins anew")
        tap.like(message(d, "identity"), "^250 ", "a message")
        tap.equal(d.ask("XCLIENT ADDR=192.0.2.8"), REFUSED, "once only")
    tap.like(mail_of("identity"), r"^Received: from h\.example \(c\.example \[192\.0\.2\.7\]\)\n"
             r"\tby mail\.example\.test \(Postfix\) with ESMTP id", "Received:")
    the_mail.wait_for_log(r"disconnect from c\.example\[192\.0\.2\.7\] xclient=0/2 ")


def test_rights():
    with Dialogue(PROXY_PORT) as d:
        d.ask("EHLO x")
        tap.equal(may_relay(d), False, "the proxy itself may not relay")
        tap.like(login(d), "^235 ", "it logs in")
        tap.equal(may_relay(d), True, "and may")
        tap.equal(d.ask("XCLIENT NAME=c.example"), BANNER, "XCLIENT")
        tap.equal(may_relay(d), False, "logs it out")
        tap.equal(d.ask("XCLIENT LOGIN=joe"), BANNER, "XCLIENT logs somebody in")
        tap.equal(may_relay(d), True, "who may relay")
        tap.equal(d.ask("XCLIENT LOGIN=[UNAVAILABLE]"), BANNER, "and out")
        tap.equal(may_relay(d), False, "who may no longer")
        d.ask("XCLIENT ADDR=192.0.2.70")
        tap.equal(may_relay(d), True, "a client in mynetworks may")


def test_all_or_nothing():
    with Dialogue(PROXY_PORT) as d:
        tap.like(d.ask("XCLIENT ADDR=192.0.2.70 LOGIN=joe NAME=bad..name"), "^501 5.5.4 Bad NAME",
                 "one wrong attribute")
        d.ask("EHLO x")
        tap.equal(may_relay(d), False, "makes nothing of the others")


def test_tls():
    with Dialogue(PROXY_PORT) as d:
        d.ask("EHLO x")
        d.ask("STARTTLS")
        d.tls(the_mail.tls())
        tap.equal(d.ask("XCLIENT NAME=c.example ADDR=192.0.2.7"), BANNER, "XCLIENT in TLS")
        tap.unlike(d.ask("EHLO y"), "STARTTLS|XCLIENT", "TLS stays, the right does not")
        tap.like(message(d, "tls"), "^250 ", "a message")
    tap.like(mail_of("tls"), r"^Received: from y \(c\.example \[192\.0\.2\.7\]\)\n"
             r"\tby mail\.example\.test \(Postfix\) with ESMTPS ", "Received:")


def test_many():
    """A proxy that says it again and again costs no more than one that says it once."""
    with Dialogue(PROXY_PORT) as d:
        for i in range(2000):
            if d.ask(f"XCLIENT NAME=c{i}.example HELO={'h' * 200} LOGIN={'l' * 200}") != BANNER:
                tap.ok(False, "one of many", i)
                return
        for i in range(2000):
            if d.ask(f"XFORWARD NAME=c{i}.example IDENT={'i' * 200}")[:3] != "250":
                tap.ok(False, "one of many XFORWARDs", i)
                return
        tap.like(message(d, "many"), "^250 ", "2000 times")
    the_mail.wait_for_log(r"client=c1999\.example\[127\.0\.0\.1\], sasl_method=XCLIENT, "
                          r"sasl_username=l+, orig_queue_id=i+, orig_client=c1999\.example$")


def test_queue_file():
    with Dialogue(PROXY_PORT) as d:
        d.ask("EHLO x")
        d.ask("XFORWARD NAME=c.example ADDR=192.0.2.7 PORT=1234 PROTO=SMTP HELO=h.example "
              "IDENT=OTHER SOURCE=REMOTE")
        d.ask("MAIL FROM:<alice@example.test>")
        d.ask("RCPT TO:<hold@example.test>")
        d.ask("DATA")
        queue_id = d.ask("Subject: forwarded\r\n\r\nx\r\n.").split()[-1]
        the_mail.wait_for_log(rf"{queue_id}: client=localhost\[127\.0\.0\.1\], orig_queue_id=OTHER, "
                              r"orig_client=c\.example\[192\.0\.2\.7\]$")
    path = instance.wait_until(
        lambda: [p for p in (the_mail.path(f"spool/hold/{queue_id}"),) if os.path.exists(p)],
        "the held file")[0]
    with open(path, "rb") as f:
        data = f.read()
    for want in ("log_client_name=c.example", "log_client_address=192.0.2.7", "log_client_port=1234",
                 "log_message_origin=c.example[192.0.2.7]", "log_helo_name=h.example",
                 "log_protocol_name=SMTP", "log_ident=OTHER", "client_name=localhost",
                 "client_address=127.0.0.1", "rewrite_context=remote"):
        record = want.encode()
        tap.ok(b"A" + bytes([len(record)]) + record in data, f"queue file: {want}")


def test_debug_peer():
    """debug_peer_list: a client's dialogue is in the log, its password is not."""
    with Dialogue(PROXY_PORT) as d:
        d.ask("XCLIENT ADDR=192.0.2.90")
        d.ask("EHLO debugged.example")
        login(d)
        d.ask("FOO\x01bar")
        d.ask("QUIT")
    who = r"localhost\[192\.0\.2\.90\]"
    for line in (rf"> {who}: 220 mail\.example\.test ESMTP Postfix", rf"< {who}: EHLO debugged\.example",
                 rf"> {who}: 250-mail\.example\.test", rf"< {who}: AUTH PLAIN \.\.\.",
                 rf"> {who}: 235 2\.7\.0 Authentication successful", rf"< {who}: FOO\?bar"):
        the_mail.wait_for_log(rf"smtpd\[\d+\]: {line}$")
        tap.ok(True, line)
    tap.unlike(the_mail.log(), r"[<>] localhost\[127", "other clients' is not")


def test_verbose():
    """smtpd -v in master.cf: the dialogue with all clients of that service."""
    with Dialogue(VERBOSE_PORT) as d:
        d.ask("EHLO all.example")
        d.ask("QUIT")
    for line in (r"< localhost\[127\.0\.0\.1\]: EHLO all\.example",
                 r"> localhost\[127\.0\.0\.1\]: 221 2\.0\.0 Bye"):
        the_mail.wait_for_log(rf"loud/smtpd\[\d+\]: {line}$")
        tap.ok(True, line)


with instance.Instance(master=MASTER, main={
        "debug_peer_list": "192.0.2.88/29",
        "virtual_mailbox_maps": "inline:{alice@example.test=example.test/alice/ "
        "bob@example.test=example.test/bob/ hold@example.test=example.test/bob/}",
        "smtpd_recipient_restrictions": "check_recipient_access inline:{hold@example.test=HOLD}",
        "smtpd_junk_command_limit": "100000", "smtpd_hard_error_limit": "1000",
        "smtpd_soft_error_limit": "1000", "smtpd_forbid_unauth_pipelining": "no"}) as the_mail:
    tap.run(test_strangers, test_identity, test_rights, test_all_or_nothing, test_tls, test_many,
            test_queue_file, test_debug_peer, test_verbose)
tap.done()
