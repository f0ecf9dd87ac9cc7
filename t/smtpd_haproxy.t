#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""smtpd behind a proxy that speaks haproxy's PROXY protocol (hostile-input row 22 too).

What each header is answered with is compared with a real Postfix in t/peer_clients.t.
"""

import os
import socket
import ssl
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

PROXY_PORT, WRAPPER_PORT, SHORT_PORT = instance.free_ports(3)
MASTER = "".join(f"""
127.0.0.1:{port} inet n - n - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy -o smtpd_upstream_proxy_timeout={timeout}
  -o smtpd_tls_wrappermode={wrapper} -o smtpd_client_connection_count_limit=2
""" for port, wrapper, timeout in ((PROXY_PORT, "no", "60s"), (WRAPPER_PORT, "yes", "60s"),
                                   (SHORT_PORT, "no", "1s")))
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 1111 25\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = (SIGNATURE + b"\x21\x11" + struct.pack("!H", 19) + bytes([192, 0, 2, 9, 192, 0, 2, 10])
      + struct.pack("!HH", 1234, 25) + b"\3\0\4abcd")
GREETING = ["220 mail.example.test ESMTP Postfix"]
ERROR = ["421 4.3.0 mail.example.test Server local error"]


def connect(header=b"", port=PROXY_PORT):
    d = Dialogue(port, greeting=False)
    d.send(header)
    return d


def test_headers():
    for name, header, client in (("v1", V1, "192.0.2.7"), ("v2", V2, "192.0.2.9")):
        with connect(header) as d:
            tap.equal(d.reply(), GREETING, f"{name}: greeting")
            d.ask("EHLO x")
            d.ask("MAIL FROM:<alice@example.test>")
            tap.like(d.ask("RCPT TO:<x@example.org>"), "^554 5.7.1 .*Relay access denied",
                     f"{name}: it is not trusted for the proxy's sake")
            d.ask("RCPT TO:<bob@example.test>")
            d.ask("DATA")
            tap.like(d.ask(f"Subject: {name}\r\n\r\nx\r\n."), "^250 ", f"{name}: a message")
        mail = instance.wait_until(
            lambda n=name: [m for m in the_mail.mails("bob") if f"Subject: {n}\n".encode() in m],
            "mail")[0].decode()
        tap.like(mail, rf"^Received: from x \(unknown \[{client}\]\)", f"{name}: Received:")
        the_mail.wait_for_log(rf"connect from unknown\[{client}\]$")


def test_pieces():
    """Headers come in pieces, and with the client's first bytes behind them."""
    for header in (V1, V2):
        with connect() as d:
            for i in range(len(header)):
                d.send(header[i:i + 1])
                if i % 7 == 0:
                    if not d.quiet(0.01):
                        tap.ok(False, "an answer before the header is there", i)
            tap.equal(d.reply(), GREETING, "byte by byte")
        with connect(header + b"NOOP\r\n") as d:
            tap.equal(d.reply(), GREETING, "with a command behind")
            tap.equal(d.reply(), ["250 2.0.0 Ok"], "which is answered")


def test_wrapper():
    """TLS begins behind the header, which may come in one packet with it."""
    with connect(V1, WRAPPER_PORT) as d:
        d.tls(the_mail.tls())
        tap.equal(d.reply(), GREETING, "TLS")
        d.ask("QUIT")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = the_mail.tls().wrap_bio(incoming, outgoing, server_hostname="mail.example.test")
    with socket.create_connection(("127.0.0.1", WRAPPER_PORT), 60) as sock:
        first, text = V2, b""
        while not text:
            try:
                text = tls.read(1000)
            except ssl.SSLWantReadError:
                sock.sendall(first + outgoing.read())
                first = b""
                data = sock.recv(65536)
                if not data:
                    break
                incoming.write(data)
        tap.equal(text, b"220 mail.example.test ESMTP Postfix\r\n", "TLS in one packet with it")
    with Dialogue(WRAPPER_PORT, greeting=False) as d:
        try:
            d.tls(the_mail.tls())
            tap.ok(False, "TLS without a header is refused")
        except (ssl.SSLError, ConnectionError):
            tap.ok(True, "TLS without a header is refused")
    with connect(b"GET / HTTP/1.0\r\n\r\n", WRAPPER_PORT) as d:
        tap.equal(d.rest(), ERROR, "no header")


def test_hostile():
    """hostile-input row 22: untrusted, truncated, with NUL."""
    for name, header, why in (
            ("a command", b"EHLO client.example.net\r\n", "unrecognized protocol header"),
            ("a NUL", b"PROXY TCP4 192.0.2.7 19\0 1 25\r\n", "missing protocol header terminator"),
            ("an address of another family", b"PROXY TCP4 2001:db8::1 192.0.2.8 1 25\r\n",
             "bad or missing client address"),
            ("a huge length", SIGNATURE + b"\x21\x11\xff\xff", "short version 2 protocol header"),
            ("a line without end", b"PROXY " + b"x" * 3000, "missing protocol header terminator"),
            ("a short address", SIGNATURE + b"\x21\x11\0\x0b" + b"x" * 11, "short address field")):
        with connect(header) as d:
            tap.equal(d.rest(), ERROR, name)
        the_mail.wait_for_log(rf"warning: haproxy read: {why}: ")
    for name, header, why in (
            ("v1 cut", V1[:20], r"missing protocol header terminator: PROXY TCP4 192\.0\.2\.7$"),
            ("v2 cut", V2[:20], r"short version 2 protocol header: \\r\\n\\r\\n\\000"),
            ("nothing", b"", "EOF$")):
        with connect(header) as d:
            d.sock.shutdown(socket.SHUT_WR)
            tap.equal(d.rest(), ERROR, name)
        the_mail.wait_for_log(rf"warning: haproxy read: {why}")
    for header in (b"", V1[:5], V2[:14]):
        with connect(header, SHORT_PORT) as d:
            tap.equal(d.rest(), ERROR, f"{len(header)} bytes and then nothing")
    the_mail.wait_for_log("warning: haproxy read: timeout error$")


def test_limits():
    """The limits are the client's, not the proxy's."""
    kept = [connect(V1) for _ in range(2)]
    tap.equal([d.reply() for d in kept], [GREETING] * 2, "as many as may")
    with connect(V1) as d:
        tap.equal(d.rest(),
                  ["421 4.7.0 mail.example.test Error: too many connections from 192.0.2.7"],
                  "one more")
    with connect(V2) as d:
        tap.equal(d.reply(), GREETING, "another client")
    for d in kept:
        d.close()


with instance.Instance(master=MASTER, main={
        "mynetworks": "127.0.0.0/8", "smtpd_tls_security_level": "may",
        "smtpd_forbid_unauth_pipelining": "no"}) as the_mail:
    tap.run(test_headers, test_pieces, test_wrapper, test_hostile, test_limits)
tap.done()
