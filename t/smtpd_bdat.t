#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""BDAT (RFC 3030): content in chunks, its states and limits, and what hides between chunks.

Replies beside a real Postfix are compared in t/peer_smtpd.t.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

ENVELOPE = ("EHLO client.example.net", "MAIL FROM:<alice@example.test>",
            "RCPT TO:<bob@example.test>")
MAIN = {
    "message_size_limit": "200000", "virtual_mailbox_limit": "0", "smtpd_error_sleep_time": "0",
    "smtpd_forbid_unauth_pipelining": "yes", "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_hard_error_limit": "100",
}


def dialogue(port=None, steps=ENVELOPE):
    d = Dialogue(port or the_mail.smtp_port)
    for step in steps:
        d.ask(step)
    return d


def chunk(data, last=False):
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data


def contents(subject):
    mark = f"Subject: {subject}\n".encode()
    found = instance.wait_until(
        lambda: [m for m in the_mail.mails("bob") if mark in m], f"mail {subject}")
    tap.equal(len(found), 1, f"{subject}: there is one message")
    return found[0].split(b"\n\n", 1)[1]


def test_chunks():
    """A message is the same however it is cut."""
    text = (b"Subject: cut %d\r\n\r\nfirst\r\n.\r\n..two\r\nbare\nLF\r\n\r\n.\r\nMAIL FROM:<x@y>\r\n"
            b"end without line end")
    for size in (1, 2, 3, 7, 1000):
        data = text.replace(b"%d", b"%d" % size)
        with dialogue() as d:
            for i in range(0, len(data), size):
                part = data[i:i + size]
                reply = d.ask(chunk(part, i + size >= len(data)))
                if i + size < len(data) and reply != f"250 2.0.0 Ok: {len(part)} bytes":
                    tap.ok(False, f"chunks of {size}: at {i}", reply)
            tap.like(reply, r"^250 2\.0\.0 Ok: \d+ bytes queued as \w+$", f"chunks of {size}")
            tap.equal(d.ask("RCPT TO:<bob@example.test>"), "503 5.5.1 Error: need MAIL command",
                      f"chunks of {size}: the transaction is over")
        tap.equal(contents(f"cut {size}"), b"first\n.\n..two\nbare\nLF\n\n.\nMAIL FROM:<x@y>\n"
                  b"end without line end\n", f"chunks of {size}: content, dots and all")
    with dialogue() as d:
        d.send(chunk(b"Subject: pipe\r\n") + chunk(b"\r\nbody\r\n") + b"BDAT 0 LAST\r\nQUIT\r\n")
        lines = d.rest()
        tap.equal([line[:3] for line in lines], ["250", "250", "250", "221"], "all in one packet")
    tap.equal(contents("pipe"), b"body\n", "an empty last chunk ends the line before")


def test_tiny_chunks():
    """hostile-input row 13: tiny chunks cost what they are."""
    count = 20000

    def memory():
        total = 0
        for pid in the_mail.pids("smtpd"):
            with open(f"/proc/{pid}/statm", encoding="ascii") as f:
                total += int(f.read().split()[1])
        return total

    with dialogue() as d:
        d.ask(chunk(b"Subject: tiny\r\n\r\n"))
        for i in range(count // 1000):
            d.send(b"BDAT 1\r\nx" * 1000)
            for _ in range(1000):
                reply = d.line()
            if i == 1:
                before = memory()
        tap.equal(reply, "250 2.0.0 Ok: 1 bytes", f"{count} chunks of a byte")
        grown = memory() - before
        if os.environ.get("PC_SANITIZERS", "no") == "no":
            tap.ok(grown < 100, "memory does not grow with them", f"{grown} pages")
        else:
            tap.skip("sanitizers keep what is freed for a while", "memory does not grow with them")
        tap.like(d.ask(b"BDAT 0 LAST\r\n"), "^250 ", "and the message is whole")
    body = contents("tiny")
    tap.equal(body.count(b"x"), count, "with each of them in it")
    the_mail.wait_for_log(rf"disconnect from .* bdat={count + 2} commands={count + 5}$")


def test_counts():
    """hostile-input row 14."""
    for args in ("18446744073709551616", "9223372036854775808", "-1", "", "x", "1 LASTE", "1 LAST x"):
        with dialogue() as d:
            tap.equal(d.ask(f"BDAT {args}"), "521 5.5.4 Syntax: BDAT count [LAST]", f"BDAT {args}")
            tap.equal(d.rest(), [], "... and the connection ends")
    the_mail.wait_for_log(r"warning: [0-9A-F]+: malformed BDAT command syntax from localhost"
                          r"\[127\.0\.0\.1\]: BDAT 1 LAST x$")
    with dialogue() as d:
        tap.like(d.ask("BDAT 0 LAST"), "^250 2.0.0 Ok: 0 bytes queued as", "an empty message")
        tap.equal(d.ask("BDAT 0 LAST"), "503 5.5.1 Error: need RCPT command", "twice is no message")
    with dialogue() as d:
        tap.equal(d.ask("BDAT 0"), "551 5.7.1 Null BDAT request", "a chunk of nothing")
        tap.equal(d.ask(chunk(b"abc")), "551 5.0.0 Discarded 3 bytes after earlier error", "then")
        tap.equal(d.ask("RSET"), "250 2.0.0 Ok", "until RSET")
        tap.like(d.ask("MAIL FROM:<alice@example.test>"), "^250 ", "there is a new message")
    the_mail.wait_for_log(r"warning: [0-9A-F]+: null BDAT request from localhost\[127\.0\.0\.1\]$")


def test_states():
    """hostile-input rows 15, 16 and 18, and each command between two chunks."""
    with dialogue(steps=ENVELOPE[:1]) as d:
        tap.equal(d.ask(chunk(b"NOOP\r\n")), "503 5.5.1 Error: need RCPT command", "BDAT before MAIL")
        tap.equal(d.ask("MAIL FROM:<a@b.c>"), "503 5.5.1 Error: MAIL after BDAT", "then MAIL")
        tap.equal(d.ask("DATA"), "503 5.5.1 Error: DATA after BDAT", "... DATA without MAIL")
        tap.equal(d.ask("RCPT TO:<bob@example.test>"), "503 5.5.1 Error: need MAIL command", "RCPT")
        tap.ok(d.quiet(), "nothing of the chunk was a command")
        d.ask("EHLO x")
        tap.like(d.ask("MAIL FROM:<a@b.c>"), "^250 ", "EHLO ends that")
    with dialogue(steps=ENVELOPE[:2]) as d:
        tap.equal(d.ask(chunk(b"x", True)), "554 5.5.1 Error: no valid recipients", "no recipients")
        tap.like(d.ask("MAIL FROM:<a@b.c>"), "^250 ", "LAST ends that transaction")
    with dialogue() as d:
        d.ask(chunk(b"Subject: between\r\n"))
        for command, want in (
                ("MAIL FROM:<a@b.c>", "503 5.5.1 Error: nested MAIL command"),
                ("RCPT TO:<bob@example.test>", "503 5.5.1 Error: RCPT after BDAT"),
                ("DATA", "503 5.5.1 Error: DATA after BDAT"), ("NOOP", "250 2.0.0 Ok"),
                ("VRFY bob@example.test", "252 2.0.0 bob@example.test"),
                ("FOO", "500 5.5.2 Error: command not recognized")):
            tap.equal(d.ask(command), want, f"{command} between chunks")
        tap.like(d.ask(chunk(b"\r\nx\r\n", True)), "^250 ", "and the message is whole")
    tap.equal(contents("between"), b"x\n", "as it was sent")
    for name, command in (("RSET", "RSET"), ("EHLO", "EHLO x"), ("HELO", "HELO x")):
        with dialogue() as d:
            d.ask(chunk(b"Subject: dropped\r\n\r\n"))
            tap.like(d.ask(command), "^250", f"{name} between chunks")
            tap.like(d.ask("BDAT 0 LAST"), "^503 5.5.1 Error: need RCPT", "drops the message")
    with dialogue() as d:
        d.send(b"BDAT 10 LAST\r\n0123456789MAIL FROM:<a@b.c>\r\nRCPT TO:<bob@example.test>\r\n")
        d.send(chunk(b"Subject: second\r\n\r\nx\r\n", True))
        tap.equal([d.reply()[0][:3] for _ in range(4)], ["250"] * 4, "a message behind a message")
    tap.equal(contents("second"), b"x\n", "is another one")
    with dialogue(refuse_port) as d:
        tap.like(d.ask(chunk(b"x\r\n", True)), "^554 5.7.1 .*Access denied", "refused at the end")
        for command in ("DATA", chunk(b"y\r\n", True)):
            tap.equal(d.ask(command), "503 5.5.1 Error: need RCPT command", "nothing is left over")
        d.ask("MAIL FROM:<alice@example.test>")
        d.ask("RCPT TO:<bob@example.test>")
        tap.like(d.ask(chunk(b"x\r\n", True)), "^554 5.7.1 .*Access denied", "it is asked again")
    the_mail.wait_for_log(r"reject: END-OF-MESSAGE from .* to=<bob@example\.test>")
    with dialogue(data_port) as d:
        tap.like(d.ask(chunk(b"x\r\n")), "^554 5.7.1 .*Access denied", "refused at the first chunk")
        tap.equal(d.ask(chunk(b"y\r\n", True)), "551 5.0.0 Discarded 3 bytes after earlier error",
                  "the rest is dropped")
    the_mail.wait_for_log(r"reject: BDAT from .*Access denied; from=<alice@example\.test> "
                          r"to=<bob@example\.test> ")


def test_sizes():
    """hostile-input row 12, and more than fits."""
    with dialogue() as d:
        d.send(b"BDAT 190000 LAST\r\nSubject: long\r\n\r\n" + b"y" * (190000 - 17))
        tap.like("\n".join(d.reply()), "^250 ", "a line of 190,000 bytes")
    tap.equal(contents("long").replace(b"\n", b"").count(b"y"), 190000 - 17, "comes whole")
    with dialogue() as d:
        tap.like(d.ask(chunk(b"a" * 150000)), "^250 ", "a chunk that fits")
        tap.equal(d.ask(chunk(b"b" * 60000)), "552 5.3.4 Chunk exceeds message size limit", "one too many")
        tap.equal(d.ask(chunk(b"c", True)), "551 5.0.0 Discarded 1 bytes after earlier error", "the rest")
        tap.equal(d.ask("DATA"), "503 5.5.1 Error: need RCPT command", "LAST ends it")
    with dialogue() as d:
        d.send(b"BDAT 9223372036854775807\r\nabc")
        tap.equal(d.rest(), ["552 5.3.4 Chunk exceeds message size limit"], "far too much")
    the_mail.wait_for_log("warning: [0-9A-F]+: too much BDAT content -- disabling further input from")
    with dialogue() as d:
        for _ in range(3):
            d.send(chunk(b"x" * 150000))
        d.send(b"MAIL FROM:<evil@example.net>\r\n")
        tap.equal([line[:9] for line in d.rest()], ["250 2.0.0", "552 5.3.4", "551 5.0.0"],
                  "who goes on and on is left")


def test_bare_newlines():
    with dialogue() as d:
        d.ask(chunk(b"Subject: bare chunk\r\n\r\na\n.\n\r\n.\r\nb\n", True))
    tap.equal(contents("bare chunk"), b"a\n.\n\n.\nb\n", "bare LF in chunks hides nothing")
    with dialogue(reject_port) as d:
        tap.equal(d.ask(chunk(b"a\nb\r\n")), "550 5.5.2 mail.example.test Error: bare <LF> received",
                  "reject: a chunk with bare LF")
        tap.equal(d.ask(chunk(b"x", True)), "551 5.0.0 Discarded 1 bytes after earlier error", "the rest")
        tap.like(d.ask("QUIT"), "^221 ", "the session goes on")
    the_mail.wait_for_log("reject: BDAT content from .*: bare <LF> received; from=<alice@example.test> "
                          "to=<bob@example.test> proto=ESMTP helo=<client.example.net>$")


def test_starttls():
    """hostile-input row 17."""
    with dialogue() as d:
        d.ask(chunk(b"Subject: mixed\r\n\r\n"))
        tap.equal(d.ask("STARTTLS"), "220 2.0.0 Ready to start TLS", "STARTTLS between chunks")
        d.tls(the_mail.tls())
        d.ask("EHLO x")
        tap.like(d.ask(chunk(b"x", True)), "^503 5.5.1 Error: need RCPT", "drops the message")
    with dialogue(steps=ENVELOPE[:1]) as d:
        d.ask("STARTTLS")
        d.tls(the_mail.tls())
        for step in ENVELOPE:
            d.ask(step)
        d.send(b"BDAT 100 LAST\r\nabc")
        try:
            plain = d.sock.unwrap()
            plain.sendall(b"x" * 97 + b"QUIT\r\n")
            clear = plain.recv(1000)
        except OSError:
            clear = b""
        tap.ok(not clear.startswith(b"2"), "what comes in clear behind TLS's end is not taken", clear)
    the_mail.wait_for_log(r"[0-9A-F]+: lost connection after BDAT \(3 bytes\) from localhost")


def test_gone():
    d = dialogue()
    d.ask(chunk(b"12345"))
    d.send(b"BDAT 10\r\nabc")
    d.close()
    the_mail.wait_for_log(r"[0-9A-F]+: lost connection after BDAT \(8 bytes\) from localhost")
    with dialogue(slow_port) as d:
        d.send(b"BDAT 10\r\nabc")
        tap.equal(d.rest(), ["421 4.4.2 mail.example.test Error: timeout exceeded"], "too slow a chunk")
    the_mail.wait_for_log(r"[0-9A-F]+: timeout after BDAT \(3 bytes\) from localhost")
    tap.equal(os.listdir(the_mail.path("spool/incoming")), [], "nothing of it is left")


def test_hidden():
    with dialogue(hidden_port) as d:
        tap.unlike(d.ask("EHLO x"), "CHUNKING|ETRN", "keywords are hidden")
        tap.equal(d.ask("BDAT 5"), "521 5.5.1 Error: command not implemented", "and BDAT is not taken")
        tap.equal(d.rest(), [], "nor what follows")
    the_mail.wait_for_log("smtpd.*: discarding EHLO keywords: ETRN, CHUNKING$")
    with dialogue(maps_port) as d:
        answer = d.ask("EHLO x")
        tap.unlike(answer, "8BITMIME", "the client's address decides")
        tap.like(answer, "CHUNKING", "instead of the list")
    with Dialogue(broken_port) as d:
        tap.equal(d.ask("EHLO x"), "421 4.3.0 mail.example.test Server local data error",
                  "a table that fails")
    the_mail.wait_for_log(r"warning: don't know what EHLO features to announce to localhost")


def service(port, **options):
    lines = [f"127.0.0.1:{port} inet n - n - - smtpd"]
    lines += [f"  -o {{ {name} = {value} }}" for name, value in options.items()]
    return "\n".join(lines) + "\n"


(refuse_port, data_port, reject_port, slow_port, hidden_port, maps_port,
 broken_port) = instance.free_ports(7)
MASTER = (
    service(refuse_port, smtpd_end_of_data_restrictions="reject")
    + service(data_port, smtpd_data_restrictions="reject")
    + service(reject_port, smtpd_forbid_bare_newline="reject")
    + service(slow_port, smtpd_timeout="1s")
    + service(hidden_port, smtpd_discard_ehlo_keywords="chunking, etrn bogus")
    + service(maps_port, smtpd_discard_ehlo_keywords="chunking",
              smtpd_discard_ehlo_keyword_address_maps="static:{8bitmime silent-discard}")
    + service(broken_port, smtpd_discard_ehlo_keyword_address_maps="fail:x"))
with instance.Instance(main=MAIN, master=MASTER) as the_mail:
    tap.run(test_chunks, test_tiny_chunks, test_counts, test_states, test_sizes, test_bare_newlines,
            test_starttls, test_gone, test_hidden)
