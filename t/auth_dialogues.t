#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same dialogues on the sockets of a real Dovecot 2.3's auth and of authd: the same answers, but
for what is random, and the same lines in the log."""

import base64
import concurrent.futures
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_dovecot  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position
from instance import WAIT_S  # pylint: disable=wrong-import-position
from sasl_client import (Cram, Digest, External, Login, Plain, Scram,  # pylint: disable=wrong-import-position
                         apop)

CONFIG = """
base_dir = {{dir}}/run
state_dir = {{dir}}/state
log_path = {{dir}}/log
protocols =
ssl = no
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop anonymous external
auth_verbose = yes
auth_failure_delay = 0
mail_location = maildir:/mail/%d/%n
{extra}
passdb {{{{
  driver = passwd-file
  args = {users}
}}}}
userdb {{{{
  driver = static
  args = uid=5000 gid=5000 home=/mail/%d/%n
}}}}
service auth {{{{
  unix_listener smtp-auth {{{{
    mode = 0666
  }}}}
}}}}
service anvil {{{{
  unix_listener anvil-auth-penalty {{{{
    mode = 0
  }}}}
}}}}
"""

# Made by doveadm pw; the password is "secret".
USERS = """plain@a.test:{PLAIN}secret::::::
clear@a.test:{CLEARTEXT}secret::::::
cram-md5@a.test:{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56::::::
digest-md5@a.test:{DIGEST-MD5}eb42e9fb30ded5b02876d980d11d165d::::::
scram-sha-1@a.test:{SCRAM-SHA-1}4096,cHQczMTLwuhzwCFDyRHWAA==,fkHqaVbvGpUeXM0KXfUFPjy/XQ0=,dR8QkHukup87jiGM059Bi3dVHbQ=::::::
scram-sha-256@a.test:{SCRAM-SHA-256}4096,r/WXB7iVaQmWxPBTeuMjcw==,ecnYkl/r+vdHJRdjoPg7gdeIZHbmoJ4dgGST6Dc4Qk0=,HVZYLOp25CqQvDSl13U+XEC4/aiBolj8Cwd1jNxmRfk=::::::
crypt@a.test:{SHA512-CRYPT}$6$z1/iZMRyMNZ/RGST$qRyN9CBhnXmC6S.jxkvuiMl5kFW0XgMi7DShGH6zbXwRcbAV8E0RBxPceJR2yxLnyFTpq1a7paOlyIH.XNakJ/::::::
nologin@a.test:{PLAIN}secret::::::nologin reason=Closed
nodelay@a.test:{PLAIN}secret::::::nodelay
free@a.test:{PLAIN}::::::nopassword
cert@a.test:::::::nopassword
renamed@a.test:{PLAIN}secret::::::user=real@a.test
net@a.test:{PLAIN}secret::::::allow_nets=192.0.2.0/24
locked@a.test:*::::::
"""


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Client:
    """A connection after its hello."""

    def __init__(self, path, minor="2", cpid=None):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")
        self.hello = []
        while not self.hello or self.hello[-1] not in ("DONE", ""):
            self.hello.append(self.read())
        if minor is not None:
            self.say(f"VERSION\t1\t{minor}")
            self.say(f"CPID\t{cpid or os.getpid()}")

    def hello_field(self, word):
        return [line.split("\t")[1] for line in self.hello if line.startswith(word + "\t")][0]

    def say(self, line):
        try:
            self.sock.sendall(line.encode("latin-1") + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # read() tells

    def read(self):
        try:
            return self.file.readline().decode("latin-1").rstrip("\n")
        except ConnectionResetError:
            return ""

    def close(self):
        self.file.close()
        self.sock.close()


def neutral_text(text):
    """A challenge without what is random, or quoted without need."""
    text = re.sub(rb"^<[^>]+>$", b"<challenge>", text)
    text = re.sub(rb'nonce="[^"]+"', b'nonce="N"', text)
    # The peer has quotes where RFC 2831 has none, and where curl takes none.
    text = re.sub(rb'(charset|algorithm)="([^"]+)"', rb"\1=\2", text)
    text = re.sub(rb"^(rspauth|v)=.*$", rb"\1=X", text)
    return re.sub(rb"^r=.*,s=[^,]+,i=(\d+)$", rb"r=R,s=S,i=\1", text)


def neutral(line):
    """An answer without what is random or empty, of which 2.3 leaves some behind."""
    if line == "":
        return "(closed)"
    fields = line.split("\t")
    if fields[0] == "CONT":
        return f"CONT {fields[1]} {neutral_text(base64.b64decode(fields[2]))!r}"
    return " ".join(f if not f.startswith("resp=") else "resp=" +
                    repr(neutral_text(base64.b64decode(f[5:]))) for f in fields
                    if f not in ("", "original_user="))


def talk(path, lines, minor):
    """AUTH and CONT are answered each; at the end, whether the connection is still there."""
    client, answers = Client(path, minor), []
    for line in lines:
        client.say(line)
        if line.split("\t")[0] in ("AUTH", "CONT") or answers[-1:] == ["(closed)"]:
            answers.append(neutral(client.read()))
    client.say("AUTH\t99\tPLAIN\tservice=x\tresp=#")
    answers.append("(open)" if client.read().startswith("FAIL\t99\tcode=") else "(closed)")
    client.close()
    return answers


def exchange(path, mechanism, make, params):
    """What a real client does; whether it is content is the last answer."""
    client, sasl, answers = Client(path), make(), []
    line = f"AUTH\t1\t{mechanism}\tservice=smtp" + "".join("\t" + p for p in params)
    client.say(line + ("" if sasl.first is None else "\tresp=" + b64(sasl.first)))
    while True:
        answer = client.read()
        answers.append(neutral(answer))
        fields = answer.split("\t")
        if fields[0] != "CONT":
            break
        client.say("CONT\t1\t" + b64(sasl.step(base64.b64decode(fields[2]))))
    for field in fields[2:]:
        if field.startswith("resp="):
            sasl.step(base64.b64decode(field[5:]))
    answers.append(f"server proved itself: {sasl.done}")
    client.close()
    return answers


def auth(mechanism, *params, number="1"):
    return "\t".join(("AUTH", number, mechanism, "service=smtp") + params)


def resp(text):
    return "resp=" + b64(text)


SCRAM_FIRST = "n,,n=plain@a.test,r=abc"
PLAIN_GOOD = resp("\0plain@a.test\0secret")

# Lines; the answers come from the peer.
DIALOGUES = [
    [auth(m)] for m in ("PLAIN", "plain", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1",
                        "SCRAM-SHA-256", "APOP", "ANONYMOUS", "EXTERNAL", "OTP", "NONSENSE")
] + [
    [auth(m, "resp=" + r)] for m in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1",
                                     "APOP", "ANONYMOUS", "EXTERNAL")
    for r in ("", "=", "==", "#", "A", "AA", b64("x"), b64("a\0b"), b64("\0"), b64("\xff\xfe"))
] + [
    [auth(m), "CONT\t1\t" + r] for m in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1",
                                         "ANONYMOUS", "EXTERNAL")
    for r in ("", "=", "#", b64("x"), b64("a\0b"), b64("\0"))
] + [
    [auth(m), "CANCEL\t1", "CONT\t1\t"] for m in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5",
                                                  "SCRAM-SHA-256", "ANONYMOUS", "EXTERNAL")
] + [
    [auth("PLAIN", resp(r))] for r in (
        "\0plain@a.test\0secret", "\0plain@a.test\0secret\0", "\0\0", "\0plain@a.test\0",
        "\0plain@a.test", "plain@a.test\0plain@a.test\0secret", "other@a.test\0plain@a.test\0secret",
        "\0PLAIN@A.test\0secret", "\0a b@a.test\0x", "\0nosuch@a.test\0x", "\0locked@a.test\0*",
        "\0renamed@a.test\0x", "\0renamed@a.test\0secret", "\0nodelay@a.test\0x",
        "\0nologin@a.test\0x", "\0nologin@a.test\0secret", "\0free@a.test\0", "\0free@a.test\0x",
        "\0crypt@a.test\0secret", "\0crypt@a.test\0x", "\0clear@a.test\0secret",
        "\0net@a.test\0secret", "\0plain%@a.test\0x", "\0\"plain@a.test\"\0x")
] + [
    [auth("PLAIN", "rip=192.0.2.7", resp("\0net@a.test\0secret"))],
    [auth("LOGIN", resp("plain@a.test")), "CONT\t1\t" + b64("secret")],
    [auth("LOGIN", resp("plain@a.test")), "CONT\t1\t" + b64("x")],
    [auth("LOGIN", resp("plain@a.test")), "CONT\t1\t"],
    [auth("LOGIN", resp("plain@a.test")), "CONT\t1\t#"],
    [auth("LOGIN", resp("plain@a.test")), "CANCEL\t1", "CONT\t1\t" + b64("secret")],
    [auth("LOGIN", resp("plain@a.test\0secret"))],
    [auth("LOGIN"), "CONT\t1\t" + b64("plain@a.test"), "CONT\t1\t" + b64("secret\0x")],
    [auth("LOGIN"), "CONT\t1\t" + b64("plain@a.test"), "CONT\t1\t" + b64("secret"), "CONT\t1\t"],
    [auth("LOGIN"), auth("LOGIN", number="2"), "CONT\t2\t" + b64("plain@a.test"),
     "CONT\t1\t" + b64("nosuch@a.test"), "CONT\t2\t" + b64("secret"), "CONT\t1\t" + b64("secret")],
] + [
    [auth("CRAM-MD5"), "CONT\t1\t" + b64(r)] for r in (
        " ", "plain@a.test", "plain@a.test " + "0" * 32, "plain@a.test " + "z" * 32,
        "plain@a.test " + "0" * 31, "plain@a.test " + "0" * 33, "nosuch@a.test " + "0" * 32)
] + [
    [auth("DIGEST-MD5"), "CONT\t1\t" + b64(r)] for r in (
        "username=x", 'username="plain@a.test",realm="a.test"', "x" * 3000, ",,,,", '"', "=",
        'username="plain@a.test",nonce="x",cnonce="y",nc=00000001,qop=auth,digest-uri="smtp/x",'
        "response=00000000000000000000000000000000")
] + [
    [auth("SCRAM-SHA-256", resp(r))] for r in (
        "n,,", "n,,n=plain@a.test", SCRAM_FIRST, "y,,n=plain@a.test,r=abc",
        "p=tls-unique,,n=plain@a.test,r=abc", "n,a=other@a.test,n=plain@a.test,r=abc",
        "n,a=plain@a.test,n=plain@a.test,r=abc", "n,,n=pl=zz,r=a", "n,,m=x,n=plain@a.test,r=abc",
        "x,,n=plain@a.test,r=abc", "n,,r=abc,n=plain@a.test", "n,,n=a b,r=abc")
] + [
    [auth("SCRAM-SHA-256", resp(SCRAM_FIRST)), "CONT\t1\t" + r] for r in (
        "", "#", b64("x"), b64("c=biws,r=abc,p=AAAA"), b64("c=biws"))
] + [
    [auth("SCRAM-SHA-256", resp(SCRAM_FIRST)), "CANCEL\t1", "CONT\t1\t" + b64("x")],
    [auth("SCRAM-SHA-256"), "CONT\t1\t" + b64(SCRAM_FIRST), "CONT\t1\t" + b64("x")],
    [auth("APOP", resp("<1.2.3.x@y>\0plain@a.test\0" + "x" * 16))],
    [auth("ANONYMOUS", resp("me@example.org"))],
    # The client's own mistakes.
    ["AUTH\t1\tPLAIN"], ["AUTH\t1"], ["AUTH"], ["AUTH\t0\tPLAIN\tservice=x"],
    ["AUTH\t4294967296\tPLAIN\tservice=x"], ["AUTH\t4294967295\tPLAIN\tservice=x"],
    ["AUTH\tx\tPLAIN\tservice=x"], ["AUTH\t-1\tPLAIN\tservice=x"], ["CPID\tx"], ["CPID\t5"], ["CPID"],
    ["VERSION\t1\t0"], ["VERSION\t2\t0"], ["NONSENSE"], [""], ["\t"], ["x" * 8000], ["\t" * 500],
    ["CANCEL\t1"], ["CANCEL"], ["CANCEL\tx"], ["CONT"], ["CONT\t0\t"], ["CONT\t1\t"], ["CONT\tx\t"],
    ["AUTH\t1\tPLAIN\tresp=\tservice=x"],
    [auth("PLAIN", PLAIN_GOOD, "lip=192.0.2.1")], [auth("PLAIN"), auth("PLAIN")],
    [auth("PLAIN", PLAIN_GOOD), auth("PLAIN", PLAIN_GOOD)],
    [auth("LOGIN"), "CANCEL\t1", auth("LOGIN")],
    [auth("PLAIN", "lip=nonsense", "rip=nonsense", "lport=99999", "rport=x", PLAIN_GOOD)],
    [auth("PLAIN", "user=root", "master=x", "pass=y", PLAIN_GOOD)],
    [auth("PLAIN", "nologin", "no-penalty", "client_id=x", PLAIN_GOOD)],
    [auth("PLAIN", "session=abc", "local_name=x", "secured", "real_rip=192.0.2.1", PLAIN_GOOD)],
    [auth("PLAIN", "forward_fields=Zm9vPWJhcg==", PLAIN_GOOD)],
    [auth("PLAIN", "forward_fields=a=b\001tc=d", PLAIN_GOOD)],
    [auth("PLAIN", "forward_fields=", PLAIN_GOOD)],
]

NAMES = ("plain", "clear", "cram-md5", "digest-md5", "scram-sha-1", "scram-sha-256", "crypt", "nosuch",
         "free", "nologin", "renamed", "locked")
KINDS = {"PLAIN": Plain, "LOGIN": Login, "CRAM-MD5": Cram, "DIGEST-MD5": Digest,
         "SCRAM-SHA-1": lambda u, p: Scram("sha1", u, p),
         "SCRAM-SHA-256": lambda u, p: Scram("sha256", u, p)}


def exchanges():
    """Name, mechanism, maker, parameters."""
    for mechanism, kind in KINDS.items():
        for user in NAMES:
            for password in ("secret", "wrong"):
                yield (f"{mechanism} {user} {password}", mechanism,
                       lambda k=kind, u=user, p=password: k(u + "@a.test", p), ())
        yield (mechanism + " with the last word", mechanism,
               lambda k=kind: k("plain@a.test", "secret"), ("final-resp-ok",))
    for user, realm in (("plain", "a.test"), ("plain@a.test", ""), ("plain@a.test", "b.test"),
                        ("plain@a.test", "c.test"), ("plain", "b.test"), ("plain", ""),
                        ("digest-md5", "a.test"), ("digest-md5", "b.test")):
        yield (f"DIGEST-MD5 {user} in {realm}", "DIGEST-MD5",
               lambda u=user, r=realm: Digest(u, "secret", r), ())
    for authzid in ("plain@a.test", "other@a.test"):
        yield ("DIGEST-MD5 for " + authzid, "DIGEST-MD5",
               lambda a=authzid: Digest("plain@a.test", "secret", "a.test", authzid=a), ())
        yield ("SCRAM for " + authzid, "SCRAM-SHA-1",
               lambda a=authzid: Scram("sha1", "plain@a.test", "secret", authzid=a), ())


def hides_user(peer, mine):
    """A user who is not there, or whose password is of no use, or for whom somebody else wants to
    act, is challenged by SCRAM as all others are, so that nobody can tell who is there."""
    return len(mine) > 1 and peer[0].startswith("FAIL 1 user=") and \
        mine[0] == "CONT 1 b'r=R,s=S,i=4096'" and mine[1:] in (peer, peer[1:])


def public(answers):
    """Without what the peer tells those who have no password: the name that a passdb would have
    given to the user (as we do in some mechanisms), and why the user may not log in."""
    return [re.sub(r"^(FAIL.*) reason=Closed$", r"\1",
                   a.replace("FAIL 1 user=real@a.test original_user=renamed@a.test",
                             "FAIL 1 user=renamed@a.test")) for a in answers]


def compare_dialogues(real, ours):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for minor in ("0", "2"):
            lists = [list(pool.map(lambda d, s=side, m=minor: talk(s.path("run/smtp-auth"), d, m),
                                   DIALOGUES)) for side in (real, ours)]
            for dialogue, peer, mine in zip(DIALOGUES, *lists):
                name = f"1.{minor} " + " | ".join(dialogue)[:100]
                if hides_user(peer, mine):
                    tap.ok(True, repr(name) + ": hides who is there")
                else:
                    tap.equal(public(mine), public(peer), repr(name))


def compare_exchanges(real, ours):
    cases = list(exchanges())
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        lists = [list(pool.map(lambda c, s=side: exchange(s.path("run/smtp-auth"), *c[1:]), cases))
                 for side in (real, ours)]
    for case, peer, mine in zip(cases, *lists):
        if hides_user(peer, mine):
            tap.ok(True, case[0] + ": hides who is there")
        else:
            tap.equal(public(mine), public(peer), case[0])


def compare_apop(real, ours):
    for user, password, stale in (("plain", "secret", False), ("plain", "wrong", False),
                                  ("nosuch", "secret", False), ("cram-md5", "secret", False),
                                  ("nologin", "secret", False), ("plain", "secret", True)):
        answers = []
        for side in (real, ours):
            client = Client(side.path("run/login/login"), cpid=4000 + len(answers) + id(side) % 9000)
            connection = int(client.hello_field("CUID")) - stale
            challenge = f"<{int(client.hello_field('SPID')):x}.{connection:x}.{int(time.time()):x}.x@y>"
            client.say("AUTH\t1\tAPOP\tservice=pop3\t" +
                       resp(apop(user + "@a.test", password, challenge)))
            answers.append(neutral(client.read()))
            client.close()
        tap.equal(answers[1], answers[0], f"APOP {user} {password}{' of another' * stale}")


def compare_hello(real, ours):
    for name in ("run/smtp-auth", "run/login/login", "run/auth-client"):
        hellos = []
        for side in (real, ours):
            client = Client(side.path(name), minor=None)
            hellos.append([re.sub(r"\t[0-9a-f]+$", "\tN", line) if line[:4] in ("SPID", "CUID", "COOK")
                           else line for line in client.hello])
            client.close()
        tap.equal(hellos[1], hellos[0], "the hello of " + name)


def compare_handshake(real, ours):
    """Whether the connection is still there; nothing but lines is needed for that."""
    for lines in (["AUTH\t1\tPLAIN\tservice=x"], ["CPID\t1"], ["VERSION\t1\t0", "AUTH\t1\tPLAIN\tservice=x"],
                  ["VERSION\t2\t0"], ["VERSION"], ["VERSION\t1\t0", "CPID\t0"],
                  ["VERSION\t1\t0", "CPID\t1", "CPID\t2"], ["NONSENSE"]):
        answers = []
        for side in (real, ours):
            client = Client(side.path("run/smtp-auth"), minor=None)
            for line in lines:
                client.say(line)
            answers.append(client.read())
            client.close()
        tap.equal(answers[1], answers[0], "handshake " + repr(lines))


def bug_lines(side):
    """What clients did wrong, without their lines, which the logs cut and neuter differently."""
    lines = re.findall(r"auth: Error: (BUG: .*)", side.log())
    return sorted({re.sub(r"(unknown (?:handshake )?command|mechanism)(:?) .*", r"\1\2", x)
                   for x in lines if "PID" not in x})


def log_lines(side):
    """What fail2ban reads, and what administrators look for."""
    lines = re.findall(r"auth: Info: (.*(?:Password mismatch|unknown user|but we have only).*)",
                       side.log())
    # Of a user without a password the peer says that it mismatches, and nothing of APOP's.
    return sorted({x for x in lines if not re.match(r"apop|[a-z0-9-]*md5\(free@|scram.*\(free@", x)})


def test_default(directory):
    users = directory + "/users"
    config = CONFIG.format(extra="auth_realms = a.test b.test", users=users)
    names = ("run/smtp-auth", "run/login/login")
    real = peer_dovecot.Dovecot(directory + "/real", config, [n[4:] for n in names], True)
    try:
        ours = peer_dovecot.Dovecot(directory + "/ours", config, [n[4:] for n in names], False)
        try:
            compare_hello(real, ours)
            compare_handshake(real, ours)
            compare_exchanges(real, ours)
            compare_dialogues(real, ours)
            compare_apop(real, ours)
            tap.equal(log_lines(ours), log_lines(real), "log lines")
            tap.equal(bug_lines(ours), bug_lines(real), "log lines about clients")
        finally:
            ours.close()
    finally:
        real.close()


CERT = [
    [auth("EXTERNAL", *cert, *first)] for cert in (
        (), ("cert_username=cert@a.test",), ("valid-client-cert",),
        ("valid-client-cert", "cert_username=cert@a.test"), ("valid-client-cert", "cert_username=cert"),
        ("valid-client-cert", "cert_username=plain@a.test"), ("valid-client-cert", "cert_username=no"),
        ("valid-client-cert", "cert_username=a/b"))
    for first in (("resp==",), (resp("cert@a.test"),), (resp("plain@a.test"),), ())
] + [
    [auth("PLAIN", "valid-client-cert", "cert_username=plain@a.test", resp(r))]
    for r in ("\0cert@a.test\0x", "\0plain@a.test\0secret", "\0cert@a.test\0secret")
] + [
    [auth("PLAIN", "valid-client-cert", "cert_username=a/b", resp("\0plain@a.test\0secret"))]
] + [
    [auth("PLAIN", resp("\0plain\0secret"))], [auth("PLAIN", resp("\0plain\0x"))],
    [auth("PLAIN", resp("\0PLAIN\0secret"))], [auth("ANONYMOUS", resp("x"))], [auth("DIGEST-MD5")],
    [auth("CRAM-MD5"), "CONT\t1\t" + b64("plain " + "0" * 32)],
]
MASTER = [[auth("PLAIN", "valid-client-cert", resp(r))] for r in (
    "plain@a.test\0admin@a.test\0mpw", "plain@a.test\0admin@a.test\0x", "plain@a.test\0plain@a.test\0secret",
    "\0plain@a.test*admin@a.test\0mpw", "nosuch@a.test\0admin@a.test\0mpw", "\0*admin@a.test\0mpw",
    "x*y\0admin@a.test\0mpw", "\0plain@a.test*plain@a.test\0secret")] + [
    [auth("PLAIN", PLAIN_GOOD)], [auth("CRAM-MD5")], [auth("LOGIN")]]
# CVE-2019-3814: a certificate that names nobody.
NAMELESS = [[auth(mechanism, *params, r)] for mechanism, r in (
    ("PLAIN", PLAIN_GOOD), ("PLAIN", resp("\0free@a.test\0x")), ("EXTERNAL", "resp=="), ("EXTERNAL", resp("free@a.test")),
    ("LOGIN", resp("plain@a.test")))
    for params in ((), ("cert_username=plain@a.test",), ("valid-client-cert",), ("valid-client-cert", "cert_username="))]

SETTINGS = [
    ("names from certificates", "auth_ssl_username_from_cert = yes\nauth_default_realm = a.test\n"
     "auth_anonymous_username = guest\nauth_verbose_passwords = sha1:6", CERT),
    ("certificates and masters", "auth_ssl_require_client_cert = yes\nauth_master_user_separator = *\n"
     "auth_verbose_passwords = plain\npassdb {{{{\n  driver = static\n  args = password=mpw\n"
     "  master = yes\n  username_filter = admin*\n}}}}", MASTER),
    ("certificates that name somebody",
     "auth_ssl_require_client_cert = yes\nauth_ssl_username_from_cert = yes", NAMELESS),
]


def test_settings(directory):
    for number, (what, extra, dialogues) in enumerate(SETTINGS):
        config = CONFIG.replace("{extra}", extra).format(users=directory + "/users")
        sides = []
        try:
            for real in (True, False):
                sides.append(peer_dovecot.Dovecot(f"{directory}/{number}{real}", config,
                                                  ("smtp-auth",), real))
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                lists = [list(pool.map(lambda d, s=side: talk(s.path("run/smtp-auth"), d, "2"),
                                       dialogues)) for side in sides]
            for dialogue, peer, mine in zip(dialogues, *lists):
                tap.equal(mine, peer, repr(f"{what}: " + " | ".join(dialogue)))
            tap.equal(log_lines(sides[1]), log_lines(sides[0]), what + ": log lines")
        finally:
            for side in sides:
                side.close()


def run_all():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    if not peer_dovecot.program():
        tap.skip_all("no Dovecot 2.3 is installed (dovecot-core)")
    directory = tempfile.mkdtemp(prefix="postcote-dialogues-")
    os.chmod(directory, 0o755)
    with open(directory + "/users", "w", encoding="utf-8") as f:
        f.write(USERS)
    try:
        test_default(directory)
        test_settings(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tap.done()


run_all()
