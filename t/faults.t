#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""System calls of intake, spool and delivery fail: refusals that are worth another try, nothing
that was acknowledged is lost, nothing dies, and no restart is needed.

strace(1) lets every other call of a name fail in each thread of one kind of process, for each call
with which such a process touches the disk."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import inject  # noqa: E402
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

inject.find()

# "late" has no agent: what goes there is deferred, and qmgr moves it.
MAIN = {"transport_maps": "inline:{ {late@example.test = late:} }",
        "virtual_mailbox_maps": "inline:{ " + " ".join(
            f"{{{name}@example.test = example.test/{name}/}}"
            for name in ["alice", "bob", "late", *(f"new{n}" for n in range(1000))]) + " }",
        "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s",
        "transport_retry_time": "1s"}

# Processes, calls, errors.  A call that a process has no use for any more shows as "not one failed".
FAULTS = (
    ("smtpd", "openat", ("EMFILE", "ENOSPC", "EIO")),
    ("smtpd", "pwrite64", ("ENOSPC", "EDQUOT", "EIO")),
    ("smtpd", "linkat", ("ENOSPC", "EIO")),
    ("smtpd", "fsync", ("EIO", "ENOSPC", "EDQUOT")),
    ("smtpd", "fstatfs,fstatvfs,statfs", ("EIO",)),
    ("qmgr", "pread64", ("EIO",)),
    ("qmgr", "openat", ("EMFILE", "ENOSPC", "EIO")),
    ("qmgr", "pwrite64", ("ENOSPC", "EIO")),
    ("qmgr", "write", ("ENOSPC",)),
    ("qmgr", "linkat", ("ENOSPC", "EIO")),
    ("qmgr", "fsync", ("EIO",)),
    ("qmgr", "unlinkat", ("EIO",)),
    ("qmgr", "utimensat", ("EIO",)),
    ("virtual", "openat", ("EMFILE", "ENOSPC", "EIO")),
    ("virtual", "mkdirat", ("ENOSPC", "EIO")),
    ("virtual", "pread64", ("EIO",)),
    # EDQUOT is an answer about the recipient here: his mail bounces.
    ("virtual", "write,pwrite64", ("ENOSPC", "EIO")),
    ("virtual", "fsync", ("EIO", "ENOSPC")),
    ("virtual", "linkat,renameat,renameat2", ("ENOSPC", "EIO")),
)
number = 0


def send(*recipients):
    """(subject, recipients, the first reply that is no success, or the last one)"""
    global number
    number += 1
    subject = f"fault-{number}"
    # A mailbox that has to be made.
    recipients = [name or f"new{number}" for name in recipients]
    with Dialogue(the_mail.smtp_port) as d:
        for line in ("EHLO client.example.net", "MAIL FROM:<alice@example.test>",
                     *(f"RCPT TO:<{name}@example.test>" for name in recipients),
                     "DATA", f"Subject: {subject}\r\n\r\n" + "x" * 2000 + "\r\n."):
            reply = d.ask(line)
            if not re.match("[23]", reply):
                break
    return subject, recipients, reply


def mailboxes():
    """{name: the texts of its mails}"""
    found = {}
    for path, _, files in os.walk(the_mail.path("mail")):
        if os.path.basename(path) == "new":
            name = os.path.basename(os.path.dirname(path))
            for file in files:
                with open(os.path.join(path, file), "rb") as f:
                    found[name] = found.get(name, b"") + f.read()
    return found


def wait_for_empty_queue():
    def is_empty():
        the_mail.command("postqueue", "-f")
        time.sleep(0.2)
        return "Mail queue is empty" in the_mail.command("postqueue", "-p").stdout
    instance.wait_until(is_empty, "an empty queue")


def test_faults():
    promised = []
    for program, calls, errors in FAULTS:
        for error in errors:
            what = f"{program}, {calls}, {error}"
            before = len(the_mail.log())
            failing = inject.Inject(the_mail.pids(program), calls, f"error={error}:when=1+2",
                                    the_mail.path("strace.out"))
            with failing:
                answers = [send(*to) for to in (("bob",), ("bob", "late"), (None,)) * 2]
            tap.ok(failing.hits > 0, f"{what}: some failed", f"not one: {failing.command} {failing.said}")
            odd = [a for a in answers if not re.match(r"250 2\.0\.0 Ok: queued as|4\d\d ", a[2])]
            tap.equal(odd, [], f"{what}: all are accepted, or refused for a time")
            tap.unlike(the_mail.log()[before:], "killed by signal|exit status|panic:|fatal:",
                       f"{what}: nothing dies")
            answers.append(send("bob"))
            tap.like(answers[-1][2], "^250 ", f"{what}: and all is well afterwards")
            promised += [(*a, what) for a in answers if a[2].startswith("250")]

    the_mail.command("postconf", "-e", "transport_maps=")
    tap.equal(the_mail.command("postfix", "reload").returncode, 0, "late gets its mail at last")
    wait_for_empty_queue()
    found = mailboxes()
    lost = [(subject, name, what) for subject, names, _, what in promised for name in names
            if f"Subject: {subject}\n".encode() not in found.get(name, b"")]
    tap.equal(lost, [], f"nothing is lost of {len(promised)} messages")


with instance.Instance(main=MAIN) as the_mail:
    tap.run(test_faults)
