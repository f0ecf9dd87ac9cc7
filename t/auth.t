#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""authd and doveadm: an instance with the service auth alone, asked over its sockets."""

import base64
import os
import pwd
import grp
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # pylint: disable=wrong-import-position
from instance import WAIT_S, free_ports, fail_on_reports, stage, wait_until  # pylint: disable=wrong-import-position

IS_ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())
GROUP = grp.getgrgid(USER.pw_gid).gr_name

CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
protocols =
log_path = {dir}/log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
auth_mechanisms = plain login
auth_verbose = yes
auth_failure_delay = {delay}
mail_location = maildir:/mail/%d/%n
{databases}
{penalty}
service auth {{
  unix_listener auth-master {{
    mode = 0600
  }}
  unix_listener smtp-auth {{
    mode = 0666
  }}
}}
"""

# Failures follow each other in most of the tests.
NO_PENALTY = """
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""

DATABASES = """
passdb {{
  driver = passwd-file
  args = {dir}/denied
  deny = yes
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {dir}/users
}}
passdb {{
  driver = static
  args = password=static
  username_filter = *@static.test
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
  default_fields = quota=small
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home=/static/%d/%n
}}
"""

USERS = """# a comment
alice@a.test:{{PLAIN}}alice:{uid}:{gid}::/home/alice::userdb_quota=big allow=x
bob@a.test:secret:4711:4711::/home/bob::
locked@a.test:{{CRYPT}}*:1:1::::
crypt@a.test:{{SHA512-CRYPT}}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1:1:1::::
odd@a.test:{{NONSENSE}}x:1:1::::
empty@a.test::1:1::::
free@a.test::1:1::::nopassword
net@a.test:{{PLAIN}}net:1:1::::allow_nets=192.0.2.0/24,2001:db8::/32
nodelay@a.test:{{PLAIN}}x:1:1::::nodelay
denied@a.test:{{PLAIN}}denied:1:1::::
nologin@a.test:{{PLAIN}}x:1:1::::nologin reason=Closed
renamed@a.test:{{PLAIN}}x:1:1::::user=real@a.test reason=why
"""


class Auth:
    """master over a dovecot.conf with nothing but auth."""

    def __init__(self, databases=DATABASES, delay="0", penalty=NO_PENALTY, extra=""):
        self.dir = tempfile.mkdtemp(prefix="postcote-auth-")
        values = {"dir": self.dir, "user": USER.pw_name, "group": GROUP, "uid": USER.pw_uid,
                  "gid": USER.pw_gid, "delay": delay}
        self.write("dovecot.conf", CONFIG.format(databases=databases.format(**values), penalty=penalty,
                                                 **values) + extra)
        self.write("users", USERS.format(**values))
        self.write("denied", "denied@a.test:\n")
        os.chmod(self.dir, 0o755)
        if IS_ROOT:
            subprocess.run(["chown", "-R", f"{USER.pw_uid}:{USER.pw_gid}", self.dir], check=True)
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            self.as_user([os.path.join(stage(), "libexec/postcote/master"), "-i", "-D",
                          self.path("dovecot.conf")]),
            stdin=subprocess.DEVNULL, cwd="/", env=dict(os.environ, LC_ALL="C"))
        try:
            wait_until(self.answers, "the sockets")
        except BaseException:
            self.__exit__(1)
            raise
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            for line in self.log().splitlines()[-40:]:
                print("# log: " + line, flush=True)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        fail_on_reports(log)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def replace(self, name, text):
        """As an editor does: a new file under the old name."""
        self.write(name + ".new", text)
        os.rename(self.path(name + ".new"), self.path(name))

    @staticmethod
    def as_user(argv):
        if not IS_ROOT:
            return argv
        return ["setpriv", f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups",
                *argv]

    def answers(self):
        try:
            for name in ("auth-userdb", "auth-master", "smtp-auth", "login/login"):
                Line(self.path("run", name)).close()
            return True
        except OSError:
            return False

    def log(self):
        try:
            with open(self.path("log"), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def doveadm(self, *args, text=""):
        return subprocess.run(
            self.as_user([os.path.join(stage(), "sbin/doveadm"), "-c", self.path("dovecot.conf"),
                          *args]),
            input=text, capture_output=True, text=True, timeout=60, check=False,
            env=dict(os.environ, LC_ALL="C"))


class Line:
    """A connection that speaks lines of fields."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(path, str) else socket.AF_INET)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def say(self, *fields):
        try:
            self.sock.sendall("\t".join(fields).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # read() tells

    def read(self):
        """A line's fields; [""] when the connection was closed, in whatever way."""
        try:
            return self.file.readline().decode().rstrip("\n").split("\t")
        except ConnectionResetError:
            return [""]

    def ask(self, *fields):
        self.say(*fields)
        return self.read()


class Client(Line):
    """The client protocol after the hello."""

    def __init__(self, path, cpid=None):
        super().__init__(path)
        self.hello = []
        while not self.hello or self.hello[-1] != ["DONE"]:
            self.hello.append(self.read())
            if self.hello[-1] == [""]:
                raise RuntimeError(f"no hello: {self.hello}")
        self.cookie = [f[1] for f in self.hello if f[0] == "COOKIE"][0]
        self.say("VERSION", "1", "0")
        self.say("CPID", str(cpid or os.getpid()))
        self.last = 0

    def plain(self, user, password, *params, authzid=""):
        self.last += 1
        response = base64.b64encode(f"{authzid}\0{user}\0{password}".encode()).decode()
        return self.ask("AUTH", str(self.last), "PLAIN", "service=smtp", "nologin", *params,
                        "resp=" + response)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_hello(auth):
    c = Client(auth.path("run/smtp-auth"))
    tap.equal(c.hello[:3], [["VERSION", "1", "2"], ["MECH", "PLAIN", "plaintext"],
                            ["MECH", "LOGIN", "plaintext"]], "version and mechanisms come first")
    tap.equal([f[0] for f in c.hello[3:]], ["SPID", "CUID", "COOKIE", "DONE"], "then the rest")
    tap.equal(len(c.cookie), 32, "cookie")


def test_passwords(auth):
    c = Client(auth.path("run/smtp-auth"))
    good = [("alice@a.test", "alice"), ("ALICE@A.Test", "alice"), ("bob@a.test", "secret"),
            ("crypt@a.test", "Hello world!"), ("free@a.test", "anything"),
            ("any@static.test", "static")]
    for user, password in good:
        answer = c.plain(user, password)
        tap.equal(answer[0:3], ["OK", str(c.last), "user=" + user.lower()], f"{user} {password}")
    bad = [("alice@a.test", "Alice"), ("alice@a.test", ""), ("alice@a.test", "alice\0"),
           ("alice", "alice"), ("nosuch@a.test", "x"), ("locked@a.test", "*"),
           ("empty@a.test", ""), ("any@static.test", "x"), ("any@a.test", "static"),
           ("denied@a.test", "denied"), ("a b@static.test", "static"),
           ("..@static.test", "static"), ("", "static"), ("# a comment", "")]
    for user, password in bad:
        answer = c.plain(user, password)
        tap.equal((answer[0], "code=temp_fail" in answer), ("FAIL", False),
                  f"refused: {user!r} {password!r}")
    tap.equal(c.plain("denied@a.test", "denied")[3], "code=user_disabled", "denied: its code")
    tap.equal(c.plain("odd@a.test", "x")[0], "FAIL", "an unknown scheme")
    tap.equal(c.plain("alice@a.test", "alice", authzid="alice@a.test")[0], "OK", "authzid: same")
    tap.equal(c.plain("alice@a.test", "alice", authzid="bob@a.test")[0], "FAIL", "authzid: other")
    tap.equal(c.plain("net@a.test", "net", "rip=192.0.2.7")[0], "OK", "allowed network")
    tap.equal(c.plain("net@a.test", "net", "rip=192.0.3.7")[0], "FAIL", "other network")
    tap.equal(c.plain("net@a.test", "net")[0], "FAIL", "no address")
    tap.equal(c.plain("renamed@a.test", "x")[2:],
              ["user=real@a.test", "reason=why", "original_user=renamed@a.test"], "extra fields")
    tap.like(auth.log(), r"auth: Info: passwd-file\(alice@a\.test\): Password mismatch", "log line")


def test_log_line(auth):
    c = Client(auth.path("run/smtp-auth"))
    c.plain("alice@a.test", "x", "rip=192.0.2.1", "session=abcd")
    c.plain("no@a.test", "x", "rip=192.0.2.1", "session=abcd")
    tap.like(auth.log(),
             r"auth: Info: passwd-file\(alice@a\.test,192\.0\.2\.1,<abcd>\): Password mismatch",
             "wrong password")
    tap.like(auth.log(), r"auth: Info: passwd-file\(no@a\.test,192\.0\.2\.1,<abcd>\): unknown user",
             "unknown user")


def test_exchanges(auth):
    c = Client(auth.path("run/smtp-auth"))
    tap.equal(c.ask("AUTH", "1", "PLAIN", "service=smtp"), ["CONT", "1", ""], "no initial response")
    tap.equal(c.ask("CONT", "1", b64("\0alice@a.test\0alice"))[0], "OK", "continued")
    tap.equal(c.ask("AUTH", "2", "LOGIN", "service=smtp"), ["CONT", "2", b64("Username:")], "LOGIN")
    tap.equal(c.ask("CONT", "2", b64("alice@a.test")), ["CONT", "2", b64("Password:")], "LOGIN 2")
    tap.equal(c.ask("CONT", "2", b64("alice"))[0], "OK", "LOGIN 3")
    tap.equal(c.ask("AUTH", "3", "login", "service=smtp", "resp=" + b64("alice@a.test")),
              ["CONT", "3", b64("Password:")], "LOGIN with initial response")
    tap.equal(c.ask("CONT", "3", b64("wrong"))[0], "FAIL", "and a wrong password")
    tap.equal(c.ask("CONT", "3", b64("alice")),
              ["FAIL", "3", "reason=Authentication request timed out"], "an answered request is over")
    tap.equal(c.ask("AUTH", "4", "PLAIN", "service=smtp", "resp=#"),
              ["FAIL", "4", "code=invalid_base64",
               "reason=Invalid base64 data in initial response"], "bad base64")
    tap.equal(c.ask("AUTH", "5", "PLAIN", "service=smtp", "resp="), ["CONT", "5", ""],
              "in version 1.0 an empty response is none")
    c.say("CANCEL", "5")
    for text in ("=", b64("x"), b64("\0a"), b64("a\0b\0c\0d")):
        tap.equal(c.ask("AUTH", "5", "PLAIN", "service=smtp", "resp=" + text)[0], "FAIL",
                  f"malformed response {text!r}")
    c.say("AUTH", "6", "LOGIN", "service=smtp")
    c.read()
    c.say("CANCEL", "6")
    tap.equal(c.ask("CONT", "6", b64("a"))[0], "FAIL", "cancelled")
    tap.equal(c.plain("alice@a.test", "alice")[0], "OK", "and the connection lives on")


def test_dropped(auth):
    """What drops the connection, and nothing else."""
    path = auth.path("run/smtp-auth")
    lines = ["AUTH\t1\tPLAIN", "AUTH\t1\tPLAIN\tresp=", "AUTH\t0\tPLAIN\tservice=x",
             "AUTH\t4294967296\tPLAIN\tservice=x", "AUTH\t1\tCRAM-MD5\tservice=x",
             "AUTH\tx\tPLAIN\tservice=x", "CONT\t", "CPID\tx", "A\001", "x" * 8192, "\t" * 500,
             "NONSENSE\t1", "VERSION\t1\t0", "CPID\t17", "CANCEL\tx", "CANCEL", "", "AUTH", "CONT",
             "AUTH\t1\tPLAIN\tservice=x\tresp=AA==\tlip=127.0.0.1"]
    for line in lines:
        c = Client(path)
        tap.equal(c.ask(line), [""], f"dropped: {line[:30]!r}")
    c = Client(path)
    c.say("AUTH", "1", "LOGIN", "service=x")
    c.read()
    tap.equal(c.ask("AUTH", "1", "LOGIN", "service=x"), [""], "a number in use")
    raw = Line(path)
    while raw.read() != ["DONE"]:
        pass
    tap.equal(raw.ask("AUTH", "1", "PLAIN", "service=x"), [""], "no VERSION")
    raw = Line(path)
    while raw.read() != ["DONE"]:
        pass
    tap.equal(raw.ask("VERSION", "2", "0"), [""], "another version")
    tap.equal(Client(path).plain("alice@a.test", "alice")[0], "OK", "the others live on")


def master(auth, name="auth-master"):
    line = Line(auth.path("run", name))
    line.read()
    line.read()
    line.say("VERSION", "1", "0")
    return line


def test_request(auth):
    c = Client(auth.path("run/login/login"), cpid=4242)
    tap.equal(c.plain("alice@a.test", "alice")[0], "OK", "logged in")
    m = master(auth)
    tap.equal(m.ask("REQUEST", "1", "4242", "1", "0" * 32), ["FAIL", "1"], "wrong cookie")
    tap.equal(m.ask("REQUEST", "2", "4242", "1", ""), [""], "no cookie: dropped")
    m = master(auth)
    tap.equal(m.ask("REQUEST", "3", "4243", "1", c.cookie), ["FAIL", "3"], "wrong client")
    tap.equal(m.ask("REQUEST", "4", "4242", "9", c.cookie), ["FAIL", "4"], "wrong request")
    tap.equal(m.ask("REQUEST", "5", "4242", "1", c.cookie),
              ["USER", "5", "alice@a.test", "quota=big", f"uid={USER.pw_uid}", f"gid={USER.pw_gid}",
               "home=/home/alice",
               "auth_mech=PLAIN"], "right")
    tap.equal(m.ask("REQUEST", "6", "4242", "1", c.cookie), ["FAIL", "6"], "only once")
    tap.equal(c.plain("nologin@a.test", "x")[2:],
              ["user=nologin@a.test", "nologin", "reason=Closed"], "nologin is told")
    tap.equal(m.ask("REQUEST", "11", "4242", str(c.last), c.cookie), ["FAIL", "11"],
              "and opens no mailbox")
    c.plain("alice@a.test", "wrong")
    tap.equal(m.ask("REQUEST", "7", "4242", str(c.last), c.cookie), ["FAIL", "7"], "not a failed one")
    c.say("AUTH", "77", "LOGIN", "service=x")
    c.read()
    tap.equal(m.ask("REQUEST", "8", "4242", "77", c.cookie), ["FAIL", "8"], "not an open one")
    other = Client(auth.path("run/login/login"), cpid=4242)
    tap.equal(other.plain("alice@a.test", "alice"), [""], "a client's number is its own")
    tap.equal(c.plain("alice@a.test", "alice")[0], "OK", "logged in again")
    number, cookie = str(c.last), c.cookie
    c.close()
    wait_until(lambda: m.ask("REQUEST", "9", "4242", number, cookie) == ["FAIL", "9"],
               "gone with its connection")
    smtp = Client(auth.path("run/smtp-auth"), cpid=4244)
    smtp.plain("alice@a.test", "alice")
    tap.equal(m.ask("REQUEST", "10", "4244", "1", smtp.cookie), ["FAIL", "10"],
              "not from a socket of kind auth")


def test_master(auth):
    m = master(auth, "auth-userdb")
    tap.equal(m.ask("USER", "1", "bob@a.test", "service=imap"),
              ["USER", "1", "bob@a.test", "quota=small", "uid=4711", "gid=4711", "home=/home/bob"],
              "USER")
    tap.equal(m.ask("USER", "2", "x@static.test", "service=imap"),
              ["USER", "2", "x@static.test", f"uid={USER.pw_uid}", f"gid={USER.pw_gid}",
               "home=/static/static.test/x"], "USER of the second block")
    tap.equal(m.ask("USER", "3", "x@b.test", "service=imap"), ["NOTFOUND", "3"], "unknown")
    tap.equal(m.ask("USER", "4", "a b", "service=imap"), ["NOTFOUND", "4"], "a name nobody has")
    tap.equal(m.ask("USER", "5", "..@static.test", "service=imap"), ["NOTFOUND", "5"], "..")
    tap.equal(m.ask("PASS", "6", "bob@a.test", "service=imap"), ["PASS", "6", "user=bob@a.test"],
              "PASS tells no password")
    tap.equal(m.ask("PASS", "7", "x@b.test", "service=imap"), ["NOTFOUND", "7"], "PASS unknown")
    tap.equal(m.ask("CACHE-FLUSH", "8"), ["OK", "8", "0"], "CACHE-FLUSH")
    tap.equal(m.ask("REQUEST", "9", "1", "1", "x"), [""], "REQUEST is for auth-master")
    m = master(auth)
    tap.equal(m.ask("USER", "1", "bob@a.test"), [""], "no service")


def test_strangers(auth):
    """auth-userdb is open to everybody; who is not root, owner or ourselves asks about itself."""
    if not IS_ROOT:
        tap.skip("needs root", "strangers")
        return
    # The server sees who connected, whoever goes on talking.
    os.setegid(4711)
    os.seteuid(4711)
    try:
        m = master(auth, "auth-userdb")
    finally:
        os.seteuid(0)
        os.setegid(0)
    tap.equal(m.ask("USER", "1", "bob@a.test", "service=x")[:4],
              ["USER", "1", "bob@a.test", "quota=small"], "about itself")
    tap.equal(m.ask("USER", "2", "alice@a.test", "service=x")[:2], ["FAIL", "2"],
              "not about another user")
    tap.equal(m.ask("PASS", "3", "bob@a.test", "service=x")[:2], ["FAIL", "3"],
              "not about passwords")
    tap.equal(m.ask("LIST", "4", "user=*", "service=x"), ["DONE", "4", "fail"], "no list")


def test_changes(auth):
    """The file is read anew; without it nobody is unknown."""
    c = Client(auth.path("run/smtp-auth"))
    m = master(auth)
    with open(auth.path("users"), "a", encoding="utf-8") as f:
        f.write("new@a.test:{PLAIN}new:1:1::::\n")
    tap.equal(c.plain("new@a.test", "new")[0], "OK", "a new user")
    os.rename(auth.path("users"), auth.path("users.away"))
    tap.equal(c.plain("new@a.test", "new")[-1], "code=temp_fail", "no file: temporary")
    tap.equal(m.ask("USER", "1", "x@b.test", "service=imap"), ["FAIL", "1"], "USER, too")
    tap.like(auth.log(), r"auth: Error: passwd-file\(new@a\.test\): stat\(.*/users\) failed: No such",
             "and logged")
    os.rename(auth.path("users.away"), auth.path("users"))
    tap.equal(c.plain("new@a.test", "new")[0], "OK", "back again")


def test_many(auth):
    """Many at a time, on connections of their own, while the file changes: no answer is mixed up."""
    wrong = []

    def log_in(number):
        try:
            c = Client(auth.path("run/login/login"), cpid=100000 + number)
            m = master(auth)
            for i in range(10):
                user = f"user{number}-{i}@many.test"
                c.say("AUTH", str(i + 1), "LOGIN", "service=pop3")
                c.read()
                c.ask("CONT", str(i + 1), b64(user))
                answer = c.ask("CONT", str(i + 1), b64(f"pw{number}-{i}"))
                if answer != ["OK", str(i + 1), "user=" + user]:
                    wrong.append((user, answer))
                answer = m.ask("REQUEST", str(i + 1), str(100000 + number), str(i + 1), c.cookie)
                if answer[:3] != ["USER", str(i + 1), user]:
                    wrong.append((user, answer))
                if c.plain(user, "wrong")[0] != "FAIL":
                    wrong.append((user, "accepted"))
                c.last = i + 1
        except (OSError, RuntimeError) as error:
            wrong.append((number, repr(error)))

    with open(auth.path("users"), encoding="utf-8") as f:
        before = f.read()
    many = "".join(f"user{n}-{i}@many.test:pw{n}-{i}:1:1::::\n" for n in range(16) for i in range(10))
    auth.replace("users", before + many)
    threads = [threading.Thread(target=log_in, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for i in range(20):
        auth.replace("users", before + many + f"# {i}\n")
    for thread in threads:
        thread.join()
    auth.replace("users", before)
    tap.equal(wrong, [], "160 logins at 16 connections")


def test_doveadm(auth):
    r = auth.doveadm("user", "alice@a.test")
    tap.equal((r.stdout, r.stderr, r.returncode),
              (f"field\tvalue\nuid\t{USER.pw_uid}\ngid\t{USER.pw_gid}\nhome\t/home/alice\n"
               "mail\tmaildir:/mail/a.test/alice\nquota\tbig\n", "", 0), "doveadm user")
    r = auth.doveadm("user", "-f", "home", "alice@a.test")
    tap.equal((r.stdout, r.returncode), ("/home/alice\n", 0), "one field")
    r = auth.doveadm("user", "x@b.test")
    tap.equal((r.stdout, r.stderr, r.returncode),
              ("field\tvalue\n\nuserdb lookup: user x@b.test doesn't exist\n", "", 67), "unknown")
    r = auth.doveadm("user", "*")
    tap.equal((r.returncode, r.stdout), (75, "".join(
        line.split(":")[0] + "\n" for line in USERS.splitlines() if "@" in line) + "new@a.test\n"),
              "a list that is not complete, since static cannot list")
    r = auth.doveadm("user")
    tap.equal(r.returncode, 64, "usage")
    r = auth.doveadm("auth", "test", "alice@a.test", "alice")
    tap.equal((r.stdout, r.returncode),
              ("passdb: alice@a.test auth succeeded\nextra fields:\n  user=alice@a.test\n"
               "  allow=x\n", 0),
              "auth test")
    r = auth.doveadm("auth", "test", "alice@a.test", "x")
    tap.equal((r.stdout, r.returncode),
              ("passdb: alice@a.test auth failed\nextra fields:\n  user=alice@a.test\n", 77),
              "auth test with a wrong password")
    r = auth.doveadm("pw", "-s", "SHA512-CRYPT", "-p", "x")
    tap.like(r.stdout, r"^\{SHA512-CRYPT\}\$6\$", "pw")
    verified = auth.doveadm("pw", "-t", r.stdout.strip(), "-p", "x")
    tap.equal((verified.stdout, verified.returncode), (r.stdout.strip() + " (verified)\n", 0), "pw -t")
    r = auth.doveadm("pw", "-t", "{PLAIN}x", "-p", "y")
    tap.equal((r.stderr, r.returncode),
              ("Fatal: reverse password verification check failed: Password mismatch\n", 75),
              "pw -t with another password")
    tap.equal(auth.doveadm("mailbox", "list").returncode, 64, "a command that is not there")
    r = subprocess.run([os.path.join(stage(), "sbin/doveadm"), "-c", "/nowhere", "user", "x"],
                       capture_output=True, text=True, timeout=60, check=False)
    tap.equal((r.stderr, r.returncode),
              ("Fatal: Error reading configuration: stat(/nowhere) failed: "
               "No such file or directory\n", 75), "no configuration")


def test_reload_and_stop(auth):
    c = Client(auth.path("run/smtp-auth"))
    tap.equal(auth.doveadm("reload").returncode, 0, "reload")
    wait_until(lambda: "reloading" in auth.log(), "reload")
    wait_until(lambda: c.read() == [""], "an idle connection ends")
    wait_until(lambda: Client(auth.path("run/smtp-auth")).plain("alice@a.test", "alice")[0] == "OK",
               "the new process answers")
    tap.ok(True, "a reload ends idle connections and serves new ones")
    tap.unlike(auth.log(), "Sanitizer|runtime error", "no sanitizer complained")
    tap.equal(auth.doveadm("stop").returncode, 0, "stop")
    tap.equal(auth.process.wait(20), 0, "master is gone")
    r = auth.doveadm("stop")
    tap.equal((r.stderr, r.returncode),
              (f"Fatal: Dovecot is not running (read from {auth.path('run/master.pid')})\n", 75),
              "stop again")
    r = auth.doveadm("user", "alice@a.test")
    tap.equal((r.stdout, r.returncode), ("field\tvalue\n", 75), "nobody to ask")


def test_delay():
    """A failure is held back, and holds nothing else back."""
    with Auth(delay="3 secs") as auth:
        c = Client(auth.path("run/smtp-auth"))
        begun = time.monotonic()
        c.say("AUTH", "1", "PLAIN", "service=smtp", "resp=" + b64("\0alice@a.test\0wrong"))
        c.say("AUTH", "2", "PLAIN", "service=smtp", "resp=" + b64("\0nodelay@a.test\0wrong"))
        c.say("AUTH", "3", "PLAIN", "service=smtp", "resp=" + b64("\0alice@a.test\0alice"))
        answers = [c.read()[:2] for _ in range(3)]
        tap.equal((sorted(answers[:2]), answers[2]),
                  ([["FAIL", "2"], ["OK", "3"]], ["FAIL", "1"]), "the others overtake")
        tap.ok(time.monotonic() - begun >= 2.9, "not before its time")


def test_penalty():
    """Who has failed waits before the next request is looked at, and nobody else does."""
    with Auth(penalty="") as auth:
        c = Client(auth.path("run/smtp-auth"))
        good, bad = b64("\0alice@a.test\0alice"), b64("\0alice@a.test\0wrong")

        def request(number, rip, response, *params):
            c.say("AUTH", number, "PLAIN", "service=smtp", "rip=" + rip, *params, "resp=" + response)

        request("1", "2001:db8:1:1::1", bad)
        tap.equal(c.read()[:2], ["FAIL", "1"], "the first failure")
        request("2", "2001:db8:1:2::1", bad)
        c.say("AUTH", "3", "LOGIN", "service=smtp", "rip=2001:db8:1:3::1")
        c.say("AUTH", "4", "LOGIN", "service=smtp", "rip=2001:db8:1:3::1")
        request("5", "2001:db8:2::1", good)
        tap.equal(c.read()[:2], ["OK", "5"], "another network")
        request("6", "2001:db8:1:1::1", good, "no-penalty")
        tap.equal(c.read()[:2], ["OK", "6"], "no-penalty")
        request("7", "", good)
        tap.equal(c.read()[:2], ["OK", "7"], "no address")
        tap.equal(c.ask("CONT", "4", ""), ["FAIL", "4", "reason=Unexpected continuation"],
                  "CONT for a request that waits")
        answers = sorted([c.read()[:2], c.read()[:2]])
        tap.equal(answers, [["CONT", "3"], ["FAIL", "2"]], "the same network, later")
        tap.equal(c.ask("CONT", "3", b64("alice@a.test")), ["CONT", "3", b64("Password:")],
                  "the exchange goes on")
        tap.equal(c.ask("CONT", "3", b64("alice"))[:2], ["OK", "3"], "and succeeds")
        request("8", "2001:db8:1:1::1", good)
        tap.equal(c.read()[:2], ["OK", "8"], "forgiven")


def test_delay_until():
    """A passdb may have a login wait; the others overtake it."""
    with Auth() as auth:
        with open(auth.path("users"), encoding="utf-8") as f:
            users = f.read()
        auth.replace("users", users + f"late@a.test:{{PLAIN}}x:1:1::::delay_until={time.time() + 3:.0f}\n")
        c = Client(auth.path("run/smtp-auth"))
        wait_until(lambda: c.plain("late@a.test", "y")[0] == "FAIL", "the file is read")
        c.say("AUTH", "100", "PLAIN", "service=smtp", "resp=" + b64("\0late@a.test\0x"))
        c.say("AUTH", "101", "PLAIN", "service=smtp", "resp=" + b64("\0alice@a.test\0alice"))
        tap.equal([c.read()[:2], c.read()[:2]], [["OK", "101"], ["OK", "100"]], "delay_until")


def test_debug():
    """What was asked and answered stands in the log, passwords only on demand."""
    for setting, shows in (("auth_debug", False), ("auth_debug_passwords", True)):
        with Auth(extra=setting + " = yes\n") as auth:
            c = Client(auth.path("run/smtp-auth"))
            c.plain("alice@a.test", "alice")
            c.plain("alice@a.test", "wrong")
            c.ask("AUTH", "7", "LOGIN", "service=smtp")
            c.ask("CONT", "7", b64("alice@a.test"))
            log, good = auth.log(), re.escape(b64("\0alice@a.test\0alice"))
            tap.like(log, r"auth: Debug: client passdb out: OK[\t?]1[\t?]user=alice@a\.test", "answer")
            tap.like(log, r"auth: Debug: client in: AUTH.1.PLAIN.service=smtp.nologin.resp=" +
                     (good + r" \(previous base64 data may contain sensitive data\)$" if shows else
                      "<hidden>$"), setting + ": request")
            tap.equal((re.search(good, log) is not None, "client in: CONT<hidden>" in log),
                      (shows, not shows), setting + ": passwords")
            tap.like(log, r"auth: Info: passwd-file\(alice@a\.test\): Password mismatch",
                     setting + ": verbose, too")


def test_listeners():
    """By TCP as well, with no name; by name another kind; and what a socket looks like."""
    ports, outside = free_ports(2), tempfile.mkdtemp(prefix="postcote-listener-")
    os.chmod(outside, 0o777)
    extra = f"""service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {ports[0]}
  }}
  inet_listener auth-master {{
    address = 127.0.0.1
    port = {ports[1]}
  }}
  unix_listener {outside}/private-auth {{
    mode = 0620
  }}
}}
"""
    with Auth(extra=extra) as auth:
        tap.equal(Client(("127.0.0.1", ports[0])).plain("alice@a.test", "alice")[0], "OK", "TCP")
        line = Line(("127.0.0.1", ports[1]))
        line.read(), line.read()
        line.say("VERSION", "1", "0")
        tap.equal(line.ask("USER", "1", "bob@a.test", "service=x")[:3], ["USER", "1", "bob@a.test"],
                  "TCP, by its name for masters")
        path = outside + "/private-auth"
        tap.equal(Client(path).plain("alice@a.test", "alice")[0], "OK", "outside of base_dir")
        tap.equal(stat.S_IMODE(os.stat(path).st_mode), 0o620, "mode")
    shutil.rmtree(outside)


def test_wrong_owners():
    """Names of nobody are errors that say where they stand."""
    if not IS_ROOT:
        tap.skip("only root gives sockets away", "names of nobody")
        return
    directory = tempfile.mkdtemp(prefix="postcote-owners-")
    path = directory + "/dovecot.conf"
    for where, text in (("user", "User doesn't exist: nosuch"), ("group", "Group doesn't exist: nosuch")):
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"base_dir = {directory}/run\nlog_path = {directory}/log\nprotocols =\nssl = no\n"
                    "passdb {\n  driver = static\n}\nservice auth {\n  " + where + " = nosuch\n"
                    f"  unix_listener {directory}/auth {{\n    {where} = nosuch\n  }}\n}}\n")
        result = subprocess.run([os.path.join(stage(), "libexec/postcote/master"), "-i", "-D", path],
                                capture_output=True, text=True, timeout=60, check=False)
        tap.ok(result.returncode != 0, where + ": not started")
        for block in (f"{where}", f"unix_listener {directory}/auth {{ {where} }}"):
            tap.ok(f"service(auth) {text} (See service auth {{ {block} }} setting)" in result.stderr,
                   f"{where}: {block.replace(directory, '')}", result.stderr)
    shutil.rmtree(directory)


def test_absent_driver():
    """A database that is not there yet is one that is down."""
    databases = "passdb {{\ndriver = ldap\n}}\npassdb {{\ndriver = passwd-file\n" \
                "args = {dir}/users\n}}\nuserdb {{\ndriver = ldap\n}}\n"
    with Auth(databases=databases) as auth:
        c = Client(auth.path("run/smtp-auth"))
        tap.equal(c.plain("alice@a.test", "alice")[0], "OK", "the next block may say yes")
        tap.equal(c.plain("alice@a.test", "wrong")[-1], "code=temp_fail", "nobody may say no")
        tap.equal(master(auth).ask("USER", "1", "x", "service=x"), ["FAIL", "1"], "userdb")


SHARED = [test_hello, test_passwords, test_log_line, test_exchanges, test_dropped, test_request,
          test_master, test_strangers, test_changes, test_many, test_doveadm,
          test_reload_and_stop]


def test_shared():
    """One instance for most."""
    with Auth() as auth:
        for test in SHARED:
            try:
                test(auth)
            except Exception as error:  # pylint: disable=broad-except
                tap.ok(False, f"{test.__name__} ended with an exception", repr(error))


tap.run(test_shared, test_delay, test_penalty, test_delay_until, test_debug, test_listeners, test_wrong_owners, test_absent_driver)
