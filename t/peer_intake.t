#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same messages to a real Postfix and to us: replies, lines of cleanup, records of queue files.

What is compared: every record of envelope, content and extracted section but for sizes and times.
Ids, ports and dates are made the same first, and the blanks in rewritten headers, where we keep
what was there and the peer writes anew.
"""

import os
import re
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import tap                                            # noqa: E402
from whereabouts import records                       # noqa: E402

COMMON = {
    "compatibility_level": "3.6", "myhostname": "mail.example.com", "mydomain": "example.com",
    "myorigin": "mail.example.com", "mydestination": "example.test", "local_recipient_maps": "",
    "virtual_mailbox_domains": "", "virtual_alias_domains": "", "mynetworks": "127.0.0.0/8",
    "local_transport": "nothere:", "default_transport": "nothere:",
    "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_recipient_restrictions": "",
    "smtpd_peername_lookup": "yes", "notify_classes": "", "smtpd_sasl_auth_enable": "no",
    "enable_long_queue_ids": "no", "smtpd_tls_security_level": "none",
}
DATE = r"\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4} \(\w+\)"


def same(text, ident):
    """TEXT without what differs from one message to the next."""
    text = text.replace(ident, "ID")
    text = re.sub(DATE, "DATE", text)
    text = re.sub(r"<\d{14}\.", "<STAMP.", text)
    return re.sub(r"(client_port|server_port)=\d+", r"\1=PORT", text)


def whole(lines):
    """Lines without regard to where they were cut."""
    begun, found = "", []
    for kind, text in lines:
        begun += text
        if kind == "N":
            found.append(("N", begun))
            begun = ""
    return found


def plain(lines):
    """Content lines: headers unfolded, their blanks as one, then the body as it is."""
    header, body = [], []
    for kind, text in whole(lines):
        if body or (kind == "N" and text == ""):
            body.append((kind, text))
        elif text[:1] in (" ", "\t") and header:
            header[-1] += " " + text.strip()
        else:
            header.append(text)
    header = [re.sub(r"\s*\(", " (", re.sub(r"\s+", " ", line)).strip() for line in header]
    return header + body


def parts(data, ident):
    """(envelope without order, recipients, content, extracted) of a queue file."""
    envelope, recipients, content, extracted = [], [], [], []
    where = envelope
    for kind, text in records(data):
        kind, text = kind.decode("latin-1"), same(text.decode("latin-1"), ident)
        kind = "R" if kind == "D" else kind
        if kind == "M":
            where = content
        elif kind == "X":
            where = extracted
        elif (kind in "CTpE" or text.startswith(("create_time=", "postcote_", "message_id="))
              and kind == "A"):
            pass
        elif where is envelope and (kind in "OR" or text.startswith(("dsn_orig_rcpt=",
                                                                     "notify_flags="))):
            recipients.append((kind, text))
        elif kind != "w":
            where.append((kind, text))
    return {"envelope": sorted(envelope), "recipients": recipients, "content": plain(content),
            "extracted": extracted}


class Side:
    """One of the two, and what it is called."""

    def __init__(self, name, server, port):
        self.name, self.server, self.port = name, server, port
        self.logged = 0

    def find(self, ident):
        for folder, _, files in os.walk(self.server.path("spool")):
            if ident in files and not re.search("spool/(defer|bounce|trace)(/|$)", folder):
                return os.path.join(folder, ident)
        return None

    def take(self, ident):
        path = instance.wait_until(lambda: self.find(ident), f"{self.name}: {ident} in the spool")
        while True:
            try:
                with open(path, "rb") as f:
                    return parts(f.read(), ident)
            except FileNotFoundError:
                path = instance.wait_until(lambda: self.find(ident), f"{ident} moved")

    def lines(self, ident):
        """cleanup's lines about the message, and those without an id, since the last time."""
        text = self.server.log()[self.logged:]
        self.logged += len(text)
        found = []
        for line in re.findall(r"/cleanup\[\d+\]: (.*)", text):
            line = re.sub(r"^(warning: )?[0-9A-F]{6,}: ", r"\1ID: ", line)
            line = same(line, ident or "none")
            line = re.sub(r"by mail.example.com \(Postfix\) with ESMTP id [0-9A-F]+", "by US", line)
            if not re.search(r"^warning: .* lookup error for|^warning: mail_stream_cleanup|"
                             r"ID: removed \((canceled|discarded)\)$", line):  # of 3.10 and later
                found.append(re.sub(r"[0-9A-F]{10,}", "ID", line)[:1000])
            # What the peer goes on to look at in a message that it has refused is not said here.
            if line.startswith("ID: reject:"):
                break
        return found

    def send(self, message):
        sender, rcpts, text, options = message
        smtp = smtplib.SMTP("127.0.0.1", self.port, timeout=60)
        try:
            smtp.ehlo("client.test")
            replies = [smtp.mail(sender, options)]
            replies += [smtp.rcpt(rcpt) for rcpt in rcpts]
            if smtp.docmd("DATA")[0] == 354:
                text = re.sub(rb"(?m)^\.", b"..", text).replace(b"\n", b"\r\n")
                smtp.send(text + b".\r\n")
                replies.append(smtp.getreply())
            smtp.docmd("QUIT")
        finally:
            smtp.close()
        code, said = replies[-1]
        ident = re.search(rb"queued as (\w+)", said)
        ident = ident.group(1).decode() if ident else None
        replies = [(code, same(text.decode("latin-1"), ident or "none")) for code, text in replies]
        held = not ident or b"DISCARD" in text
        return {"replies": replies, "log": None, **({} if held else self.take(ident))}, ident


def compare(name, main, messages, files=None):
    """MAIN and FILES (contents, their names as @NAME@ in MAIN) on both sides, then MESSAGES."""
    main = dict(COMMON, **main)

    def configure(path):
        values = {}
        for key, value in main.items():
            for file, text in (files or {}).items():
                with open(path(file), "w", encoding="latin-1") as f:
                    f.write(text)
                os.chmod(path(file), 0o644)
                value = value.replace(f"@{file}@", path(file))
            values[key] = value
        return values

    peer = peer_postfix.PeerPostfix({})
    values = configure(lambda n: peer.path("etc", n))
    with open(peer.path("etc/main.cf"), "a", encoding="latin-1") as f:
        f.writelines(f"{k} = {v}\n" for k, v in values.items())
    ours = instance.Instance(main=None)
    values = configure(lambda n: ours.path("etc/postfix", n))
    with open(ours.path("etc/postfix/main.cf"), "a", encoding="latin-1") as f:
        f.writelines(f"{k} = {v}\n" for k, v in values.items())
    with peer, ours:
        sides = [Side("Postfix", peer, peer.smtp_port), Side("ours", ours, ours.smtp_port)]
        for side in sides:
            side.logged = len(side.server.log())
        for label, message in messages:
            compare_one(f"{name}: {label}", sides, message)


def compare_one(label, sides, message):
    got = []
    for side in sides:
        result, ident = side.send(message)
        time.sleep(0.05)
        result["log"] = side.lines(ident)
        got.append(result)
    report = ""
    for key in sorted(set(got[0]) | set(got[1])):
        theirs, ours = got[0].get(key), got[1].get(key)
        if theirs != ours:
            report += f"{key}:\n"
            both = list(theirs or []), list(ours or [])
            report += "".join(f"  Postfix {x!r}\n" for x in both[0] if x not in both[1])
            report += "".join(f"  ours    {x!r}\n" for x in both[1] if x not in both[0])
            if sorted(map(repr, both[0])) == sorted(map(repr, both[1])):
                report += f"  another order:\n  Postfix {both[0]!r}\n  ours    {both[1]!r}\n"
    tap.ok(not report, label, report)


def mail(text, rcpts=("b@example.test",), sender="a@example.test", options=()):
    if isinstance(text, str):
        text = text.encode("latin-1")
    return (sender, rcpts, text, options)


HEADERS = {
    "a message": "From: x@y.test\nTo: z@y.test\nDate: now\nMessage-Id: <1@x>\n\nbody\n",
    "nothing missing is local": "Subject: x\n\nbody\n",
    "two ids and resent": "Message-Id: <1@x>\nResent-Message-Id: <2@x>\nResent-From: r@x.test\n\nx\n",
    "resent, all missing": "Bcc: z@x.test\nFrom : \"q\" <x@y.test>\nResent-To: r@x.test\n\nx\n",
    "only Bcc": "Bcc: z@x.test\n\nx\n",
    "incomplete addresses": "From: a b <c@d.test>, e (f (g) h)\nTo: u, v@w.test\nCc: \"a b\" <q>\n\nx\n",
    "dropped": "Return-Path: <x@y.test>\nContent-Length: 5\nResent-Bcc: q@y.test\nTo: r@y.test\n\nx\n",
    "no header": "no header here\nmore\n",
    "no separator": "Subject: t\nno colon\nX: y\n\nb\n",
    "a blank first": " x\nSubject: t\n\nb\n",
    "folded id": "Message-Id:\n <folded@x>\nMessage-Id: <second@x>\n\nx\n",
    "an empty id": "Message-ID: \n\nx\n",
    "no name": ": novalue\n\nx\n",
    "no value": "A:\nFrom:\n\nx\n",
    "no body": "A: b\n",
    "only separator": "\n",
    "separators": "From a\n>From b\nA: c\n\nFrom d\n",
    "a dot": "A: b\n\n.\n..\n.x\n",
    "a long line": "A: b\n\n" + "z" * 5000 + "\n",
    "a long line of 2048": "A: b\n\n" + "z" * 2048 + "\n" + "z" * 2047 + "\n" + "z" * 4096 + "\nx\n",
    "8 bit by its header": "Content-Transfer-Encoding: 8bit\n\n\xe4\n",
    "7 bit by its header": "content-transfer-encoding: QUOTED-printable\n\nx\n",
    "NUL in a header": "Subject: a\0b\nX: y\n\nb\n",
    "51 a long header": "X-Long: " + "z" * 300 + "\nSubject: a\n " + "b" * 300 + "\n c\nX: y\n\nx\n",
    "51 no colon but 1 MB": "x" * 1000000 + "\n\nb\n",
    "52 comments": "To: " + "(" * 50 + "\nCc: (a\\\n\nx\n",
    "53 a group": "From: <a@evil.test>:<b@good.test>;\nTo: undisclosed-recipients:;\n\nx\n",
    "54 two senders": "From: a@x.test\nFrom: \"<b@x.test>\" <c@x.test>\nFrom: =?utf-8?q?=3Cd=3E?= <d@x.test>\n\nx\n",
    "60 a date": "Date: Fri, 1 Jan 1000000000 00:00:00 +9999\n\nx\n",
    "61 empty": "From:\nTo:\nCc: ,,\nReply-To: <>\n\nx\n",
    "64 From_ flood": "From x\n" * 300 + "A: b\n\nx\n",
}


def test_headers():
    messages = [(label, mail(text)) for label, text in HEADERS.items()]
    messages += [
        ("many recipients", mail("A: b\n\n", ("b@example.test", "c", "B@example.test", "d@z.test"))),
        ("the null sender", mail("A: b\n\n", sender="")),
        ("8BITMIME", mail("A: b\n\n\xe4\n", options=["BODY=8BITMIME"])),
        ("7BIT", mail("A: b\n\n", options=["BODY=7BIT"])),
        ("a quoted sender", mail("A: b\n\n", ('"b c"@example.test',), '"a b"@example.test')),
        ("hops", mail("Received: x\n" * 60 + "\nx\n")),
        ("too big", mail("A: b\n\n" + "z\n" * 600000)),
    ]
    compare("headers", {"undisclosed_recipients_header": "To: undisclosed-recipients:;",
                        "header_size_limit": "300", "message_size_limit": "1100000"}, messages)
    compare("strangers", {"local_header_rewrite_clients": "", "virtual_alias_maps": ""}, [
        (label, mail(HEADERS[label])) for label in ("a message", "incomplete addresses", "no header",
                                                   "resent, all missing")])
    compare("strangers with a domain", {
        "local_header_rewrite_clients": "", "remote_header_rewrite_domain": "domain.invalid"}, [
            (label, mail(HEADERS[label])) for label in ("a message", "incomplete addresses")])


def test_maps():
    messages = [
        ("sender and recipient", mail("From: b@example.test\nTo: c@example.test, b+x@example.test\n\n",
                                      ("b@example.test", "c@example.test", "b-z@example.test"),
                                      "b+x@example.test")),
        ("a chain", mail("To: r1@example.test\n\n", ("r1@example.test",), "r1@example.test")),
        ("a domain", mail("To: q+e@dom.test\n\n", ("q+e@dom.test",))),
        ("masqueraded", mail("From: h@x.b.test, root@x.b.test, u@y.a.b.test\nTo: v@sub.virt.test\n\n",
                             ("h@x.b.test",), "h@x.b.test")),
        ("a circle", mail("To: l1@example.test\n\n", ("l1@example.test",))),
        ("an alias", mail("X: y\n\n", ("al@example.test", "al+e@example.test", "two@example.test"))),
        ("an alias that is a circle", mail("X: y\n\n", ("self@example.test",))),
        ("kinds", mail("From: k@example.test\nTo: k@example.test\n\n", ("k@example.test",),
                       "k@example.test")),
    ]
    tables = {
        "canonical_maps": "inline:{ {b@example.test=bb@example.test} {c@example.test=bb@example.test}"
                          " {@dom.test=@other.test} {r1@example.test=r2@example.test}"
                          " {r2@example.test=r3@example.test} {r3@example.test=r4@example.test}"
                          " {l1@example.test=l2@example.test} {l2@example.test=l1@example.test} }",
        "sender_canonical_maps": "inline:{k@example.test=from@example.test}",
        "recipient_canonical_maps": "inline:{k@example.test=to@example.test}",
        "virtual_alias_maps": "inline:{ {al@example.test=x@y.test} {self@example.test=self@example.test}"
                              " {two@example.test=x@y.test, al@example.test, z} }",
        "masquerade_domains": "!a.b.test b.test virt.test", "masquerade_exceptions": "root",
        "recipient_delimiter": "+-",
    }
    compare("maps", tables, messages)
    compare("maps, no originals", dict(tables, enable_original_recipient="no"), messages[:1])
    compare("maps, nothing propagated", dict(tables, propagate_unmatched_extensions=""),
            messages[:3] + messages[5:6])
    compare("maps, overridden", dict(tables, receive_override_options="no_address_mappings",
                                     always_bcc="x@y.test"), messages)
    compare("copies", {
        "always_bcc": "ab@example.test", "content_filter": "nothere:x",
        "sender_bcc_maps": "inline:{a@example.test=sb@example.test}",
        "recipient_bcc_maps": "inline:{b@example.test=rb@example.test, c@example.test=rb@example.test}",
    }, [("copies", mail("X: y\n\n", ("b@example.test", "b+e@example.test", "c@example.test")))])


CHECKS = r"""/^Subject: rej$/ REJECT
/^Subject: rejt/ REJECT no spam please
/^Subject: rej4/ REJECT 4.7.2 later
/^Subject: rej511/ REJECT 5.1.1 five
/^Subject: filter/ FILTER nothere:here
/^Subject: fbad/ FILTER scan
/^Subject: fnone/ FILTER
/^Subject: redir/ REDIRECT other@x.test
/^Subject: rbad/ REDIRECT other
/^Subject: bcc/ BCC bcc@x.test
/^Subject: bbad/ BCC bcc
/^Subject: hold/ HOLD because
/^Subject: DISCARD/ DISCARD nope
/^Subject: warn/ WARN hm
/^Subject: info/ INFO hm
/^Subject: pre/ PREPEND X-Pre: yes
/^Subject: badpre/ PREPEND nohdr
/^Subject: nopre/ PREPEND
/^Subject: repl/ REPLACE Subject: new
/^Subject: brepl/ REPLACE new
/^Subject: idrepl/ REPLACE Message-Id: <new@x>
/^Subject: strip/ STRIP gone
/^Subject: ign/ IGNORE gone
/^Subject: pass/ PASS ok
/^Subject: unk/ BOGUS ok
/^Subject: ok/ ok
/^Subject: dunno/ DUNNO x
/^X-Also/ WARN also
/^Subject: fold.*end/ WARN folded
/^Subject: code/ REJECT 521 5.7.1 bye
/^Subject: badd/ REJECT 2.0.0 bye
/^Received: twice/ IGNORE
"""


def test_checks():
    words = re.findall(r"Subject: (\w+)", CHECKS)
    messages = [(f"header {word}", mail(f"Subject: {word}\nX-Also: z\nMessage-Id: <m@x>\n\nbody\n",
                                        ("b@example.test", "c@example.test"))) for word in words]
    messages += [
        ("header fold", mail("Subject: fold\n\tmore \x01 text\n \xe4 end\n\nbody\n")),
        ("header dropped after it was counted", mail("Received: twice\n" * 60 + "\nx\n")),
    ]
    compare("checks", {"header_checks": "regexp:@checks@"}, messages, {"checks": CHECKS})
    compare("checks, overridden", {"header_checks": "regexp:@checks@", "body_checks": "regexp:@checks@",
                                   "receive_override_options": "no_header_body_checks"},
            [("reject", mail("Subject: rej\n\nSubject: rej\n"))], {"checks": CHECKS})
    body = "ign,strip,repl,prep,bcc,filter,redir,after".split(",")
    compare("body", {"body_checks": "regexp:@body@"}, [
        ("actions", mail("A: b\n\n" + "".join(word + "\n" for word in body))),
        ("reject", mail("A: b\n\nspam\nafter\n")),
        ("a long line", mail("A: b\n\n" + "z" * 5000 + "repl\nx\n")),
    ], {"body": "/ign/ IGNORE\n/strip/ STRIP x\n/repl/ REPLACE new\n/prep/ PREPEND before\n"
                "/bcc/ BCC q@x.test\n/filter/ FILTER nothere:b\n/redir/ REDIRECT z@z.test\n"
                "/after/ REPLACE never\n/spam/ REJECT spam\n"})
    compare("failing", {"header_checks": "fail:x"}, [("a table", mail("A: b\n\n"))])


STRUCTURES = {
    "62 a long id": "Message-Id: <" + "m" * 50000 + "@x>\n\nx\n",
    "parts": """Subject: s
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="a b"
X: y

preamble
--a b
Content-Type: text/plain; charset=x;
 name="evil"
Subject: inpart

text1

text2
--a bEXTRA
Content-Type: message/rfc822

Subject: nested
Content-Type: multipart/digest; boundary=a

--a

From: digest
Content-Disposition: x

dig body
--a
Content-Type: text/plain

x
--a--
epilogue inner
--a b
nohdr at all
--a b--
epilogue
""",
    "external": "Content-Type: message/external-body; access-type=x\n\nContent-Type: image/gif\nX: e\n\np\n",
    "partial": "Content-Type: message/partial\n\nSubject: partial\n\nx\n",
    "report": "Content-Type: message/delivery-status\n\nReporting-MTA: x\n\nFinal: y\n",
    "global": "Content-Type: message/global\n\nSubject: x\n\nFinal: y\n",
    "comments": "Content-Type: multipart/mixed (comment; boundary=no) ; x=y; boundary=(c) foo(d)\n\n"
                "--foo\n\n--foo\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
                "U3ViamVjdDogeA==\n--foo--\n",
    "two types": "content-type : MULTIPART / mixed ; boundary=\"x\\\"y\"\nContent-Type: text/plain\n\n"
                 "--x\"y\nA: b\n\n--x\"y--\n",
    "crossing": "Content-Type: multipart/mixed; boundary=out\n\n--out\n"
                "Content-Type: multipart/mixed; boundary=outer\n\n--outer\nA: in\n\nt\n--out\nB: o\n\n"
                "--outer--\nx\n--out--\n",
    "48 empty parts": "Content-Type: multipart/mixed; boundary=a\n\n" + "--a\n\n" * 500 + "--a--\n",
    "55 parameters": "Content-Type: text/plain;" + "".join(f"\n name*{i}*=x;" for i in range(900, 0, -1))
                     + "\n\nx\n",
    "56 encoded words": "Subject: =?" + "c" * 10000 + "?q?x?=\nX: \xc3\n\n\xc3\n",
    "57 broken encodings": "Content-Transfer-Encoding: base64\n\nA\n=\nbegin 644 x\n=ybegin\n",
    "58 many parameters": "Content-Type: multipart/mixed" + "".join(f"; p{i}=v" for i in range(900))
                          + "; boundary=a\n\n--a\nA: b\n\nx\n",
    "59 names": "Content-Disposition: attachment; filename=\"../\xe2\x80\xae\0x\"\n\nx\n",
}


def test_mime():
    messages = [(label, mail(text)) for label, text in STRUCTURES.items()]
    maps = {"header_checks": "regexp:@h@", "mime_header_checks": "regexp:@m@",
            "nested_header_checks": "regexp:@n@", "body_checks": "regexp:@b@"}
    tables = {"h": "/^Received/ OK\n/^/ WARN H\n", "m": "/^/ WARN M\n", "n": "/^/ WARN N\n",
              "b": "/^/ WARN B\n"}
    compare("mime", maps, messages, tables)
    compare("mime, off", dict(maps, disable_mime_input_processing="yes"), messages[:1], tables)
    compare("mime, limits", {"body_checks": "regexp:@b@", "body_checks_size_limit": "20",
                             "mime_boundary_length_limit": "10"}, [
        ("one body", mail("A: b\n\n" + "0123456789\n" * 3)),
        ("two bodies", mail("Content-Type: multipart/mixed; boundary=a\n\n012345678901234567890\n--a\n\n"
                            + "0123456789\n" * 3 + "--a--\n" + "0123456789\n" * 3)),
        ("a long boundary", mail("Content-Type: multipart/mixed; boundary=0123456789012345\n\n"
                                 "--0123456789xyz\nA: b\n\nx\n")),
    ], tables)


def test_strict():
    def nested(n):
        return mail("".join(f"Content-Type: multipart/mixed; boundary={chr(97 + i)}\n\n--{chr(97 + i)}\n"
                            for i in range(n)) + "\nx\n")
    compare("strict", {"strict_7bit_headers": "yes", "strict_8bitmime_body": "yes",
                       "strict_mime_encoding_domain": "yes", "mime_nesting_limit": "3"}, [
        ("8-bit header", mail("Subject: \xe9\n\nx\n")),
        ("8-bit body", mail("Subject: x\n\n\xe9\n")),
        ("8-bit body that says so", mail("Content-Transfer-Encoding: 8bit\n\n\xe9\n")),
        ("encoded multipart", mail("Content-Type: multipart/mixed; boundary=a\n"
                                   "Content-Transfer-Encoding: base64\n\n--a\n\nx\n--a--\n")),
        ("encoded message", mail("Content-Type: message/rfc822\n"
                                 "Content-Transfer-Encoding: quoted-printable\n\nSubject: x\n\nx\n")),
        ("unknown encoding", mail("Content-Type: foo\nContent-Transfer-Encoding: weird\n\nx\n")),
        ("47 nesting allowed", nested(5)),
        ("47 nesting", nested(6)),
    ])
    compare("characters", {"message_reject_characters": "\\0\\001", "message_strip_characters": "xyz\\r"},
            [("rejected", mail("A: b\n\nb\x01c\n")), ("rejected in the header", mail("A: b\0\n\nb\n")),
             ("stripped", mail("Axy: bz\n\nxyzb\nx\n"))])


def main():
    peer_postfix.find()
    tap.run(test_headers, test_maps, test_checks, test_mime, test_strict)


main()
