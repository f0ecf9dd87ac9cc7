# SPDX-License-Identifier: BSD-2-Clause
"""IMAP: large mailboxes, APPEND, sessions, IDLE.  (Targets without an IMAP port are refused.)"""

import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench_mailbox as mailbox
from bench_target import IMAP, Meter, call_figures, count_calls, kernel_memory

COMMANDS = [
    ("SELECT", "NOOP"),
    ("FETCH FLAGS", "FETCH 1:* (UID FLAGS)"),
    ("FETCH ENVELOPE+BS",
     "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"),
    ("FETCH headers",
     "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])"),
    ("FETCH full header", "FETCH 1:* (UID BODY.PEEK[HEADER])"),
    ("FETCH BODY[]", "FETCH 1:* (UID BODY.PEEK[])"),
    ("SEARCH SUBJECT", "SEARCH SUBJECT omicron"),
    ("SEARCH BODY", "SEARCH BODY needle-haystack"),
    ("SORT DATE", "SORT (DATE) UTF-8 ALL"),
    ("SORT SUBJECT", "SORT (SUBJECT) UTF-8 ALL"),
    ("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL"),
    ("STORE +FLAGS", "STORE 1:%d +FLAGS.SILENT (\\Flagged)"),
    ("STORE -FLAGS", "STORE 1:%d -FLAGS.SILENT (\\Flagged)"),
    ("COPY 10000", "COPY 1:%d Trash"),
]
COLD = ("SELECT", "FETCH ENVELOPE+BS", "FETCH headers")
BUILD_INDEX = ("FETCH 1:* (ENVELOPE BODYSTRUCTURE "
               "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])")
LONGEST = 900


def seconds(load, name):
    return load["stats"].get(name, {}).get("p50")


def one_command(run, user, command):
    """Figures of one command on u<USER>'s mailbox."""
    with Meter(run.target, IMAP) as meter:
        load = run.load("imap_one.ld", port=run.target.ports["imap"], users=run.users(1000),
                        first_user=user - 1, idle=LONGEST, timeout=LONGEST, command=command)
    return {"select_s": seconds(load, "select"), "command_s": seconds(load, "command"),
            "cpu_s": round(meter.cpu, 2), "rx": load.get("rx"), **load.failures()}


def large_mailbox(run, count, user):
    path = run.target.maildir(f"u{user}")
    mailbox.fill(run.target, path, count)
    reps = run.reps if count <= 10000 else 1
    some = min(count, 10000)
    for name, command in COMMANDS:
        for _ in range(reps if name in COLD else 0):
            mailbox.drop_index(path)
            figures = one_command(run, user, command)
            total = (figures["select_s"] or 0) + (figures["command_s"] or 0)
            run.emit("imap-box", f"n={count} cold {name}", total_s=total, **figures)
    one_command(run, user, BUILD_INDEX)
    one_command(run, user, "THREAD REFERENCES UTF-8 ALL")
    for name, command in COMMANDS:
        for _ in range(reps):
            run.emit("imap-box", f"n={count} warm {name}",
                     **one_command(run, user, command.replace("%d", str(some))))
    run.emit("imap-box", f"n={count} MOVE {some // 2}",
             **one_command(run, user, f"MOVE 1:{some // 2} Drafts"))
    one_command(run, user, f"STORE 1:{some // 2} +FLAGS.SILENT (\\Deleted)")
    run.emit("imap-box", f"n={count} EXPUNGE {some // 2}", **one_command(run, user, "EXPUNGE"))
    mailbox.wipe(path)


def imap_box(run):
    """mailboxes of 10,000 and 100,000 messages, without and with an index"""
    for count, user in ((10000, 901),) if run.is_quick else ((10000, 901), (100000, 902)):
        if run.wants(f"n={count}"):
            large_mailbox(run, count, user)


APPENDS = [
    # case, sessions, messages in each, size
    ("APPEND 4K c=1", 1, 200, 4096),
    ("APPEND 4K c=20", 20, 100, 4096),
    ("APPEND 100K c=20", 20, 20, 100000),
]


def imap_append(run):
    """APPEND: rate, and syncs per APPEND"""
    port, users = run.target.ports["imap"], run.users(20)
    for case, sessions, messages, size in APPENDS:
        for _ in run.repeat(case):
            mailbox.renew_users(run.target, 20)
            with Meter(run.target, IMAP) as meter:
                load = run.load("imap_append.ld", port=port, slots=sessions, sessions=sessions,
                                size=size, users=users, permsg=messages)
            done = max(1, load.count("append"))
            run.emit("imap-append", case, per_s=load.rate("append"), psi=meter.psi,
                     cpu_per_1000=round(meter.cpu * 1000 / done, 3),
                     p50_ms=load.ms("append", "p50"), **load.failures())
    for _ in run.repeat("strace", 1):
        messages = 50
        calls = count_calls(run.target, IMAP, lambda: run.load(
            "imap_append.ld", port=port, users=users, permsg=messages))
        run.emit("imap-append", "strace", **call_figures(calls, messages))


def imap_session(run):
    """login, LIST, SELECT, 50 envelopes, one body, STORE, LOGOUT"""
    users = run.users(20)
    for i in range(1, 21):
        mailbox.fill(run.target, run.target.maildir(f"u{i}"), 1000)
    run.load("imap_session.ld", port=run.target.ports["imap"], slots=2, sessions=20, users=users,
             nmsg=1000)
    for case, port, is_tls in (("session plain c=20", "imap", False),
                               ("session tls c=20", "imaps", True)):
        for _ in run.repeat(case):
            with Meter(run.target, IMAP) as meter:
                load = run.load("imap_session.ld", port=run.target.ports[port], tls=is_tls,
                                slots=20, sessions=600, users=users, nmsg=1000)
            done = load["sessions"]
            run.emit("imap-session", case, sessions_per_s=load.per_second(done),
                     commands_per_s=load.per_second(7 * done), psi=meter.psi,
                     cpu_ms_per_session=round(meter.cpu * 1e3 / max(1, done), 2),
                     p50_ms=load.ms("session", "p50"), cpu_by=meter.cpu_by, **load.failures())


def parse_imaptest(text):
    """{command: count} of the last line of totals."""
    names, counts = [], []
    for line in text.splitlines():
        if re.match(r"\s*Logi List", line):
            names = line.split()
        elif names and re.match(r"[\s\d/]+$", line) and len(line.split()) >= len(names) - 1:
            counts = [int(number) for number in re.findall(r"\d+", line)]
    return dict(zip(names, counts))


def imaptest(run):
    """mixed load of 50 clients, by the imaptest that $IMAPTEST names"""
    program, target = os.environ.get("IMAPTEST"), run.target
    if not program:
        print("imaptest: skipped, IMAPTEST is not set", file=sys.stderr)
        return
    with tempfile.NamedTemporaryFile("wb", prefix="bench-mbox-") as mbox:
        for i in range(500):
            size = random.Random(i).choice((1500, 4096, 16384))
            mbox.write(b"From s@example.com  Thu Jan  1 00:00:00 2026\n"
                       + mailbox.message(i, size, i % 3 == 0) + b"\n")
        mbox.flush()
        argv = [program, f"host={target.host}", f"port={target.ports['imap']}",
                f"user=u%d@{target['domain']}", "users=1-50", "pass=secret", f"mbox={mbox.name}",
                "clients=50", "msgs=100", "secs=20", "seed=1", "no_tracking", "no_pipelining"]
        for _ in range(run.reps):
            mailbox.renew_users(target, 50)
            with Meter(target, IMAP) as meter:
                done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, timeout=120)
            counts = parse_imaptest(done.stdout)
            total = sum(counts.values())
            errors = sum("Error" in line or "BAD" in line for line in done.stdout.splitlines())
            run.emit("imaptest", "50 clients 20 s", commands=total, per_s=round(total / 20, 1),
                     counts=counts, errors=errors, psi=meter.psi,
                     cpu_ms_per_cmd=round(meter.cpu * 1e3 / max(1, total), 3))


class Observer:
    """A session of u950 in IDLE, which sees what comes."""

    NAME = "u950"

    def __init__(self, target):
        self.target, self.path = target, target.maildir(self.NAME)
        mailbox.make(target, self.path)
        self.sock = socket.create_connection((target.host, target.ports["imap"]))
        self.file = self.sock.makefile("rb")
        self.file.readline()
        self.command(f"LOGIN {self.NAME}@{target['domain']} secret")
        self.command("SELECT INBOX")
        self.command("IDLE")
        self.sock.settimeout(40)

    def command(self, text):
        self.sock.sendall(f"a {text}\r\n".encode())
        for line in self.file:
            if line.startswith((b"a ", b"+")):
                return

    def drop(self, i):
        """Renames a message into new/; returns when."""
        name = f"{time.time_ns()}.lat{i}.bench"
        with open(f"{self.path}/tmp/{name}", "wb") as f:
            f.write(mailbox.message(i, 1024, False))
            os.fchown(f.fileno(), *self.target["mail_owner"])
        start = time.time()
        os.rename(f"{self.path}/tmp/{name}", f"{self.path}/new/{name}")
        return start

    def send(self, _):
        """Sends a message by LMTP; returns when."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.target["lmtp"])
            replies = sock.makefile("rb")
            replies.readline()
            for line in ("LHLO x", "MAIL FROM:<a@example.com>",
                         f"RCPT TO:<{self.NAME}@{self.target['domain']}>", "DATA"):
                sock.sendall(line.encode() + b"\r\n")
                while replies.readline()[3:4] == b"-":
                    pass
            start = time.time()
            sock.sendall(b"Subject: x\r\n\r\nhello\r\n.\r\n")
            replies.readline()
        return start

    def latencies(self, count, via="drop"):
        """Milliseconds until the session is told of a new message; 40,000: it was not."""
        times = []
        for i in range(count):
            time.sleep(0.6)
            start = self.drop(i) if via == "drop" else self.send(i)
            try:
                while b"EXISTS" not in self.file.readline():
                    pass
            except OSError:
                times.append(40000.0)
                break
            times.append(round((time.time() - start) * 1e3, 2))
        self.sock.close()
        return times


def idle_sessions(run, case, count, is_tls, start):
    """START: memory before any session."""
    target = run.target
    port, cpu = target.ports["imaps" if is_tls else "imap"], target.cpu(IMAP)
    observer = Observer(target)  # first: it is sure to get an inotify instance
    held = run.hold("imap_idle.ld", port=port, tls=is_tls, slots=count, sessions=count,
                    extra=["-a", "100"], idle=300)
    time.sleep(float(target.get("idle_settle", 1)))
    pss, processes = target.memory(IMAP)
    kernel, each = kernel_memory(), max(held.count, 1)
    cpu_set_up = target.cpu(IMAP)
    time.sleep(5)
    cpu_idle = target.cpu(IMAP) - cpu_set_up
    # Two are enough: a server without an inotify instance looks every 30 s only.
    latencies = observer.latencies(2) if held.count else []
    load = held.release()
    before_pss, before_processes, before_kernel = start
    run.emit("imap-idle", case, held=held.count, **load.failures(),
             pss_kib_per_session=round((pss - before_pss) / each, 1),
             procs=processes - before_processes,
             kernel_kib_per_session=round((kernel["kernel"] - before_kernel["kernel"]) / each, 1),
             avail_kib_per_session=round(
                 (before_kernel["available"] - kernel["available"]) / each, 1),
             setup_per_s=round(held.count / load["held_all"], 1) if load["held_all"] else 0,
             cpu_ms_per_setup=round((cpu_set_up - cpu) * 1e3 / each, 2),
             idle_cpu_5s=round(cpu_idle, 2),
             notify_p50_ms=statistics.median(latencies) if latencies else None,
             notify_max_ms=max(latencies, default=None))


def imap_idle(run):
    """1,000 and 5,000 sessions in IDLE: memory, set-up, CPU, latency of news"""
    start = (*run.target.memory(IMAP), kernel_memory())
    for count in (1000,) if run.is_quick else (1000, 5000):
        for is_tls in (False, True):
            case = f"{count} IDLE {'tls' if is_tls else 'plain'}"
            for _ in run.repeat(case, 1):
                idle_sessions(run, case, count, is_tls, start)


def notify(run):
    """latency of news on a quiet server: a file renamed into new/, and LMTP"""
    for via in ("drop", "lmtp"):
        for _ in run.repeat(via):
            latencies = Observer(run.target).latencies(15, via)
            run.emit("notify", f"IDLE push after {via}", max_ms=max(latencies), n=len(latencies),
                     p50_ms=statistics.median(latencies))
