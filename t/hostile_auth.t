#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Hostile logins: through SMTP's AUTH, POP3's AUTH, USER and PASS, and on authd's sockets.  Nobody
gets in, what is said is one line, and the next honest user is served."""

import base64
import os
import re
import socket
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_auth  # noqa: E402
import tap  # noqa: E402
from instance import DOMAIN, WAIT_S, Instance  # noqa: E402
from sasl_client import Cram, Scram  # noqa: E402
from small_ca import SmallCa  # noqa: E402

USER, PASSWORD = f"alice@{DOMAIN}", "alice"
MECHANISMS = "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 external"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode())


GOOD = b64(f"\0{USER}\0{PASSWORD}")

# What is put where a user's name belongs; the password is alice's.
NAMES = {
    "NUL": f"{USER}\0".encode(), "NUL first": b"\0alice", "NUL and another": f"{USER}\0bob".encode(),
    "quotes": f'"alice"@{DOMAIN}'.encode(), "a quote": b"alice'@" + DOMAIN.encode(), "backslash": b"alice\\@x",
    "../": b"../" + USER.encode(), "../../etc/passwd": b"../../etc/passwd", "..": b"..", "of dots": b"alice@..",
    "a part of dots": f"x/../alice@{DOMAIN}".encode(), "%u": b"%u", "%{env}": b"%{env:HOME}", "%n@%d": b"%n@%d",
    "%s": b"%s%s%s%n", "%%": b"%%", "TAB": b"alice\tuser=bob", "LF": b"alice\nOK\t1\tuser=bob",
    "CRLF": b"alice\r\n+OK", "001": b"alice\0011", "8 bits": b"\xff\xfe\x80", "600 bytes": b"a" * 600,
    "7000 bytes": b"a" * 7000, "colon": b"alice:x", "star": b"*", "a master's": f"bob@{DOMAIN}*{USER}".encode(),
    "nobody's": b"", "blank": b" ", "escape": b"\x1b[2J", "DEL": b"\x7f", "shell": b"`id`;$(id)|id",
}
PASSWORDS = {
    "64 KiB": b"x" * 65536, "64 KiB that begin well": b"alice" + b"x" * 65531, "5000 bytes": b"x" * 5000,
    "NUL behind": b"alice\0", "NUL and more": b"alice\0x", "TAB": b"alice\t", "LF": b"alice\nOK", "001": b"\001",
    "empty": b"", "a scheme": b"{PLAIN}alice", "blanks": b" alice ", "8 bits": b"\xff" * 40, "percent": b"%w",
}
NO_BASE64 = {
    "hash": b"#", "one letter": b"A", "two": b"AA", "three": b"AAA", "padding alone": b"====", "padding first": b"=AAA",
    "padding within": b"AA==AAAA", "too much padding": b"A===", "bits behind the end": b"AB==", "URL alphabet": b"_-_-",
    "blank within": b"QUFB QUFB", "8 bits": b"\xff\xff\xff\xff", "stars": b"**", "percent": b"%41%41", "cut": GOOD[:-2],
}


def plain(name, password):
    return b64(b"\0" + name + b"\0" + password)


# --- SMTP and POP3 ---

class Talk:
    """A dialogue on one connection, SMTP's in TLS; answers are whole replies."""

    def __init__(self, mail, protocol):
        self.protocol = protocol
        self.sock = socket.create_connection(
            ("127.0.0.1", mail.submission_port if protocol == "SMTP" else mail.pop3s_port), WAIT_S)
        if protocol == "SMTP":
            self.file = self.sock.makefile("rb")
            self.reply()
            self.ask(b"EHLO x")
            self.ask(b"STARTTLS")
        self.sock = mail.tls().wrap_socket(self.sock)
        self.file = self.sock.makefile("rb")
        if protocol == "SMTP":
            self.ask(b"EHLO x")
        else:
            self.reply()

    def reply(self):
        """b"" when the connection was closed."""
        lines = []
        try:
            while not lines or (self.protocol == "SMTP" and lines[-1][3:4] == b"-"):
                lines.append(self.file.readline())
                if not lines[-1]:
                    break
        except OSError:
            return b""
        return b"".join(lines)

    def ask(self, line):
        try:
            self.sock.sendall(line + b"\r\n")
        except OSError:
            return b""
        return self.reply()

    def close(self):
        self.sock.close()


def challenge_of(reply):
    return base64.b64decode(reply.split(b" ", 1)[1])


def is_in(reply):
    return reply.startswith((b"235", b"+OK"))


def is_refusal(reply):
    """One line, with nothing that would be another, or the end of the connection."""
    return reply == b"" or (reply.startswith((b"4", b"5", b"-ERR")) and reply.endswith(b"\r\n") and
                            not re.search(rb"[\0-\x09\x0b\x0c\x0e-\x1f]", reply) and reply.count(b"\n") == 1)


def last_reply(mail, protocol, *lines):
    """To the last of LINES; the ones before must be answered by a challenge or, of USER, by yes."""
    talk = Talk(mail, protocol)
    reply = b""
    for line in lines:
        reply = talk.ask(line)
        if not reply.startswith((b"334", b"+ ", b"+OK")):
            break
    talk.close()
    return reply


def ways(protocol, name, password):
    """All ways to say a name and a password."""
    yield "AUTH PLAIN", [b"AUTH PLAIN " + plain(name, password)]
    yield "AUTH PLAIN later", [b"AUTH PLAIN", plain(name, password)]
    yield "AUTH LOGIN", [b"AUTH LOGIN", b64(name), b64(password)]
    yield "AUTH CRAM-MD5", [b"AUTH CRAM-MD5", b64(name + b" " + b"0" * 32)]
    if protocol == "POP3":
        yield "USER and PASS", [b"USER " + name, b"PASS " + password]


def serves(mail, protocol):
    return is_in(last_reply(mail, protocol, b"AUTH PLAIN " + GOOD))


def check(mail, protocol, what, lines):
    reply = last_reply(mail, protocol, *lines)
    tap.ok(is_refusal(reply), f"{protocol} {what}", reply[:300])


def test_names(mail, protocol):
    for what, name in NAMES.items():
        for way, lines in ways(protocol, name, PASSWORD.encode()):
            check(mail, protocol, f"{way}: name, {what}", lines)
    tap.ok(serves(mail, protocol), f"{protocol}: and it serves")


def test_passwords(mail, protocol):
    for what, password in PASSWORDS.items():
        for way, lines in ways(protocol, USER.encode(), password):
            # POP3's line ends the password, and blanks around it are its own.
            if way == "USER and PASS" and what == "LF":
                continue
            check(mail, protocol, f"{way}: password, {what}", lines)
    tap.ok(serves(mail, protocol), f"{protocol}: and it serves")


def test_base64(mail, protocol):
    for what, text in NO_BASE64.items():
        for mechanism in MECHANISMS.upper().split():
            check(mail, protocol, f"{mechanism} {what}", [b"AUTH " + mechanism.encode() + b" " + text])
        check(mail, protocol, f"PLAIN later, {what}", [b"AUTH PLAIN", text])
        check(mail, protocol, f"LOGIN's password, {what}", [b"AUTH LOGIN", b64(USER), text])
        check(mail, protocol, f"CRAM-MD5 later, {what}", [b"AUTH CRAM-MD5", text])
    tap.ok(serves(mail, protocol), f"{protocol}: and it serves")


def steps_of(mechanism):
    """The client's words of an honest dialogue but for the last one, each made of a challenge."""
    sasl = {"CRAM-MD5": lambda: Cram(USER, PASSWORD), "SCRAM-SHA-1": lambda: Scram("sha1", USER, PASSWORD),
            "SCRAM-SHA-256": lambda: Scram("sha256", USER, PASSWORD)}.get(mechanism)
    if sasl:
        client = sasl()
        return ([lambda _: client.first] if client.first else []) + [client.step]
    if mechanism == "LOGIN":
        return [lambda _: USER.encode(), lambda _: PASSWORD.encode()]
    return [lambda _: f"\0{USER}\0{PASSWORD}".encode()]


def test_aborts(mail, protocol):
    """After as many steps as there are: "*", an empty line, a command, and the end of the connection."""
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        steps = steps_of(mechanism)
        for count in range(len(steps)):
            for what, end in (("*", b"*"), ("an empty line", b""), ("a command", b"QUIT"), ("an end", None)):
                talk = Talk(mail, protocol)
                reply = talk.ask(b"AUTH " + mechanism.encode())
                for step in steps_of(mechanism)[:count]:
                    reply = talk.ask(b64(step(challenge_of(reply))))
                name = f"{protocol} {mechanism}: {what} after {count} steps"
                if end is None:
                    talk.close()
                    continue
                reply = talk.ask(end)
                while reply.startswith((b"334", b"+ ")):
                    reply = talk.ask(b"*")
                tap.ok(is_refusal(reply), name, reply)
                tap.ok(is_in(talk.ask(b"AUTH PLAIN " + GOOD)), f"{name}: the next one gets in")
                talk.close()
    tap.ok(serves(mail, protocol), f"{protocol}: and it serves")


def test_replay(mail, protocol):
    """What was good once, on another connection."""
    for mechanism in ("CRAM-MD5", "SCRAM-SHA-256"):
        talk = Talk(mail, protocol)
        said, reply = [], talk.ask(b"AUTH " + mechanism.encode())
        for step in steps_of(mechanism):
            said.append(b64(step(challenge_of(reply))))
            reply = talk.ask(said[-1])
        if reply.startswith((b"334", b"+ ")):
            reply = talk.ask(b"")
        tap.ok(is_in(reply), f"{protocol} {mechanism}: once", reply)
        talk.close()
        check(mail, protocol, f"{mechanism}: again", [b"AUTH " + mechanism.encode(), *said])


def test_mechanisms(mail, protocol):
    for name in (b"\0", b"X" * 40, b"X" * 400, b"PLAIN\0", b"PLAIN,LOGIN", b"ANONYMOUS", b"APOP", b"EXTERNAL =", b"OTP",
                 b"EXTERNAL " + b64(USER), b"PLAIN " + GOOD + b" x", b"PLAIN\t" + b"\xff", b"*", b"%s", b"plain\t\t"):
        talk = Talk(mail, protocol)
        reply = talk.ask(b"AUTH " + name)
        if reply.startswith((b"334", b"+ ")):
            reply = talk.ask(b"*")
        tap.ok(is_refusal(reply), f"{protocol}: AUTH {name[:20]!r}", reply)
        talk.close()


def test_through_protocols():
    failed = "auth_failure_delay = 0\nauth_verbose = yes\n"
    main = {"smtpd_client_auth_rate_limit": "0", "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "1000"}
    with Instance(main=main, dovecot=failed + f"auth_mechanisms = {MECHANISMS}\n") as mail:
        for test in (test_names, test_passwords, test_base64, test_aborts, test_replay, test_mechanisms):
            for protocol in ("SMTP", "POP3"):
                try:
                    test(mail, protocol)
                except Exception as error:  # the other tests still run
                    tap.ok(False, f"{test.__name__} {protocol}", repr(error))
        log = mail.log()
        tap.unlike(log, "panic|signal (6|11)|Fatal|fatal:", "no process has died")
        tap.unlike(log, r"[\0-\x09\x0b-\x1f\x7f]", "and the log has no byte of theirs that is none")
        tap.unlike(log, r"^(OK|\+OK)", "nor a line")


# --- authd's sockets ---

CHAIN = """
auth_mechanisms = plain login cram-md5 scram-sha-1 external
passdb {
  driver = passwd-file
  args = {dir}/users
}
userdb {
  driver = static
  args = uid=4711 gid=4711 home=/home/%u
}
"""
USERS = "alice:{PLAIN}pw\nbob:{PLAIN}pw2\n"


def good(line):
    return line.startswith("OK\t")


def serves_raw(auth):
    return good(auth.plain_all([("alice", "pw")])[0])


# Each ends the connection, or is answered by FAIL; none by OK.
LINES = [b"", b"\t", b"\t\t\t", b"AUTH", b"AUTH\t", b"AUTH\t1", b"AUTH\t1\t", b"AUTH\t1\tPLAIN", b"AUTH\t1\tPLAIN\t",
         b"AUTH\t0\tPLAIN\tservice=x", b"AUTH\t-1\tPLAIN\tservice=x", b"AUTH\t4294967296\tPLAIN\tservice=x",
         b"AUTH\t99999999999999999999999\tPLAIN\tservice=x", b"AUTH\t1e3\tPLAIN\tservice=x", b"AUTH\t 1\tPLAIN\tservice=x",
         b"AUTH\t1\tNONE\tservice=x", b"AUTH\t1\t" + b"P" * 2000 + b"\tservice=x", b"AUTH\t1\tPLAIN\tservice=",
         b"AUTH\t1\tPLAIN\tresp=" + b64("\0alice\0pw"), b"AUTH\t1\tPLAIN\tservice=x\tresp=" + b64("\0alice\0pw") + b"\tx",
         b"AUTH\t1\tPLAIN\tservice=x\tresp=" + b64("\0alice\0pw") + b" ", b"AUTH\t1\tPLAIN\tservice=x\tresp=\0011",
         b"AUTH\t1\tPLAIN\tservice=\001", b"AUTH\t1\tPLAIN\tservice=\001x", b"AUTH\t1\tPLAIN\tservice=x\001",
         b"AUTH\t1\tPLAIN\tservice=\0010", b"AUTH\t1\tPLAIN" + b"\tservice=x" * 200, b"AUTH\0\t1\tPLAIN\tservice=x",
         b"auth\t1\tPLAIN\tservice=x", b"AUTH 1 PLAIN service=x", b"CONT", b"CONT\t", b"CONT\tx", b"CONT\t1", b"CONT\t-1\tx",
         b"CANCEL", b"CANCEL\t", b"CANCEL\t0", b"CANCEL\tx", b"CPID\t7", b"CPID\t0", b"VERSION\t1\t2", b"VERSION\t9\t9",
         b"USER\t1\talice\tservice=x", b"PASS\t1\talice\tservice=x", b"LIST\t1", b"CACHE-FLUSH\t1", b"REQUEST\t1\t1\t1\t" + b"0" * 32,
         b"OK\t1\tuser=alice", b"GET / HTTP/1.0", b"\xff" * 100, b"\0" * 100, b"A" * 8190, b"A" * 70000, b"\r", b"AUTH\t1\tPLAIN\r"]


def test_raw_lines():
    """Auth lines of every malformation."""
    with peer_auth.Instance(CHAIN, {"users": USERS}) as auth:
        for text in LINES:
            for name in ("auth-client", "login/login"):
                c = auth.client(name, pid=1000 + len(text))
                c.say(text + b"\n")
                c.say("AUTH\t77\tPLAIN\tservice=x\tresp=#")
                answers = [c.read()]
                while answers[-1] and not answers[-1].startswith("FAIL\t77"):
                    answers.append(c.read())
                c.close()
                tap.ok(all(a == "" or a.startswith(("FAIL\t", "CONT\t1\t")) for a in answers),
                       f"{name}: {text[:40]!r}", answers)
        c = peer_auth.Lines(auth.path("run/auth-client"))
        c.say(b"VERSION\t1\t2\nCPID\t5\nAUTH\t1\tPLAIN\tservice=x\tresp=" + b64("\0alice\0" + "x" * 65536) + b"\n")
        lines = []
        while not lines or lines[-1]:
            lines.append(c.read())
        tap.ok(not any(map(good, lines)), "a password of 64 KiB ends the connection", lines)
        tap.ok(serves_raw(auth), "and it serves")


def test_raw_logins():
    with peer_auth.Instance(CHAIN, {"users": USERS}) as auth:
        names = list(NAMES.values())
        answers = auth.plain_all([(name, "pw") for name in names if len(name) < 2000])
        tap.equal([a for a in answers if not a.startswith("FAIL\tN")], [], "names: nobody gets in")
        tap.ok(all(not re.search("\001[^0-9trn]", a) and "bob" not in a.split("\tuser=")[0] for a in answers),
               "and each answer is one of well-formed fields", answers)
        passwords = [p.replace(b"alice", b"pw") for p in PASSWORDS.values() if len(p) < 6000]
        answers = auth.plain_all([("alice", p) for p in passwords])
        tap.equal([a.split("\t")[0] for a in answers], ["FAIL"] * len(passwords), "passwords: nobody gets in")
        for what, text in NO_BASE64.items():
            c = auth.client()
            answer = c.ask(b"AUTH\t1\tPLAIN\tservice=x\tresp=" + text + b"\n")
            tap.like(answer, r"^FAIL\t1", f"no base64: {what}")
            answer = c.ask("AUTH\t2\tPLAIN\tservice=x")
            tap.like(c.ask(b"CONT\t2\t" + text + b"\n"), r"^FAIL\t2", f"no base64 later: {what}")
            c.close()
        log = auth.log()
        tap.unlike(log, r"[\0-\x09\x0b-\x1f\x7f]", "the log has no byte of theirs that is none")
        tap.unlike(log, r"^OK", "nor a line")
        tap.ok(serves_raw(auth), "and it serves")


def test_raw_aborts():
    """CANCEL and the end of the connection at each step; a number is free again."""
    with peer_auth.Instance(CHAIN, {"users": USERS}) as auth:
        for mechanism, steps in (("PLAIN", []), ("LOGIN", [b"alice"]), ("CRAM-MD5", []), ("SCRAM-SHA-1", [b"n,,n=alice,r=x"])):
            for count in range(len(steps) + 1):
                c = auth.client()
                answer = c.ask(f"AUTH\t1\t{mechanism}\tservice=x")
                for step in steps[:count]:
                    answer = c.ask(b"CONT\t1\t" + b64(step) + b"\n")
                tap.like(answer, r"^CONT\t1", f"{mechanism} after {count} steps")
                c.say("CANCEL\t1")
                tap.like(c.ask("CONT\t1\t" + b64("\0alice\0pw").decode()), r"^FAIL\t1", "canceled: not to be continued")
                tap.like(c.ask("AUTH\t1\tPLAIN\tservice=x\tresp=" + b64("\0alice\0pw").decode()), r"^OK\t1\tuser=alice",
                         "the number is free")
                c.ask(f"AUTH\t2\t{mechanism}\tservice=x")
                c.close()
        tap.ok(serves_raw(auth), "and it serves")


def test_requests():
    """The end of a login is for who has its cookie, once, and of the last one with its number."""
    with peer_auth.Instance(CHAIN, {"users": USERS}) as auth:
        m = auth.master()
        c = auth.client("login/login", pid=4001)
        other = auth.client("login/login", pid=4002)
        for user, password in (("alice", "pw"), ("bob", "pw2")):
            answer = c.ask(f"AUTH\t1\tPLAIN\tservice=pop3\tresp={b64(chr(0) + user + chr(0) + password).decode()}")
            tap.like(answer, rf"^OK\t1\tuser={user}", f"{user} logs in")
        for cookie in ("", "0" * 32, other.cookie, c.cookie[:-1], c.cookie + "0", c.cookie.upper() + "x", c.cookie[::-1] + "1"):
            tap.like(auth.master().ask(f"REQUEST\t1\t4001\t1\t{cookie}"), r"^(FAIL\t1)?$", f"a cookie that is none: {cookie[:8]}")
        for pid in (4002, 4003, 1):
            tap.like(m.ask(f"REQUEST\t1\t{pid}\t1\t{c.cookie}"), r"^FAIL\t1", f"another's pid: {pid}")
        tap.like(m.ask(f"REQUEST\t2\t4001\t1\t{c.cookie}"), r"^USER\t2\tbob\t", "who came last with that number")
        tap.like(m.ask(f"REQUEST\t3\t4001\t1\t{c.cookie}"), r"^FAIL\t3", "nobody twice")
        refused = auth.client("login/login", pid=4001)
        tap.equal(refused.ask("AUTH\t1\tPLAIN\tservice=x\tresp=#"), "", "a pid that is taken: closed")


# --- what settings promise ---

CERTIFICATES = """
auth_mechanisms = plain external
auth_ssl_require_client_cert = yes
auth_ssl_username_from_cert = yes
passdb {
  driver = static
  args = nopassword=y
}
"""


def test_certificates():
    """CVE-2019-3814: a good certificate that names nobody is not one for anybody."""
    with peer_auth.Instance(CERTIFICATES) as auth:
        response = b64("\0root\0x").decode()
        for params, want in (("", "FAIL"), ("cert_username=alice\t", "FAIL"), ("valid-client-cert\t", "FAIL"),
                             ("valid-client-cert\tcert_username=\t", "FAIL"),
                             ("valid-client-cert\tcert_username=alice\t", "OK\t1\tuser=alice")):
            for mechanism, text in (("PLAIN", response), ("EXTERNAL", "="), ("EXTERNAL", b64("alice").decode())):
                answer = auth.client().ask(f"AUTH\t1\t{mechanism}\tservice=x\t{params}resp={text}")
                tap.like(answer, f"^{want}", f"{mechanism} with {params!r}")


MASTERS = """
auth_mechanisms = plain cram-md5 scram-sha-1
auth_master_user_separator = *
passdb {
  driver = passwd-file
  args = {dir}/masters
  master = yes
  pass = yes
}
passdb {
  driver = passwd-file
  args = {dir}/denied
  deny = yes
}
passdb {
  driver = passwd-file
  args = {dir}/users
}
"""


def converse(auth, mechanism, client):
    c = auth.client()
    line = f"AUTH\t1\t{mechanism}\tservice=x" + (f"\tresp={b64(client.first).decode()}" if client.first else "")
    answer = c.ask(line)
    while answer.startswith("CONT\t1\t"):
        answer = c.ask("CONT\t1\t" + b64(client.step(base64.b64decode(answer.split("\t")[2]))).decode())
    c.close()
    return answer


def test_masters():
    """It is the master's password that counts, in whatever mechanism; and his user must be one."""
    files = {"masters": "boss:{PLAIN}mpw\n", "users": USERS + "eve:{PLAIN}pw3\nboss:{PLAIN}own\n", "denied": "eve\n"}
    with peer_auth.Instance(MASTERS, files) as auth:
        makers = {"CRAM-MD5": Cram, "SCRAM-SHA-1": lambda u, p: Scram("sha1", u, p)}
        for mechanism, make in makers.items():
            for user, password, want in (
                    ("alice*boss", "mpw", r"^OK\t1\tuser=alice\t.*auth_user=boss"), ("alice*boss", "pw", "^FAIL"),
                    ("alice*boss", "own", "^FAIL"), ("eve*boss", "mpw", "^FAIL"), ("nobody*boss", "mpw", "^FAIL"),
                    ("alice*bob", "pw2", "^FAIL"), ("alice*alice", "pw", "^FAIL|^OK\t1\tuser=alice\t?[^*]*$"),
                    ("boss", "mpw", "^FAIL"), ("*boss", "mpw", "^FAIL"), ("alice*", "pw", "^FAIL"), ("eve", "pw3", "^FAIL"),
                    ("alice", "pw", "^OK\t1\tuser=alice")):
                tap.like(converse(auth, mechanism, make(user, password)), want, f"{mechanism} {user} with {password}")
        for user, password, authzid, want in (
                ("boss", "mpw", "alice", "^OK\tN\tuser=alice"), ("boss", "own", "alice", "^FAIL"), ("boss", "mpw", "eve", "^FAIL"),
                ("alice", "pw", "bob", "^FAIL"), ("alice", "pw", "a" * 600, "^FAIL"), ("alice", "pw", "../bob", "^FAIL"),
                ("alice", "pw", "bob\0", "^FAIL")):
            tap.like(auth.plain_all([(user, password, "", authzid)])[0], want, f"PLAIN {user} for {authzid[:20]!r}")
        tap.like(converse(auth, "SCRAM-SHA-1", Scram("sha1", "alice", "pw", authzid="a" * 600)), "^FAIL",
                 "SCRAM for a name too long to be one")


PROXY = """
auth_debug = yes
passdb {
  driver = static
  args = password=pw proxy=y host=192.0.2.1 pass=remote-secret
}
"""


def test_secrets():
    """What only the databases know goes to nobody; a proxy's password not into the log."""
    with peer_auth.Instance(PROXY) as auth:
        c = auth.client("login/login", pid=4005)
        answer = c.ask("AUTH\t1\tPLAIN\tservice=pop3\tresp=" + b64("\0alice\0pw").decode())
        tap.like(answer, "\tpass=remote-secret", "the login half is told")
        tap.like(auth.log(), r"client passdb out: OK\t?.*user=alice.*pass=<hidden>", "the log says so")
        tap.unlike(auth.log(), "remote-secret|" + b64("\0alice\0pw").decode(), "without the password")
    fields = "alice:{PLAIN}pw:::::: userdb_secret=x1 password=x2 allow_nets=local,127.0.0.1 mark=x3\n"
    with peer_auth.Instance(CHAIN, {"users": fields}) as auth:
        tap.equal(auth.plain_all([("alice", "pw")]), ["OK\tN\tuser=alice\tmark=x3"], "fields that are for the client")
        m = auth.master()
        tap.unlike(m.ask("PASS\t1\talice\tservice=x"), "x1|x2|pw", "of a lookup, too")
        tap.unlike(m.ask("USER\t2\talice\tservice=x"), "x2|x3|pw", "and of a user")


ANY_CHARACTER = """
auth_username_chars =
passdb {
  driver = static
  args = nopassword=y
}
"""


def test_paths():
    """Where all characters are allowed no name leads out of its place."""
    with peer_auth.Instance(ANY_CHARACTER) as auth:
        for name in ("a/../../b", "../b", "a/..", "..", "a@../b", "a@b/..", "a/./b", "/../b"):
            tap.like(auth.plain_all([(name, "x")])[0], "^FAIL\tN", f"name {name}")
            tap.equal(auth.master().ask(f"USER\t1\t{name}\tservice=x"), "NOTFOUND\t1", f"USER {name}")
        for name in ("a/b", "a..b", "...", "a@b..c"):
            tap.ok(good(auth.plain_all([(name, "x")])[0]), f"name {name}: not such a one")


TENANTS = """
auth_mechanisms = plain external
auth_failure_delay = 0
auth_ssl_require_client_cert = yes
auth_ssl_username_from_cert = yes
ssl_require_crl = no
ssl_verify_client_cert = yes
ssl_ca = </ca/one/ca.pem
local_name two.test {
  ssl_ca = </ca/two/ca.pem
}
local_name three.test {
  ssl_ca = </ca/one/ca.pem
}
"""


def tenant(mail, context, name, session=None):
    """The reply to EXTERNAL as NAME's client, whether it resumed, and the session for the next one."""
    with socket.create_connection(("127.0.0.1", mail.pop3s_port), WAIT_S) as sock:
        with context.wrap_socket(sock, server_hostname=name, session=session) as tls:
            file = tls.makefile("rb")
            file.readline()
            tls.sendall(b"AUTH EXTERNAL =\r\n")
            return file.readline(), tls.session_reused, tls.session


def test_tickets():
    """A session that one tenant's authority vouched for is nobody's with the other one."""
    with tempfile.TemporaryDirectory(prefix="postcote-ca-") as directory:
        os.chmod(directory, 0o755)
        ca = SmallCa(os.path.join(directory, "one"), "One")
        SmallCa(os.path.join(directory, "two"), "Two")
        ca.client("alice")
        with Instance(dovecot=TENANTS.replace("/ca/", directory + "/")) as mail:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.minimum_version = context.maximum_version = version
                context.load_cert_chain(ca.path("alice.chain"))
                refused = b"valid SSL certificate"
                for first in ("one.test", "three.test"):
                    reply, _, session = tenant(mail, context, first)
                    tap.ok(refused not in reply, f"{version.name}, {first}: its own authority", reply)
                    reply, _, _ = tenant(mail, context, "two.test")
                    tap.ok(refused in reply, f"{version.name}: not that of another", reply)
                    reply, reused, _ = tenant(mail, context, "two.test", session)
                    tap.ok(refused in reply, f"{version.name}: nor with a session of {first} (resumed: {reused})", reply)


tap.run(test_through_protocols, test_raw_lines, test_raw_logins, test_raw_aborts, test_requests, test_certificates, test_masters,
        test_secrets, test_paths, test_tickets)
