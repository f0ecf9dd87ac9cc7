#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who the client is and what it may do, beside a real Postfix: limits, XCLIENT, XFORWARD, haproxy."""

import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_postfix  # noqa: E402
import side_by_side  # noqa: E402
import tap  # noqa: E402
from side_by_side import KEEP, RAW  # noqa: E402

HELLO = "EHLO client.example.net"
MAIL = "MAIL FROM:<sender@example.net>"
RCPT = "RCPT TO:<bob@example.test>"
DATA = ["DATA", "Subject: x\r\n\r\nx\r\n."]
RELAY = "RCPT TO:<x@example.org>"

LIMITS = {
    "smtpd_client_message_rate_limit": "2", "smtpd_client_recipient_rate_limit": "3",
    "smtpd_client_auth_rate_limit": "1", "smtpd_client_event_limit_exceptions": "",
}
LIMIT_CASES = {
    "messages": [["MAIL", "MAIL FROM", HELLO, MAIL, "RSET", MAIL + " FOO", "MAIL FROM:<x", MAIL,
                  RCPT, MAIL + " FOO", "QUIT"], [HELLO, MAIL, "QUIT"]],
    "AUTH": [[HELLO, "AUTH", "AUTH PLAIN", "AUTH FOO", "NOOP", "QUIT"], [HELLO, "AUTH PLAIN", "QUIT"]],
}
RECIPIENTS = {
    "smtpd_client_recipient_rate_limit": "3", "smtpd_client_event_limit_exceptions": "",
}
RECIPIENT_CASES = {
    "recipients": [[HELLO, RCPT, MAIL, RCPT, "RCPT", RCPT + " FOO", RELAY, RCPT, "RCPT TO:<x",
                    *DATA, "QUIT"], [HELLO, MAIL, RCPT, "QUIT"]],
}
EXEMPT = {
    "smtpd_client_message_rate_limit": "1", "smtpd_client_connection_rate_limit": "1",
    "smtpd_client_connection_count_limit": "1", "smtpd_client_auth_rate_limit": "1",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
}
EXEMPT_CASES = {
    "exempt": [[HELLO, KEEP], [HELLO, MAIL, "RSET", MAIL, "RSET", "AUTH", "AUTH", "QUIT"]],
}
COUNT = {
    "smtpd_client_connection_count_limit": "2", "smtpd_client_event_limit_exceptions": "",
}
COUNT_CASES = {
    "connections": [[HELLO, KEEP], [HELLO, KEEP], [KEEP], [HELLO], ["NOOP", "NOOP"]],
}

PROXIES = {
    "smtpd_authorized_xclient_hosts": "127.0.0.1 192.0.2.30",
    "smtpd_authorized_xforward_hosts": "127.0.0.1", "smtpd_client_event_limit_exceptions": "",
    "smtpd_hard_error_limit": "100", "smtpd_junk_command_limit": "100",
}
ALL = ("NAME=spike.example.org ADDR=192.0.2.7 PORT=1234 HELO=h.example PROTO=SMTP "
       "REVERSE_NAME=rev.example LOGIN=joe DESTADDR=192.0.2.99 DESTPORT=587")
NONE = " ".join(f"{a}=[UNAVAILABLE]" for a in
                "NAME ADDR PORT HELO REVERSE_NAME LOGIN DESTADDR DESTPORT".split())
FORWARD = ("NAME=spike.example.org ADDR=192.0.2.7 PORT=1234 PROTO=ESMTP HELO=h.example "
           "SOURCE=REMOTE IDENT=ABCDEF")
FORWARD_NONE = " ".join(f"{a}=[UNAVAILABLE]" for a in "NAME ADDR PORT PROTO HELO SOURCE IDENT".split())
PROXY_CASES = {
    "XCLIENT": [[HELLO, "XCLIENT " + ALL, RCPT, MAIL, RCPT, RELAY, *DATA, "QUIT"]],
    "XCLIENT of nothing": [[HELLO, "XCLIENT " + NONE + " PROTO=ESMTP", MAIL, RELAY, "QUIT"],
                           ["XCLIENT name=[unavailable]", MAIL, RELAY, "QUIT"]],
    "XCLIENT unsure": [["XCLIENT NAME=[TEMPUNAVAIL] REVERSE_NAME=[tempunavail]", MAIL, RELAY,
                        "QUIT"], ["XCLIENT ADDR=[TEMPUNAVAIL]", "XCLIENT HELO=[TEMPUNAVAIL]",
                                  MAIL, RELAY, "QUIT"]],
    "XCLIENT syntax": [["XCLIENT", "XCLIENT FOO=bar", "XCLIENT NAME", "XCLIENT NAME=",
                        "XCLIENT NAME=a=b", "XCLIENT NAME=a+20b", "XCLIENT NAME=-foo",
                        "XCLIENT NAME=a..b", "XCLIENT NAME=[192.0.2.4]", "XCLIENT NAME=foo+zz",
                        "XCLIENT ADDR=bad", "XCLIENT ADDR=2001:db8::1", "XCLIENT ADDR=IPV6:192.0.2.4",
                        "XCLIENT PORT=abc", "XCLIENT PROTO=FOO", "XCLIENT PROTO=[UNAVAILABLE]",
                        "XCLIENT DESTADDR=foo", "XCLIENT LOGIN=", "XCLIENT SOURCE=LOCAL",
                        MAIL, RELAY, "QUIT"]],
    "XCLIENT in a transaction": [[MAIL, "XCLIENT NAME=a.example", "XCLIENT", "RSET",
                                  "XCLIENT NAME=a.example", MAIL, RELAY, "QUIT"]],
    "XCLIENT gives its right away": [["XCLIENT ADDR=192.0.2.7", "XCLIENT ADDR=192.0.2.8", "XCLIENT",
                                      HELLO, "XFORWARD NAME=a.example", MAIL, RELAY, "QUIT"]],
    "XCLIENT keeps its right": [["XCLIENT ADDR=192.0.2.30", "XCLIENT ADDR=IPV6:2001:DB8::0001",
                                 MAIL, RELAY, "QUIT"],
                                ["XCLIENT ADDR=IPV6:::ffff:192.0.2.7", MAIL, RELAY, "QUIT"]],
    "XCLIENT HELO": [["XCLIENT HELO=a+20<b>", MAIL, RELAY, "RSET", "HELO y",
                      "XCLIENT HELO=zzz PROTO=ESMTP", MAIL, RELAY, "RSET", HELLO,
                      "XCLIENT NAME=a.example", MAIL, RELAY, "QUIT"]],
    "XCLIENT LOGIN": [["XCLIENT LOGIN=a+20b+3C", MAIL, RCPT, RELAY, "RSET",
                       "XCLIENT LOGIN=[UNAVAILABLE]", MAIL, RCPT, "RSET", "XCLIENT LOGIN=c",
                       "XCLIENT NAME=a.example", MAIL, RCPT, "QUIT"]],
    "XCLIENT as a trusted client": [["XCLIENT ADDR=192.0.2.70", MAIL, "RCPT TO:<bob>", "QUIT"]],
    "XCLIENT lost": [["XCLIENT NAME=a.example ADDR=192.0.2.7"], ["XCLIENT NAME=b.example", "FOO"]],
    "XFORWARD": [[HELLO, "XFORWARD " + FORWARD, MAIL, RCPT, *DATA, MAIL, RCPT, "QUIT"]],
    "XFORWARD of nothing": [[HELLO, "XFORWARD " + FORWARD_NONE, MAIL, RCPT, "QUIT"]],
    "XFORWARD in parts": [["XFORWARD NAME=a.example", MAIL, RCPT, "QUIT"],
                          ["XFORWARD ADDR=192.0.2.4", MAIL, RCPT, "QUIT"],
                          ["XFORWARD PORT=77", MAIL, RCPT, "QUIT"],
                          ["XFORWARD HELO=a", MAIL, RCPT, "QUIT"],
                          ["XFORWARD PROTO=ESMTP", MAIL, RCPT, "QUIT"],
                          ["XFORWARD SOURCE=LOCAL", MAIL, RCPT, "QUIT"],
                          ["XFORWARD IDENT=OTHER", MAIL, RCPT, "QUIT"],
                          ["XFORWARD NAME=a.example", "XFORWARD ADDR=IPV6:2001:db8::1",
                           "XFORWARD IDENT=+20a", MAIL, RCPT, "QUIT"]],
    "XFORWARD syntax": [["XFORWARD", "XFORWARD FOO=bar", "XFORWARD NAME", "XFORWARD NAME=",
                         "XFORWARD ADDR=bad", "XFORWARD ADDR=2001:db8::3", "XFORWARD PORT=bad",
                         "XFORWARD SOURCE=foo", "XFORWARD NAME=-bad-", "XFORWARD NAME=a+20b",
                         "XFORWARD NAME=[TEMPUNAVAIL]", "XFORWARD LOGIN=x", "QUIT"]],
    "XFORWARD is forgotten": [[HELLO, "XFORWARD " + FORWARD, HELLO, MAIL, RCPT, "QUIT"],
                              [HELLO, "XFORWARD " + FORWARD, "RSET", MAIL, RCPT, "RSET", MAIL, RCPT,
                               "QUIT"],
                              [HELLO, MAIL, "XFORWARD " + FORWARD, RCPT, "QUIT"]],
}
PORTS_CASES = {
    "ports": [[HELLO, "XFORWARD " + FORWARD, MAIL, RCPT, "QUIT"],
              ["XCLIENT NAME=x.example ADDR=192.0.2.7 PORT=88", MAIL, RCPT, RELAY, "QUIT"],
              [HELLO, "XFORWARD NAME=a.example", MAIL, RCPT, "QUIT"]],
}
NOBODY_CASES = {
    "nobody may": [[HELLO, "XCLIENT NAME=a.example", "XCLIENT", "XFORWARD NAME=a.example", "XFORWARD",
                    MAIL, "XCLIENT NAME=a.example", "XFORWARD NAME=a.example", "QUIT"]],
}
XCLIENT_LIMITS = {
    "smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_client_event_limit_exceptions": "",
    "smtpd_client_connection_rate_limit": "1", "smtpd_client_message_rate_limit": "1",
}
XCLIENT_LIMIT_CASES = {
    "limits of XCLIENT's client": [
        ["XCLIENT ADDR=192.0.2.7", MAIL, "RSET", MAIL, "QUIT"], ["XCLIENT ADDR=192.0.2.7", "NOOP"],
        ["XCLIENT ADDR=192.0.2.8", MAIL, "QUIT"], [MAIL, "RSET", MAIL, "RSET", MAIL, "QUIT"]],
}
XCLIENT_DENIED = {
    "smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_delay_reject": "no",
    "smtpd_client_restrictions": "check_client_access inline:{a.example=REJECT}",
}
XCLIENT_DENIED_CASES = {
    "a client that is refused": [["XCLIENT NAME=a.example", "NOOP", HELLO, "QUIT"],
                                 ["XCLIENT NAME=b.example", HELLO, MAIL, "QUIT"]],
}

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
A4 = bytes([192, 0, 2, 9, 192, 0, 2, 10]) + struct.pack("!HH", 1234, 25)
NET6 = b"\x20\x01\x0d\xb8" + b"\0" * 11
A6 = NET6 + b"\1" + NET6 + b"\2" + struct.pack("!HH", 1234, 25)


def v2(command, family, body, version=2):
    return (SIGNATURE + bytes([version << 4 | command, family]) + struct.pack("!H", len(body))
            + body)


V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 1111 25\r\n"
HEADERS = {
    "v1": V1, "v1 IPv6": b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n",
    "v1 LF": b"PROXY TCP4 192.0.2.7 192.0.2.8 1 25\n",
    "v1 blanks": b"PROXY  TCP4  192.0.2.7 192.0.2.8 1 25\r\n",
    "v1 more words": b"PROXY TCP4 192.0.2.7 192.0.2.8 1 25 more\r\n",
    "v1 port 0": b"PROXY TCP4 192.0.2.7 192.0.2.8 0 25\r\n",
    "v1 mapped": b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 1 25\r\n",
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n", "v1 UNKNOWN 2": b"PROXY UNKNOWN 1 2 3 4\r\n",
    "v1 TCP5": b"PROXY TCP5 192.0.2.7 192.0.2.8 1 25\r\n",
    "v1 families": b"PROXY TCP6 192.0.2.7 192.0.2.8 1 25\r\n",
    "v1 no address": b"PROXY TCP4 192.0.2.777 192.0.2.8 1 25\r\n",
    "v1 no port": b"PROXY TCP4 192.0.2.7 192.0.2.8 1111\r\n",
    "v1 big port": b"PROXY TCP4 192.0.2.7 192.0.2.8 99999 25\r\n",
    "v1 port 01": b"PROXY TCP4 192.0.2.7 192.0.2.8 01 25\r\n",
    "v1 nothing": b"PROXY\r\n", "no proxy": b"EHLO x\r\n", "v1 long": b"P" * 300 + b"\r\n",
    "v1 NUL": b"PROXY TCP4 192.0.2.7 19\0 1 25\r\n",
    "v2": v2(1, 0x11, A4), "v2 IPv6": v2(1, 0x21, A6), "v2 LOCAL": v2(0, 0, b""),
    "v2 LOCAL with an address": v2(0, 0x11, A4), "v2 TLV": v2(1, 0x11, A4 + b"\3\0\4abcd"),
    "v2 UDP": v2(1, 0x12, A4), "v2 UNIX": v2(1, 0x31, b"\0" * 216),
    "v2 command": v2(2, 0x11, A4), "v2 short address": v2(1, 0x11, A4[:11]),
    "v2 unspecified": v2(1, 0, b""), "v2 version": v2(1, 0x11, A4, 1),
    "v2 all zeroes": v2(1, 0x11, b"\0" * 12), "v2 huge": v2(1, 0x11, A4 + b"x" * 40000),
}
HAPROXY_CASES = {f"haproxy {name}": [[RAW, header]] for name, header in HEADERS.items()}
HAPROXY_CASES["haproxy and a session"] = [
    [RAW, V1, HELLO, MAIL, RELAY, RCPT, *DATA, "QUIT"],
    [RAW, v2(1, 0x21, A6), HELLO, MAIL, RELAY, "QUIT"]]
HAPROXY_CASES["haproxy limits"] = [[RAW, V1.replace(b".7 ", b".77 "), KEEP]] * 2 + [
    [RAW, V1.replace(b".7 ", b".77 ")], [RAW, V1.replace(b".7 ", b".78 "), "QUIT"]]

peer_postfix.find()
ONLY = sys.argv[1:]
for main, cases in (
        (LIMITS, LIMIT_CASES), (RECIPIENTS, RECIPIENT_CASES), (EXEMPT, EXEMPT_CASES),
        (COUNT, COUNT_CASES), (PROXIES, PROXY_CASES),
        ({**PROXIES, "smtpd_client_port_logging": "yes"}, PORTS_CASES), ({}, NOBODY_CASES),
        (XCLIENT_LIMITS, XCLIENT_LIMIT_CASES), (XCLIENT_DENIED, XCLIENT_DENIED_CASES),
        ({"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_upstream_proxy_timeout": "2s",
          "smtpd_client_connection_count_limit": "2"}, HAPROXY_CASES)):
    side_by_side.run(main, cases, ONLY)
tap.done()
