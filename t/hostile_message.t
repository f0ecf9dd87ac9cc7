#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Messages made to hurt who parses them: they are kept as they are or refused, as by Postfix 3.11,
and whoever comes next is served."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from hostile import Hostile  # noqa: E402

TAKEN, NESTED = "^250 2.0.0 Ok: queued as ", "^550 5.6.0 MIME nesting exceeds safety limit$"
# Every parser of content is at work.
MAIN = {
    "message_size_limit": "40000000", "virtual_mailbox_limit": "0",
    "header_checks": "regexp:{{/^X-Never: no/ REJECT}}", "body_checks": "regexp:{{/^never a line/ REJECT}}",
    "mime_header_checks": "regexp:{{/^X-Never: no/ REJECT}}",
    "nested_header_checks": "regexp:{{/^X-Never: no/ REJECT}}",
    "local_header_rewrite_clients": "static:all", "masquerade_domains": "example.test",
    "always_add_missing_headers": "yes", "virtual_alias_maps": "inline:{x@example.test=bob@example.test}",
}
HEAD = b"From: alice@example.test\r\nSubject: %s\r\n"


def multiparts(depth):
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i)
                    for i in range(depth))


def addresses(count):
    return b"To: " + b",\r\n ".join(b"u%d@example.net" % i for i in range(count)) + b"\r\n"


# Name: headers and body behind HEAD, the answer, and what the message has to have in it.
MESSAGES = {
    "100 k nested multiparts": (multiparts(100000), NESTED, None),
    "100 k nested message/rfc822": (b"Content-Type: message/rfc822\r\n\r\n" * 100000 + b"x\r\n", TAKEN,
                                    b"\nContent-Type: message/rfc822\n\nx\n"),
    "10^6 empty parts with the same boundary": (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\n" * 1000000 + b"--a--\r\n",
        TAKEN, b"\n--a\n\n--a--\n"),
    "a boundary that is a prefix of the inner boundary": (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\n\r\nX-Never: no\r\n--x\r\n\r\nout\r\n"
        b"--xx--\r\n--x--\r\n", TAKEN, b"\n--xx\n\nX-Never: no\n--x\n\nout\n--xx--\n--x--\n"),
    "message/rfc822 with a size that is its own": (
        b"Content-Type: message/rfc822\r\nContent-Length: 99999999\r\nLines: -1\r\n\r\n"
        b"Content-Type: message/rfc822\r\nContent-Length: -1\r\n\r\nSubject: in\r\n\r\nx\r\n",
        TAKEN, b"\nSubject: in\n\nx\n"),
    "a header name of 1 MB": (b"X" * (1 << 20) + b": y\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "a header of 1 MB without colon": (b"X" * (1 << 20) + b"\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "a header of 1 MB in folded lines": (b"X-Long: y\r\n" + b" z\r\n" * (1 << 18) + b"\r\nx\r\n",
                                         TAKEN, b"\n\nx\n"),
    "10^5 addresses": (addresses(100000) + b"\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "10^5 nested comments": (b"To: " + b"(" * 100000 + b"\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "10^5 nested comments, folded": (b"To: " + b"((((\r\n " * 25000 + b"a@b.c\r\n\r\nx\r\n",
                                     TAKEN, b"\n\nx\n"),
    "a comment ending with backslash at the end": (b"To: bob@example.test (x\\\r\n\r\nx\r\n",
                                                   TAKEN, b"\n\nx\n"),
    "a message that ends in a comment ending with backslash": (b"To: (x\\", TAKEN, b"To: "),
    "group syntax in From": (b"From: <a@evil.example>:<b@good.example>;\r\n\r\nx\r\n", TAKEN,
                             b"\n\nx\n"),
    "two From headers": (b"From: b@example.test\r\n\r\nx\r\n", TAKEN, b"\nFrom: b@example.test\n"),
    "From with NUL": (b"From: a\0b <c@example.net>\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "From in an encoded word with <": (b"From: =?utf-8?q?=3Ca@b.c=3E?= <d@example.net>\r\n\r\nx\r\n",
                                       TAKEN, b"\nFrom: =?utf-8?q?=3Ca@b.c=3E?= <d@example.net>\n"),
    "10^5 RFC 2231 parameters out of order": (
        b"Content-Type: text/plain" + b"".join(b";\r\n n*%d*=x" % i for i in range(99999, -1, -1))
        + b"\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "an RFC 2047 word with a charset of 10 KB": (b"X-W: =?" + b"c" * 10240 + b"?b?eA==?=\r\n\r\nx\r\n",
                                                 TAKEN, b"\nX-W: =?" + b"c" * 10240 + b"?b?eA==?=\n"),
    "invalid UTF-8, and UTF-8 cut at the end": (b"X-U: \xff\xc0\x80\xed\xa0\x80\r\n\r\nx \xe2\x82",
                                                TAKEN, b"\nX-U: \xff\xc0\x80\xed\xa0\x80\n"),
    "base64 of odd length": (b"Content-Transfer-Encoding: base64\r\n\r\nQUJ\r\nQ\r\n=", TAKEN,
                             b"\n\nQUJ\nQ\n=\n"),
    "quoted-printable with = at the end": (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nx=", TAKEN, b"\n\nx=\n"),
    "uuencode and yEnc garbage": (b"\r\nbegin 644 x\r\nM\xff\x00\r\n=ybegin line=-1 size=99999999999\r\n",
                                  TAKEN, b"\n\nbegin 644 x\nM\xff\x00\n=ybegin line=-1"),
    "a Content-Type with 10^4 parameters": (
        b"Content-Type: multipart/mixed" + b"".join(b";\r\n p%d=\"v\"" % i for i in range(10000))
        + b"; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n", TAKEN, b"\nx\n--a--\n"),
    "a file name with RTL, ../ and NUL": (
        b"Content-Disposition: attachment; filename=\"../\xe2\x80\xae\0../x\"\r\n\r\nx\r\n", TAKEN,
        b"filename=\"../\xe2\x80\xae"),
    "a Date of year 10^9, time zone +9999": (
        b"Date: Fri, 1 Jan 1000000000 00:00:00 +9999\r\n\r\nx\r\n", TAKEN,
        b"\nDate: Fri, 1 Jan 1000000000 00:00:00 +9999\n"),
    "empty From and To": (b"From:\r\nTo:\r\nCc: ,,\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
    "a Message-ID of 100 KB": (b"Message-Id: <" + b"m" * 102400 + b"@x>\r\n\r\nx\r\n", TAKEN, b"\n\nx\n"),
}


def test_of(name, rest, answer, inside):
    def test(h):
        mark = name.encode()
        content = HEAD % mark + rest
        if name == "a message that ends in a comment ending with backslash":
            content = b"Subject: " + mark + b"\r\n" + rest
        tap.like(h.message(content, 300), answer, f"{name}: the answer")
        if inside is not None:
            tap.ok(inside in h.arrived(b"Subject: %s\n" % mark), f"{name}: it arrives as it was")
    test.__name__ = name
    return test


def separators(h):
    tap.like(h.message(b"From x\r\n" * 100000 + b"Subject: flood\r\n\r\nx\r\n"), TAKEN,
             "a flood of From_ lines at the start: the answer")
    tap.ok(b"\nX-Mailbox-Line: From x\n" in h.arrived(b"\nSubject: flood\n"),
           "a flood of From_ lines at the start: they become headers")


def blank(h):
    tap.like(h.message(b" x\r\n\ty\r\nSubject: not one\r\n\r\nz\r\n"), TAKEN, "a blank first: the answer")
    got = h.arrived(b"\nSubject: not one\n")
    tap.ok(b"\n\n x\n\ty\nSubject: not one\n\nz\n" in got, "a blank first: it is all body")


with instance.Instance(main=MAIN) as the_mail:
    the_hostile = Hostile(the_mail)
    only = sys.argv[1:]
    for case, (text, want, part) in MESSAGES.items():
        if not only or case in only:
            the_hostile.row(case, test_of(case, text, want, part))
    if not only:
        the_hostile.row("a flood of From_ lines at the start", separators)
        the_hostile.row("a leading blank before the first header", blank)
tap.done()
