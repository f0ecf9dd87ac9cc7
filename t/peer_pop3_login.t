#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""POP3 before login beside a real Dovecot 2.3: settings of the login half, each way in which a
session ends, and every pair of commands, in clear and in TLS, before and after login."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import pop3_side  # noqa: E402
import tap  # noqa: E402
from pop3_side import LOGIN, TLS, Pair, certificate, neutral, plain  # noqa: E402

pop3_side.need_peer()
BOX = {"cur/1.h:2,": "Subject: a\n\n.dot\nbody\n", "cur/2.h:2,": "Subject: b\r\n\r\nx\r\n",
       "cur/3.h:2,S": "Subject: c\n\nno eol"}
AWAY = {"source": "127.0.0.2"}  # client and server have two addresses
OVER = "AUTH PLAIN " + plain("u0", "pw")


def test_ends():
    """A session's end in each of its states."""
    sessions = {
        "nothing": [], "USER": ["USER u0"], "QUIT": ["QUIT"], "TLS": [TLS], "TLS and QUIT": [TLS, "QUIT"],
        "wrong": ["USER u0", "PASS x"], "wrong in TLS": [TLS, "USER u0", "PASS x"],
        "wrong twice": ["USER u0", "PASS x", "USER u1", "PASS y", "QUIT"], "unknown user": ["USER who", "PASS x"],
        "in SASL": ["AUTH PLAIN"], "in SASL, later": ["USER u0", "PASS x", "AUTH LOGIN", "dTA="],
        "SASL aborted": ["AUTH PLAIN", "*"], "SASL aborted, QUIT": ["AUTH LOGIN", "dTA=", "*", "QUIT"],
        "no such mechanism": ["AUTH FOO", "QUIT"], "no base64": ["AUTH PLAIN ====", "QUIT"],
        "no base64 later": ["AUTH PLAIN", "!!!", "QUIT"], "empty response": ["AUTH PLAIN =", "QUIT"],
        "empty line": ["AUTH PLAIN", "", "QUIT"], "SASL": [OVER, "STAT", "QUIT"],
        "SASL LOGIN": ["auth login dTA=", "cHc=", "QUIT"], "lower case": ["user u0", "pass pw", "quit"],
        "bad commands": ["FOO", "BAR", "LIST", "X"], "in clear to TLS": [b"STLS\r\n", b"no TLS at all\r\n"],
        "STLS": ["USER u0", TLS, "STLS", "CAPA"] + LOGIN + ["STLS", "QUIT"],
        "long": [b"USER " + b"x" * 9000 + b"\r\n"], "long after login": LOGIN + [b"RETR " + b"1" * 9000 + b"\r\n"],
        "pipelined": [b"USER u0\r\nPASS pw\r\nSTAT\r\nLIST\r\nDELE 9\r\nQUIT\r\n"],
        "after login": LOGIN + ["RETR 1"], "bad after login": LOGIN + ["FOO"] * 22,
        "many spaces": ["USER u0  ", "PASS pw", "USER  u0", "PASS pw", "PASS", "USER", "QUIT  x"],
    }
    with Pair("ends") as pair:
        pair.put(BOX)
        for name, steps in sessions.items():
            pair.talk(name, list(steps))
            if name in ("nothing", "QUIT", "wrong", "SASL"):
                pair.talk(f"{name}, from elsewhere", list(steps), **AWAY)


def test_plaintext():
    away = ["CAPA", "AUTH", "USER u0", "PASS pw", "AUTH PLAIN", "AUTH LOGIN", OVER, "QUIT"]
    for name, extra in (("disable_plaintext_auth", "disable_plaintext_auth = yes\n"),
                        ("ssl = required", "ssl = required\n"), ("ssl = no", "ssl = no\n"),
                        ("required, both", "ssl = required\ndisable_plaintext_auth = yes\n")):
        with Pair(name, extra) as pair:
            pair.put(BOX)
            pair.talk("from elsewhere", away, **AWAY)
            for steps in (["USER u0"], ["PASS x"], [OVER], ["AUTH PLAIN"]):
                pair.talk(f"{steps[0]} from elsewhere", steps, **AWAY)
            pair.talk("from here", ["CAPA", "AUTH"] + LOGIN + ["CAPA", "QUIT"])
            if extra != "ssl = no\n":
                pair.talk("in TLS", [TLS, "CAPA", "AUTH"] + LOGIN + ["CAPA", "QUIT"], **AWAY)
                pair.talk("after STLS", ["CAPA", TLS, "CAPA", OVER, "QUIT"], **AWAY)
            else:
                pair.talk("STLS", ["STLS", "QUIT"])


def test_trusted():
    with Pair("login_trusted_networks",
              "disable_plaintext_auth = yes\nlogin_trusted_networks = 127.0.0.2/31, 192.0.2.0/24\n") as pair:
        pair.put(BOX)
        pair.talk("for another", ["CAPA", "XCLIENT ADDR=10.9.8.7 PORT=1234 SESSION=abc123 TTL=5", "CAPA"] + LOGIN +
                  ["QUIT"], **AWAY)
        pair.talk("odd", ["XCLIENT FOO=bar", "XCLIENT ADDR=bad", "XCLIENT LOGIN=x FORWARD=YQ==", "XCLIENT",
                          "XCLIENT ADDR=::1", "QUIT"], source="127.0.0.3")
        pair.talk("not trusted", ["XCLIENT ADDR=10.9.8.7", "CAPA", "QUIT"], source="127.0.0.4")


HELLO = ("VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n"
         "COOKIE\t0123456789abcdef0123456789abcdef\nDONE\n")


def serve_auth(listener, requests):
    """An auth server that refuses everybody, once for each connection to LISTENER."""
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        with sock, sock.makefile("r", encoding="latin-1") as lines:
            sock.sendall(HELLO.encode())
            for line in lines:
                if line.startswith("AUTH\t"):
                    requests.append(line.rstrip("\n").split("\t"))
                    sock.sendall(f"FAIL\t{requests[-1][1]}\tuser=u0\n".encode())
                    break


def test_no_penalty():
    """What the auth server is told of clients that a trusted proxy speaks for."""
    requests = []
    with pop3_side.Side(pop3_side.OURS, "login_trusted_networks = 127.0.0.2\n") as side, \
            socket.socket(socket.AF_UNIX) as listener:
        path = side.path("run/login/login")
        os.rename(path, path + ".away")
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen()
        threading.Thread(target=serve_auth, args=(listener, requests), daemon=True).start()
        # It has connections from before.
        for pid in subprocess.run(["pgrep", "-P", str(side.process.pid), "-x", "authd"], stdout=subprocess.PIPE,
                                  text=True, check=True).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        for source, steps in (("127.0.0.2", ["XCLIENT ADDR=10.9.8.7"]), ("127.0.0.3", [])):
            talk = pop3_side.Talk(side, source=source)
            talk.line()
            for step in steps:
                talk.ask(step)
            tap.equal(talk.ask(OVER), "-ERR [AUTH] Authentication failed.", f"{source}: refused")
            talk.close()
        told = [("no-penalty" in r, next((f for f in r if f.startswith("rip=")), "")) for r in requests]
        tap.equal(told, [(True, "rip=10.9.8.7"), (False, "rip=127.0.0.3")], "no-penalty, for the trusted one alone")
        listener.shutdown(socket.SHUT_RDWR)


def test_formats():
    elements = ("user=<%u> n=%n d=%d method=%m rip=%r lip=%l mpid=%e %c cipher=%k session=<%{session}> s=%s "
                "ln=%{local_name} au=%{auth_user} ou=%{orig_user} rrip=%{real_rip} ls=%{listener} "
                "sec=%{secured} ssl=%{ssl_security} plain words %Uu %2u")
    with Pair("formats", f"login_greeting = hello %{{hostname}} %s, it is %%\nlogin_log_format = [%$] %s!\n"
              f"login_log_format_elements = {elements}\n") as pair:
        pair.put(BOX)
        pair.talk("in TLS", [TLS] + LOGIN + ["RETR 1", "QUIT"], server_name="mail.example.test")
        pair.talk("from elsewhere", LOGIN + ["QUIT"], **AWAY)
        pair.talk("wrong", ["USER u0@example.test", "PASS bad"], **AWAY)
        pair.talk("nothing", [TLS])


def subject(side, name, steps=()):
    """The common name of the certificate that a client gets who asks for NAME."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", side.ssl_port), 20, source_address=steps or None) as sock:
        with context.wrap_socket(sock, server_hostname=name) as tls:
            found = re.search(rb"\x06\x03U\x04\x03.(.)(.*)", tls.getpeercert(True), re.S)
            return found.group(2)[:found.group(1)[0]].decode()


def test_filters():
    extra = """
local_name one.test {
  ssl_cert = <{dir}/one.cert.pem
  ssl_key = <{dir}/one.key.pem
}
local_name "*.wild.test two.test" {
  ssl_cert = <{dir}/wild.cert.pem
  ssl_key = <{dir}/wild.key.pem
}
remote 127.0.0.2 {
  disable_plaintext_auth = yes
  login_greeting = a remote one
}
protocol pop3 {
  login_greeting = POP3 ready.
}
protocol imap {
  login_greeting = not here
}
local 127.0.0.1 {
  login_log_format_elements = user=<%u> local rip=%r session=<%{session}>
}
"""
    with Pair("filters", extra, prepare=lambda side: [
            certificate(side.dir, name, f"{name}.") for name in ("one", "wild")]) as pair:
        pair.put(BOX)
        for name in ("one.test", "ONE.test", "a.wild.test", "a.b.wild.test", "wild.test", "two.test", "other.test",
                     None):
            ours, theirs = (subject(side, name) for side in pair.sides)
            tap.equal(ours, theirs, f"the certificate for {name}")
        time.sleep(0.5)
        pair.talk("here", ["CAPA"] + LOGIN + ["QUIT"])
        replies, _ = pair.sides[0].talk(["CAPA", "USER u0", "QUIT"], **AWAY)
        tap.equal(replies[0], "+OK a remote one", "settings of a remote block")
        tap.like(replies[2], "^-ERR .AUTH. Plaintext authentication disallowed", "and more of them")


def raw(side, data):
    with socket.create_connection(("127.0.0.1", side.port), 20) as sock:
        sock.sendall(data)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got


def test_haproxy():
    for networks in ("127.0.0.0/8", "10.0.0.0/8", ""):
        extra = ("service pop3-login {\n  inet_listener pop3 {\n    haproxy = yes\n  }\n}\n"
                 f"haproxy_trusted_networks = {networks}\nhaproxy_timeout = 1s\n")
        with Pair(f"haproxy from {networks or 'nobody'}", extra) as pair:
            pair.put(BOX)
            for header in (b"PROXY TCP4 10.1.2.3 10.3.2.1 1111 2222\r\n", b"PROXY UNKNOWN\r\n",
                           b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x0a\x03\x02\x01\x04\x57\x08\xae",
                           b"FOO\r\n", b""):
                results = []
                for side in pair.sides:
                    skip = len(side.log())
                    reply = raw(side, header + b"USER u0\r\nPASS pw\r\nQUIT\r\n" if header else b"")
                    time.sleep(0.3)
                    results.append((reply, sorted(side.lines(skip))))
                tap.equal(*results, f"{networks or 'nobody'}: {header!r}")


def test_groups():
    for extra, wanted in (("", r"^-ERR \[SYS/"), ("mail_access_groups = games\n", r"^\+OK Logged in\.$")):
        with pop3_side.Side(pop3_side.OURS, extra) as side:
            side.put("u0", BOX)
            subprocess.run(["chown", "-R", "root:games", side.path("mail")], check=True)
            subprocess.run(["chmod", "-R", "o-rwx,g+rwX", side.path("mail")], check=True)
            tap.like(log_in(side)[1], wanted, extra.strip() or "without a further group")


VERBS = ["CAPA", "AUTH", "AUTH FOO", "AUTH PLAIN =", "USER u0", "USER", "PASS x", "PASS", "STLS x", "APOP u0 0",
         "STAT", "LIST", "NOOP", "", " ", "USER u1 x"]
LATER = ["CAPA", "STAT", "LIST", "LIST 1", "LIST 9", "LIST x", "UIDL", "UIDL 2", "UIDL 0", "RETR 1", "RETR 2 x", "RETR",
         "TOP 1 0", "TOP 2 1", "TOP 1", "TOP 3 x", "DELE 1", "DELE 2", "DELE", "RSET", "NOOP", "LAST", "XTND", "USER u0",
         "STLS", "AUTH PLAIN", ""]


def quiet_pairs(pair, name, start, words, **how):
    """Each pair of WORDS; one line of TAP for each first one."""
    for first in words:
        bad = []
        for second in words:
            if "STLS x" in (first, second) and start == [TLS]:
                continue
            steps = start + [first, second, "QUIT"]
            ours, theirs = (side.talk(steps, **how) for side in pair.sides)
            if ours != theirs:
                bad.append((first, second, ours, theirs))
        tap.ok(not bad, f"{name}: {first!r} and each other", "\n".join(map(repr, bad[:3])))


def test_pairs():
    with Pair("pairs") as pair:
        # In clear STLS would begin TLS.
        clear = [v for v in VERBS if v != "STLS x"]
        for side in pair.sides:
            side.put("u0", BOX, "3 V1700000000 N4 G9b0f910ffd6f006bd83f000083ecc375\n1 :1.h\n2 :2.h\n3 :3.h\n")
        quiet_pairs(pair, "before login", [], clear)
        quiet_pairs(pair, "before login, in TLS", [TLS], VERBS[:8])
        quiet_pairs(pair, "before login, elsewhere", [], clear[:8], **AWAY)


def test_pairs_after_login():
    with Pair("pairs") as pair:
        for first in LATER:
            bad = []
            for second in LATER:
                pair.put(BOX, "3 V1700000000 N4 G9b0f910ffd6f006bd83f000083ecc375\n1 :1.h\n2 :2.h\n3 :3.h\n")
                steps = LOGIN + [first, second, "QUIT"]
                ours, theirs = (side.talk(steps) + (side.files("u0"),) for side in pair.sides)
                if ours != theirs:
                    bad.append((first, second, ours, theirs))
            tap.ok(not bad, f"after login: {first!r} and each other", "\n".join(map(repr, bad[:3])))


def test_apop():
    with Pair("APOP", "auth_mechanisms = plain apop cram-md5\n") as pair:
        pair.put(BOX)
        if not all("<CHALLENGE>" in side.talk(["QUIT"])[0][0] for side in pair.sides):
            tap.skip("authd has no APOP yet", "APOP")
            return
        pair.talk("bad", ["CAPA", "AUTH", "APOP u0 0123", "APOP u0 " + "0" * 32, "APOP u0 " + "x" * 32, "APOP u0", "APOP",
                          "AUTH APOP", "QUIT"])
        for side in pair.sides:
            talk = pop3_side.Talk(side)
            tap.equal(pop3_side.apop(talk, "u0", "pw"), "+OK Logged in.", f"{side.kind}: APOP")
            talk.close()
    with Pair("APOP without TLS", "auth_mechanisms = plain apop\nssl = required\n") as pair:
        pair.put(BOX)
        pair.talk("refused", ["APOP u0 " + "0" * 32, "APOP u0", "QUIT"], **AWAY)
        for side in pair.sides:
            talk = pop3_side.Talk(side, **AWAY)
            tap.like(pop3_side.apop(talk, "u0", "pw"), "^-ERR .*until SSL/TLS is enabled", f"{side.kind}: the password, too")
            talk.close()


def log_in(side, user="u0", **how):
    talk = pop3_side.Talk(side, **how)
    talk.line()
    talk.ask(f"USER {user}")
    return talk, talk.ask("PASS pw")


def test_userip():
    with Pair("mail_max_userip_connections", "protocol pop3 {\n  mail_max_userip_connections = 2\n}\n") as pair:
        pair.put(BOX)
        open_ones = [log_in(side) for side in pair.sides for _ in range(2)]
        tap.equal([reply for _, reply in open_ones], ["+OK Logged in."] * 4, "two sessions")
        time.sleep(0.5)
        pair.talk("a third one", LOGIN + ["QUIT"])
        pair.talk("from elsewhere", LOGIN + ["QUIT"], **AWAY)
        pair.talk("another user", ["USER u1", "PASS pw", "QUIT"])
        for talk, _ in open_ones:
            talk.ask("QUIT")
            talk.close()
        time.sleep(0.5)
        pair.talk("after they have gone", LOGIN + ["QUIT"])


def ask_who(side, *lines):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(side.path("run/who-pop3"))
        sock.sendall(("VERSION\t1\t0\n" + "".join(line + "\n" for line in lines)).encode())
        got = b""
        while not re.search(rb"^(DONE|OK\t\d+)\n", got, re.M):
            piece = sock.recv(65536)
            if not piece:
                break
            got += piece
        return [line.split("\t") for line in got.decode().splitlines()]


def test_who():
    with pop3_side.Side(pop3_side.OURS, "service pop3 {\n  process_limit = 3\n}\n") as side:
        side.put("u0", BOX)
        first, second, third = log_in(side)[0], log_in(side, "u1", **AWAY)[0], log_in(side)[0]
        answer = ask_who(side, "WHO")
        tap.equal(answer[0], ["VERSION", "1", "0"], "the greeting")
        sessions = sorted(line[:3] + line[4:5] for line in answer if line[0] == "SESSION")
        tap.equal(sessions, [["SESSION", "u0", "pop3", "127.0.0.1"]] * 2 + [["SESSION", "u1", "pop3", "127.0.0.2"]],
                  "who is logged in")
        waits = pop3_side.Talk(side)
        waits.line()
        waits.ask("USER u0")
        waits.say("PASS pw")
        pop3_side.wait_until(lambda: "service(pop3): process_limit (3) reached, client connections are being dropped"
                             in side.log(), "the warning")
        ids = {line[1]: line[5] for line in answer if line[0] == "SESSION"}
        tap.equal(ask_who(side, f"KICK\t{ids['u1']}")[-1], ["OK", "1"], "one is kicked")
        tap.equal(second.line(), "-ERR [SYS/TEMP] Server shutting down.", "which it is told")
        tap.equal(second.line(), "(end)", "and that is the end of it")
        tap.equal(waits.line(), "+OK Logged in.", "who waited for room gets in")
        tap.equal(ask_who(side, "KICK\tnobody")[-1], ["OK", "0"], "a session that is not there")
        tap.equal(first.ask("NOOP"), "+OK", "the others go on")
        tap.equal(ask_who(side, "NONSENSE")[1:], [], "nonsense ends the connection")
        mode = os.stat(side.path("run/who-pop3"))
        tap.equal((mode.st_mode & 0o777, mode.st_uid), (0o600, 0), "who may ask")
        for talk in (first, second, third, waits):
            talk.close()
        pop3_side.wait_until(lambda: len(ask_who(side, "WHO")) == 2, "all are gone")
        tap.like(side.log(), r"pop3\(u1\)<\d+><\S+>: Info: Disconnected: Server shutting down\. top=0/0", "the log")


only = sys.argv[1:]
if only:
    tap.run(*(globals()[name] for name in only))
tap.run(test_ends, test_plaintext, test_trusted, test_no_penalty, test_formats, test_filters, test_haproxy, test_apop, test_userip,
        test_who, test_groups, test_pairs,
        test_pairs_after_login)
