# SPDX-License-Identifier: BSD-2-Clause
"""The same POP3 sessions with our pop3d and a real Dovecot 2.3: one configuration, replies and log
lines compared.

    with Side(PEER, extra) as theirs, Side(OURS, extra) as ours:
        theirs.talk(...)

A session is a list of steps: a command (a str) whose reply is read, to the final dot where it is a
list; bytes that are sent as they are and whose replies are gathered until it is quiet; or one of
the words below.
"""

import base64
import contextlib
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import instance
import peer_dovecot
import tap
from instance import WAIT_S, wait_until

OURS, PEER = "ours", "peer"
TLS = object()  # as the first step: on the port with TLS; else after STLS
LONG = ("CAPA", "LIST", "UIDL", "RETR", "TOP", "AUTH")

CONFIG = """
base_dir = {dir}/run
{state}
log_path = {dir}/log
protocols = pop3
listen = 127.0.0.1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
first_valid_uid = 1
auth_mechanisms = plain login
auth_failure_delay = 0
disable_plaintext_auth = no
mail_location = maildir:{dir}/mail/%n
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/key.pem
mail_max_userip_connections = 0
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%n
}}
service pop3-login {{
  {chroot}
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {ssl_port}
    ssl = yes
  }}
}}
# Failures would make each later login of the same client wait.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
PEER_ONLY = """
service anvil {
  chroot =
}
service stats {
  chroot =
}
"""


def peer_program():
    """A real Dovecot 2.3's program, or None."""
    return peer_dovecot.program("/usr/lib/dovecot/pop3")


def need_peer():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    if not peer_program():
        tap.skip_all("no Dovecot 2.3 with POP3 is installed (dovecot-pop3d)")


def certificate(directory, name="localhost", prefix=""):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "3650", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", f"{directory}/{prefix}key.pem", "-out", f"{directory}/{prefix}cert.pem"],
        check=True, stderr=subprocess.DEVNULL)


def neutral(text, side):
    """Without what is another one each time."""
    text = re.sub(r"session=<[A-Za-z0-9+/]*>", "session=<ID>", text)
    text = re.sub(r"\(([^()]*)\)<\d+><[A-Za-z0-9+/]*>", r"(\1)<PID><ID>", text)
    text = re.sub(r",<[A-Za-z0-9+/]*>\)", ",<ID>)", text)
    text = re.sub(r"mpid=\d+", "mpid=PID", text)
    text = re.sub(r"in \d+ secs", "in N secs", text)
    text = re.sub(r"waited \d+ secs", "waited N secs", text)
    text = re.sub(r"<[0-9a-f.]+[^ <>]*@[^ <>]*>", "<CHALLENGE>", text)
    return text.replace(side.dir, "DIR")


class Talk:
    """A client."""

    def __init__(self, side, steps=(), server_name=None, source=None, cert=None):
        self.side = side
        self.cert = cert  # of the client: a file below the side's directory, with its key
        self.tls = steps[:1] == [TLS]
        port = side.ssl_port if self.tls else side.port
        self.sock = socket.create_connection(("127.0.0.1", port), WAIT_S,
                                             source_address=(source, 0) if source else None)
        self.server_name = server_name
        if self.tls:
            self.start_tls()
        self.file = self.sock.makefile("rb")

    def start_tls(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(self.side.path(self.cert))
        self.sock = context.wrap_socket(self.sock, server_hostname=self.server_name)

    def line(self):
        try:
            line = self.file.readline()
        except ConnectionResetError:
            line = b""
        except ssl.SSLError as error:
            return f"(alert: {error.reason})"
        return line.decode("latin-1").rstrip("\r\n") if line else "(end)"

    def reply(self, command=""):
        first = self.line()
        verb, _, rest = command.partition(" ")
        if not first.startswith("+OK") or verb.upper() not in LONG or (
                rest and verb.upper() in ("LIST", "UIDL", "AUTH")):
            return first
        lines = [first]
        while lines[-1] != "." and not lines[-1].startswith("("):
            lines.append(self.line())
        return "\n".join(lines)

    def say(self, command):
        with contextlib.suppress(OSError):
            self.sock.sendall(command.encode("latin-1") + b"\r\n")

    def ask(self, command):
        self.say(command)
        return self.reply(command)

    def stls(self):
        reply = self.ask("STLS")
        if reply.startswith("+OK"):
            self.file.close()
            self.start_tls()
            self.file = self.sock.makefile("rb")
        return reply

    def gather(self, data):
        with contextlib.suppress(OSError):
            self.sock.sendall(data)
        self.sock.settimeout(1)
        got = b""
        try:
            while data := self.sock.recv(65536):
                got += data
            got += b"(end)"
        except TimeoutError:
            got += b"(open)"
        except ConnectionResetError:
            got += b"(end)"
        self.sock.settimeout(WAIT_S)
        return got.decode("latin-1")

    def close(self):
        self.file.close()
        self.sock.close()


def plain(user, password, authzid=""):
    return base64.b64encode(f"{authzid}\0{user}\0{password}".encode()).decode()


LOGIN = ["USER u0", "PASS pw"]
ENDS = re.compile(r"Disconnected: .*\n")  # a line may be there in part


class Side:
    """A Dovecot of KIND in a directory of its own, with EXTRA text in its configuration ({dir} is
    the directory)."""

    def __init__(self, kind, extra="", users=3):
        self.kind = kind
        self.dir = tempfile.mkdtemp(prefix=f"postcote-{kind}-")
        os.chmod(self.dir, 0o755)
        self.port, self.ssl_port = instance.free_ports(2)
        self.config = os.path.join(self.dir, "dovecot.conf")
        certificate(self.dir)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(
                dir=self.dir, port=self.port, ssl_port=self.ssl_port,
                state=f"state_dir = {self.dir}/state",
                chroot="chroot =" if kind == PEER else ""))
            f.write(PEER_ONLY if kind == PEER else "")
            f.write(extra.replace("{dir}", self.dir))
        with open(os.path.join(self.dir, "users"), "w", encoding="utf-8") as f:
            f.write("".join(f"u{i}:{{PLAIN}}pw::::::\n" for i in range(users)))
        for part in ("mail", "run"):
            os.makedirs(os.path.join(self.dir, part))
        self.own()
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            for line in self.log().splitlines()[-40:]:
                print(f"# {self.kind}: {line}", flush=True)
        self.close()

    def start(self):
        if self.kind == PEER:
            command = [peer_program(), "-F", "-c", self.config]
        else:
            command = [os.path.join(instance.stage(), "sbin/dovecot"), "-F", "-c", self.config]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(self.listens, "the port")
        # That was a session, too, unless it ended before anybody took it.
        for _ in range(10):
            try:
                wait_until(lambda: re.search("isconnected|not trusted", self.log()), "the first session",
                           WAIT_S / 10)
                break
            except TimeoutError:
                self.listens()

    def listens(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.kind}: {self.process.stderr.read().decode()}\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
            self.process.stderr.close()
        log = self.log()
        if not os.environ.get("PC_TEST_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        if self.kind == OURS:
            instance.fail_on_reports(log)

    def own(self):
        # Sessions that are under way rename files meanwhile.
        subprocess.run(["chown", "-R", "nobody:nogroup", os.path.join(self.dir, "mail")],
                       check=False, stderr=subprocess.DEVNULL)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def put(self, user, files, uidlist=None):
        """USER's mailbox holds these FILES, {"cur/name": text}, and nothing else."""
        base = self.path("mail", user)
        shutil.rmtree(base, ignore_errors=True)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(base, part))
        for name, text in files.items():
            with open(os.path.join(base, name), "wb") as f:
                f.write(text.encode("latin-1") if isinstance(text, str) else text)
        if uidlist is not None:
            with open(os.path.join(base, "dovecot-uidlist"), "w", encoding="latin-1") as f:
                f.write(uidlist)
        self.own()

    def files(self, user):
        base = self.path("mail", user)
        return sorted(f"{part}/{name}" for part in ("cur", "new")
                      for name in os.listdir(os.path.join(base, part)))

    def log(self):
        """As far as whole lines have been written."""
        try:
            with open(self.path("log"), encoding="utf-8", errors="replace") as f:
                text = f.read()
                return text[:text.rfind("\n") + 1]
        except FileNotFoundError:
            return ""

    def lines(self, skip=0):
        """What POP3's processes logged."""
        found = []
        for line in self.log()[skip:].splitlines():
            match = re.match(r"\w+ +\d+ [\d:]+ (pop3.*)", line)
            if match and "ssl-params" not in line:
                found.append(neutral(match.group(1), self))
        return found

    def talk(self, steps, **how):
        """The replies (the greeting first) and the log lines of one session."""
        skip = len(self.log())
        talk = Talk(self, steps, **how)
        replies = [neutral(talk.line(), self)]
        for step in steps:
            if step is TLS:
                if not talk.tls:
                    replies.append(talk.stls())
            elif isinstance(step, bytes):
                replies.append(talk.gather(step))
            elif callable(step):
                step(self, talk)
            else:
                replies.append(neutral(talk.ask(step), self))
        talk.close()
        wait_until(lambda: ENDS.search(self.log()[skip:]), "the end of a session")
        if any("+OK Logged in." in reply for reply in replies):
            # The other half's line, which may come later.
            wait_until(lambda: re.search(r"\bLogin\b.*\n", self.log()[skip:]), "the login's line")
        # Two processes write: which of their lines is first is chance.
        return replies, sorted(self.lines(skip), key=lambda s: not s.startswith("pop3-login"))


def compare(name, ours, theirs, steps, different=None, **how):
    """One session with both; DIFFERENT: {index of the reply, or "log": (pattern, reason)}."""
    got, log = ours.talk(steps, **how)
    want, peer_log = theirs.talk(steps, **how)
    different = different or {}
    for i, (a, b) in enumerate(zip(got, want)):
        if i in different:
            pattern, reason = different[i]
            if not re.search(pattern, a):
                return tap.equal(a, pattern, f"{name}: reply {i} ({reason})")
        elif a != b:
            return tap.equal(a, b, f"{name}: reply {i}")
    if "log" in different:
        return tap.ok(True, f"{name}: replies; the log differs: {different['log']}")
    return tap.equal(log, peer_log, f"{name}: replies and log")


def apop(talk, user, password):
    """The reply to APOP with the challenge of TALK's greeting."""
    challenge = re.search("<.*>", talk.line()).group(0)
    return talk.ask(f"APOP {user} " + hashlib.md5((challenge + password).encode()).hexdigest())


LIST_V = "3 V1700000000 N10 G9b0f910ffd6f006bd83f000083ecc375\n"


class Pair:
    """Both under one configuration."""

    def __init__(self, name, extra="", prepare=None):
        self.name = name
        self.sides = [Side(OURS, extra), Side(PEER, extra)]
        for side in self.sides if prepare else ():
            prepare(side)

    def __enter__(self):
        for side in self.sides:
            side.__enter__()
        return self

    def __exit__(self, *exc):
        for side in self.sides:
            side.__exit__(*exc)

    def put(self, files, uidlist=LIST_V):
        for side in self.sides:
            side.put("u0", files, uidlist)

    def talk(self, what, steps, different=None, **how):
        compare(f"{self.name}: {what}", *self.sides, steps, different, **how)

    def same_files(self):
        ours, theirs = (side.files("u0") for side in self.sides)
        if "no_flag_updates" in self.name:
            # Then the peer leaves some in new/, which tells nothing.
            ours, theirs = (sorted(re.sub("^new/(.*)", r"cur/\1:2,", f) for f in files)
                            for files in (ours, theirs))
        tap.equal(ours, theirs, f"{self.name}: the files")

    def same_lists(self):
        def records(side):
            with open(side.path("mail/u0/dovecot-uidlist"), encoding="latin-1") as f:
                # The order of a record's fields has no meaning.
                return [sorted(line.split(" :")[0].split()) + line.split(" :")[1:]
                        for line in f.read().splitlines()[1:]]
        ours, theirs = map(records, self.sides)
        tap.equal(ours, theirs, f"{self.name}: the list of UIDs")
