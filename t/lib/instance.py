# SPDX-License-Identifier: BSD-2-Clause
"""A private instance of the suite in a temporary directory, on ports of its own.

    with Instance() as mail:
        mail.send("hello")               # through the plain SMTP port
        mail.wait_for_mail("bob")        # list of messages (bytes)

The programs are those staged below $PC_STAGE.  Started by root, the instance runs as the user
nobody.
"""

import glob
import itertools
import os
import poplib
import pwd
import random
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

SRCDIR = os.environ.get("PC_SRCDIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
DOMAIN = "example.test"
WAIT_S = float(os.environ.get("PC_TEST_WAIT", "60"))
# What daemons of a build with sanitizers write comes through master into the log.
DAEMON_WROTE = re.compile(r"^.*a daemon wrote: (.*)$", re.M)
SANITIZER_REPORT = re.compile(r"Sanitizer|runtime error:")


def stage():
    """The directory with sbin/ and libexec/postcote/ of the programs under test."""
    path = os.environ.get("PC_STAGE")
    if not path:
        raise RuntimeError("PC_STAGE is not set: run the tests with make check")
    return path


_reserved = []  # for other tests to see, until this one ends


def _is_free(port):
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0postcote-test-port-{port}")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        return False
    _reserved.append(mark)
    return True


def free_ports(count):
    """Ports of 127.0.0.1 that are this test's until it ends: nobody listens there, no other test
    is given them, and the kernel does not take them for a client's end."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        first, last = map(int, f.read().split())
    ports = [port for port in range(10240, 65536) if not first <= port <= last]
    random.shuffle(ports)
    free = list(itertools.islice(filter(_is_free, ports), count))
    if len(free) < count:
        raise RuntimeError("no free ports")
    return free


def wait_until(condition, what, seconds=WAIT_S):
    """Polls until CONDITION() is true and returns its value; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def _with_line(found):
    """What a frame "(PROGRAM+0xADDRESS)" is in the source."""
    program = os.path.join(stage(), "libexec/postcote", os.path.basename(found[1]))
    try:
        done = subprocess.run(["addr2line", "-fpie", program, found[2]], timeout=60, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return found[0]
    return done.stdout.strip() or found[0]


def fail_on_reports(log):
    """Raises RuntimeError when a sanitizer has found something in a daemon with this LOG."""
    wrote = DAEMON_WROTE.findall(log)
    if any(SANITIZER_REPORT.search(line) for line in wrote):
        raise RuntimeError("a daemon's sanitizer reported:\n" + "\n".join(
            re.sub(r"\((\S+)\+(0x[0-9a-f]+)\)", _with_line, line) for line in wrote[:100]))


# All clients have one address, and many are refused on purpose.
NO_PENALTY = "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"


class Instance:
    """Configured by make-config, then by MAIN (main.cf parameters), MASTER (text appended to
    master.cf), DOVECOT (text appended to dovecot.conf)."""

    def __init__(self, main=None, master="", dovecot="", prefix="postcote-t-"):
        self.dir = tempfile.mkdtemp(prefix=prefix)
        os.chmod(self.dir, 0o755)
        self.user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.mail_log = self.path("log/mail.log")
        ports = free_ports(4)
        self.smtp_port, self.submission_port, self.pop3_port, self.pop3s_port = ports
        subprocess.run([os.path.join(SRCDIR, "etc/private/make-config"), self.dir, self.user]
                       + [str(p) for p in ports], check=True)
        with open(self.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
            for name, value in (main or {}).items():
                f.write(f"{name} = {value}\n")
        with open(self.path("etc/postfix/master.cf"), "a", encoding="utf-8") as f:
            f.write(master)
        with open(self.path("etc/dovecot/dovecot.conf"), "a", encoding="utf-8") as f:
            f.write(NO_PENALTY + dovecot)
        self.own(self.dir)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            for line in self.log().splitlines()[-60:]:
                print("# log: " + line, flush=True)
        self.close()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def own(self, path):
        """Gives PATH and all below to the instance's user."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", self.user, path], check=True)

    def command(self, *args, **kwargs):
        """Runs a command of the suite as the instance's user; returns CompletedProcess (text)."""
        program = os.path.join(stage(), "sbin", args[0])
        env = dict(os.environ, MAIL_CONFIG=self.path("etc/postfix"), LC_ALL="C")
        kwargs.setdefault("timeout", 60)
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        kwargs.setdefault("text", True)
        if "input" not in kwargs:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.as_user([program, *args[1:]]), env=env, cwd="/", **kwargs)

    def as_user(self, argv):
        """ARGV, run as the instance's user."""
        if os.geteuid() != 0:
            return argv
        return ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}",
                "--clear-groups", *argv]

    def postcote(self, verb):
        return self.command("postcote", verb, "-c", self.path("etc"))

    def start(self):
        result = self.postcote("start")
        if result.returncode != 0:
            raise RuntimeError(f"postcote start: {result.stdout}{result.stderr}\n{self.log()}")
        for port in (self.smtp_port, self.submission_port, self.pop3_port, self.pop3s_port):
            wait_until(lambda p=port: _listens(p), f"port {port}")

    def stop(self):
        return self.postcote("stop")

    def reload(self):
        return self.postcote("reload")

    def close(self):
        """Stops the instance, kills what is left of it, and removes its directory; raises
        RuntimeError when a sanitizer has found something in a daemon."""
        if self.pids():
            try:
                self.stop()
            except (subprocess.SubprocessError, OSError):
                pass
            try:
                wait_until(lambda: not self.pids(), "stop", 10)
            except TimeoutError:
                self.kill_all()
        log = self.log()
        if os.environ.get("PC_TEST_KEEP"):
            print(f"# kept {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        fail_on_reports(log)

    def master_pids(self):
        """{"postfix": pid, "dovecot": pid} of the masters that run."""
        found = {}
        for name, path in (("postfix", "spool/pid/master.pid"), ("dovecot", "run/master.pid")):
            try:
                with open(self.path(path), encoding="ascii") as f:
                    pid = int(f.read())
                os.kill(pid, 0)
                found[name] = pid
            except (OSError, ValueError):
                pass
        return found

    def pids(self, program=None):
        """Pids of the processes below this instance's masters, by name of the program's file."""
        masters = set(self.master_pids().values())
        parents = _parents()
        pids = []
        for pid in parents:
            ancestor = pid
            while ancestor in parents and ancestor not in masters:
                ancestor = parents[ancestor]
            if ancestor in masters and (program is None or _program(pid) == program):
                pids.append(pid)
        return pids

    def kill_all(self):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def postfix_log(self):
        """The log of the Postfix half alone."""
        with open(self.mail_log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def log(self):
        """All log lines of both masters."""
        text = ""
        for path in sorted(glob.glob(self.path("log/*.log"))):
            with open(path, encoding="utf-8", errors="replace") as f:
                text += f.read()
        return text

    def wait_for_log(self, pattern, seconds=WAIT_S):
        """The first match of PATTERN in the log, waited for."""
        try:
            return wait_until(lambda: re.search(pattern, self.log(), re.M), pattern, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log()}") from None

    def smtp(self, port=None, **kwargs):
        kwargs.setdefault("timeout", WAIT_S)
        return smtplib.SMTP("127.0.0.1", port or self.smtp_port, **kwargs)

    def submission(self, user="alice", password=None):
        """A connection to the submission port after STARTTLS and AUTH."""
        smtp = self.smtp(self.submission_port)
        smtp.starttls(context=self.tls())
        if user:
            smtp.login(f"{user}@{DOMAIN}", password or user)
        return smtp

    def tls(self):
        """A client's TLS context that trusts the instance's certificate only."""
        context = ssl.create_default_context(cafile=self.path("etc/ssl/cert.pem"))
        context.check_hostname = False
        return context

    def send(self, subject, to="bob", sender="alice", body="Hello.", smtp=None):
        """One message through the plain SMTP port; returns the text of the reply to the dot."""
        own = smtp or self.smtp()
        try:
            own.ehlo_or_helo_if_needed()
            for step in (own.mail(f"{sender}@{DOMAIN}"), own.rcpt(f"{to}@{DOMAIN}")):
                if step[0] // 100 != 2:
                    raise RuntimeError(f"refused: {step}")
            code, text = own.data(f"From: {sender}@{DOMAIN}\r\nTo: {to}@{DOMAIN}\r\n"
                                  f"Subject: {subject}\r\n\r\n{body}\r\n")
            if code != 250:
                raise RuntimeError(f"refused: {code} {text}")
            return text.decode()
        finally:
            if smtp is None:
                own.close()

    def mail_files(self, user):
        base = self.path("mail", DOMAIN, user)
        return sorted(glob.glob(base + "/new/*") + glob.glob(base + "/cur/*"))

    def mails(self, user):
        """The messages in USER's mailbox, as bytes."""
        messages = []
        for path in self.mail_files(user):
            try:
                with open(path, "rb") as f:
                    messages.append(f.read())
            except FileNotFoundError:
                pass
        return messages

    def wait_for_mail(self, user, count=1, seconds=WAIT_S):
        """USER's messages once there are at least COUNT."""
        try:
            return wait_until(lambda: len(self.mail_files(user)) >= count and self.mails(user),
                              f"{count} messages for {user}", seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log()}") from None

    def pop3s(self, user=None, password=None):
        pop = poplib.POP3_SSL("127.0.0.1", self.pop3s_port, timeout=WAIT_S, context=self.tls())
        if user:
            pop.user(f"{user}@{DOMAIN}")
            pop.pass_(password or user)
        return pop


def _parents():
    """{pid: parent's pid} of all living processes."""
    parents = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat, encoding="utf-8", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        state, parent = text.rsplit(")", 1)[1].split()[:2]
        if state != "Z":
            parents[int(text.split(" ", 1)[0])] = int(parent)
    return parents


def _program(pid):
    """The kernel's name of it: of our processes, which are not dumpable, anybody sees no more."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False
