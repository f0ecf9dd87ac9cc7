#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""master and the commands that control it, over a small daemon that is copied under the names of
the real ones (t/master_daemon.c)."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402

BUILD = os.environ.get("PC_BUILDDIR", os.path.join(instance.SRCDIR, "build"))
ROOT = os.geteuid() == 0
OWNER = "nobody" if ROOT else str(os.geteuid())
GROUP = "nogroup" if ROOT else str(os.getegid())
wait_until = instance.wait_until


class Suite:
    """A directory with programs, configuration and state of its own."""

    def __init__(self, main="", master="", dovecot=""):
        self.dir = tempfile.mkdtemp(prefix="postcote-master-")
        os.chmod(self.dir, 0o755)
        os.makedirs(self.path("libexec/postcote"))
        for sub in ("sbin", "etc/postfix", "etc/dovecot"):
            os.makedirs(self.path(sub))
        for name in ("postfix", "dovecot", "doveconf", "postcote"):
            shutil.copy(os.path.join(BUILD, name), self.path("sbin"))
        shutil.copy(os.path.join(BUILD, "master/master"), self.path("libexec/postcote"))
        for name in ("smtpd", "qmgr", "pickup", "virtual", "authd", "pop3-login", "pop3"):
            shutil.copy(os.path.join(BUILD, "t/master_daemon"),
                        self.path("libexec/postcote", name))
        self.ports = instance.free_ports(4)
        self.main(main)
        self.master(master)
        self.dovecot_conf(dovecot)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        log = self.log() + self.log("dovecot.log")
        if os.environ.get("PC_TEST_KEEP"):
            print(f"# kept {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        instance.fail_on_reports(log)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def main(self, more=""):
        self.write("etc/postfix/main.cf", f"""
compatibility_level = 3.11
queue_directory = {self.dir}/spool
data_directory = {self.dir}/data
mail_owner = {OWNER}
setgid_group = {GROUP}
maillog_file = {self.dir}/mail.log
maillog_file_prefixes = {self.dir}, /dev/stdout
myhostname = mail.example.test
inet_interfaces = 127.0.0.1
smtpd_banner = hello
postcote_stop_timeout = 1s
{more}
""")

    def master(self, more=""):
        self.write("etc/postfix/master.cf", f"""
{self.ports[0]} inet n - n - - smtpd
{self.ports[1]} inet n - n - 1 smtpd
  -o syslog_name=postfix/submission
pickup unix n - n 1 1 pickup
qmgr unix n - n 300 1 qmgr
showq unix n - n - - showq
cleanup unix n - n - 0 cleanup
{more}
""")

    def dovecot_conf(self, more=""):
        self.write("etc/dovecot/dovecot.conf", f"""
base_dir = {self.dir}/run
state_dir = {self.dir}/state
protocols = pop3 imap lmtp
listen = 127.0.0.1
log_path = {self.dir}/dovecot.log
default_internal_user = {OWNER}
default_internal_group = {GROUP}
default_login_user = {OWNER}
first_valid_uid = 1
ssl = yes
ssl_cert = </etc/passwd
ssl_key = </etc/passwd
passdb {{
  driver = passwd-file
  args = /etc/passwd
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {self.dir}/late/auth {{
    mode = 0666
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.ports[2]}
  }}
  inet_listener pop3s {{
    port = {self.ports[3]}
    ssl = yes
  }}
}}
{more}
""")

    def run(self, *args, **kwargs):
        return subprocess.run([self.path("sbin", args[0]), *args[1:]], text=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd="/", **kwargs)

    def postfix(self, *args):
        return self.run("postfix", "-c", self.path("etc/postfix"), *args)

    def dovecot(self, *args):
        return self.run("dovecot", "-c", self.path("etc/dovecot/dovecot.conf"), *args)

    def log(self, name="mail.log"):
        try:
            with open(self.path(name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_for_log(self, pattern, name="mail.log"):
        try:
            return wait_until(lambda: re.search(pattern, self.log(name), re.M), pattern)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log(name)}") from None

    def pids(self):
        """All processes that run one of our copies."""
        pids = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                exe = os.readlink(f"/proc/{entry}/exe")
            except OSError:
                continue
            if exe.startswith(self.dir + "/"):
                pids.append(int(entry))
        return pids

    def pid(self):
        return int(self.log("spool/pid/master.pid"))

    def client(self, port=0, path=None):
        return Client(("127.0.0.1", self.ports[port]) if path is None else self.path(path))


class Client:
    def __init__(self, address, source=None):
        if isinstance(address, tuple):
            self.sock = socket.create_connection(address, instance.WAIT_S,
                                                 source and (source, 0))
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(instance.WAIT_S)
            self.sock.connect(address)
        self.file = self.sock.makefile("r")

    def __enter__(self):
        self.greeting = self.line()
        return self

    def __exit__(self, *exc):
        self.file.close()
        self.sock.close()

    def line(self):
        return self.file.readline().rstrip("\n")

    def send(self, text):
        self.sock.sendall(text.encode() + b"\n")

    def ask(self, text):
        self.send(text)
        return self.line()


def answers(suite, question, port=0):
    with suite.client(port) as c:
        return c.ask(question)


def configuration_errors_come_at_once():
    with Suite(main="smtpd_timeout = 3x\nmessage_size_limit = many\n",
               master="nosuchport inet n - n - - smtpd\n") as s:
        for command in (("start",), ("start-fg",), ("check",)):
            result = s.postfix(*command)
            tap.equal(result.returncode, 1, f"{command[0]} fails")
            for word in ("smtpd_timeout", "message_size_limit"):
                tap.like(result.stderr, rf"error: .*main\.cf: line \d+: {word}", f"{word} is told")
        s.main()
        result = s.postfix("start")
        tap.equal(result.returncode, 1, "start with an unknown port fails")
        tap.like(result.stderr, r"error: .*master\.cf: line \d+: .*nosuchport", "it is told")
        tap.equal(s.pids(), [], "nothing runs")
        if ROOT:
            s.master()
            s.main("mail_owner = nosuchuser\nsetgid_group = nosuchgroup\n")
            result = s.postfix("start")
            tap.equal(result.returncode, 1, "root needs the accounts")
            tap.like(result.stderr, 'mail_owner: there is no account "nosuchuser"', "told")
            tap.like(result.stderr, 'setgid_group: there is no group "nosuchgroup"', "told too")
        s.dovecot_conf("nosuchsetting = 1\nmail_max_userip_connections = x\n")
        result = s.dovecot()
        tap.equal(result.returncode, 89, "dovecot fails as the peer does")
        tap.like(result.stderr, r"Fatal: Error in configuration file .*nosuchsetting", "told")
        tap.equal(s.pids(), [], "nothing runs")


def start_status_stop():
    with Suite() as s:
        result = s.postfix("status")
        tap.equal(result.returncode, 1, "status before the start")
        tap.like(result.stderr, "the Postfix mail system is not running", "status says so")
        tap.equal(s.postfix("stop").returncode, 1, "stop before the start")
        result = s.postfix("start")
        tap.equal(result.returncode, 0, "start")
        tap.equal(result.stderr, "postfix/postfix-script: starting the Postfix mail system\n",
                  "start says one line")
        with open(s.path("spool/pid/master.pid"), encoding="ascii") as f:
            tap.like(f.read(), r"\A *\d+\n\Z", "pid file")
        tap.equal(os.path.getsize(s.path("spool/pid/master.pid")), 17, "in 16 columns")
        result = s.postfix("status")
        tap.equal(result.returncode, 0, "status")
        tap.like(result.stderr, rf"^\S+ the Postfix mail system is running: PID: {s.pid()}$",
                 "status says the pid")
        result = s.postfix("start")
        tap.equal(result.returncode, 1, "a second start")
        tap.like(result.stderr, "fatal: the Postfix mail system is already running", "is told")
        tap.like(s.log(), r"postfix/master\[\d+\]: daemon started -- version 3\.\d+\.\d+, "
                 rf"configuration {s.dir}/etc/postfix", "start in the log")
        with s.client(0) as c:
            tap.equal(c.greeting, f"{s.ports[0]} postfix/smtpd", "service and log name")
            tap.equal(c.ask("echo"), "echo", "it serves")
            if ROOT:
                tap.equal(c.ask("uid"), "65534", "as mail_owner")
        with s.client(1) as c:
            tap.equal(c.greeting, f"{s.ports[1]} postfix/submission/smtpd", "with syslog_name")
        with s.client(path="spool/public/showq") as c:
            tap.equal(c.greeting, "public/showq postfix/qmgr", "showq's socket is qmgr's")
        tap.ok(not os.path.exists(s.path("spool/public/cleanup")), "none of a folded service")
        for path, mode in (("maildrop", 0o730), ("public", 0o710), ("private", 0o700),
                           ("pid", 0o755), ("public/qmgr", 0o666), ("active", 0o700)):
            tap.equal(stat.S_IMODE(os.stat(s.path("spool", path)).st_mode), mode, f"mode of {path}")
        tap.equal(os.readlink(f"/proc/{s.pid()}/exe"), s.path("libexec/postcote/master"), "master")
        with open(f"/proc/{s.pid()}/comm", encoding="ascii") as f:
            tap.equal(f.read(), "master\n", "its name in the process list")
        result = s.postfix("stop")
        tap.equal(result.returncode, 0, "stop")
        tap.like(result.stderr, "stopping the Postfix mail system", "stop says so")
        tap.like(s.log(), "terminating on signal 15", "stop in the log")
        tap.equal(s.pids(), [], "nothing is left")
        tap.ok(not os.path.exists(s.path("spool/public/qmgr")), "no socket is left")


def killed_child_is_replaced():
    with Suite() as s:
        s.postfix("start")
        qmgr = s.client(path="spool/public/qmgr")
        qmgr.line()
        for _ in range(3):
            victim = int(answers(s, "pid"))
            os.kill(victim, signal.SIGKILL)
            s.wait_for_log(rf"warning: process {s.dir}/libexec/postcote/smtpd pid {victim} "
                           r"killed by signal 9")
            tap.ok(int(answers(s, "pid")) != victim, "another one serves")
        tap.equal(qmgr.ask("here"), "here", "the others go on")
        qmgr.__exit__()
        old = s.pid()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: not s.pids(), "daemons end without their master")
        tap.ok(True, "daemons end without their master")
        tap.equal(s.postfix("start").returncode, 0, "and it starts over their remains")
        tap.equal(answers(s, "echo"), "echo", "it serves")
        s.postfix("stop")


def reload_makes_a_generation():
    with Suite() as s:
        s.postfix("start")
        idle = s.client(0)
        idle.line()
        pid = idle.ask("pid")
        with s.client(path="spool/public/qmgr") as c:
            qmgr = c.ask("pid")
        s.main("smtpd_banner = changed\n")
        result = s.postfix("reload")
        tap.equal(result.returncode, 0, "reload")
        tap.like(result.stderr, "refreshing the Postfix mail system", "reload says so")
        tap.equal(idle.line(), "bye", "an idle session of the old generation is told")
        idle.__exit__()
        s.wait_for_log("reload -- version")
        wait_until(lambda: answers(s, "greeting") == "changed", "new values")
        tap.ok(answers(s, "pid") != pid, "by new processes")
        with s.client(path="spool/public/qmgr") as c:
            tap.equal(c.ask("pid"), qmgr, "qmgr takes them in place")
        s.wait_for_log(r"postfix/qmgr\[\d+\]: reloaded in place, greeting changed")
        # pickup is alone: its successor came when it was gone.
        wait_until(lambda: os.path.exists(s.path("spool/public/pickup")), "pickup")
        c = s.client(path="spool/public/pickup")
        tap.like(c.ask("pid"), r"^\d+$", "pickup is back")
        c.__exit__()

        s.main("smtpd_banner = third\nsmtpd_timeout = 3x\n")
        result = s.postfix("reload")
        tap.equal(result.returncode, 1, "a reload with errors fails")
        os.kill(s.pid(), signal.SIGHUP)
        s.wait_for_log("error: reload: the configuration has errors, the old one stays in force")
        tap.equal(answers(s, "greeting"), "changed", "and the old generation serves")

        s.main("smtpd_banner = fail\nservice_throttle_time = 1s\n")
        s.postfix("reload")
        s.wait_for_log("smtpd: bad command startup -- throttling")
        tap.equal(answers(s, "greeting"), "changed", "one that does not start takes no place")
        s.main("smtpd_banner = fourth\n")
        s.postfix("reload")
        wait_until(lambda: answers(s, "greeting") == "fourth", "new values")
        s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left of any generation")


def a_service_that_does_not_start():
    with Suite() as s:
        port = instance.free_ports(1)[0]
        s.master(f"{port} inet n - n - - smtpd\n  -o smtpd_banner=fail\n"
                 "local unix - n n - - local\n")
        s.main("service_throttle_time = 1s\n")
        result = s.postfix("start")
        tap.equal(result.returncode, 0, "start")
        tap.like(result.stderr, rf"warning: service {port} \(smtpd\) did not start", "is told")
        tap.like(s.log(), r"smtpd\[\d+\]: fatal: open fail: No such file", "why is in the log")
        tap.like(s.log(), r"warning: process \S+/smtpd pid \d+ exit status 1", "and its status")
        tap.like(s.log(), r"smtpd: bad command startup -- throttling", "it is throttled")
        tap.like(s.log(), r"warning: not started.*: local/unix \(local\)", "an absent program")
        wait_until(lambda: s.log().count("throttling") >= 2, "next try")
        tap.equal(answers(s, "echo"), "echo", "the others serve")
        s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left")


def sessions_are_limited():
    with Suite() as s:
        s.postfix("start")
        first = s.client(1)
        first.line()
        tap.equal(first.ask("process"), "0 of 1", "one process for one session")
        second = s.client(1)
        second.sock.settimeout(0.3)
        try:
            early = second.file.readline()
        except OSError:
            early = ""
        tap.equal(early, "", "the second one waits")
        s.wait_for_log(r'warning: service "\d+" \(smtpd\) has reached its process limit "1"')
        first.__exit__()
        second.sock.settimeout(instance.WAIT_S)
        second.file = second.sock.makefile("r")
        tap.like(second.line(), "postfix/submission/smtpd", "until the first is gone")
        second.__exit__()
        s.postfix("stop")


def slow_clients_hold_nobody_up():
    with Suite() as s:
        s.postfix("start")
        slow = []
        for _ in range(300):
            c = s.client(0)
            c.line()
            c.sock.sendall(b"ec")
            slow.append(c)
        # Each of them has a thread that reads on.
        with s.client(0) as c:
            tap.equal(c.ask("echo"), "echo", "a new client is served while 300 crawl")
        for c in slow:
            c.sock.sendall(b"ho\n")
        tap.equal({c.line() for c in slow}, {"echo"}, "and all of them get their answer")
        for c in slow:
            c.__exit__()
        s.postfix("stop")


def stop_does_not_wait_for_ever():
    with Suite() as s:
        s.postfix("start")
        with s.client(0) as c:
            c.send("hang")
            result = s.postfix("stop")
            tap.equal(result.returncode, 0, "stop with a session that hangs")
        tap.equal(s.pids(), [], "nothing is left")
        s.postfix("start")
        with s.client(0) as c:
            c.send("hang")
            tap.equal(s.postfix("abort").returncode, 0, "abort")
        tap.equal(s.pids(), [], "nothing is left")


def triggers_and_logs():
    with Suite() as s:
        s.main(f"master_service_disable = {s.ports[1]}/inet\n")
        s.postfix("start")
        tap.ok(not _connects(s.ports[1]), "master_service_disable works")
        s.wait_for_log(r"postfix/pickup\[\d+\]: trigger received")
        tap.ok(True, "the wakeup column works")
        os.rename(s.path("mail.log"), s.path("mail.log.1"))
        os.kill(s.pid(), signal.SIGUSR1)
        wait_until(lambda: os.path.exists(s.path("mail.log")), "a new log file")
        s.wait_for_log(r"postfix/pickup\[\d+\]: trigger received")
        tap.ok(True, "daemons write to the new log file")
        s.postfix("stop")


def uid_workers():
    with Suite(master="virtual unix - n n - - virtual\n") as s:
        s.postfix("start")
        uid = "65534" if ROOT else str(os.getuid())
        with s.client(path="spool/private/virtual") as c:
            front = int(c.ask("pid"))
            said = c.ask("work one")
            tap.like(said, rf"^one from pid \d+ uid {uid}$", "a worker answers")
            worker = int(re.search(r"pid (\d+)", said).group(1))
            tap.ok(worker != front, "in a process of its own")
            tap.like(c.ask("work two"), rf"^two from pid {worker} ", "the same one again")
            tap.equal(c.ask("work refused"), "5.1.1 no such user", "the parent refuses")
            tap.like(c.ask("work root"), r"^4\.3\.5 .*uid or gid 0", "root is refused always")
            wait_until(lambda: not os.path.exists(f"/proc/{worker}"), "an idle worker leaves")
            tap.like(c.ask("work three"), r"^three from pid \d+", "and a new one comes")
            tap.equal(c.ask("work crash"), "nothing", "a worker crashes")
            tap.like(c.ask("work four"), r"^four from pid \d+", "and a new one comes")
            s.wait_for_log(r"process virtual worker pid \d+ killed by signal 9")
        with open(f"/proc/{front}/task/{front}/children", encoding="ascii") as f:
            parent = int(f.read())
        os.kill(parent, signal.SIGKILL)
        s.wait_for_log("the parent of the test workers is gone")
        wait_until(lambda: not os.path.exists(f"/proc/{front}"), "the front leaves")
        wait_until(lambda: os.path.exists(s.path("spool/private/virtual")), "socket")
        with s.client(path="spool/private/virtual") as c:
            tap.like(c.ask("work five"), r"^five from pid \d+", "all three come again")
            s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left")


def pid_in(text):
    return int(re.search(r"pid (\d+)", text).group(1))


def uid_links():
    with Suite(master="virtual unix - n n - - virtual\n") as s:
        s.postfix("start")
        uid = "65534" if ROOT else str(os.getuid())
        gone = "4.3.0 the test process ended without a result"
        with s.client(path="spool/private/virtual") as c:
            said = c.ask("call one")
            tap.like(said, rf"^one over a link from pid \d+ uid {uid}$", "a worker answers a call")
            worker = pid_in(said)
            tap.like(c.ask("call two"), rf"^two .* pid {worker} ", "the same one again")
            tap.like(c.ask("work three"), rf"^three from pid {worker} ", "who takes records too")
            tap.like(c.ask("call twice"), rf"^again twice .* pid {worker} ", "two answers")
            tap.like(c.ask("call one-refused"), r"^one-refused over a link",
                     "the parent is asked once for a link")
            wait_until(lambda: not os.path.exists(f"/proc/{worker}"), "an idle worker leaves")
            tap.equal(c.ask("call one-refused"), "5.1.1 no such user", "the parent refuses a link")
            tap.like(c.ask("call root"), r"^4\.3\.5 .*uid or gid 0", "root has none")
            worker = pid_in(c.ask("call four"))
            clients = [s.client(path="spool/private/virtual") for _ in range(10)]
            for i, other in enumerate(clients):
                other.line()
                other.send(f"call slow{i}")
            tap.equal([other.line() for other in clients],
                      [f"slow{i} over a link from pid {worker} uid {uid}" for i in range(10)],
                      "calls run side by side, and keep the worker")
            tap.equal(c.ask("call broken"), gone, "a worker that talks nonsense is left")
            tap.like(c.ask("call five"), r"^five .* pid \d+", "and there is a link again")
            for other in clients[:3]:
                other.send("call slow")
            s.wait_for_log("slow work begins(?s:.*slow work begins){12}")
            tap.equal(c.ask("call crash"), gone, "a worker crashes")
            tap.equal([other.line() for other in clients[:3]], [gone] * 3, "with all its calls")
            said = c.ask("call six")
            tap.like(said, r"^six .* pid \d+", "and there is another")
            tap.equal(c.ask("call hang"), gone, "one that hangs is killed")
            s.wait_for_log(rf"worker pid {pid_in(said)} hangs, killing it")
            s.wait_for_log(rf"worker pid {pid_in(said)} killed by signal 9")
            tap.like(c.ask("call seven"), r"^seven .* pid \d+", "and replaced")
            for other in clients:
                other.__exit__()
        s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left")


def links_of_suspects():
    with Suite(master="virtual unix - n n - - virtual\n") as s:
        s.postfix("start")
        bob, alice = s.client(path="spool/private/virtual"), s.client(path="spool/private/virtual")
        bob.line()
        alice.line()
        for _ in range(2):
            tap.like(bob.ask("call crash-bob"), "^4.3.0 ", "bob's call crashes")
        s.wait_for_log(r"user bob was in two processes that died: a process of its own")
        alice.send("call slow-alice")
        s.wait_for_log("slow work begins")
        tap.like(bob.ask("call crash-bob"), "^4.3.0 ", "a third time")
        tap.like(alice.line(), r"^slow-alice .* pid \d+", "another user of this uid goes on")
        tap.ok(pid_in(bob.ask("call one-bob")) != pid_in(alice.ask("call one-alice")),
               "bob has a link and a process of his own")
        bob.__exit__()
        alice.__exit__()
        s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left")


def leave(client, pid):
    """Returns when the session is over, also for the thread of PID that served it."""
    tap.equal(client.ask("quit"), "", "the session ends")
    client.__exit__()
    tasks = f"/proc/{pid}/task"

    def state(task):
        try:
            with open(f"{tasks}/{task}/stat", encoding="utf-8") as f:
                return f.read().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:  # it was not needed any more
            return "S"

    wait_until(lambda: all(state(task) == "S" for task in os.listdir(tasks)), "all threads sleep")


def one_client_takes_nobody_along():
    with Suite() as s:
        # One process, so that who is with whom is known.
        s.main("smtpd_banner = hello\nservice_throttle_time = 100s\n")
        s.postfix("start")
        other = Client(("127.0.0.1", s.ports[1]), source="127.0.0.3")
        other.line()
        first = int(other.ask("pid"))
        leave(other, first)
        for death in (1, 2):
            bad = Client(("127.0.0.1", s.ports[1]), source="127.0.0.2")
            bad.line()
            pid = int(bad.ask("pid"))
            bad.send("crash")
            tap.equal(bad.line(), "", f"crash {death}")
            bad.__exit__()
            s.wait_for_log(rf"warning: process \S+/smtpd pid {pid} died while it served "
                           r"client 127\.0\.0\.2$")
        s.wait_for_log(r"warning: client 127\.0\.0\.2 was in two processes that died: a process of "
                       r"its own for 3600 s$")
        tap.unlike(s.log(), "throttling", "what had served is started again at once")
        tap.unlike(s.log(), r"died while it served .*127\.0\.0\.3", "only who ran is named")
        other = Client(("127.0.0.1", s.ports[1]), source="127.0.0.3")
        other.line()
        shared = int(other.ask("pid"))
        tap.ok(shared != first, "the others have a new process")
        other.__exit__()

        # Port 1 has one session only; the client's own process is beside it.
        other = Client(("127.0.0.1", s.ports[0]), source="127.0.0.3")
        other.line()
        shared = int(other.ask("pid"))
        for death in (3, 4):
            bad = Client(("127.0.0.1", s.ports[0]), source="127.0.0.2")
            tap.equal(bad.line(), f"{s.ports[0]} postfix/smtpd", "it is served still")
            own = int(bad.ask("pid"))
            with Client(("127.0.0.1", s.ports[0]), source="127.0.0.2") as again:
                tap.equal(int(again.ask("pid")), own, "all its sessions in one process")
            tap.ok(own != shared, "a process of its own")
            bad.send("crash")
            tap.equal(bad.line(), "", f"crash {death}")
            bad.__exit__()
            s.wait_for_log(rf"warning: process \S+/smtpd pid {own} killed by signal 9")
            tap.equal(int(other.ask("pid")), shared, "the session of another client goes on")
        other.__exit__()

        # Its process goes when it has nothing to do, and at a reload as all do.
        bad = Client(("127.0.0.1", s.ports[0]), source="127.0.0.2")
        bad.line()
        own = int(bad.ask("pid"))
        tap.equal(s.postfix("reload").returncode, 0, "reload")
        tap.equal(bad.line(), "bye", "its own process drains")
        bad.__exit__()
        wait_until(lambda: not os.path.exists(f"/proc/{own}"), "it ends")
        with Client(("127.0.0.1", s.ports[0]), source="127.0.0.2") as bad:
            own = int(bad.ask("pid"))
        with Client(("127.0.0.1", s.ports[0]), source="127.0.0.3") as other:
            tap.ok(int(other.ask("pid")) != own, "the quarantine outlives a reload")
        wait_until(lambda: not os.path.exists(f"/proc/{own}"), "an idle one ends")
        with Client(("127.0.0.1", s.ports[0]), source="127.0.0.2") as bad:
            tap.ok(int(bad.ask("pid")) != own, "and another comes")
        s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left")


def quarantine_ends():
    with Suite(main="postcote_quarantine_time = 1s\n") as s:
        s.postfix("start")
        for _ in range(2):
            with s.client(1) as c:
                c.send("crash")
                c.line()
        s.wait_for_log("client 127.0.0.1 was in two processes that died: a process of its own for "
                       "1 s$")
        with s.client(1) as c:
            own = c.ask("pid")
        def is_over():
            with s.client(1) as c:
                return c.ask("pid") != own
        wait_until(is_over, "the end of the quarantine")
        tap.ok(True, "the quarantine ends")
        s.postfix("stop")


def one_user_takes_nobody_along():
    with Suite(master="virtual unix - n n - - virtual\n") as s:
        s.postfix("start")
        bob, alice = s.client(path="spool/private/virtual"), s.client(path="spool/private/virtual")
        bob.line()
        alice.line()
        for _ in range(2):
            tap.equal(bob.ask("work crash-bob"), "nothing", "bob's work crashes")
        s.wait_for_log(r"process virtual pid \d+ died while it served user bob$")
        s.wait_for_log(r"user bob was in two processes that died: a process of its own")
        alice.send("work slow-alice")
        s.wait_for_log("slow work begins")
        tap.equal(bob.ask("work crash-bob"), "nothing", "a third time")
        tap.like(alice.line(), r"^slow-alice from pid \d+", "another user of this uid goes on")
        said = [c.ask(f"work {word}") for c, word in ((bob, "one-bob"), (alice, "one-alice"))]
        pids = {re.search(r"pid (\d+)", text).group(1) for text in said}
        tap.equal(len(pids), 2, "bob has a process of his own")
        bob.__exit__()
        alice.__exit__()
        s.postfix("stop")
        tap.equal(s.pids(), [], "nothing is left")


def dovecot_shape():
    with Suite(dovecot="mail_fsync = always") as s:
        tap.equal(s.dovecot("stop").returncode, 75, "stop before the start")
        result = s.dovecot()
        tap.equal((result.returncode, result.stdout), (0, ""), "start")
        log = s.log("dovecot.log")
        tap.like(log, r"master: Info: Dovecot v2\.3\S* \(.*\) starting up for pop3 "
                 r"\(core dumps disabled\)$", "start in the log")
        tap.equal(len(re.findall("imap, lmtp", log)), 1, "one line about what is absent")
        tap.like(log, r"master: Warning: .*/dovecot\.conf: line \d+: mail_fsync has no effect yet",
                 "and one about each setting")
        tap.like(log, rf"master: Error: bind\({s.dir}/late/auth\) failed: No such file",
                 "a socket without its directory is an error")
        with s.client(2) as c:
            tap.equal(c.greeting, "pop3 pop3-login", "and the others work")
        with s.client(path="run/login/login") as c:
            tap.equal(c.greeting, "login/login auth", "auth's too")
        pid = int(s.log("run/master.pid"))
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            tap.equal(f.read(), "dovecot\n", "its name in the process list")
        tap.equal(os.readlink(s.path("run/dovecot.conf")), s.path("etc/dovecot/dovecot.conf"),
                  "base_dir/dovecot.conf")
        result = s.dovecot()
        tap.equal(result.returncode, 89, "a second start")
        tap.like(result.stderr, rf"Fatal: Dovecot is already running with PID {pid} ", "is told")
        os.mkdir(s.path("late"))
        wait_until(lambda: os.path.exists(s.path("late/auth")), "the late socket")
        with s.client(path="late/auth") as c:
            tap.like(c.greeting, "late/auth auth$", "it is served when its directory comes")
        tap.equal(s.dovecot("reload").returncode, 0, "reload")
        s.wait_for_log("master: Warning: SIGHUP received - reloading configuration", "dovecot.log")
        tap.equal(s.dovecot("stop").returncode, 0, "stop")
        tap.like(s.log("dovecot.log"), r"master: Warning: Killed with signal 15 \(by pid=\d+ "
                 r"uid=\d+ code=kill\)", "stop in the log")
        tap.equal(s.pids(), [], "nothing is left")
        tap.ok(not os.path.exists(s.path("run/master.pid")), "no pid file is left")
        result = s.dovecot("-n")
        tap.like(result.stdout, rf"\A# 2\.3\.\S+ \(postcote\): {s.dir}/etc/dovecot/dovecot.conf\n"
                 r"# Pigeonhole version .*\n# OS: .*\n# Hostname: .*\nbase_dir = ", "dovecot -n begins as the peer's")
        tap.like(result.stdout, rf"^service auth \{{\n  unix_listener {s.dir}/late/auth \{{\n"
                 r"    mode = 0666\n  \}\n\}$", "and has blocks")
        tap.unlike(result.stdout, "service_count|auth_cache_ttl", "without defaults")
        tap.like(s.dovecot("-a").stdout, r"^auth_cache_ttl = .*\n(.*\n)*service imap \{$",
                 "dovecot -a has them")
        tap.like(s.dovecot("--version").stdout, r"\A2\.3\.\d+ \(postcote\)\n\Z", "--version")


def one_process_per_connection():
    with Suite() as s:
        s.dovecot_conf("service pop3-login {\n  service_count = 1\n  process_limit = 3\n}\n")
        s.dovecot()
        clients = []
        for _ in range(3):
            c = s.client(2)
            c.line()
            clients.append(c)
        tap.equal(len({c.ask("pid") for c in clients}), 3, "each has a process")
        for c in clients:
            c.__exit__()
        with s.client(2) as c:
            tap.equal(c.ask("echo"), "echo", "and it goes on")
        s.dovecot("stop")
        tap.equal(s.pids(), [], "nothing is left")


def both_at_once():
    with Suite() as s:
        etc = s.path("etc")
        result = s.run("postcote", "status", "-c", etc)
        tap.equal((result.returncode, result.stdout),
                  (1, "postfix is not running\ndovecot is not running\n"), "status before")
        tap.equal(s.run("postcote", "start", "-c", etc).returncode, 0, "start")
        result = s.run("postcote", "status", "-c", etc)
        tap.equal(result.returncode, 0, "status")
        tap.like(result.stdout, r"postfix is running: PID: \d+\ndovecot is running: PID: \d+\n",
                 "both run")
        tap.equal(s.run("postcote", "reload", "-c", etc).returncode, 0, "reload")
        tap.equal(s.run("postcote", "stop", "-c", etc).returncode, 0, "stop")
        tap.equal(s.pids(), [], "nothing is left")
        tap.like(s.run("postcote", "version").stdout, r"\APostcote \d+\.\d+\.\d+\n\Z", "version")


def foreground():
    with Suite() as s:
        s.main("maillog_file = /dev/stdout\n")
        with subprocess.Popen([s.path("sbin/postfix"), "-c", s.path("etc/postfix"), "start-fg"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as p:
            wait_until(lambda: s.postfix("status").returncode == 0, "start")
            tap.equal(int(s.log("spool/pid/master.pid")), p.pid, "it stays where it was started")
            wait_until(lambda: _connects(s.ports[0]), "port")
            p.send_signal(signal.SIGTERM)
            out, _ = p.communicate(timeout=60)
        tap.equal(p.returncode, 0, "it ends well")
        tap.like(out, r"postfix/master\[\d+\]: daemon started", "its log is on standard output")
        tap.like(out, r"postfix/master\[\d+\]: terminating on signal 15", "to the end")
        tap.equal(s.pids(), [], "nothing is left")


def _connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def port_in_use():
    with Suite() as s, socket.socket() as other:
        other.bind(("127.0.0.1", s.ports[0]))
        other.listen(1)
        result = s.postfix("start")
        tap.equal(result.returncode, 1, "start with a port that is taken")
        tap.like(result.stderr, rf"error: bind 127\.0\.0\.1 port {s.ports[0]}: Address already in",
                 "is told")
        tap.equal(s.pids(), [], "nothing runs")


def check():
    with Suite() as s:
        result = s.postfix("check")
        if ROOT:
            os.chown(s.dir, 0, 0)
        tap.equal((result.returncode, result.stderr), (0, ""), "silent when all is well")
        result = s.postfix("-v", "check")
        tap.like(result.stderr, r"walls: forbidden system calls \(seccomp\): (yes|no)", "check -v")
        s.main("nosuch_parameter_at_all = 1\n")
        result = s.postfix("check")
        tap.equal(result.returncode, 0, "warnings are no failure")
        tap.like(result.stderr, "warning: .*nosuch_parameter_at_all", "but are told")
        if ROOT:
            s.postfix("start")
            s.postfix("stop")
            os.chmod(s.path("spool/private"), 0o777)
            tap.like(s.postfix("check").stderr, "warning: mode 0777 instead of 0700: .*private",
                     "an open directory is told")
        tap.equal(s.postfix("nosuch").returncode, 1, "an unknown command")
        result = s.postfix("tls")
        tap.equal(result.returncode, 1, "one that the peer knows")
        tap.like(result.stderr, "tls: not supported yet", "is told as such")


if len(sys.argv) > 1:
    tap.run(*[globals()[name] for name in sys.argv[1:]])
tap.run(configuration_errors_come_at_once, start_status_stop, killed_child_is_replaced,
        reload_makes_a_generation, a_service_that_does_not_start, sessions_are_limited,
        slow_clients_hold_nobody_up, stop_does_not_wait_for_ever, triggers_and_logs, uid_workers,
        uid_links, links_of_suspects, one_client_takes_nobody_along, quarantine_ends,
        one_user_takes_nobody_along, dovecot_shape, one_process_per_connection, both_at_once,
        foreground, port_in_use, check)
