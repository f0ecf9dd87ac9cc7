# SPDX-License-Identifier: BSD-2-Clause
"""POP3 sessions on mailboxes of 1,000 messages."""

import os
import time

import bench_mailbox as mailbox
from bench_target import IMAP, Meter, kernel_memory

MAILBOX = 1000
CASES = [
    # case, port, TLS at connect, sessions at a time, sessions, messages read in each
    ("login+LIST+1 RETR plain c=20", "pop3", False, 20, 600, 1),
    ("login+LIST+1 RETR tls c=20", "pop3s", True, 20, 600, 1),
    ("login+LIST+100 RETR plain c=20", "pop3", False, 20, 100, 100),
    ("login+LIST+100 RETR tls c=20", "pop3s", True, 20, 100, 100),
    ("login+LIST+1 RETR plain c=1", "pop3", False, 1, 60, 1),
]


def pop3(run):
    """sessions with LIST and RETR, 1,000-message mailboxes"""
    boxes = 5 if run.is_quick else 20
    users = run.users(boxes)
    for i in range(1, boxes + 1):
        mailbox.fill(run.target, run.target.maildir(f"u{i}"), MAILBOX)
    # the first session of a mailbox builds its lists
    run.load("pop3.ld", port=run.target.ports["pop3"], slots=2, sessions=boxes, users=users,
             stls=0, retr=1, nmsg=MAILBOX)
    for case, port, is_tls, slots, sessions, retr in CASES:
        for _ in run.repeat(case):
            with Meter(run.target, IMAP) as meter:
                load = run.load("pop3.ld", port=run.target.ports[port], tls=is_tls, slots=slots,
                                sessions=sessions // (3 if run.is_quick else 1), users=users,
                                stls=0, retr=retr, nmsg=MAILBOX)
            done = load["sessions"]
            run.emit("pop3", case, sessions_per_s=load.per_second(done),
                     retr_per_s=load.rate("retr"), **load.failures(),
                     cpu_ms_per_session=round(meter.cpu * 1e3 / max(done, 1), 2),
                     p50_ms=load.ms("session", "p50"), psi=meter.psi, cpu_by=meter.cpu_by)


IDLE_USERS = 20
SETTLE_S = 10  # threads that have nothing to do go, free memory is given back


def descriptors(target):
    """Open ones, by name of the process."""
    found = {}
    for pid, process in target.tree(IMAP).items():
        try:
            found[process.name] = found.get(process.name, 0) + len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            pass
    return found


def idle_sessions(run, case, count, is_tls, start):
    """START: as found when the benchmark began."""
    target = run.target
    held = run.hold("pop3_idle.ld", port=target.ports["pop3s" if is_tls else "pop3"], tls=is_tls,
                    slots=count, sessions=count, users=run.users(IDLE_USERS), extra=["-a", "100"],
                    idle=300)
    time.sleep(SETTLE_S)
    each, now = max(held.count, 1), Memory(target)
    load = held.release()
    run.emit("pop3-idle", case, held=held.count, **load.failures(),
             pss_kib_per_session=round((now.pss - start.pss) / each, 1),
             pss_by={name: round((kib - start.by.get(name, 0)) / each, 1)
                     for name, kib in now.by.items()},
             kernel_kib_per_session=round((now.kernel - start.kernel) / each, 1),
             fds_per_session={name: round((n - start.fds.get(name, 0)) / each, 2)
                              for name, n in now.fds.items()},
             setup_per_s=round(held.count / load["held_all"], 1) if load["held_all"] else 0)


class Memory:
    """Of the target's processes, by name, and of the kernel."""

    def __init__(self, target):
        self.by = {name: target.memory_of(name, IMAP)
                   for name in {p.name for p in target.tree(IMAP).values()}}
        self.pss, self.fds = sum(self.by.values()), descriptors(target)
        self.kernel = kernel_memory()["kernel"]


def pop3_idle(run):
    """1,000 and 5,000 POP3 sessions that are logged in and idle: memory, descriptors"""
    for i in range(1, IDLE_USERS + 1):
        mailbox.fill(run.target, run.target.maildir(f"u{i}"), 3)
    run.load("pop3.ld", port=run.target.ports["pop3s"], tls=True, slots=4, sessions=4 * IDLE_USERS,
             users=run.users(IDLE_USERS), stls=0, retr=0, nmsg=3)
    start = Memory(run.target)
    for count in (1000, 5000):
        for is_tls in (False, True):
            case = f"{count} idle {'tls' if is_tls else 'plain'}"
            for _ in run.repeat(case, 1):
                idle_sessions(run, case, count, is_tls, start)
                time.sleep(SETTLE_S)
