#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""doveadm beside Dovecot 2.3's: two instances with the same configuration, the same commands, the same
output and exit status.  And what only a running master of ours can show: logs in three files, their
reopening, errors kept, status of services and processes."""

import difflib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap
from instance import free_ports, stage, wait_until

CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
info_log_path = {dir}/log.info
debug_log_path = {dir}/log.debug
log_timestamp = "%Y-%m-%d %H:%M:%S "
instance_name = x-{name}
protocols = pop3
listen = 127.0.0.1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{dir}/mail/%n
passdb {{
  driver = passwd-file
  args = scheme=plain {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""
# Of these services we have none, and say so.
PEER_ONLY = """
service anvil {
  chroot =
}
service stats {
  chroot =
}
"""

COMMANDS = """
user u1
user -f home u1
user -f nosuch u1
user u1 u2
user -f uid u1 u2
user nosuch
user -f home nosuch
user u1 nosuch
user u*
user * u1
user -u u1
user -u u1 nosuch u2
user -x service=imap -x lip=1.2.3.4 u1
user -e %u|%h|%{home} u1
user
user -Q
-f json user u1
-f tab user u1
-f pager user u1
-f table user u1
-f table user u*
user -a /nonex u1
user -f mail u1
user nosuch u2 nosuch
user -f uid nosuch u1
auth test u1 pw1
auth test u1 bad
auth test nosuch x
auth test -x service=smtp u1 pw1
auth test -a /nonex u1 pw1
auth test -Q
auth test
auth lookup u1
auth lookup nosuch
auth lookup u1 u2
auth lookup -f user u1
auth login u1 bad
auth cache flush
auth cache flush u1 u2
auth
auth foo
log find
log errors
log test
log
process
process status nosuch
service status nosuch
instance remove foo
instance
instance list nosuch
instance list -c
-Q
-f foo user u1
config -n ssl
config -h protocols
exec nosuch
exec
who
who -1
who -x
who u1
kick x
kick
stop x
-f tab who
"""


class Side:
    def __init__(self, base, name, sbin, port):
        self.dir = os.path.join(base, name)
        self.sbin = sbin
        os.makedirs(os.path.join(self.dir, "mail"))
        os.chmod(self.dir, 0o711)
        os.chmod(os.path.join(self.dir, "mail"), 0o777)
        self.config = os.path.join(self.dir, "dovecot.conf")
        self.write("dovecot.conf", CONFIG.format(dir=self.dir, name="side", port=port) +
                   (PEER_ONLY if name == "peer" else ""))
        self.write("users", "u1:pw1:65534:65534::{0}/mail/u1::userdb_quota_rule=*:storage=1G nice=x\n"
                            "u2:pw2:65534:65534::{0}/mail/u2\n".format(self.dir))

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(os.path.join(self.dir, name), 0o644)

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as f:
            return f.read()

    def program(self, name):
        return shutil.which(name, path=self.sbin)

    def start(self):
        subprocess.run([self.program("dovecot"), "-c", self.config], check=True, timeout=60)
        wait_until(lambda: self.run("user", "u1")[0] == 0, "auth answers")

    def run(self, *args):
        done = subprocess.run([self.program("doveadm"), "-c", self.config, *args],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, cwd="/")
        text = done.stdout.decode(errors="replace").replace(self.dir, "DIR")
        text = text.replace(self.program("doveadm"), "doveadm")
        return done.returncode, re.sub(r"<\d+>", "<PID>", text)

    def stop(self):
        if os.path.exists(os.path.join(self.dir, "run/master.pid")):
            self.run("stop")


def compare(peer, ours):
    for line in COMMANDS.strip().splitlines():
        words = [word.replace("|", " ") for word in line.split(" ")]
        want, got = peer.run(*words), ours.run(*words)
        tap.ok(got == want, line, "\n".join(difflib.unified_diff(
            want[1].splitlines() + [f"rc {want[0]}"], got[1].splitlines() + [f"rc {got[0]}"],
            "peer", "ours", lineterm="")))


def running(ours):
    """What a master of ours tells."""
    code, text = ours.run("service", "status", "auth")
    tap.equal(code, 0, "service status")
    tap.like(text, r"\Aname: auth\nprocess_count: 1\n(.*: .*\n){10}process_total: 1\n\Z",
             "its fields")
    tap.like(ours.run("process", "status", "auth")[1],
             r"\Aname pid +available_count total_count idle_start last_status_update "
             r"last_kill_sent *\nauth \d+ +\d+", "process status")
    tap.like(ours.run("instance", "list")[1],
             r"\Apath +name +last used +running *\nDIR/run +x-side +\d{4}-.* yes *\n\Z",
             "instance list")
    tap.equal(os.readlink(os.path.join(ours.dir, "run/dovecot.conf")), ours.config, "the link")
    tap.equal(oct(os.stat(os.path.join(ours.dir, "run/master-status")).st_mode & 0o777), "0o600",
              "nobody else asks master")


STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def logs(ours):
    tap.like(ours.read("log.info"), rf"^{STAMP}master: Info: Dovecot v2\.3\.\S+ .*starting up for "
             r"pop3", "information has a file of its own, and lines their own beginning")
    for name, level in (("log.debug", "Debug"), ("log.info", "Info"), ("log", "Warning"),
                        ("log", "Error"), ("log", "Fatal")):
        tap.like(ours.read(name), rf"^{STAMP}doveadm: {level}: This is Dovecot's "
                 rf"{level.lower()} log \(\d+\)$", f"log test: {level}")
    for name in ("log", "log.info"):
        os.rename(os.path.join(ours.dir, name), os.path.join(ours.dir, name + ".0"))
    tap.equal(ours.run("log", "reopen")[0], 0, "log reopen")
    wait_until(lambda: os.path.exists(os.path.join(ours.dir, "log.info")), "new files")
    since = int(time.time())
    tap.equal(ours.run("reload")[0], 0, "reload")
    wait_until(lambda: "SIGHUP received" in ours.read("log"), "the reload in the new file")
    tap.like(ours.run("log", "errors", "-s", str(since - 1))[1],
             r"\A\w{3} \d\d \d\d:\d\d:\d\d Warning: master: SIGHUP received - reloading "
             r"configuration\n\Z", "log errors")
    tap.equal(ours.run("log", "errors", "-s", str(since + 3600))[1], "", "errors of later")
    tap.like(ours.run("-f", "json", "log", "errors")[1],
             r'"prefix":"master","type":"Warning","text":"SIGHUP received', "errors in JSON")


def daemons_log(ours):
    """A daemon's own lines go to the right file, after a reopening as well."""
    before = ours.read("log.info")
    ours.write("dovecot.conf", ours.read("dovecot.conf") + "auth_verbose = yes\n")
    ours.run("reload")
    wait_until(lambda: ours.run("auth", "test", "u1", "bad")[0] == 77 and
               "Password mismatch" in ours.read("log.info")[len(before):], "a failed login")
    tap.like(ours.read("log.info"), rf"^{STAMP}auth: Info: passwd-file\(u1.*\): Password mismatch$",
             "in the file for information")
    tap.unlike(ours.read("log"), "Password mismatch", "and not in the one for errors")


SESSIONS = [("u1", "pop3", "11", "127.0.0.1", "a"), ("u1", "pop3", "12", "192.0.2.1", "b"),
            ("u2", "pop3", "13", "127.0.0.1", "c"), ("x\ty", "pop3", "14", "::1", "d")]


def json_texts(ours):
    """Keys and escapes are those of the peer."""
    path = os.path.join(ours.dir, "state/instances")
    with open(path, "a", encoding="utf-8") as f:
        f.write(f'1700000000\ta"b\\c\fd\t{ours.dir}/other\t/x\n')
    code, text = ours.run("-f", "json", "instance", "list")
    tap.equal(code, 0, "instance list in JSON")
    rows = [row for row in json.loads(text) if row["path"] == "DIR/other"]
    tap.equal([(row["name"], sorted(row)) for row in rows],
              [('a"b\\c\fd', ["last used", "name", "path", "running"])], "its names and texts")
    tap.like(text, r'"a\\"b\\\\c\\fd"', "a short escape")
    ours.run("instance", "remove", f"{ours.dir}/other")


def serve_sessions(listener, kicked):
    """A mailbox service that tells of SESSIONS, and notes who is kicked."""
    while True:
        try:
            c, _ = listener.accept()
        except OSError:
            return
        with c, c.makefile("rw", encoding="utf-8", newline="\n") as f:
            f.write("VERSION\t1\t0\n")
            f.flush()
            for line in f:
                words = line.rstrip("\n").split("\t")
                if words[0] == "WHO":
                    for session in SESSIONS:
                        f.write("\t".join(["SESSION"] + [w.replace("\t", "\001t")
                                                         for w in session]) + "\n")
                    f.write("DONE\n")
                elif words[0] == "KICK":
                    kicked.append(words[1])
                    f.write("OK\t1\n")
                f.flush()


def who(ours):
    path = os.path.join(ours.dir, "run/who-fake")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    kicked = []
    threading.Thread(target=serve_sessions, args=(listener, kicked), daemon=True).start()
    tap.equal(ours.run("-f", "tab", "who"),
              (0, "username\t#\tproto\t(pids)\t(ips)\nu1\t2\tpop3\t(11 12)\t(127.0.0.1 192.0.2.1)\n"
               "u2\t1\tpop3\t(13)\t(127.0.0.1)\nx\ty\t1\tpop3\t(14)\t(::1)\n"), "who")
    tap.like(ours.run("who")[1], r"\Ausername # proto \(pids\)  \(ips\) +\nu1       2 pop3  \(11 12\)"
             r" \(127.0.0.1 192.0.2.1\) +\n", "as a table")
    tap.equal(ours.run("-f", "tab", "who", "-1", "u1")[1],
              "username\tproto\tpid\tip\nu1\tpop3\t11\t127.0.0.1\nu1\tpop3\t12\t192.0.2.1\n",
              "who -1 of a user")
    tap.equal(ours.run("-f", "flow", "who", "u*", "192.0.2.0/24")[1],
              "username=u1 #=1 proto=pop3 (pids)=(12) (ips)=(192.0.2.1)\n", "of a network")
    tap.equal(ours.run("kick", "nosuch"), (68, "no users kicked\n"), "kick nobody")
    tap.equal(kicked, [], "nobody was")
    tap.equal(ours.run("kick", "u*", "127.0.0.0/8"),
              (0, "kicked connections from the following users:\nu1 u2\n"), "kick")
    tap.equal(kicked, ["a", "c"], "their sessions")
    listener.close()
    os.unlink(path)


def left_pid(ours):
    """A pid file that nobody holds tells nothing, although the number in it is a process's."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        ours.write("run/master.pid", f"{stranger.pid}\n")
        for command in ("reload", "stop"):
            tap.equal(ours.run(command), (75, "Fatal: Dovecot is not running "
                                          "(read from DIR/run/master.pid)\n"), f"{command}: none runs")
        tap.ok(stranger.poll() is None, "nobody else is signalled")
        stranger.kill()
    os.unlink(os.path.join(ours.dir, "run/master.pid"))


def bad_log(ours):
    text = ours.read("dovecot.conf")
    ours.write("dovecot.conf", text.replace(f"{ours.dir}/log.info", f"{ours.dir}/nowhere/log"))
    done = subprocess.run([ours.program("dovecot"), "-c", ours.config], capture_output=True,
                          text=True, timeout=60, check=False)
    tap.ok(done.returncode != 0, "a log file that cannot be opened: no start")
    tap.like(done.stderr, rf"Fatal: Can't open log file {ours.dir}/nowhere/log: No such file",
             "and the reason")


def main():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    has_peer = os.path.exists("/usr/bin/doveadm") and os.path.exists("/usr/lib/dovecot/pop3")
    with tempfile.TemporaryDirectory(prefix="pc-doveadm-") as base:
        os.chmod(base, 0o711)
        ports = free_ports(2)
        ours = Side(base, "ours", os.path.join(stage(), "sbin"), ports[0])
        peer = Side(base, "peer", "/usr/sbin:/usr/bin", ports[1])
        try:
            ours.start()
            if has_peer:
                peer.start()
                compare(peer, ours)
            else:
                tap.skip("there is no Dovecot here", "comparison")
                ours.run("log", "test")
            for test in (running, logs, daemons_log, json_texts, who):
                test(ours)
            ours.stop()
            left_pid(ours)
            bad_log(ours)
        finally:
            ours.stop()
            peer.stop()
    tap.done()


main()
