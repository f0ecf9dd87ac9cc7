# SPDX-License-Identifier: BSD-2-Clause
"""POP3 sessions on mailboxes of 1,000 messages."""

import bench_mailbox as mailbox
from bench_target import IMAP, Meter

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
