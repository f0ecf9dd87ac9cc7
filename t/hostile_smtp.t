#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a client may send to hurt the SMTP server: it answers as Postfix 3.11 does or with a limit of
its own, and serves the next one.

More of that: ends of data and split ones in smtpd.t, chunks in smtpd_bdat.t, STARTTLS in smtpd_tls.t,
other protocols, DSN and VRFY in smtpd_commands.t, XCLIENT and PROXY in smtpd_xclient.t and
smtpd_haproxy.t, the syntax of MAIL and RCPT in peer_smtpd.t.
"""

import base64
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from hostile import ENVELOPE, Hostile  # noqa: E402

MB = 1 << 20
MAIN = {
    "smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": "1000000",
    "smtpd_hard_error_limit": "1000000", "smtpd_junk_command_limit": "1000000",
    "smtpd_recipient_overshoot_limit": "1000000", "smtputf8_enable": "yes", "strict_smtputf8": "yes",
    "smtpd_forbid_unauth_pipelining": "yes", "message_size_limit": "1000000",
    "smtpd_client_connection_count_limit": "0",
}


def pour(d, megabytes):
    """So much without a line end; False when the server does not want it any more."""
    try:
        for _ in range(megabytes):
            d.sock.sendall(b"x" * MB)
    except OSError:
        return False
    return True


def long_command(h):
    with h.dialogue(ENVELOPE[:1]) as d:
        pour(d, 128)
        tap.ok(d.rest()[:1] in ([], ["500 5.5.2 mail.example.test Error: command too long"]),
               "128 MB line without LF in a command: it ends")
    h.mail.wait_for_log(r"disconnect from \S+ ehlo=1 unknown=0/1 commands=1/2$")


def long_data(h):
    with h.dialogue((*ENVELOPE, "DATA")) as d:
        tap.ok(pour(d, 128), "128 MB line without LF in DATA: it is read to its end")
        d.send("\r\n.\r\n")
        tap.equal(d.reply(), ["552 5.3.4 Error: message file too big"],
                  "128 MB line without LF in DATA: the answer")
        tap.equal(d.ask("RSET"), "250 2.0.0 Ok", "128 MB line without LF in DATA: the session goes on")


def long_chunk(h):
    with h.dialogue() as d:
        d.send(f"BDAT {128 * MB} LAST\r\n")
        pour(d, 128)
        tap.ok(d.rest() in ([], ["552 5.3.4 Chunk exceeds message size limit"]),
               "128 MB line without LF in BDAT: it is refused")
    h.mail.wait_for_log("too much BDAT content -- disabling further input from")


def tiny_chunks(h):
    with h.dialogue() as d:
        tap.equal(d.ask(b"BDAT 14\r\nSubject: t\r\n\r\n"), "250 2.0.0 Ok: 14 bytes", "BDAT 1 x 10^5: begin")
        good = 0
        for _ in range(100):
            d.send(b"BDAT 1\r\nx" * 1000)
            good += sum(d.line() == "250 2.0.0 Ok: 1 bytes" for _ in range(1000))
        tap.equal(good, 100000, "BDAT 1 x 10^5: each is answered")
        tap.like(d.ask("BDAT 0 LAST"), "^250 2.0.0 Ok: [0-9]+ bytes queued", "BDAT 1 x 10^5: and kept")


def many_recipients(h):
    with h.dialogue(ENVELOPE[:2]) as d:
        codes = {}
        for _ in range(100):
            d.send(b"RCPT TO:<bob@example.test>\r\n" * 1000)
            for _ in range(1000):
                line = d.line() or ""
                codes[line] = codes.get(line, 0) + 1
        tap.equal(codes, {"250 2.1.5 Ok": 1000, "452 4.5.3 Error: too many recipients": 99000},
                  "10^5 pipelined RCPT: smtpd_recipient_limit holds")
    with h.dialogue(ENVELOPE[:2]) as d:
        d.send(b"RCPT TO:<nobody@example.test>\r\n" * 10000)
        refused = sum((d.line() or "").startswith("550 5.1.1 ") for _ in range(10000))
        tap.equal(refused, 10000, "10^4 pipelined RCPT that are refused")


def greetings(h):
    with h.dialogue() as d:
        tap.like(d.ask("EHLO second.example.net"), "^250-", "EHLO twice")
        tap.equal(d.ask("RCPT TO:<bob@example.test>"), "503 5.5.1 Error: need MAIL command",
                  "EHLO twice: the transaction is over")
        d.ask("STARTTLS")
        d.tls(h.mail.tls())
        tap.like(d.ask("MAIL FROM:<alice@example.test>"), "^250 ",
                 "EHLO before STARTTLS: not needed behind it")
        d.ask("EHLO third.example.net")
        for step in (*ENVELOPE[1:], "DATA"):
            d.ask(step)
        tap.like(d.ask("Subject: names\r\n\r\nx\r\n."), "^250 ", "EHLO after STARTTLS with a different name")
    with h.dialogue((*ENVELOPE, "HELO x")) as d:
        d.send("MAIL FROM:<a@b.c>\r\nRCPT TO:<bob@example.test>\r\nRSET\r\n")
        tap.equal([d.line()[:3] for _ in range(3)], ["250"] * 3, "HELO after EHLO: pipelining goes on")
    got = h.arrived(b"\nSubject: names\n")
    tap.ok(b"Received: from third.example.net (" in got and b"second" not in got and b"client." not in got,
           "EHLO after STARTTLS with a different name: Received: has no other")


def login_order(h):
    plain = "AUTH PLAIN " + b64("\0bob@example.test\0bob")
    port = h.mail.submission_port
    with h.dialogue((), port=port) as d:
        tap.like(d.ask(plain), "^(503|530) 5", "AUTH before EHLO")
        d.ask("EHLO x")
        tap.equal(d.ask(plain), "530 5.7.0 Must issue a STARTTLS command first", "AUTH before STARTTLS")
        d.ask("STARTTLS")
        d.tls(h.mail.tls())
        tap.like(d.ask("EHLO y"), "^250-AUTH ", "AUTH after STARTTLS: it is offered")
        tap.like(d.ask(plain), "^235 ", "AUTH after STARTTLS")
        d.ask("EHLO z")
        tap.equal(d.ask(plain), "503 5.5.1 Error: already authenticated", "AUTH, EHLO, AUTH")
        tap.like(d.ask("STARTTLS"), "^554 5.5.1 Error: TLS already active", "STARTTLS after AUTH")


# A path of MAIL, and the answer to it.
SENDERS = (
    ("<;/bin/id;@x>", "^501 5.1.7 Bad sender address syntax$"), ("<\"`id`\"@x>", "^250 2.1.0 Ok$"),
    ("<|cmd@x>", "^250 2.1.0 Ok$"), ("<${run{/bin/id}}@x>", "^250 2.1.0 Ok$"),
    ("<$(id)@x>", "^501 5.1.7 Bad sender address syntax$"),
)
RECIPIENTS = (
    ("<\"\">", "^(550 5.1.1|501 5.1.3|554 5.7.1) "), ("<\"\"@example.test>", "^550 5.1.1 "),
    ("<@a,@b:u@c>", "^554 5.7.1 <u@c>: Relay access denied$"),
    # Postfix knows no such limit.
    ("<" + "l" * 1000 + "@example.test>", "^501 5.1.3 Bad recipient address syntax$"),
    ("<\xc3\xa4@example.test>", "^553 5.6.7 Must declare SMTPUTF8 to send unicode address$"),
    ("<\xe4@example.test>", "^500 5.5.2 Error: bad UTF-8 syntax$"),
)


def shell_words(h):
    for path, want in SENDERS:
        with h.dialogue(ENVELOPE[:1]) as d:
            tap.like(d.ask(f"MAIL FROM:{path}"), want, f"MAIL FROM:{path}")
            d.ask("RCPT TO:<bob@example.test>")
            if d.ask("DATA").startswith("354"):
                tap.like(d.ask(f"Subject: sh\r\n\r\n{path}\r\n."), "^250 ", f"MAIL FROM:{path}: kept")
                got = h.arrived(f"\n\n{path}\n".encode())
                tap.ok(got.startswith(b"Return-Path: <"), f"MAIL FROM:{path}: and delivered as mail")


def strange_recipients(h):
    for path, want in RECIPIENTS:
        with h.dialogue(ENVELOPE[:2]) as d:
            tap.like(d.ask(f"RCPT TO:{path}"), want, f"RCPT TO:{path[:60]}")


def sizes(h):
    with h.dialogue(ENVELOPE[:1]) as d:
        for size, want in (("=-1", "501 5.5.4 Bad message size syntax"),
                           ("=18446744073709551616", "552 5.3.4 Message size exceeds file system imposed limit"),
                           ("=", "501 5.5.4 Bad message size syntax"),
                           ("", "555 5.5.4 Unsupported option: SIZE")):
            tap.equal(d.ask(f"MAIL FROM:<a@b.c> SIZE{size}"), want, f"SIZE{size}")


def size_limit(h):
    """What is counted is the content as it came (RFC 1870 4); Postfix counts its queue file."""
    def content(size):
        text = b"Subject: size\r\n\r\n" + b"x" * 58 + b"\r\n"
        return text + (b"y" * 998 + b"\r\n") * ((size - len(text)) // 1000) + (
            b"z" * ((size - len(text)) % 1000 - 2) + b"\r\n")

    for size, good in ((999999, True), (1000000, True), (1000001, False)):
        data = content(size)
        tap.equal(len(data), size, f"{size} bytes")
        tap.like(h.message(data), "^250 " if good else "^552 5.3.4 Error: message file too big$",
                 f"{size} bytes by DATA")
        with h.dialogue() as d:
            tap.like(d.ask(b"BDAT %d LAST\r\n" % size + data),
                     "^250 " if good else "^552 5.3.4 Chunk exceeds message size limit$",
                     f"{size} bytes by BDAT")
        with h.dialogue() as d:
            d.ask(b"BDAT 1000\r\n" + data[:1000])
            tap.like(d.ask(b"BDAT %d LAST\r\n" % (size - 1000) + data[1000:]),
                     "^250 " if good else "^552 5.3.4 Chunk exceeds message size limit$",
                     f"{size} bytes by two BDAT")
        with h.dialogue(ENVELOPE[:1]) as d:
            tap.like(d.ask(f"MAIL FROM:<a@b.c> SIZE={size}"),
                     "^250 " if good else "^552 5.3.4 Message size exceeds fixed limit$", f"SIZE={size}")


def line_limit(h):
    """Postfix runs what there is of a longer one."""
    with h.dialogue(ENVELOPE[:1]) as d:
        for size in (2047, 2048, 2049, 2050, 4096):
            tap.equal(d.ask("NOOP " + "x" * (size - 5)), "250 2.0.0 Ok" if size <= 2048 else
                      "500 5.5.2 mail.example.test Error: command too long", f"a command of {size} bytes")


def b64(text):
    return base64.b64encode(text.encode("latin-1")).decode()


def bad_logins(h):
    def secure():
        d = h.dialogue(("EHLO x", "STARTTLS"), port=h.mail.submission_port)
        d.tls(h.mail.tls())
        d.ask("EHLO x")
        return d

    for name, response in (("=", "="), ("bad base64", "%%%"), ("half of base64", "AGJ"),
                           ("no NUL", b64("bob")), ("one NUL", b64("bob@example.test\0bob")),
                           ("three NULs", b64("\0bob@example.test\0bob\0")),
                           ("another user's authzid", b64("alice@example.test\0bob@example.test\0bob"))):
        with secure() as d:
            tap.like(d.ask("AUTH PLAIN " + response), "^(535 5.7.8|501 5.5.2|501 5.5.4) ",
                     f"AUTH PLAIN with {name}")
            d.ask("MAIL FROM:<bob@example.test>")
            tap.like(d.ask("RCPT TO:<bob@example.test>"), "^554 5.7.1 ",
                     f"AUTH PLAIN with {name}: nobody's login")
    with secure() as d:
        d.ask("AUTH PLAIN")
        tap.equal(d.ask("*"), "501 5.7.0 Authentication aborted", "AUTH aborted with *")
    with secure() as d:
        d.ask("AUTH PLAIN")
        d.send("A" * 65536 + "\r\n")
        tap.equal(d.reply(), ["500 5.5.6 SASL response limit exceeded"], "a SASL line of 64 KB")
        tap.equal(d.ask("NOOP"), "250 2.0.0 Ok", "a SASL line of 64 KB: nothing of it is a command")


def names(h):
    for name, helo, want in (
            ("an IPv6 scoped address literal", "[IPv6:fe80::1%eth0]", "^250-mail.example.test"),
            ("4 KB of name", "x" * 4096, "^500 5.5.2 mail.example.test Error: command too long$"),
            ("1 KB of name", "y" * 1024, "^250-mail.example.test"),
            ("a NUL", "a\0b", "^500 5.5.2 Error: bad UTF-8 syntax$"),
            ("a backslash", "a\\b\\", "^250-mail.example.test")):
        with h.dialogue(("HELO before.example.net",)) as d:
            tap.like(d.ask(f"EHLO {helo}"), want, f"HELO with {name}: the answer")
            for step in (*ENVELOPE[1:], "DATA"):
                d.ask(step)
            mark = name.encode()
            tap.like(d.ask(f"Subject: {name}\r\n\r\nx\r\n."), "^250 ", f"HELO with {name}: mail flows")
            got = h.arrived(b"\nSubject: " + mark + b"\n")
            tap.ok(b"\\" not in got and b"\0" not in got, f"HELO with {name}: nothing odd is in Received:")


def early(h):
    with socket.create_connection(("127.0.0.1", h.mail.smtp_port), 60) as sock:
        sock.sendall(b"EHLO early.example.net\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<bob@example.test>\r\n"
                     b"DATA\r\n")
        data = b""
        while part := sock.recv(65536):
            data += part
    lines = data.decode().splitlines()
    tap.ok(lines[0].startswith("220 ") and lines[-1] == "554 5.5.0 Error: SMTP protocol synchronization"
           and not any(line.startswith(("250", "354")) for line in lines),
           "early talkers before the banner", data)


ROWS = {
    "128 MB line without LF in a command": long_command,
    "128 MB line without LF in DATA": long_data, "128 MB line without LF in BDAT": long_chunk,
    "BDAT 1 x 10^5": tiny_chunks, "10^5 pipelined RCPT": many_recipients,
    "EHLO twice, after STARTTLS with a different name": greetings, "AUTH before and after": login_order,
    "MAIL FROM with words of a shell": shell_words, "RCPT TO that are strange": strange_recipients,
    "SIZE=-1, 2^64, missing": sizes, "message_size_limit": size_limit,
    "line_length_limit": line_limit, "AUTH that is none": bad_logins, "HELO that is strange": names,
    "early talkers": early,
}
with instance.Instance(main=MAIN) as the_mail:
    the_hostile = Hostile(the_mail)
    for row, test in ROWS.items():
        if not sys.argv[1:] or row in sys.argv[1:]:
            the_hostile.row(row, test, 16 * MB)
tap.done()
