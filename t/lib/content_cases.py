# SPDX-License-Identifier: BSD-2-Clause
"""Odd messages on their way out of an SMTP client, for tests of ours alone and beside a real
Postfix's: transports with their maps and checks, and messages for each."""

import re
import smtplib

from instance import wait_until
from smtp_server import Server

SEVEN = "250-server.test\n250 PIPELINING"
EIGHT = "250-server.test\n250-PIPELINING\n250 8BITMIME"

HEAD = b"From: a@virt.test\nTo: b@rem.test\nDate: Fri, 20 Nov 2026 19:00:00 +0000\n"
BODY = "b\u00e4r = x\ttab \nsecond  \nthird\t\n\nplain\n.\n.dot\n".encode()
CTE = b"Content-Transfer-Encoding: "
MIX = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=yy\n"

FILES = {
    "header_checks": r"""
/^X-Ignore:/ IGNORE
/^X-Strip:/ STRIP stripped it
/^X-Info:/ INFO some info
/^X-Info0:/ INFO
/^X-Warn:/ WARN some warn
/^X-Pre:/ PREPEND X-Pred: yes
/^X-Prebad:/ PREPEND no header
/^X-Pre0:/ PREPEND
/^X-Rep:/ REPLACE X-Repd: yes
/^X-Rep2:/ replace X-To: new@gen.test
/^X-Repbad:/ REPLACE no header
/^X-Rep0:/ REPLACE
/^X-Dunno:/ DUNNO bla
/^X-Ok:/ OK bla
/^X-Reject:/ REJECT bla
/^X-Discard:/ DISCARD bla
/^X-Hold:/ HOLD bla
/^X-Filter:/ FILTER a:b
/^X-Bcc:/ BCC a@b
/^X-Redirect:/ REDIRECT a@b
/^X-Pass:/ PASS
/^X-Unknown:/ FROB a
/^X-Long:(.*)$/ REPLACE X-Longer: $1 $1 $1
/^X-Fold:/ REPLACE X-Folded: a
/^X-Seen/ INFO seen
/^To: gone@/ IGNORE
/^Content-Transfer-Encoding/ INFO of the message
""",
    "mime_header_checks": r"""
/^Content-Type: (.*)/ INFO mime
/^Content-Transfer-Encoding: (.*)/ PREPEND X-Cte: $1
/^X-/ INFO in a part
/./ INFO of mime
""",
    "nested_header_checks": r"/./ INFO in a message",
    "body_checks": r"""
/^ignore/ IGNORE
/^strip/ STRIP yes
/^prep/ PREPEND before
/^rep/ REPLACE instead
/^0rep/ REPLACE
/^long/ INFO long
/^REJ/ REJECT
/C3=A4/ INFO converted
/^--yy/ INFO boundary
/^last/ INFO last
/^$/ INFO empty
""",
    "generic": r"""
a@virt.test x@gen.test
alice@virt.test envel@gen.test
bob@generic.test rob@gen.test
bob@rem.test rob@gen.test
@dom.test @dom2.test
u@ext.test v@ext2.test
loop1@x.test loop2@x.test
loop2@x.test loop3@x.test
multi@x.test one@x.test, two@x.test
nodom@x.test nodom
quoted@x.test "a b"@x.test
self@x.test self@x.test
name@x.test New Name <nn@x.test>
onlydom.test foo@bar.test
""",
}

ACTIONS = ("Ignore Strip Info Info0 Warn Pre Prebad Pre0 Rep Rep2 Repbad Rep0 Dunno Ok Reject Discard "
           "Hold Filter Bcc Redirect Pass Unknown").split()
ADDRESSES = (
    b'loop1@x.test', b'multi@x.test', b'nodom@x.test', b'quoted@x.test', b'self@x.test',
    b'name@x.test', b'z@onlydom.test', b'BOB@Rem.Test', b'<bob@rem.test>', b'bob@rem.test, <>',
    b'undisclosed:;', b'u+x@ext.test', b'u+y@dom.test', b'=?utf-8?q?a?= <bob@rem.test>',
    b'"quo,ted" <bob@rem.test>', b'"q" bob <bob@rem.test>', b'\xc3\xa4 <bob@rem.test>',
    b'g: u+x@ext.test, y@dom.test;, z+k@dom.test', b'bob@rem.test,\n\tbob@rem.test',
    b'"Al, Ice" <a@virt.test> (hey)')


def deep(levels):
    return (HEAD + b"Content-Type: multipart/mixed; boundary=b0.\n" + b"".join(
        b"\n--b%d.\nContent-Type: multipart/mixed; boundary=b%d.\n" % (i, i + 1)
        for i in range(levels)) + b"\nx\n")


def with_cte(encoding, body=BODY, more=b""):
    return HEAD + more + CTE + encoding + b"\n\n" + body


CONVERTED = {
    "no word of 8bit": HEAD + b"\n" + BODY,
    "8bit": with_cte(b"8bit", more=b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"),
    "8bit, then another": HEAD + CTE + b"8BIT\nSubject: s\n\n" + BODY,
    "binary": with_cte(b"binary", bytes(range(14, 256)) + b"\1x\n"),
    "two encodings": with_cte(b"8bit\n" + CTE + b"base64"),
    "two encodings, the other way": with_cte(b"base64\n" + CTE + b"8bit"),
    "comments": with_cte(b"(c) 8bit (d)"),
    "folded": with_cte(b"\n 8bit"),
    "unknown encoding": with_cte(b"x-foo"),
    "8-bit quoted-printable": with_cte(b"quoted-printable"),
    "8-bit header": with_cte(b"8bit", more=b"Subject: \xc3\xa4\n"),
    "multipart": HEAD + MIX + CTE + b"8bit\n\nprologue " + BODY + b"--yy\n" + CTE + b"8bit\n\n" +
                 BODY + b"--yy\n" + CTE + b"7bit\n\n" + BODY + b"--yy\n\n" + BODY +
                 b"--yy--\nepilogue " + BODY,
    "8-bit boundary": HEAD + b"Content-Type: multipart/mixed; boundary=\"x\xc3\"\n\n--x\xc3\n" +
                      CTE + b"8bit\n\n" + BODY + b"--x\xc3--\nepilogue\n",
    "multipart that says nothing": HEAD + MIX + b"\n--yy\n" + CTE + b"8bit\n\n" + BODY + b"--yy--\n",
    "multipart without a boundary": with_cte(b"8bit", more=b"Content-Type: multipart/mixed\n"),
    "message": HEAD + b"Content-Type: message/rfc822\n" + CTE + b"8bit\n\nSubject: in\xc3\xa4\n" +
               CTE + b"8bit\n\n" + BODY,
    "message that says nothing": HEAD + b"Content-Type: message/rfc822\n\n" + CTE + b"8bit\n\n" + BODY,
    **{kind: HEAD + b"Content-Type: message/" + kind.encode() + b"\n" + CTE +
       b"8bit\n\nSubject: in\n" + CTE + b"8bit\n\n" + BODY
       for kind in ("partial", "external-body", "delivery-status", "global")},
    "global, 7bit": HEAD + b"Content-Type: message/global\n\nX: y\n" + CTE + b"8bit\n\n" + BODY,
    "digest": HEAD + b"Content-Type: multipart/digest; boundary=yy\n\n--yy\n" + CTE +
              b"8bit\n\nX: y\n" + CTE + b"8bit\n\n" + BODY + b"--yy\n\n" + CTE + b"8bit\n\n" + BODY +
              b"--yy--\n",
    "part without an empty line": HEAD + MIX + b"\n--yy\n" + CTE + b"8bit\nno header " + BODY +
                                  b"--yy--\n",
    "parts without bodies": HEAD + MIX + b"\n--yy\n" + CTE + b"8bit\n--yy\n" + CTE + b"8bit\n--yy--\n",
    "part without an end": HEAD + MIX + b"\n--yy\n" + CTE + b"8bit\n",
    "multiparts in each other": HEAD + MIX + b"\n--yy\nContent-Type: multipart/mixed; boundary=zz\n" +
                                CTE + b"8bit\n\n--zz\n" + CTE + b"8bit\n\n" + BODY + b"--zz--\n--yy\n" +
                                CTE + b"8bit\n\n" + BODY + b"--yy--\n",
    "lengths": with_cte(b"8bit", b"".join(b"a" * n + end + b"\n" for n in range(70, 79)
                                         for end in (b"", b" ", b"\t", b"=", b"==", b"\xc3")) +
                        b"\xc3" * 80 + b"\n" + b"x" * 2047 + b"\xc3\n" + b"y" * 2100 + b" \n"),
    "deep": deep(101),
    "too deep": deep(102),
}
CHECKED = {
    "actions": HEAD + b"".join(b"X-%s: v\n" % name.encode() for name in ACTIONS) + b"\nbody\n",
    "long values": HEAD + b"X-Long: " + b"l" * 500 + b"\nX-Fold: a\n b\n\tc\nX-Seen: a\n b\n\tc\nX-Seen: " +
                   b"s" * 180 + b"\n\nbody\n",
    "lines": HEAD + b"\nbody\nignore\nstrip\nprep x\nrep\n0rep\nREJ\nlong" + b"g" * 3000 +
             b"\n\nX-Ignore: v\n.\nend\n",
    "far down": HEAD + b"\n" + b"x" * 69 + b"\n" + (b"y" * 69 + b"\n") * 1000 + b"last\n",
    "nested": HEAD + MIX + b"\nprologue\n--yy\nX-Part: a\nContent-Type: message/rfc822\n\nX-Inner: z\n"
              b"Content-Type: text/plain\n\nbody\n--yy\n\nnext\n--yy--\nepilogue\n",
    "nested, 8bit": HEAD + MIX + CTE + b"8bit\n\nprologue\n--yy\nX-Part: a\nContent-Type: "
                    b"message/rfc822\n" + CTE + b"8bit\n\nX-Inner: z\n" + CTE + b"8bit\n\n" + BODY +
                    b"--yy\n\nnext\n--yy--\nepilogue\n",
    "global": HEAD + b"Content-Type: message/global\n\nX-Seen: x@y\n" + CTE + b"8bit\n\n" + BODY,
}
MAPPED = {
    "fields": b"".join(name + b": bob@rem.test\n" for name in (
        b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Errors-To", b"Return-Receipt-To",
        b"Disposition-Notification-To", b"Mail-Followup-To", b"Delivered-To", b"X-To", b"Subject",
        b"Apparently-To", b"List-Id", b"In-Reply-To")) + b"Date: now\n\nbob@rem.test\n",
    "addresses": HEAD + b"".join(b"To: " + address + b"\n" for address in ADDRESSES) +
                 b"To:bob@rem.test\nto:  bob@rem.test\nTO :bob@rem.test\n\nbob@rem.test\n",
    "nested": HEAD + MIX + b"\n--yy\nTo: bob@rem.test\nContent-Type: message/rfc822\n\n"
              b"To: bob@rem.test\n\nx\n--yy--\n",
    "after checks": HEAD + b"To: gone@x.test\nX-Seen: bob@rem.test\n\nx\n",
}
PLAIN = {
    "8bit": with_cte(b"8bit"),
    "dots": HEAD + b"\n.\n..\n.x\nx.\n",
    "long": HEAD + b"X-Long: " + b"h" * 3000 + b"\n\n" + b"".join(
        b"z" * n + b"\n" for n in (997, 998, 999, 1995, 1996, 1997, 2047, 2048, 2049, 4096, 9000)) +
            b"z" * 998 + b".\n." + b"z" * 997 + b".\n",
    "stray CR": HEAD + b"X: a\rb\n\na\rb\n\r.\n.\r.\n\rx\n",
    "no body": HEAD,
    "control bytes": HEAD + b"\n\1\2\b\t\f\v\33\177\n",
}

# Name, what the server says to EHLO, parameters of the transport, messages.
TRANSPORTS = (
    ("convert", SEVEN, {}, CONVERTED),
    ("unconverted", SEVEN, {"disable_mime_output_conversion": "yes"}, {"8bit": with_cte(b"8bit")}),
    ("checked", SEVEN, {name: f"regexp:@{name.removeprefix('smtp_')}@" for name in (
        "smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks",
        "smtp_body_checks")}, CHECKED),
    ("headers", EIGHT, {"smtp_header_checks": "regexp:@header_checks@"},
     {"nested, 8bit": CHECKED["nested, 8bit"]}),
    ("generic", EIGHT, {"smtp_generic_maps": "texthash:@generic@",
                        "smtp_header_checks": "regexp:@header_checks@"}, MAPPED),
    ("extension", EIGHT, {"smtp_generic_maps": "texthash:@generic@",
                          "propagate_unmatched_extensions": "generic"},
     {"addresses": MAPPED["addresses"]}),
    ("plain", EIGHT, {}, PLAIN),
    ("short", EIGHT, {"smtp_line_length_limit": "40"}, {"long": PLAIN["long"]}),
    ("unlimited", EIGHT, {"smtp_line_length_limit": "0"}, {"long": PLAIN["long"]}),
)
FAILING = tuple((name[5:].replace("_", "-"), {name: "fail:x"}) for name in (
    "smtp_header_checks", "smtp_body_checks"))


class Side:
    """One client, its transports' servers, and what came of the messages."""

    def __init__(self, write_file):
        """WRITE_FILE(name, text) returns the path of a file for the client."""
        self.servers, self.main, self.master = {}, {}, ""
        paths = {name: write_file(name, text) for name, text in FILES.items()}
        transports = []
        for name, ehlo, options, _ in TRANSPORTS:
            self.add(name, ehlo, options, paths, transports)
        for name, options in FAILING:
            self.add(name, EIGHT, options, paths, transports)
        transports.append("virt.test=retry:later")      # what is bounced
        self.main.update({
            "myhostname": "mail.example.com", "myorigin": "mail.example.com",
            "mydestination": "", "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "",
            "smtpd_sender_restrictions": "", "smtpd_recipient_restrictions": "",
            "virtual_mailbox_domains": "", "recipient_delimiter": "+"})
        self.main["transport_maps"] = "inline:{" + ", ".join(transports) + "}"

    def add(self, name, ehlo, options, paths, transports):
        self.servers[name] = Server({"EHLO": ehlo})
        self.master += f"{name} unix - - n - - smtp\n"
        for key, value in options.items():
            value = re.sub("@(.*)@", lambda m: paths[m[1]], value)
            self.master += f"  -o {key}={value}\n"
        transports.append(f"{name}.test={name}:[127.0.0.1]:{self.servers[name].port}")

    def submit(self, mail, transport, case, text):
        """The queue id."""
        with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=60) as smtp:
            smtp.ehlo("client.test")
            smtp.mail("alice@virt.test", ["BODY=8BITMIME"] if max(text) > 127 else [])
            smtp.rcpt(f"bob@{transport}.test")
            smtp.docmd("DATA")
            ident = re.sub(r"\W", "-", case).encode()
            smtp.send(re.sub(rb"(?m)^\.", b"..", b"Message-Id: <" + ident + b"@case>\n" + text)
                      .replace(b"\n", b"\r\n") + b".\r\n")
            code, said = smtp.getreply()
            if code != 250:
                raise RuntimeError(f"{transport}: {case}: {said}")
            return said.decode().split()[-1]

    def send_all(self, mail):
        """(transport, case) to queue id."""
        found = {}
        for name, _, _, messages in TRANSPORTS:
            for case, text in messages.items():
                found[name, case] = self.submit(mail, name, case, text)
        for name, _ in FAILING:
            found[name, "failing"] = self.submit(mail, name, "failing", HEAD + b"\nbody\n")
        for queue_id in found.values():
            wait_until(lambda: re.search(rf"{queue_id}: to=<.*status=", mail.log()), queue_id)
        return found

    def message(self, transport, case):
        """As it came to the server, without its Received field; None: it did not."""
        ident = re.sub(r"\W", "-", case).encode()
        for data in self.servers[transport].messages:
            if b"\r\nMessage-Id: <" + ident + b"@case>\r\n" in data:
                return re.sub(rb"\AReceived: .*\r\n([ \t].*\r\n)*", b"", data)
        return None


def lines(mail, queue_id):
    """What the client logged of it."""
    found = re.findall(rf"/smtp\[\d+\]: (?:warning: )?{queue_id}: (.*)", mail.log())
    # How much of a text is logged differs between releases.
    found = [re.sub(r"(\w)\1{30,}(: )?", r"\1...\2", line) for line in found]
    return [re.sub(r"(delays?=[\d./]+|tls=[\w:-]+|conn_use=\d+), ", "", re.sub(r"\]:\d+", "]:PORT", line))
            for line in found]


def warnings(mail):
    """What it warned of without naming a message; each once."""
    return sorted(set(re.findall(
        r"/\w+\[\d+\]: warning: ((?:bad|unsupported|multi-valued|P|R)\S* .* map.*|"
        r"multi-valued .*|\w+ action without .*)", mail.log())))
