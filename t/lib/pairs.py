# SPDX-License-Identifier: BSD-2-Clause
"""Sequences of SMTP commands, run on many connections at a time; what each was answered, and what
the server logged of each connection.

A sequence begins in a state and goes on with named commands, until it is over or the server hangs
up.  Sequences of one state share a connection while it lives.  Each connection comes from an
address of its own, by which its log lines are found.
"""

import base64
import concurrent.futures
import multiprocessing
import re
import socket
import ssl

import peer_postfix

TIMEOUT_S = 60
HOPS = b"Received: x\r\n" * 6
TOO_BIG = b"0123456789abcdef0123456789abcdef\r\n" * 160  # 5,440 bytes

MAIL, RCPT = b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<bob@example.test>\r\n"


def line(text):
    return [(text.encode("latin-1") + b"\r\n", 1)]


def content(data):
    """DATA; what follows is sent if the server asks for it."""
    return [(b"DATA\r\n", 1), (data + b".\r\n", 354)]


# Name: a list of (bytes, number of replies to them), or (bytes, 334) or (bytes, 354): if that
# was the last reply.
COMMANDS = {
    "EHLO": line("EHLO client.example.net"),
    "HELO": line("HELO client.example.net"),
    "MAIL": [(MAIL, 1)],
    "MAIL with SIZE": line("MAIL FROM:<a@b.c> SIZE=100"),
    "MAIL with a big SIZE": line("MAIL FROM:<a@b.c> SIZE=5001"),
    "MAIL with BODY": line("MAIL FROM:<a@b.c> BODY=8BITMIME"),
    "MAIL with DSN": line("MAIL FROM:<a@b.c> RET=HDRS ENVID=x+2By"),
    "MAIL with SMTPUTF8": line("MAIL FROM:<\xc3\xa4@b.c> SMTPUTF8"),
    "MAIL, bad": line("MAIL FROM:<a b>"),
    "RCPT": [(RCPT, 1)],
    "RCPT, refused": line("RCPT TO:<nobody@example.test>"),
    "RCPT with DSN": line("RCPT TO:<alice@example.test> NOTIFY=DELAY ORCPT=rfc822;x@y.z"),
    "RCPT, bad": line("RCPT TO:<a b>"),
    "DATA, empty": content(b""),
    "DATA": content(b"Subject: x\r\n\r\nx\r\n"),
    "DATA, too big": content(TOO_BIG),
    "DATA, too many hops": content(HOPS),
    "BDAT 0 LAST": line("BDAT 0 LAST"),
    "BDAT 0": line("BDAT 0"),
    "BDAT n": [(b"BDAT 4\r\nx\r\ny", 1)],
    "BDAT n LAST": [(b"BDAT 4 LAST\r\nx\r\ny", 1)],
    "BDAT, bad": line("BDAT x"),
    "BDAT, too big": [(b"BDAT 5440\r\n" + TOO_BIG, 1)],
    "BDAT, far too big": line("BDAT 50000"),
    "RSET": line("RSET"),
    "NOOP": line("NOOP"),
    "VRFY": line("VRFY bob@example.test"),
    "VRFY with SMTPUTF8": line("VRFY \xc3\xa4@example.test SMTPUTF8"),
    "ETRN": line("ETRN example.org"),
    "HELP": line("HELP"),
    "EXPN": line("EXPN bob"),
    "AUTH": line("AUTH PLAIN AGJvYkBleGFtcGxlLnRlc3QAYm9i"),
    "AUTH, wrong": line("AUTH PLAIN AGJvYkBleGFtcGxlLnRlc3QAeA=="),
    "AUTH, aborted": line("AUTH LOGIN") + [(b"*\r\n", 334)],
    "STARTTLS": [(b"STARTTLS\r\n", 1)],
    "XCLIENT": line("XCLIENT NAME=x"),
    "XFORWARD": line("XFORWARD NAME=x"),
    "unknown": line("FOO"),
    "header": line("Subject: x"),
    "pipelined": [(MAIL + RCPT + b"RSET\r\n", 3)],
    "pipelined message": [(MAIL + RCPT + b"DATA\r\n", 3), (b"x\r\n.\r\n", 354)],
    "pipelined after NOOP": [(b"NOOP\r\nRSET\r\n", 2)],
    "pipelined chunks": [(b"BDAT 1\r\nxBDAT 1 LAST\r\ny", 2)],
    "QUIT": line("QUIT"),
    "gone": None,  # the client's end
}


def say(*lines):
    """AUTH and what follows its challenges."""
    return line(lines[0]) + [(text.encode() + b"\r\n", 334) for text in lines[1:]]


def b64(text):
    return base64.b64encode(text.encode()).decode()


BOB = "bob@example.test"
# Not in pairs.
LOGINS = {
    "AUTH": line("AUTH"), "PLAIN *": say("AUTH PLAIN", "*"), "LOGIN, *": say("AUTH LOGIN", b64(BOB), "*"),
    "PLAIN, %": say("AUTH PLAIN", "%%%"), "PLAIN %": line("AUTH PLAIN %%%"), "PLAIN =": line("AUTH PLAIN ="),
    "PLAIN, no NUL": line("AUTH PLAIN " + b64("x")), "FOO": line("AUTH FOO"), "*": line("AUTH *"),
    "PLAIN, too long": say("AUTH PLAIN", "A" * 20000), "PLAIN, QUIT": say("AUTH PLAIN", "QUIT"),
    "PLAIN, nothing": say("AUTH PLAIN", ""), "PLAIN, more": line("AUTH PLAIN x y"),
    "PLAIN, tab": line("AUTH PLAIN\tx\ty"), "plain": line("auth plain " + b64(f"\0{BOB}\0bob")),
    "PLAIN, one NUL": line("AUTH PLAIN " + b64(f"{BOB}\0bob")),
    "PLAIN, three NULs": line("AUTH PLAIN " + b64(f"\0{BOB}\0bob\0")),
    "PLAIN, authzid": line("AUTH PLAIN " + b64(f"alice@example.test\0{BOB}\0bob")),
    "LOGIN, wrong": say("AUTH LOGIN " + b64(BOB), b64("bad")),
    "LOGIN": say("AUTH LOGIN", b64(BOB), b64("bob")), "PLAIN, odd": line("AUTH PLAIN AGJ"),
}
ALL = {**COMMANDS, **{"login: " + name: steps for name, steps in LOGINS.items()}}

EHLO, RSET = COMMANDS["EHLO"], b"RSET\r\n"
# What leads to a state, and the number of replies to it, after EHLO; None: a new connection.
STATES = {
    "fresh": None,
    "EHLO": [(b"", 0)],
    "MAIL": [(MAIL, 1)],
    "RCPT": [(MAIL + RCPT, 2)],
    "a chunk": [(MAIL + RCPT + b"BDAT 3\r\nabc", 3)],
    "a message": [(MAIL + RCPT + b"DATA\r\n", 3), (b"x\r\n.\r\n", 354)],
    "a refused message": [(MAIL + RCPT + b"DATA\r\n", 3), (HOPS + b".\r\n", 354)],
    "a refused chunk": [(MAIL + RCPT + b"BDAT 0\r\n", 3)],
}


def way_to(state, again):
    """The steps to STATE; AGAIN: in a connection that has served a sequence."""
    steps = STATES[state]
    if steps is None:
        return []
    if not again:
        return EHLO + [step for step in steps if step[0]]
    data, count = steps[0]
    return [(RSET + data, count + 1)] + steps[1:]


# After these the server hangs up.
LAST_WORDS = re.compile("221 |421 |521 |554 5.5.0 Error: SMTP protocol")
HANG_UP = ("BDAT, far too big",)


class Connection:
    def __init__(self, port, address):
        self.sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_S, (address, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.open, self.changed = b"", True, False
        self.greeting = self.reply()

    def line(self):
        while b"\n" not in self.buffer:
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                data = b"(no reply)"
                self.sock.close()
            except OSError:
                data = b""
            if not data or self.sock.fileno() < 0:
                self.open = False
                data += b"\n"
            self.buffer += data
        found, self.buffer = self.buffer.split(b"\n", 1)
        return found.decode("latin-1").rstrip("\r")

    def reply(self):
        lines = [self.line()]
        while self.open and re.match(r"\d\d\d-", lines[-1]):
            lines.append(self.line())
        return "\n".join(lines)

    def run(self, steps, hang_up=False):
        """The replies to the steps; "" is the connection's end."""
        replies = []
        for data, count in steps:
            if count in (334, 354):
                if not replies or not replies[-1].startswith(str(count)):
                    continue
                count = 1
            if not self.open:
                break
            try:
                self.sock.sendall(data)
            except OSError:
                pass
            for _ in range(count):
                if self.open:
                    replies.append(self.reply())
                if LAST_WORDS.match(replies[-1]) and self.open:
                    replies.append(self.reply())
            self.changed |= replies[-1].startswith("235")
            if data == b"STARTTLS\r\n" and replies[-1].startswith("220"):
                self.start_tls()
        if hang_up and self.open:
            replies.append(self.reply())
        return replies

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)
        self.changed = True

    def close(self):
        self.sock.close()


def address_of(number, i):
    """Whence the connection comes that begins with sequence I of chain NUMBER."""
    return f"127.{2 + number // 250}.{1 + number % 250}.{1 + i}"


def place_of(address):
    """(number, i); None: no chain's."""
    parts = [int(part) for part in address.split(".") if part]
    return ((parts[1] - 2) * 250 + parts[2] - 1, parts[3] - 1) if parts and parts[1] >= 2 else None


def talk(port, number, sequences, alone):
    """What each of SEQUENCES, (state, command...), was answered: replies to the way to the state, to
    each command.  And how many connections that took.  A sequence that is ALONE has its own."""
    answers, connections, d = [], 0, None
    for i, sequence in enumerate(sequences):
        state, *names = sequence
        if d is not None and (not d.open or d.changed or STATES[state] is None or alone(sequence)
                              or alone(sequences[i - 1])):
            d.close()
            d = None
        again = d is not None
        if d is None:
            connections += 1
            d = Connection(port, address_of(number, i))
        replies = [d.run(way_to(state, again))]
        for name in names:
            if ALL[name] is None:
                d.open = False
            if d.open:
                replies.append(d.run(ALL[name], name in HANG_UP))
        answers.append([[neutral(r) for r in step] for step in replies])
    d.close()
    return answers, connections


def talk_all(ports, chains, alone, workers=6):
    """talk() with each of the PORTS about each of CHAINS: a list of answers for each port, and the
    number of connections to each."""
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("fork"))
    with pool:
        tasks = [[pool.submit(talk, port, i, chain, alone) for port in ports]
                 for i, chain in enumerate(chains)]
        results = [[task.result() for task in row] for row in tasks]
    return ([[row[i][0] for row in results] for i in range(len(ports))],
            [sum(row[i][1] for row in results) for i in range(len(ports))])


def neutral(text):
    """Without what is another one each time."""
    text = peer_postfix.neutral(text)
    text = re.sub(r"(TLS connection established from .*? TLSv1\S+) .*", r"\1", text)
    text = text.replace("250-CHUNKING\n250 REQUIRETLS", "250 CHUNKING")  # in TLS, since 3.11
    text = re.sub(r"unknown\[127[0-9.]+\]", "CLIENT", text)
    return text


def logged(log):
    """{client's address: its lines}; "": lines of nobody's."""
    lines, owner = {}, {}
    for text in peer_postfix.smtpd_lines(log):
        queue_id = re.match(r"(?:warning: )?([0-9A-F]{6,}): ", text)
        client = re.search(r"unknown\[(127\.[0-9.]+)\]", text)
        if client and queue_id:
            owner[queue_id.group(1)] = client.group(1)
        address = (client.group(1) if client else
                   owner.get(queue_id.group(1), "") if queue_id else "")
        lines.setdefault(address, []).append(neutral(text))
    return lines
