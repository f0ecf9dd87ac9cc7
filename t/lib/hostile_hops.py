# SPDX-License-Identifier: BSD-2-Clause
"""Next hops that are broken or hostile, as a table: what each says, and what must come of it.

A case's SCRIPT is smtp_server's; WANT has for each recipient what its one log line says behind dsn=.
VIA is the service: hop (patient), quick (gives up after some seconds), lmtp, quicklmtp, tls (wants TLS),
maytls.  TAKEN: how many messages the server may have accepted at most.
"""

import socket
import time

from smtp_server import CLOSE, DEFAULT, EHLO, HANG, RESET

HOST = r"host 127\.0\.0\.1\[127\.0\.0\.1\]"
CHUNKING = "250-server.test\n250-PIPELINING\n250 CHUNKING"
PLAIN = "250-server.test\n250 8BITMIME"  # one command at a time
TLS = "250-server.test\n250 STARTTLS"
SENT = r"2\.\d\.\d, status=sent \(250"
LOST = r"4\.4\.2, status=deferred \(lost connection with "
LATE = r"4\.4\.2, status=deferred \(conversation with .* timed out while "
ENDLESS = rf"4\.5\.0, status=deferred \({HOST} sent an endless reply while "
IMPROPER = rf"4\.5\.0, status=deferred \({HOST} sent an improper reply while "
EARLY = rf"4\.5\.0, status=deferred \({HOST} sent a reply before the end of the message: 250 "
BODY = 500000  # for what comes in the middle of a message
STAGES = {"greeting": "", "EHLO": "EHLO", "MAIL": "MAIL", "RCPT": "RCPT", "DATA": "DATA", "end": "."}


class Case:
    def __init__(self, name, script, *want, via="hop", size=100, taken=1, tls=False):
        self.name, self.script, self.want = name, script, want
        self.via, self.size, self.taken, self.tls = via, size, taken, tls
        self.server = None

    def recipients(self):
        return [f"r{i}@{self.name}.test" for i in range(len(self.want))]


# ---- what servers do ----

def endless(data):
    """Never stops."""
    def say(session, _):
        while True:
            session.sock.sendall(data * (65536 // len(data)))
    return say


def trickle(data, pause):
    def say(session, _):
        for i in range(len(data)):
            session.sock.sendall(data[i:i + 1])
            time.sleep(pause)
        if data.startswith(b"354"):
            return None if session.message() else CLOSE
        return None
    return say


def slow_forever(session, _):
    """A byte now and then, and no line's end."""
    while not session.server.stopped.is_set():
        session.sock.sendall(b"2")
        time.sleep(0.3)
    return CLOSE


def then(data, what):
    """DATA, and WHAT after it."""
    def say(session, _):
        session.sock.sendall(data)
        return what
    return say


def in_body(reply, what):
    """354, then REPLY in the middle of the message, and WHAT."""
    def say(session, _):
        session.sock.sendall(b"354 go\r\n")
        session.sock.recv(1000)
        session.sock.sendall(reply)
        return what
    return say


def in_chunk(reply):
    """The end comes while a chunk is under way."""
    def say(session, _):
        session.sock.recv(1000)
        session.sock.sendall(reply)
        raise ConnectionError("in the middle of a chunk")
    return say


def cut_tls(session, _):
    """The TCP connection ends without TLS' goodbye."""
    session.sock.sendall(b"354 go\r\n")
    session.sock.recv(1000)
    socket.socket(fileno=session.sock.detach()).close()
    raise ConnectionError("cut")


def deaf(session, _):
    """Reads nothing any more."""
    session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    session.sock.sendall(b"354 go\r\n")
    return HANG


def sip(session, _):
    """Reads the message, a byte at a time."""
    session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    session.sock.sendall(b"354 go\r\n")
    while not session.server.stopped.wait(0.5):
        session.sock.recv(1)
    return CLOSE


def fine(key):
    """The usual reply's last line."""
    return DEFAULT[key].split("\n")[-1].encode()


# ---- at each stage ----

def long_line(stage, key):
    """A megabyte in one line is not more than its begin says."""
    code = fine(key)[:3]
    want = r"2\.0\.0, status=sent \(250 x" if key == "." else SENT
    return Case(f"long-{stage}", {key: code + b" " + b"x" * 1000000 + b"\r\n"}, want)


def at_each_stage():
    cases = []
    for stage, key in STAGES.items():
        def add(name, what, *want, key=key, stage=stage, **more):
            # One command at a time, so that it is this one that meets the end.
            script = {key: what} if key == "EHLO" else {"EHLO": PLAIN, key: what}
            cases.append(Case(f"{name}-{stage}".lower(), script, *want, **more))
        cases.append(long_line(stage.lower(), key))
        add("endless", endless(b"250-x\r\n"), ENDLESS)
        add("noise", endless(b"x\r\n"), ENDLESS)
        add("endline", endless(b"250 xxxxxx"), ENDLESS)
        add("crs", endless(b"\r"), ENDLESS)
        add("nuls", endless(b"\0"), ENDLESS)
        add("slow", slow_forever, LATE, via="quick")
        add("hang", HANG, LATE, via="quick")
        add("close", CLOSE, LOST)
        # A greeting's may come before connect(2) has ended.
        add("reset", RESET, LOST + r"|4\.4\.1, status=deferred \(connect to ")
        add("cut", then(b"250-half", CLOSE), LOST)
        add("421", then(b"421 4.3.2 bye\r\n", CLOSE), r"4\.3\.2, status=deferred ")
        add("999", "999 what", IMPROPER)
        add("000", "000 what", IMPROPER)
        add("100", "100 what", IMPROPER)
        add("5.7.2", then(b"5.7.2\r\n", CLOSE), LOST)
        add("bytes", trickle(fine(key) + b"\r\n", 0.002), SENT)
        # Bytes that have no place in a line; the code says enough.
        add("odd", fine(key)[:3] + b" \0\x1b[2J\xff\xfe\r\r --x\x80\r\n", SENT)
        if key != "EHLO":
            add("bare", fine(key)[:3] + b"\r\n", SENT)
    return cases


# ---- the rest ----

AHEAD = b"220 x\r\n250 x\r\n250 2.1.0 x\r\n250 2.1.5 x\r\n354 x\r\n250 2.0.0 early\r\n"
EVIL = (b"550-5.1.1 \x1b[31m--BOUNDARY\r\n550-5.1.1 Content-Type: text/html\r\n"
        b"550-5.1.1 \xff\xfe \0 \r\r\x0b\x0c\x85\r\n550-5.1.1 --BOUNDARY--\r\n"
        b"550 5.1.1 Final-Recipient: rfc822; other@example.test\r\n")
MANY = b"250-server.test\r\n" + b"".join(b"250-X%d\r\n" % i for i in range(100000)) + b"250 OK\r\n"
MECHANISMS = b"250-server.test\r\n250 AUTH " + b" ".join(b"M%d" % i for i in range(10000)) + b"\r\n"


def odd_replies():
    return [
        Case("evil-rcpt", {"RCPT": EVIL}, r"5\.1\.1, status=bounced "),
        Case("evil-end", {".": EVIL}, r"5\.1\.1, status=bounced ", taken=0),
        Case("evil-mail", {"MAIL": EVIL}, r"5\.1\.1, status=bounced "),
        # Answers that were there before the message's end are no answers to the message.
        Case("ahead", {"": then(AHEAD, None)}, EARLY, taken=0),
        Case("ahead-gone", {"": then(AHEAD, CLOSE)}, r"4\.\d\.\d, status=deferred ", taken=0),
        Case("ahead-bdat", {"EHLO": CHUNKING, "RCPT": "250 ok\r\n250 ok", "BDAT": "452 4.3.1 full"}, EARLY),
        Case("ahead-lmtp", {"EHLO": CHUNKING, "LHLO": CHUNKING, "RCPT": "250 ok\r\n250 ok",
                            "BDAT": "452 4.3.1 full"}, EARLY, via="lmtp"),
        Case("ahead-noise", {"DATA": "354 go\r\nI am a teapot"}, SENT),
        Case("keywords", {"EHLO": MANY}, ENDLESS),
        Case("size-2-64", {"EHLO": "250-server.test\n250 SIZE 18446744073709551616"}, SENT),
        Case("size-2-63", {"EHLO": "250-server.test\n250 SIZE 9223372036854775808"}, SENT),
        Case("size-less", {"EHLO": "250-server.test\n250 SIZE -1"}, SENT),
        Case("size-small", {"EHLO": "250-server.test\n250 SIZE 1"}, r"5\.3\.4, status=bounced "),
        Case("auths", {"EHLO": MECHANISMS}, SENT),
        Case("all-354", {key: "354 go" for key in ("EHLO", "HELO", "MAIL", "RCPT", ".")},
             r"5\.5\.0, status=bounced "),
        Case("data-250", {"DATA": then(b"250 2.0.0 ok\r\n", None)}, r"5\.5\.0, status=bounced "),
        Case("data-250-alone", {"EHLO": PLAIN, "DATA": then(b"250 2.0.0 ok\r\n", None)},
             r"5\.5\.0, status=bounced "),
        Case("end-354", {".": "354 more"}, r"5\.5\.0, status=bounced ", taken=0),
        Case("rcpt-twice", {"RCPT": ["250 ok", "550 5.1.1 no"]}, SENT, r"5\.1\.1, status=bounced "),
        Case("rcpt-more", {"RCPT": [b"250 ok\r\n550 5.1.1 no\r\n", None]}, r"[245]\.\d\.\d, status=",
             r"[245]\.\d\.\d, status="),
        Case("after-dot", {".": CLOSE}, LOST, taken=0),
        Case("after-dot-reset", {".": RESET}, LOST, taken=0),
        Case("quit-hang", {"QUIT": HANG}, SENT),
        Case("quit-noise", {"QUIT": endless(b"221 x\r\n")}, SENT),
    ]


def in_the_middle():
    return [
        Case("body-421", {"DATA": in_body(b"421 4.3.2 bye\r\n", CLOSE)}, r"4\.\d\.2, status=deferred ",
             size=BODY),
        Case("body-close", {"DATA": in_body(b"", CLOSE)}, LOST, size=BODY),
        Case("body-reset", {"DATA": in_body(b"", RESET)}, LOST, size=BODY),
        Case("body-250", {"DATA": then(b"354 go\r\n250 2.0.0 ok\r\n", HANG)}, EARLY, size=BODY),
        Case("body-flood", {"DATA": in_body(b"250 ok\r\n" * 100000, RESET)}, r"[24]\.\d\.\d, status=",
             size=BODY),
        Case("body-deaf", {"DATA": deaf}, LATE, size=6000000, via="quick"),
        Case("body-sip", {"DATA": sip}, LATE, size=6000000, via="quick"),
        Case("bdat-421", {"EHLO": CHUNKING, "BDAT": "421 4.3.2 bye"}, r"4\.3\.2, status=deferred "),
        Case("bdat-421-first", {"EHLO": CHUNKING, "BDAT": "421 4.3.2 bye"}, r"4\.3\.2, status=deferred ",
             size=BODY),
        Case("bdat-middle", {"EHLO": CHUNKING, "BDAT": in_chunk(b"421 4.3.2 bye\r\n")},
             r"4\.\d\.2, status=deferred ", size=BODY),
        Case("bdat-close", {"EHLO": CHUNKING, "BDAT": CLOSE}, LOST, size=BODY),
        Case("bdat-reset", {"EHLO": CHUNKING, "BDAT": RESET}, LOST),
        Case("bdat-354", {"EHLO": CHUNKING, "BDAT": "354 go"}, r"5\.5\.0, status=bounced ", size=BODY),
        Case("bdat-hang", {"EHLO": CHUNKING, "BDAT": HANG}, LATE, via="quick"),
        Case("bdat-550", {"EHLO": CHUNKING, "BDAT": ["250 ok", "550 5.6.0 no"]}, r"5\.6\.0, status=bounced ",
             size=BODY),
    ]


def lmtp():
    return [
        Case("lmtp-few-close", {".": [SENT_LINE, CLOSE]}, SENT, LOST, via="lmtp"),
        Case("lmtp-few-hang", {".": [SENT_LINE, HANG]}, SENT, LATE, via="quicklmtp"),
        Case("lmtp-many", {".": "250 2.0.0 one\n250 2.0.0 two\n550 5.0.0 three"}, SENT, SENT, via="lmtp"),
        Case("lmtp-mixed", {".": ["250 2.0.0 one", "550 5.2.2 full"]}, SENT, r"5\.2\.2, status=bounced ",
             via="lmtp"),
    ]


SENT_LINE = "250 2.0.0 Ok"


def with_tls():
    """STARTTLS: nothing of a session that is not safe may carry mail that needs TLS."""
    no_mail = {"EHLO": TLS}
    return [
        Case("tls-injected", {**no_mail, "STARTTLS": then(b"220 go\r\n250 x\r\n250 x\r\n", HANG)},
             r"4\.\d\.\d, status=deferred ", via="tls", taken=0),
        Case("tls-garbage", {**no_mail, "STARTTLS": then(b"220 go\r\n", None)},
             r"4\.\d\.\d, status=deferred ", via="tls", taken=0),
        Case("tls-closed", {**no_mail, "STARTTLS": then(b"220 go\r\n", CLOSE)},
             r"4\.7\.5, status=deferred ", via="tls", taken=0),
        Case("tls-hang", {**no_mail, "STARTTLS": then(b"220 go\r\n", HANG)},
             r"4\.\d\.\d, status=deferred ", via="tls", taken=0),
        Case("tls-flood", {**no_mail, "STARTTLS": then(b"220 go\r\n", endless(b"\x16\x03\x01\x3f\xff"))},
             r"4\.\d\.\d, status=deferred ", via="tls", taken=0),
        Case("tls-no", {"EHLO": EHLO}, r"4\.7\.4, status=deferred ", via="tls", taken=0),
        Case("tls-421", {**no_mail, "STARTTLS": "421 4.3.2 bye"}, r"4\.\d\.\d, status=deferred ",
             via="tls", taken=0),
        Case("tls-cut", {**no_mail, "DATA": cut_tls}, LOST, via="tls", tls=True, size=BODY, taken=0),
        Case("tls-may-garbage", {"EHLO": TLS, "STARTTLS": ["220 go", "454 no"]},
             r"[24]\.\d\.\d, status=", via="maytls"),
    ]


def make():
    return at_each_stage() + odd_replies() + in_the_middle() + lmtp() + with_tls()
