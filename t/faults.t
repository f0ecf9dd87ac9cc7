#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""System calls of intake, spool and delivery fail: refusals that are worth another try, nothing
that was acknowledged is lost, nothing dies, and no restart is needed.

strace(1) lets every other call of a name fail in each thread of one kind of process, for each call
with which such a process touches the disk."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import inject  # noqa: E402
import instance  # noqa: E402
import ordeal  # noqa: E402
import tap  # noqa: E402

inject.find()

NAMES = ["alice", "bob", "late", *(f"new{n}" for n in range(1000))]

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
    """(subject, recipients, the reply)"""
    global number
    number += 1
    subject = f"fault-{number}"
    # A mailbox that has to be made.
    recipients = [name or f"new{number}" for name in recipients]
    return subject, recipients, ordeal.send(the_mail, subject, recipients)


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
            promised += [(subject, name, what) for subject, names, reply in answers
                         if reply.startswith("250") for name in names]

    ordeal.finish(the_mail)
    tap.equal(ordeal.lost(the_mail, promised), [], f"nothing is lost of {len(promised)} deliveries")


with instance.Instance(main=ordeal.main_cf(NAMES)) as the_mail:
    tap.run(test_faults)
