#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Worker processes of authd: PAM modules and programs that misbehave, and what an authd that was
taken over could say to a worker."""

import os
import pwd
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import hostroot  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position
import worker_host  # pylint: disable=wrong-import-position
from worker_host import Server  # pylint: disable=wrong-import-position

HANGING = 200
TEMPORARY = "code=temp_fail"

DATABASES = """
passdb {
  driver = static
  args = password=static
  username_filter = static*
}
passdb {
  driver = checkpassword
  args = /tmp/check
  username_filter = check*
}
passdb {
  driver = pam
  args = failure_show_msg=yes %s
}
userdb {
  driver = passwd
}
"""

# It tells what it was given before it does what the name says.
PROGRAM = """#!/bin/sh
IFS= read -r line <&3
cd /tmp/told
{ id -u; pwd; } >who
ls -l /proc/$$/fd >descriptors
env >environment
tr '\\0' ' ' </proc/$$/cmdline >words
case "$AUTH_USER" in
check-hang) sleep 500 & sleep 500 ;;
check-flood) yes >&4 ;;
check-nonsense) head -c 10000 /dev/urandom | tr -d '\\n\\0' >&4; exit 0 ;;
check-orphan) sleep 500 & ;;
check-crash) kill -SEGV $$ ;;
check-gone) rm -f /nothing; exec /nothing ;;
esac
export USER=$AUTH_USER
exec "$@"
"""


def processes(name):
    """Pids of processes of that name, as /proc has it."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii") as f:
                text = f.read()
        except OSError:
            continue
        if text[text.index("(") + 1:text.rindex(")")] == name and text.rsplit(")", 1)[1].split()[0] != "Z":
            found.append(int(entry))
    return sorted(found)


def workers():
    return processes("auth-worker")


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads


def module():
    """Builds the module where PAM finds it."""
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", "/tmp/pam_hostile.so",
                    os.path.join(HERE, "pam_hostile.c"), "-lpam"], check=True)
    worker_host.write("/etc/pam.d/hostile", "auth required /tmp/pam_hostile.so\n"
                                            "account required /tmp/pam_hostile.so\n")


def test_misbehaviour():
    with Server("ours", DATABASES % "hostile") as server:
        tap.equal(server.ask("ok", "x"), "OK\t1\tuser=ok", "a module that behaves")
        for user in ("crash", "abort", "exit", "close", "replace", "become", "leave"):
            begun = time.monotonic()
            answer = server.ask(user, "x")
            tap.ok(answer.startswith("FAIL\t") and TEMPORARY in answer, f"{user}: temporary", answer)
            tap.ok(time.monotonic() - begun < 30, f"{user}: told at once")
            tap.equal(server.ask("ok", "x"), "OK\t1\tuser=ok", f"{user}: the next one gets in")
        tap.equal(server.ask("print", "x"), "OK\t1\tuser=print", "print: nobody hears it")
        tap.equal(server.ask("talk", "x"), "OK\t1\tuser=talk", "talk")
        tap.equal(server.ask("rename", "x"), "OK\t1\tuser=other\toriginal_user=rename", "rename")
        tap.equal(server.ask("stranger", "x"), "FAIL\t1\tuser=stranger", "a stranger")
        answer = server.ask("message", "x")
        tap.ok(answer.startswith("FAIL\t1\tuser=message\treason=No\001tOK\001nOK\001t1"),
               "message: one line, one field", answer[:200])
        log = server.log()
        tap.like(log, r"auth-worker: Error: service\(auth-worker\): child \d+ killed with signal 11",
                 "a crash is logged")
        tap.like(log, r"auth: Error: auth-worker: Aborted PASSV request for crash: "
                      r"Worker process died unexpectedly", "and what came of it")
        tap.like(log, "a module has closed the connection to authd; ending", "closing is noticed")
        tap.like(log, "a module has changed the user of the process; ending", "and another user")
        tap.ok(not os.path.exists("/tmp/hostile") or os.path.getsize("/tmp/hostile") == 0,
               "nothing is written where the connection was")
        tap.equal(log.count("ANSWER OK"), 0, "what a module prints is not logged")


def test_forks():
    """What a module leaves in its process group goes with its process."""
    with Server("ours", DATABASES % "max_requests=1 hostile") as server:
        parent = workers()
        tap.equal(server.ask("fork", "x"), "OK\t1\tuser=fork", "fork: in")
        worker_host.wait_for("the forked process to go", lambda: workers() == parent)
        tap.equal(workers(), parent, "one process is left")
        tap.equal([server.ask("ok", "x") for _ in range(3)], ["OK\t1\tuser=ok"] * 3,
                  "a process for each request")


def test_hanging():
    """Those who hang hold up nobody else, and are gone when the service is."""
    with Server("ours", DATABASES % "hostile") as server:
        done = []
        in_threads(HANGING, lambda i: done.append(server.ask("hang" if i % 2 else "deaf", "x")))
        worker_host.wait_for("30 processes", lambda: len(workers()) == 31)
        begun = time.monotonic()
        answers = {server.ask(f"static{i}", "static") for i in range(20)}
        tap.equal(answers, {f"OK\t1\tuser=static{i}" for i in range(20)}, "other logins go on")
        tap.ok(time.monotonic() - begun < 30, "without delay")
        tap.equal((len(workers()), done), (31, []), "no more processes than may be")
    worker_host.wait_for("all to go", lambda: not workers())
    tap.ok(not workers(), "after a stop none is left")


def test_deadline():
    """A minute, and not longer: then the process is killed, whatever it does with signals."""
    with Server("ours", DATABASES % "hostile") as server:
        answers = {}

        def ask(user):
            answers[user] = server.ask(user, "x")

        threads = [threading.Thread(target=ask, args=(user,)) for user in
                   ("deaf", "check-hang")]
        for thread in threads:
            thread.start()
        worker_host.wait_for("both to begin", lambda: len(workers()) == 3 and
                             len(processes("sleep")) == 2)
        for thread in threads:
            thread.join(90)
        tap.ok(TEMPORARY in answers.get("deaf", ""), "a module that hangs: temporary", answers)
        tap.ok(TEMPORARY in answers.get("check-hang", ""), "a program: temporary", answers)
        worker_host.wait_for("them to go", lambda: not processes("sleep") and len(workers()) <= 2)
        tap.ok(True, "nothing of them is left")
        tap.like(server.log(), r"auth: Error: auth-worker: Aborted PASSV request for deaf: "
                               r"Lookup timed out", "logged as with Dovecot")
        tap.like(server.log(), r"auth: Error: checkpassword\(check-hang,.*\): Child \d+ timed out",
                 "the program, too")
        tap.equal(server.ask("ok", "x"), "OK\t1\tuser=ok", "the next one gets in")


def test_program():
    with Server("ours", DATABASES % "hostile") as server:
        tap.equal(server.ask("check-good", "top-secret"), "OK\t1\tuser=check-good", "a program")
        told = {}
        for name in ("who", "descriptors", "environment", "words"):
            with open("/tmp/told/" + name, encoding="utf-8") as f:
                told[name] = f.read()
        tap.equal(told["who"].split()[0], str(pwd.getpwnam("dovecot").pw_uid),
                  "runs as the user of the service auth")
        # ls itself has one more, of the directory; the shell one of its script.
        fds = {int(line.split()[8]) for line in told["descriptors"].splitlines()[1:]}
        tap.equal(sorted(fd for fd in fds if fd < 10), [0, 1, 2, 3, 4], "has its descriptors alone")
        tap.unlike(told["environment"] + told["words"], "top-secret", "the password is not to be seen")
        tap.like(told["environment"], r"^TCPREMOTEIP=10\.0\.0\.1$", "knows the client")
        tap.unlike(told["environment"], "POSTCOTE|CONTROL", "and nothing of ours")
        for user in ("check-flood", "check-nonsense", "check-crash", "check-gone"):
            answer = server.ask(user, "x")
            tap.ok(TEMPORARY in answer, f"{user}: temporary", answer)
        tap.equal(server.ask("check-orphan", "x"), "OK\t1\tuser=check-orphan",
                  "what it leaves behind is not waited for")


def test_user():
    """service auth-worker { user } is who works; such a one reads no passwords of the host."""
    extra = "service auth-worker {\n user = nobody\n}\n"
    databases = "passdb {\n driver = shadow\n}\nuserdb {\n driver = passwd\n}\n"
    with Server("ours", databases, extra) as server:
        answer = server.ask("alice", "secret")
        tap.ok(TEMPORARY in answer, "what cannot be read is a temporary failure", answer)
        uids = {os.stat(f"/proc/{pid}").st_uid for pid in workers()}
        tap.ok(uids <= {pwd.getpwnam("nobody").pw_uid, 0}, "it is that user", uids)
        tap.like(server.log(), r"shadow\(alice,.*getspnam\(\) failed: Permission denied", "logged")
        tap.like(server.user("alice"), r"^USER\t1\talice\tsystem_groups_user=alice\tuid=", "accounts")


# --- what an authd that was taken over could send ---

def record(kind, *attributes, count=0):
    body = bytes([len(kind)]) + kind
    for name, value in attributes:
        body += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    return struct.pack(">IB", len(body) + 1, count) + body


HELLO = record(b"HELLO", (b"version", b"1"), (b"service", b"auth"))


def ask(**changes):
    fields = {"id": "7", "op": "1", "is_userdb": "0", "place": "2", "driver": "pam",
              "args": "failure_show_msg=yes hostile", "logged_in": "0", "user": "ok",
              "service": "imap", "secured": "0", "valid_client_cert": "0", "no_penalty": "0",
              "debug": "0", "password": "x"}
    fields.update(changes)
    return record(b"ASK", *[(name.encode(), value if isinstance(value, bytes) else value.encode())
                            for name, value in fields.items() if value is not None])


def converse(server, data):
    """What the worker says after its HELLO, until it closes or has said something."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(server.path("run/auth-worker"))
        try:
            sock.sendall(data)
            got = b""
            while got.count(b"ANSWER") < 1:
                more = sock.recv(65536)
                if not more:
                    break
                got += more
        except ConnectionError:
            return b""
        except TimeoutError:
            return b"(nothing)"
        return got.split(b"ANSWER", 1)[1] if b"ANSWER" in got else b""


REFUSED = [
    ("nothing we know", b"GET / HTTP/1.0\r\n\r\n"),
    ("another version", record(b"HELLO", (b"version", b"2"), (b"service", b"auth"))),
    ("no hello", ask()),
    ("another kind", HELLO + record(b"NONSENSE")),
    ("a huge record", HELLO + struct.pack(">IB", 0x7fffffff, 0)),
    ("a long value", HELLO + ask(user="x" * 200000)),
    ("an operation too far", HELLO + ask(op="4")),
    ("no number", HELLO + ask(op="1x")),
    ("a negative number", HELLO + ask(op="-1")),
    ("no id", HELLO + ask(id=None)),
    ("a place too far", HELLO + ask(place="1000")),
    ("no user", HELLO + ask(user=None)),
    ("an empty user", HELLO + ask(user="")),
    ("a user with a NUL", HELLO + ask(user=b"ok\0x")),
    ("no password", HELLO + ask(password=None)),
    ("a flag too large", HELLO + ask(secured="2")),
    ("no flag", HELLO + ask(debug=None)),
    ("a pair without a name", HELLO + ask(extra="=x")),
    ("a pair with a NUL", HELLO + ask(extra=b"x=\0")),
]
FAILED = [
    ("another block's place", ask(place="0")),
    ("another driver", ask(driver="shadow")),
    ("other arguments", ask(args="login")),
    ("a block that is not there", ask(place="9")),
    ("what PAM cannot tell", ask(op="0")),
    ("a user of a passdb", ask(op="2")),
    ("all users of a passdb", ask(op="3")),
]


def result_of(answer):
    at = answer.find(b"result")
    return answer[at + 10:at + 11] if at >= 0 else answer


def test_bad_requests():
    with Server("ours", DATABASES % "hostile") as server:
        mode = os.stat(server.path("run/auth-worker"))
        tap.equal((oct(mode.st_mode & 0o777), pwd.getpwuid(mode.st_uid).pw_name),
                  ("0o600", "dovecot"), "only authd can open the socket")
        parent = workers()
        tap.equal(result_of(converse(server, HELLO + ask())), b"0", "a request as authd's")
        for name, data in REFUSED:
            tap.equal(converse(server, data), b"", f"{name}: closed")
        for name, data in FAILED:
            tap.equal(result_of(converse(server, HELLO + data)), b"5", f"{name}: failed")
        tap.equal(result_of(converse(server, HELLO + ask(password=b"x\0y"))), b"1",
                  "a password with a NUL is wrong")
        worker_host.wait_for("the children to go", lambda: workers() == parent)
        tap.equal(server.ask("ok", "x"), "OK\t1\tuser=ok", "others are served")


def test_limit():
    """Who waits for a process is told in the log as with Dovecot, whatever limits them."""
    check_limit("auth_worker_max_count = 1\n")
    check_limit("service auth-worker {\n process_limit = 1\n}\n")


def check_limit(extra):
    with Server("ours", DATABASES % "hostile", extra) as server:
        in_threads(1, lambda i: server.ask("hang", "x"))
        worker_host.wait_for("the first", lambda: len(workers()) == 2)
        answers = []
        in_threads(1, lambda i: answers.append(server.ask("ok", "x")))
        time.sleep(3.5)
        os.kill(max(workers()), 9)
        worker_host.wait_for("the line", lambda: "Auth request was queued for" in server.log())
        tap.like(server.log(), r"auth: Error: auth-worker: Auth request was queued for 3 seconds, "
                               r"0 left in queue \(see auth_worker_max_count\)", "the second waited")
        worker_host.wait_for("the answer", lambda: answers)
        tap.equal(answers, ["OK\t1\tuser=ok"], "and got in")


def test_room():
    """Who closed makes room at once for who comes next."""
    with Server("ours", DATABASES % "hostile", "auth_worker_max_count = 1\n") as server:
        worker_host.wait_for("the worker", lambda: result_of(converse(server, HELLO + ask())) == b"0")
        tap.equal({result_of(converse(server, HELLO + ask())) for _ in range(100)}, {b"0"},
                  "each of 100 after the other got in")


# A field that is of no use with PAM; the service is the client's.
CACHED = """
auth_cache_size = 1M
passdb {
  driver = pam
  args = cache_key=%u %s
  default_fields = nopassword=y
}
"""


def test_cached():
    """What is kept lets in nobody whom PAM would not."""
    with Server("ours", CACHED) as server:
        tap.equal(server.ask("alice", "secret", "dovecot"), "OK\t1\tuser=alice", "a login")
        tap.equal(server.ask("alice", "secret", "dovecot"), "OK\t1\tuser=alice", "and another")
        tap.equal(server.ask("alice", "wrong", "dovecot"), "FAIL\t1\tuser=alice", "with another password")
        tap.equal(server.ask("alice", "", "dovecot"), "FAIL\t1\tuser=alice", "with none")
        tap.equal(server.ask("alice", "secret", "denied"), "FAIL\t1\tuser=alice", "in another service")
        tap.equal(server.ask("alice", "any", "pop3"), "OK\t1\tuser=alice", "in one that takes anything")
        tap.equal(server.ask("alice", "any", "dovecot"), "FAIL\t1\tuser=alice", "which counts there alone")
    templates = "auth_cache_size = 1M\npassdb {\n driver = pam\n}\nuserdb {\n driver = passwd\n args = home=/%s/%u\n}\n"
    with Server("ours", templates) as server:
        for service in ("imap", "pop3", "imap"):
            tap.like(server.user("alice", service), rf"\thome=/{service}/alice\b", f"a template, for {service}")


def test_turns():
    """One connection serves one request at a time, also when it goes from one to the next."""
    with Server("ours", DATABASES % "hostile", "auth_worker_max_count = 2\n") as server:
        answers = []
        users = {"ok": "OK\t1\tuser=ok", "rename": "OK\t1\tuser=other\toriginal_user=rename",
                 "none": "FAIL\t1\tuser=none"}
        threads = in_threads(8, lambda i: answers.extend(
            (user, server.ask(user, "x")) for user in list(users) * 5))
        for thread in threads:
            thread.join(100)
        tap.equal(set(answers), set(users.items()), "each got its own answer")
        tap.equal(len(answers), 120, "all were answered")
        tap.unlike(server.log(), "auth-worker: Aborted", "and none was disturbed")


def run_all():
    hostroot.enter()
    worker_host.prepare()
    module()
    worker_host.write("/tmp/check", PROGRAM, 0o755)
    os.mkdir("/tmp/told")
    os.chmod("/tmp/told", 0o777)
    tap.run(test_misbehaviour, test_forks, test_hanging, test_deadline, test_program, test_user,
            test_bad_requests, test_limit, test_cached, test_turns, test_room)


run_all()
