# SPDX-License-Identifier: BSD-2-Clause
"""Accounts, PAM services and an auth server, ours or the real one, in a throw-away host.

    host = hostroot...; worker_host.prepare()
    with worker_host.Server("ours", databases) as server:
        server.ask("alice", "secret")       # "OK\t1\tuser=alice"
        server.log()
"""

import base64
import os
import re
import shutil
import socket
import subprocess
import time

import hostroot
from instance import fail_on_reports, stage, wait_until

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
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
{databases}
"""

# SHA512-CRYPT of "Hello world!", from the specification of that scheme.
HASH = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

PAM = {
    "dovecot": "auth required pam_unix.so nodelay\naccount required pam_unix.so\n"
               "session required pam_unix.so\n",
    "other": "auth required pam_deny.so\naccount required pam_deny.so\n",
    "denied": "auth required pam_deny.so\naccount required pam_deny.so\n",
    "noaccount": "auth required pam_permit.so\naccount required pam_deny.so\n",
    "nosession": "auth required pam_permit.so\naccount required pam_permit.so\n"
                 "session required pam_deny.so\n",
    "pop3": "auth required pam_permit.so\naccount required pam_permit.so\n",
}

ACCOUNTS = """
set -e
for user in alice locked expired stale must-change nopassword inpasswd; do useradd -m $user; done
for user in alice locked expired stale must-change root; do echo "$user:secret"; done | chpasswd
passwd -q -l locked
chage -E 2020-01-01 expired
chage -d 2020-01-01 -M 5 -I 3 stale
chage -d 0 must-change
"""


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def prepare():
    done = hostroot.sh(ACCOUNTS)
    if done.returncode != 0:
        raise RuntimeError("accounts: " + done.stdout)
    with open("/etc/passwd", encoding="utf-8") as f:
        text = f.read()
    write("/etc/passwd", text.replace("\ninpasswd:x:", f"\ninpasswd:{HASH}:"))
    for service, lines in PAM.items():
        write("/etc/pam.d/" + service, lines)


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


class Server:
    """One of the two over a configuration: "ours" or "peer"."""

    def __init__(self, which, databases, extra=""):
        self.which = which
        self.dir = "/tmp/" + which
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.config = self.dir + "/dovecot.conf"
        write(self.config, CONFIG.format(dir=self.dir, databases=databases) + extra)
        self.process = None

    def __enter__(self):
        if self.which == "ours":
            command = [os.path.join(stage(), "libexec/postcote/master"), "-i", "-D", self.config]
        else:
            command = ["/usr/sbin/dovecot", "-F", "-c", self.config]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/",
                                        stderr=open(self.dir + "/stderr", "wb"))
        try:
            wait_until(self.answers, "the auth socket")
        except BaseException:
            self.__exit__(1)
            raise
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            for line in self.log().splitlines()[-60:]:
                print("# log: " + line, flush=True)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        fail_on_reports(self.log())

    def path(self, name):
        return os.path.join(self.dir, name)

    def log(self):
        try:
            with open(self.path("log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(100)
        sock.connect(self.path("run/auth-client"))
        lines = sock.makefile("rwb")
        while True:
            line = lines.readline()
            if line == b"DONE\n":
                break
            if not line:
                raise ConnectionError("no hello")
        lines.write(f"VERSION\t1\t2\nCPID\t{os.getpid()}\n".encode())
        return sock, lines

    def answers(self):
        try:
            self.connect()[0].close()
            return True
        except OSError:
            return False

    def ask(self, user, password, service="imap"):
        """The answer's line, without the empty field behind the user."""
        sock, lines = self.connect()
        with sock:
            lines.write(f"AUTH\t1\tPLAIN\tservice={service}\tsession=SESS\tlip=127.0.0.1\t"
                        f"rip=10.0.0.1\tlport=143\trport=4444\tresp={plain(user, password)}\n"
                        .encode())
            lines.flush()
            return lines.readline().decode().rstrip("\n").rstrip("\t").replace("\t\t", "\t")

    def user(self, name, service="imap", word="USER", path="auth-userdb"):
        """The answer of the master protocol."""
        sock = socket.socket(socket.AF_UNIX)
        with sock:
            sock.settimeout(100)
            sock.connect(self.path("run/" + path))
            lines = sock.makefile("rwb")
            lines.write(f"VERSION\t1\t0\n{word}\t1\t{name}\tservice={service}\n".encode())
            lines.flush()
            while True:
                line = lines.readline().decode()
                if not line.startswith(("VERSION", "SPID")):
                    return line.rstrip("\n").rstrip("\t")

    def doveadm(self, *args):
        program = "/usr/bin/doveadm" if self.which == "peer" else os.path.join(
            stage(), "sbin/doveadm")
        return subprocess.run([program, "-c", self.config, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=100, check=False)

    def database_lines(self, drivers=("pam", "passwd", "shadow", "checkpassword")):
        """What the drivers logged: [(who, level, text)], numbers taken out."""
        found = []
        for line in self.log().splitlines():
            m = re.match(r"\w+ +\d+ [\d:]+ (.*?): (Info|Error|Warning): (.*)", line)
            if m and re.search(r"(^|: )(" + "|".join(drivers) + r")\(", m[3]):
                found.append(tuple(re.sub(r"\b\d+\b", "N", part) for part in m.groups()))
        return found


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)
