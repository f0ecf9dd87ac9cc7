#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""smtp-source and smtp-sink: every option, one against the other, against our smtpd, and, where they
are installed, against the peer's."""

import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from scripted_server import ScriptedServer  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

SBIN = os.path.join(instance.stage(), "sbin")
PEER = "/usr/sbin"
HAS_PEER = os.path.exists(f"{PEER}/smtp-sink") and os.path.exists("/usr/lib/postfix/sbin/smtpd")
MESSAGE = ["MAIL FROM:<a@b.test> SIZE=5", "RCPT TO:<c@d.test> NOTIFY=NEVER", "RCPT TO:<e@f.test>",
           "DATA", "Subject: x\r\n\r\n..dot\r\nhello\r\n."]
DIR = tempfile.mkdtemp(prefix="postcote-tools-")
os.chmod(DIR, 0o777)


def listens(port):
    """Without a connection, which a sink would count."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
                   for line in f.readlines()[1:])


def listens_at(path):
    with open("/proc/net/unix", encoding="ascii") as f:
        return any(line.split()[3] == "00010000" and line.rstrip().endswith(" " + path) for line in f)


class Sink:
    def __init__(self, *options, program=f"{SBIN}/smtp-sink", target=None):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        for _ in range(3):
            self.port = instance.free_ports(1)[0]
            self.process = subprocess.Popen(
                [program, *user, *options, target or f"127.0.0.1:{self.port}", "100"], text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            ready = (lambda: listens_at(target[5:])) if target else (lambda: listens(self.port))
            instance.wait_until(lambda: ready() or self.process.poll() is not None, "the sink")
            if self.process.poll() is None:
                return
            output = self.process.stdout.read()
            if "in use" not in output:
                break
        raise RuntimeError(f"{options}: {output}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        if not self.process.stdout.closed:
            self.process.stdout.read()
            self.process.stdout.close()
        self.process.wait(60)

    def ask(self, *lines):
        """The greeting and the replies; "" where it hung up."""
        with Dialogue(self.port, greeting=False) as d:
            return ["\n".join(d.reply()), *(d.ask(line) for line in lines)]

    def ends(self):
        output = self.process.communicate(timeout=60)[0]
        return self.process.returncode, output


def source(target, *options, program=f"{SBIN}/smtp-source"):
    done = subprocess.run([program, *options, str(target)], text=True, timeout=120, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


EHLO = ["PIPELINING", "8BITMIME", "AUTH PLAIN LOGIN", "XCLIENT NAME HELO",
        "XFORWARD NAME ADDR PROTO HELO", "ENHANCEDSTATUSCODES", "DSN"]


def ehlo_less(*words):
    return "\n".join(["250-smtp-sink"] + [f"250-{line}" for line in EHLO
                                          if line.split()[0] not in words] + ["250 "])


SOFT, HARD = "450 4.3.0 Error: command failed", "500 5.3.0 Error: command failed"
UNKNOWN, OK = "500 5.5.1 Error: unknown command", "250 2.0.0 Ok"
THANKS = ["250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>"]
# Options, what is said, the replies behind the greeting (None: not looked at).
DIALOGUES = [
    ("", MESSAGE, [*THANKS, OK]),
    ("", ["FOO", "", "HELO x", "NOOP", "VRFY x", "AUTH LOGIN", "XCLIENT a", "XFORWARD a", "RSET",
          "LHLO x", "QUIT"],
     [UNKNOWN, "500 5.5.2 Error: unknown command", "250 smtp-sink", OK, OK, OK, OK, OK,
      "250 2.1.0 Ok", UNKNOWN, "221 Bye"]),
    ("", ["RCPT TO:<x>", "DATA", "MAIL FROM:<>", "MAIL FROM:<>", "DATA"],
     ["503 5.5.1 Error: need MAIL command", "503 5.5.1 Error: need RCPT command", THANKS[0],
      "503 5.5.1 Error: nested MAIL command", "503 5.5.1 Error: need RCPT command"]),
    ("", ["ehlo x"], [ehlo_less()]),
    ("-8", ["EHLO x"], [ehlo_less("8BITMIME")]), ("-a", ["EHLO x"], [ehlo_less("AUTH")]),
    ("-E", ["EHLO x"], [ehlo_less("ENHANCEDSTATUSCODES")]),
    ("-N", ["EHLO x"], [ehlo_less("DSN")]), ("-p", ["EHLO x"], [ehlo_less("PIPELINING")]),
    ("-C", ["EHLO x", "XCLIENT a"], [ehlo_less("XCLIENT"), UNKNOWN]),
    ("-F", ["EHLO x", "XFORWARD a"], [ehlo_less("XFORWARD"), UNKNOWN]),
    ("-e", ["EHLO x", "HELO x"], [UNKNOWN, "250 smtp-sink"]),
    ("-h my.host", ["HELO x"], ["250 my.host"]),
    ("-L", ["EHLO x", "HELO x", "LHLO x", *MESSAGE],
     [UNKNOWN, UNKNOWN, ehlo_less(), *THANKS, "250 2.2.0 Ok"]),
    ("-f rcpt,.", ["EHLO x", *MESSAGE[:3]], [ehlo_less("PIPELINING"), THANKS[0], HARD, HARD]),
    ("-f .", MESSAGE, [*THANKS, HARD]),
    ("-r mail", ["EHLO x", *MESSAGE[:2]], [ehlo_less("PIPELINING"), SOFT,
                                           "503 5.5.1 Error: need MAIL command"]),
    ("-q rcpt", MESSAGE[:2], [THANKS[0], ""]),
    ("-Q data", MESSAGE[:4], [*THANKS[:3], "421 4.0.0 Server closing connection"]),
    ("-q .", MESSAGE, [*THANKS, ""]),
    ("-A 0", MESSAGE[:4] + [""], [*THANKS, "550 This violates SMTP"]),
    ("-w 1", MESSAGE, [*THANKS, OK]), ("-W mail:1", MESSAGE[:1], THANKS[:1]),
    ("-W noop:1:1", ["NOOP"], [OK]), ("-H 1", MESSAGE, [*THANKS, OK]),
    ("-t 1", [], []), ("-T 2000", MESSAGE, [*THANKS, OK]), ("-s mail,rcpt", MESSAGE, [*THANKS, OK]),
]
GREETINGS = [("", "220 smtp-sink ESMTP"), ("-P", "220 ********"), ("-e", "220 smtp-sink"),
             ("-f connect", HARD), ("-r connect", SOFT), ("-q connect", ""),
             ("-Q connect", "421 4.0.0 Server closing connection"), ("-W connect:1", "220 smtp-sink ESMTP")]
BAD = [(["-x"], "usage: "), (["-f", "foo"], "unknown command: foo"),
       (["-d", "a", "-D", "b"], "use only one of -d or -D"), (["-m", "0"], "bad concurrency limit: 0"),
       (["-W", "mail"], "invalid command delay argument: mail"),
       (["-W", "mail:1:100"], "delay odds for 'mail' out of range"),
       (["-W", "mail:0"], "non-positive 'mail' delay"), (["-n", "x"], "bad quit count: x"),
       (["-B", "451 no"], "bad hard error reply: 451 no"),
       (["-b", "551 no"], "bad soft error reply: 551 no"), (["-M", "-1"], "bad message quit count")]


def test_sink_dialogues():
    def talk(options, lines):
        with Sink(*options.split()) as sink:
            return sink.ask(*lines)

    cases = [(options, lines) for options, lines, _ in DIALOGUES] + [(o, []) for o, _ in GREETINGS]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda case: talk(*case), cases))
    for (options, lines, want), replies in zip(DIALOGUES, got):
        tap.equal(replies[1:], want, f"smtp-sink {options}: {' / '.join(lines)[:50]}")
    for (options, want), replies in zip(GREETINGS, got[len(DIALOGUES):]):
        tap.equal(replies, [want], f"smtp-sink {options}: the greeting")
    with Sink("-b", "451 4.1.1 soft", "-B", "551 5.1.1 hard", "-r", "mail", "-f", "vrfy") as sink:
        tap.equal(sink.ask("MAIL", "VRFY")[1:], ["451 4.1.1 soft", "551 5.1.1 hard"], "-b and -B")


def test_sink_lmtp_replies():
    with Sink("-L") as sink, Dialogue(sink.port) as d:
        for line in ["LHLO x", *MESSAGE]:
            got = d.ask(line)
        tap.equal([got, *d.reply()], ["250 2.2.0 Ok"] * 2, "a reply for each recipient")
    with Sink("-L", "-r", ".") as sink, Dialogue(sink.port) as d:
        for line in ["LHLO x", *MESSAGE]:
            got = d.ask(line)
        tap.equal([got, *d.reply()], [SOFT] * 2, "also where it refuses")


def test_sink_bad_options():
    for options, text in BAD:
        done = subprocess.run([f"{SBIN}/smtp-sink", *options, "127.0.0.1:1", "1"], text=True,
                              capture_output=True, timeout=60, check=False)
        tap.ok(done.returncode == 1 and text in done.stderr, f"smtp-sink {' '.join(options)}",
               done.stderr)
    if os.geteuid() == 0:
        done = subprocess.run([f"{SBIN}/smtp-sink", "127.0.0.1:1", "1"], text=True,
                              capture_output=True, timeout=60, check=False)
        tap.like(done.stderr, "-u option is required if running as root", "root says whose rights")


def test_sink_pieces():
    """The end of a message in all pieces, and what looks like it."""
    text = b"MAIL FROM:<>\r\nRCPT TO:<x>\r\nDATA\r\na\r\n\r.\r\n.\n\n.\r\n\r\n.\r\r\n\r\n.\r\nNOOP\r\n"
    with Sink() as sink:
        for size in (1, 2, 3, 5, len(text)):
            with Dialogue(sink.port) as d:
                for at in range(0, len(text), size):
                    d.send(text[at:at + size])
                tap.equal([d.line() for _ in range(5)], [THANKS[0], THANKS[1], THANKS[3], OK, OK],
                          f"pieces of {size}")
        with Dialogue(sink.port) as d:
            d.send(b"x" * 5000)
            tap.equal(d.line(), None, "an endless command")


def without_varying(text):
    text = re.sub(r"id [0-9a-f]{8};\n\t.*\n", "id ID;\n\tDATE\n", text)
    return re.sub(r"X-Client-Addr: .*", "X-Client-Addr: ADDR", text)


HEADERS = ("X-Client-Addr: ADDR\nX-Client-Proto: %s\nX-Helo-Args: %s\nX-Mail-Args: <a@b.test> SIZE=5\n"
           "X-Rcpt-Args: <c@d.test> NOTIFY=NEVER\nX-Rcpt-Args: <e@f.test>\n"
           "Received: from %s ([127.0.0.1])\n\tby smtp-sink (smtp-sink) with %s id ID;\n\tDATE\n"
           "Subject: x\n\n.dot\nhello\n\n")


def dumps(where):
    texts = []
    for path in sorted(glob.glob(where)):
        with open(path, encoding="ascii") as f:
            texts.append(without_varying(f.read()))
    return texts


def test_sink_dumps():
    with Sink("-d", f"{DIR}/one/%Y/m.", "-S", r"\x:\101\n") as sink:
        sink.ask("EHLO [cl.test] x", *MESSAGE, *MESSAGE, *MESSAGE[:3], "RSET", *MESSAGE[:4])
        want = "x:A\n" + HEADERS % ("ESMTP", "[cl.test] x", "[cl.test] x", "ESMTP")
        instance.wait_until(lambda: len(glob.glob(f"{DIR}/one/*/m.*")) == 2, "two whole messages")
        tap.equal(dumps(f"{DIR}/one/{time.strftime('%Y')}/m.*"), [want, want], "-d, -S")
    with Sink("-D", f"{DIR}/all") as sink:
        sink.ask("HELO cl.test", *MESSAGE, *MESSAGE[:3], "RSET", *MESSAGE)
        want = HEADERS % ("SMTP", "cl.test", "cl.test", "SMTP")
        tap.equal(dumps(f"{DIR}/all"), [want + want], "-D")


def test_sink_ends():
    with Sink("-M", "2", "-c") as sink:
        tap.equal(sink.ask(*MESSAGE, *MESSAGE)[-1], OK, "-M: the last reply")
        status, output = sink.ends()
        tap.equal(status, 0, "-M: the end")
        tap.like(output, r"sess=0 quit=0 mesg=2\r?$", "-c")
    with Sink("-n", "2", "-c") as sink:
        sink.ask("QUIT")
        sink.ask("NOOP")
        status, output = sink.ends()
        tap.equal(status, 0, "-n: the end")
        tap.like(output, r"sess=2 quit=1 mesg=0\r?$", "-n: what was counted")
    with Sink("-m", "1") as sink, Dialogue(sink.port) as first:
        with Dialogue(sink.port, greeting=False) as second:
            second.sock.settimeout(0.3)
            try:
                tap.equal(second.reply(), None, "-m: the second client waits")
            except TimeoutError:
                tap.ok(True, "-m: the second client waits")
            first.close()
            second.sock.settimeout(60)
            tap.equal(second.reply(), ["220 smtp-sink ESMTP"], "-m: until the first one is gone")
    with Sink("-v", "-n", "1") as sink:
        sink.ask("NOOP")
        tap.like(sink.ends()[1], "^smtp-sink: NOOP$", "-v")
    with Sink("-t", "1") as sink, Dialogue(sink.port) as d:
        tap.equal(d.line(), None, "-t: a quiet client")


def heard(server):
    return [line for session in server.sessions for line in session]


SOURCE = [
    ("", ["HELO HOST", "MAIL FROM:<foo@HOST>", "RCPT TO:<foo@HOST>", "DATA", "QUIT"]),
    ("-o", ["MAIL FROM:<foo@HOST>", "RCPT TO:<foo@HOST>", "DATA", "QUIT"]),
    ("-M my.host", ["HELO my.host", "MAIL FROM:<foo@my.host>", "RCPT TO:<foo@my.host>", "DATA", "QUIT"]),
    ("-f a@b -t c@d", ["HELO HOST", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "QUIT"]),
    ("-N -t c+@d", ["HELO HOST", "MAIL FROM:<foo@HOST>", "RCPT TO:<c+0@d>", "DATA", "QUIT"]),
    ("-d -m 2 -r 2 -t c", ["HELO HOST", "MAIL FROM:<foo@HOST>", "RCPT TO:<c0>", "RCPT TO:<c1>",
                           "DATA", "MAIL FROM:<foo@HOST>", "RCPT TO:<c2>", "RCPT TO:<c3>", "DATA", "QUIT"]),
    ("-m 2", ["HELO HOST", "MAIL FROM:<foo@HOST>", "RCPT TO:<foo@HOST>", "DATA", "QUIT"] * 2),
    ("-d -m 2 -w 1", ["HELO HOST"] + ["MAIL FROM:<foo@HOST>", "RCPT TO:<foo@HOST>", "DATA"] * 2
     + ["QUIT"]),
]
SOURCE_BAD = [(["-s", "0"], "bad session count: 0"), (["-m", "x"], "bad message count: x"),
              (["-l", "0"], "bad message length: 0"), (["-r", "0"], "bad recipient count: 0"),
              (["-w", "1", "-R", "1"], "do not use -w and -R options at the same time"),
              (["-F", "x", "-l", "3"], "-l option cannot be used with -F"),
              (["-F", "/nonexistent"], "open /nonexistent: No such file"), (["-x"], "usage: "),
              (["-M", "a..b"], "bad hostname: a..b"), (["-M", "[x]"], "bad address literal: [x]"),
              (["-C", "2"], "warning: connect: Connection refused\nsmtp-source: fatal: connect: Connection")]
REFUSED = [
    ("CONNECT", "rejected at server banner: 450 no", 5), ("HELO", "HELO rejected: 450 no", 5),
    ("MAIL", "sender rejected: 450 no", 4), ("RCPT", "recipient rejected: 450 no", 5),
    ("DATA", "data rejected: 450 no", 6), (".", "end of data rejected: 450 no", 5),
]


def test_source_dialogues():
    host = os.uname().nodename
    for options, want in SOURCE:
        with ScriptedServer() as server:
            tap.equal(source(f"127.0.0.1:{server.port}", *options.split()), (0, ""),
                      f"smtp-source {options}")
            tap.equal(heard(server), [line.replace("HOST", host) for line in want],
                      f"smtp-source {options}: what is said")
    with ScriptedServer({".": "250 one\r\n250 two"}) as server:
        tap.equal(source(f"inet:127.0.0.1:{server.port}", "-L", "-r", "2", "-t", "x"), (0, ""), "-L")
        tap.equal(heard(server), [f"LHLO {host}", f"MAIL FROM:<foo@{host}>", "RCPT TO:<x0>",
                                  "RCPT TO:<x1>", "DATA", "QUIT"], "-L: what is said")
    path = f"{DIR}/server"
    with ScriptedServer(path=path) as server:
        status, output = source(f"unix:{path}", "-c", "-m", "3")
        tap.equal((status, output.split()[-1]), (0, "3"), "a UNIX socket, -c")


def test_source_messages():
    lines = ["La de da de da %d." % i for i in (1, 2, 3, 4)]
    path = f"{DIR}/message"
    with open(path, "w", encoding="ascii") as f:
        f.write("Subject: mine\n\n.dot\n..\nlast")
    with ScriptedServer() as server:
        target = f"127.0.0.1:{server.port}"
        for options in (["-S", "sub"], ["-o"], ["-l", "200"], ["-l", "81"], ["-F", path],
                        ["-l", "1000000"]):
            tap.equal(source(target, "-M", "h.test", *options)[0], 0, " ".join(options[:1]))
        first, old, short, odd, own, large = server.messages
    tap.equal(first[:2] + first[4:], ["From: <foo@h.test>", "To: <foo@h.test>", "Subject: sub", "", *lines],
              "the message")
    tap.ok(first[2].startswith("Date: ") and re.match(r"Message-Id: <\S+@h\.test>$", first[3]),
           "Date and Message-Id", first)
    tap.equal(old, lines, "-o: no header")
    tap.equal(short[5:], ["1" + "X" * 77, "2" + "X" * 77, "X" * 38], "-l")
    tap.equal([len(line) for line in odd[5:]], [78, 0], "-l with one byte more")
    tap.equal(own, ["Subject: mine", "", "..dot", "...", "last"], "-F")
    tap.equal(sum(len(line) + 2 for line in large[5:]), 1000000, "-l of a megabyte")


def test_source_refused():
    for verb, text, lines in REFUSED:
        script = {verb: "450 no"}
        with ScriptedServer(script) as server:
            target = f"127.0.0.1:{server.port}"
            tap.equal(source(target), (1, f"smtp-source: fatal: {text}\n"), f"{verb} is refused")
        with ScriptedServer(script) as server:
            target = f"127.0.0.1:{server.port}"
            tap.equal(source(target, "-A", "-m", "2"), (0, f"smtp-source: warning: {text}\n" * 2),
                      f"{verb} is refused, with -A")
            tap.equal([len(session) for session in server.sessions], [lines] * 2,
                      f"{verb}: each of two messages")
    with ScriptedServer({"RCPT": None}) as server:
        tap.equal(source(f"127.0.0.1:{server.port}"),
                  (1, "smtp-source: fatal: lost connection while sending recipient\n"), "lost")
    closed = f"127.0.0.1:{instance.free_ports(1)[0]}"
    for options, text in SOURCE_BAD:
        got = source(closed, *options)
        tap.ok(got[0] == 1 and text in got[1], f"smtp-source {' '.join(options)}", got)


def test_both():
    """Everything arrives, over many sessions, also with and from the peer's."""
    programs = [(SBIN, SBIN)] + ([(PEER, SBIN), (SBIN, PEER)] if HAS_PEER else [])
    if not HAS_PEER:
        tap.skip("the peer's are not installed", "the peer's")
    for of_source, of_sink in programs:
        for options in (["-s", "200", "-m", "1000"], ["-s", "10", "-m", "500", "-d", "-l", "20000"],
                        ["-L", "-s", "5", "-m", "50", "-r", "3"]):
            lmtp = [x for x in options if x == "-L"]
            name = f"{of_source}/smtp-source {' '.join(options)} with {of_sink}/smtp-sink"
            with Sink("-c", *lmtp, program=f"{of_sink}/smtp-sink") as sink:
                target = f"127.0.0.1:{sink.port}"
                tap.equal(source(target, *options, program=f"{of_source}/smtp-source"), (0, ""), name)
                sink.process.terminate()
                output = sink.process.communicate(timeout=60)[0]
            if of_sink == PEER:
                want = options[options.index("-m") + 1]
                tap.like(output, rf"mesg={want}\b", f"{name}: all are counted")


def test_counts():
    with Sink("-c", "-M", "1000") as sink:
        tap.equal(source(f"127.0.0.1:{sink.port}", "-s", "50", "-m", "1000", "-d"), (0, ""), "1,000")
        status, output = sink.ends()
        tap.equal(status, 0, "the sink has them all")
        tap.like(output, r"mesg=1000\r?$", "and says so")


def test_unix_and_v6():
    path = f"{DIR}/sink"
    with Sink("-L", target=f"unix:{path}"):
        tap.equal(source(f"unix:{path}", "-L", "-m", "5"), (0, ""), "over a UNIX socket")
    if not os.path.exists("/proc/net/if_inet6"):
        tap.skip("no IPv6", "-6")
        return
    port = instance.free_ports(1)[0]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([f"{SBIN}/smtp-sink", *user, "-6", "-M", "1", "-D", f"{DIR}/six",
                           f"[::1]:{port}", "5"]) as six:
        instance.wait_until(lambda: source(f"[::1]:{port}", "-6")[0] == 0, "IPv6")
        tap.equal(six.wait(60), 0, "over IPv6")
    with open(f"{DIR}/six", encoding="ascii") as f:
        tap.like(f.read(), r"^X-Client-Addr: ipv6:::1$", "the client's address")


def test_smtpd():
    with instance.Instance() as mail:
        tap.equal(source(f"127.0.0.1:{mail.smtp_port}", "-s", "5", "-m", "20", "-f",
                         "alice@example.test", "-t", "bob@example.test"), (0, ""), "to our smtpd")
        tap.equal(len(mail.wait_for_mail("bob", 20)), 20, "everything is delivered")


try:
    tap.run(test_sink_dialogues, test_sink_lmtp_replies, test_sink_bad_options, test_sink_pieces,
            test_sink_dumps, test_sink_ends, test_source_dialogues, test_source_messages,
            test_source_refused, test_both, test_counts, test_unix_and_v6, test_smtpd)
finally:
    shutil.rmtree(DIR)
