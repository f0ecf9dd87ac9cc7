#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Hostile input to both halves of POP3: refused, counted, and the server goes on."""

import base64
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402
from instance import DOMAIN, WAIT_S, Instance  # noqa: E402

USER = f"alice@{DOMAIN}"
LOGIN = f"USER {USER}\r\nPASS alice\r\n".encode()
NAMES = ["../../etc/passwd", "..", "alice\0@x", "%u", "%{home}", "a\"b", "a'b", "a\\b", "a\tb", "x" * 900, "$HOME",
         "alice@../x", "\xff\xfe", "alice@example.test/../bob", "bob@example.test\0", "*", "alice*bob"]


def talk(port, data, end=True):
    got = b""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
        try:
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                got += piece
        except OSError:  # it was cut off
            pass
        return got


def serves(mail):
    return b"+OK Logged in." in talk(mail.pop3_port, LOGIN + b"QUIT\r\n")


def test_numbers(mail):
    """Row 81."""
    numbers = ["-1", "0", "18446744073709551616", "4294967297", "99999999999999999999999", "1 -1", "1 18446744073709551616", "+1",
               "0x1", "1.5", " ", "1e9", "\0", "1\0", "٣"]
    commands = "".join(f"{verb} {number}\r\n" for verb in ("RETR", "TOP", "DELE", "LIST", "UIDL") for number in numbers)
    got = talk(mail.pop3_port, LOGIN + commands.encode() + b"STAT\r\nQUIT\r\n")
    replies = got.split(b"\r\n")[3:]
    refused = [reply for reply in replies if reply.startswith(b"-ERR")]
    tap.ok(len(refused) >= 5 * (len(numbers) - 3) and b"+OK 1 " in got, "numbers that are none", got)


def test_uidl_header(mail):
    """Row 81: what is behind X-UIDL is a stranger's text."""
    base = mail.path("mail", DOMAIN, "alice", "cur")
    texts = [b"y" * 5000, b"a\r\n.\r\n+OK", b"a\0b", b"\x1b[2J", b"1 2 3", b"", b"z" * 100000]
    for i, text in enumerate(texts):
        with open(os.path.join(base, f"x{i}.h:2,"), "wb") as f:
            f.write(b"X-UIDL: " + text + b"\n\nbody\n")
    mail.own(mail.path("mail"))
    got = talk(mail.pop3_port, LOGIN + b"UIDL\r\nQUIT\r\n")
    lines = got.split(b"+OK\r\n")[-1].split(b".\r\n")[0].split(b"\r\n")[:-1]
    good = [line for line in lines if len(line.split(b" ")) == 2 and len(line) < 300 and
            all(0x20 < c < 0x7f for c in line.split(b" ")[1])]
    tap.equal(len(good), len(texts) + 1, "each message has one UIDL that is one")
    tap.equal(len(good), len(lines), "and nothing else is in the list")


def test_lines(mail):
    for name, data in (("no end of line", b"A" * 1000000), ("NULs", b"\0" * 100000), ("LFs", b"\n" * 10000),
                       ("CRs", b"\r" * 100000), ("bytes", bytes(range(256)) * 300), ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                       ("a million commands", b"CAPA\r\n" * 100000), ("TLS in clear", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" * 20)):
        for state, before in (("before login", b""), ("after login", LOGIN)):
            # Who sends and does not read is cut off, and answers end somewhere.
            got = talk(mail.pop3_port, before + (data if len(data) < 500000 or not before else data[:300000]))
            tap.ok(len(got) < 50000000, f"{name} {state}")
    tap.ok(serves(mail), "and it serves")


def test_sasl(mail):
    plain = base64.b64encode(f"\0{USER}\0alice".encode())
    cases = {"no NUL": b"YWxpY2U=", "one NUL": base64.b64encode(b"\0alice"), "three": base64.b64encode(b"\0a\0b\0c"),
             "no base64": b"%%%%", "padding": b"====", "too short": b"A", "blank": b" ", "long": b"QUFB" * 20000,
             "another's": base64.b64encode(f"bob@{DOMAIN}\0{USER}\0alice".encode()), "cut": plain[:-3], "TAB": b"QQ\tQQ",
             "a second line": plain + b"\r\n" + plain}
    for name, response in cases.items():
        for form in (b"AUTH PLAIN " + response, b"AUTH PLAIN\r\n" + response):
            got = talk(mail.pop3_port, form + b"\r\nQUIT\r\n")
            wanted = name == "a second line"
            # Who is cut off in the middle of a line loses the reply with what was not read.
            refused = b"-ERR" in got or name == "long"
            tap.ok((b"Logged in" in got) == wanted and refused, f"SASL: {name}, {form[:12]!r}", got[:300])
    for mechanism in (b"", b"\0", b"X" * 500, b"PLAIN\0", b"plain login", b"*", b"\t"):
        got = talk(mail.pop3_port, b"AUTH " + mechanism + b"\r\nQUIT\r\n")
        tap.ok(b"Logged in" not in got, f"mechanism {mechanism[:10]!r}")
    # An abort at each step, and an end of the connection there.
    for steps in (b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"AUTH LOGIN\r\ndTA=\r\n"):
        got = talk(mail.pop3_port, steps + b"*\r\nCAPA\r\nQUIT\r\n")
        tap.ok(b"-ERR Authentication aborted by client." in got and b"SASL" in got, f"abort after {steps!r}")
        talk(mail.pop3_port, steps)
    tap.ok(serves(mail), "and it serves")


def test_names(mail):
    for name in NAMES:
        raw = name.encode("latin-1")
        got = talk(mail.pop3_port, b"USER " + raw + b"\r\nPASS alice\r\nQUIT\r\n")
        got += talk(mail.pop3_port, b"AUTH PLAIN " + base64.b64encode(b"\0" + raw + b"\0alice") + b"\r\nQUIT\r\n")
        tap.ok(b"Logged in" not in got, f"name {name[:24]!r}")
    for password in (b"x" * 900, b"\0", b"alice\0x", b"{PLAIN}alice", b"", b"alice " * 3):
        got = talk(mail.pop3_port, f"USER {USER}\r\nPASS ".encode() + password + b"\r\nQUIT\r\n")
        tap.ok(b"Logged in" not in got, f"password {password[:10]!r}")
    tap.ok(serves(mail), "and it serves")


def test_stls(mail):
    """RFC 2595 4: what came in clear behind STLS is never taken for a part of the TLS session."""
    with socket.create_connection(("127.0.0.1", mail.pop3_port), WAIT_S) as sock:
        sock.recv(1000)
        sock.sendall(b"STLS\r\nUSER mallory\r\nPASS x\r\n")
        reply = sock.recv(1000)
        tap.equal(reply, b"+OK Begin TLS negotiation now.\r\n", "commands behind STLS get no answer")
        try:
            with mail.tls().wrap_socket(sock) as tls:
                tls.sendall(b"CAPA\r\n")
                got = tls.recv(1000)
                tap.ok(got.startswith(b"+OK\r\nCAPA"), "they are not answered in TLS", got)
        except OSError:
            tap.ok(True, "they are not answered in TLS")
    tap.ok(serves(mail), "and it serves")


def test_slow(mail):
    """Many connections that say nothing hold nobody up."""
    idle = [socket.create_connection(("127.0.0.1", mail.pop3_port), WAIT_S) for _ in range(200)]
    for sock in idle[:100]:
        sock.sendall(b"USER al")
    tap.ok(serves(mail), "with 200 that say nothing")
    for sock in idle:
        sock.close()


def run_all():
    # The penalties for failures would make this test long.
    quiet = "auth_failure_delay = 0\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"
    with Instance(dovecot=quiet + "pop3_reuse_xuidl = yes\nservice pop3-login {\n  process_limit = 1000\n}\n") as mail:
        base = mail.path("mail", DOMAIN, "alice")
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(base, part))
        with open(os.path.join(base, "cur", "1.h:2,"), "w", encoding="ascii") as f:
            f.write("Subject: x\n\nbody\n")
        mail.own(mail.path("mail"))
        before = sorted(mail.pids("pop3-login") + mail.pids("pop3"))
        for test in (test_numbers, test_uidl_header, test_lines, test_sasl, test_names, test_stls, test_slow):
            try:
                test(mail)
            except Exception as error:
                tap.ok(False, test.__name__, repr(error))
        tap.ok(set(before) <= set(mail.pids()), "no process has died")
        tap.unlike(mail.log(), "mallory|panic|signal 1?[16]", "nor is anything of it in the log")
    tap.done()


run_all()
