# SPDX-License-Identifier: BSD-2-Clause
"""The service auth of a real Dovecot 2.3 and ours over the same configuration, asked the same."""

import base64
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import peer_dovecot
from instance import WAIT_S, stage, wait_until

CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols =
ssl = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_verbose = yes
mail_location = maildir:/mail/%d/%n
{more}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
  unix_listener auth-master {{
    mode = 0666
  }}
  unix_listener login/login {{
    mode = 0666
  }}
}}
"""

NUDGE = base64.b64encode(b"\0nudge\0nudge").decode()


class Lines:
    """A connection that speaks lines; text as it came."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def say(self, line):
        try:
            self.sock.sendall(line if isinstance(line, bytes) else line.encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # read() tells

    def read(self):
        """Without LF; "" when the connection was closed."""
        try:
            return self.file.readline().decode("utf-8", "replace").rstrip("\n")
        except ConnectionResetError:
            return ""
        except TimeoutError:
            return "<nothing>"

    def ask(self, line):
        self.say(line)
        return self.read()


class Instance:
    """One of the two, with MORE in its dovecot.conf, in which "{dir}" is its directory."""

    def __init__(self, more, files=None, programs=None):
        self.name = "peer" if programs else "ours"
        self.programs = programs
        self.dir = tempfile.mkdtemp(prefix="postcote-chain-")
        os.chmod(self.dir, 0o755)
        for name, text in (files or {}).items():
            self.write(name, text)
        self.write("dovecot.conf", CONFIG.format(dir=self.dir, more=more.replace("{dir}", self.dir)))
        self.process = None

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        """As an editor does: a new file under the old name."""
        with open(self.path(name + ".new"), "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text.replace("{dir}", self.dir))
        os.rename(self.path(name + ".new"), self.path(name))

    def __enter__(self):
        if self.programs:
            argv = [self.programs["dovecot"], "-F", "-c", self.path("dovecot.conf")]
        else:
            argv = [os.path.join(stage(), "libexec/postcote/master"), "-i", "-D",
                    self.path("dovecot.conf")]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/",
                                        env=dict(os.environ, LC_ALL="C"))
        try:
            wait_until(self.answers, self.name)
        except BaseException:
            print("# " + self.log(), flush=True)
            self.__exit__(1)
            raise
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)

    def answers(self):
        try:
            self.client().close()
            return True
        except OSError:
            return False

    def log(self):
        try:
            with open(self.path("log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def auth_lines(self):
        """What the service auth logged, without times and places."""
        lines = re.findall(r"^\w+ +\d+ [\d:.]+ (auth: .*)$", self.log(), re.M)
        return [line.replace(self.dir, "{dir}") for line in lines]

    def client(self, name="auth-client", pid=None):
        """The client protocol after the hello."""
        c = Lines(self.path("run", name))
        while (line := c.read()) != "DONE":
            if line.startswith("COOKIE"):
                c.cookie = line.split("\t")[1]
            if not line or line == "<nothing>":
                raise OSError("no hello")
        c.say("VERSION\t1\t0")
        c.say(f"CPID\t{pid or os.getpid()}")
        return c

    def master(self, name="auth-master"):
        m = Lines(self.path("run", name))
        m.hello = [m.read(), m.read()]
        m.say("VERSION\t1\t0")
        return m

    def plain_all(self, logins, at_a_time=100):
        """
        The answers to AUTH PLAIN for (user, password[, parameters[, authzid]]), with N for the
        request's number.  Many are asked at once: the peer lets failures wait for a tick.
        """
        answers = []
        for i in range(0, len(logins), at_a_time):
            answers += self._plain_some(logins[i:i + at_a_time])
        return answers

    def _plain_some(self, logins):
        c = self.client()
        for i, login in enumerate(logins, 1):
            user, password, params, authzid = (*login, "", "")[:4]
            response = base64.b64encode(b"\0".join(
                t if isinstance(t, bytes) else t.encode()
                for t in (authzid, user, password))).decode()
            words = [w for w in params.split("\t") if w]
            if not any(w.startswith("service=") for w in words):
                words.insert(0, "service=smtp")
            params = "\t".join([*words, "no-penalty"])
            c.say(f"AUTH\t{i}\tPLAIN\t{params}\tresp={response}")
        answers = [""] * len(logins)
        c.sock.settimeout(1)
        nudge = len(logins)
        give_up = time.monotonic() + WAIT_S
        left = set(range(1, len(logins) + 1))
        buffered = b""
        while left and time.monotonic() < give_up:
            try:
                received = c.sock.recv(65536)
            except TimeoutError:
                # A failure may stay in the peer's queue until the next one comes.
                nudge += 1
                c.say(f"AUTH\t{nudge}\tPLAIN\tservice=smtp\tno-penalty\tresp={NUDGE}")
                continue
            if not received:
                break
            buffered += received
            *lines, buffered = buffered.split(b"\n")
            for line in lines:
                fields = line.decode("utf-8", "replace").replace(self.dir, "{dir}").split("\t", 2)
                number = int(fields[1])
                left.discard(number)
                if number <= len(logins):
                    answers[number - 1] = "\t".join([fields[0], "N", *fields[2:]])
        c.close()
        return answers


def both(more, files=None):
    """(peer, ours), to be used with "with"."""
    return Instance(more, files, peer_dovecot.programs()), Instance(more, files)
