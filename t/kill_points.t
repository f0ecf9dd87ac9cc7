#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each process that has a part in a message's way dies at each kind of call with which it takes
part, the first time, the second time, and so on: what was acknowledged arrives, or bounces."""

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

# "late" has no agent: what goes there waits.  "nobody" bounces, "all" stands for two others.
NAMES = ("alice", "bob", "carol", "dave", "late")
MAIN = {"transport_maps": "inline:{ {late@example.test = late:} }",
        "virtual_mailbox_maps": "inline:{ " + " ".join(
            f"{{{name}@example.test = example.test/{name}/}}" for name in NAMES) + " }",
        "virtual_alias_maps": "inline:{ {all@example.test = carol@example.test, dave@example.test} }",
        "smtpd_reject_unlisted_recipient": "no", "postcote_quarantine_time": "1s",
        "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s",
        "transport_retry_time": "1s", "service_throttle_time": "1s"}

# Processes, calls of their protocols and of the disk, and how many of each.
POINTS = (
    ("smtpd", ("openat", "pwrite64", "sendmsg", "recvmsg", "linkat", "fsync", "sendto"), 3),
    ("qmgr", ("recvmsg", "pread64", "sendmsg", "unlinkat", "openat", "linkat", "fsync", "utimensat",
              "pwrite64"), 3),
    ("virtual", ("recvmsg", "pread64", "openat", "fsync", "linkat", "sendmsg"), 3),
    ("bounce", ("recvmsg", "pread64", "pwrite64", "sendmsg", "linkat", "fsync"), 2),
)
number = 0


def send(recipients):
    """(subject, recipients, was it acknowledged?)"""
    global number
    number += 1
    subject = f"point-{number}"
    try:
        # Another client each time: none is known from many deaths.
        client = f"127.1.{number // 250}.{number % 250 + 1}"
        with Dialogue(the_mail.smtp_port, timeout=30, client=client) as d:
            for line in ("EHLO client.example.net", "MAIL FROM:<alice@example.test>",
                         *(f"RCPT TO:<{name}@example.test>" for name in recipients),
                         "DATA", f"Subject: {subject}\r\n\r\n" + "x" * 2000 + "\r\n."):
                reply = d.ask(line)
                if not re.match("[23]", reply):
                    break
    except OSError:
        reply = ""
    return subject, recipients, reply.startswith("250")


def mailboxes():
    """{name: the texts of its mails}"""
    found = {}
    for name in NAMES:
        found[name] = b"".join(the_mail.mails(name))
    return found


def wait_for_empty_queue():
    def is_empty():
        the_mail.command("postqueue", "-f")
        time.sleep(0.2)
        return "Mail queue is empty" in the_mail.command("postqueue", "-p").stdout
    instance.wait_until(is_empty, "an empty queue")


def ready(program):
    """Its processes' pids, when master has them all again."""
    pids = the_mail.pids(program)
    return pids if len(pids) >= at_rest[program] else None


def point(program, call, n):
    """What was sent meanwhile, and did a process come to this call and die there?"""
    pids = instance.wait_until(lambda: ready(program), program)
    dying = inject.Inject(pids, call, f"signal=KILL:when={n}", the_mail.path("strace.out"))
    with dying:
        sent = [send(to) for to in (["bob"], ["all", "nobody", "late"])]
        try:  # some of its work comes after the reply
            instance.wait_until(lambda: set(pids) - set(the_mail.pids(program)), "a death", 0.7)
        except TimeoutError:
            pass
    return sent, dying.hits > 0


def test_points():
    promised, dead = [], 0
    for program, calls, most in POINTS:
        never = []
        for call in calls:
            for n in range(1, most + 1):
                for _ in range(4 if n == 1 else 1):  # what comes after a reply may come late
                    sent, died = point(program, call, n)
                    promised += [(*s, f"{program} killed at {call} {n}") for s in sent if s[2]]
                    if died:
                        break
                if died:
                    dead += 1
                elif n == 1:
                    never.append(call)
        tap.equal(never, [], f"{program}: it came to each of these calls, and died there")
        subject, names, accepted = send(["bob"])
        for _ in range(20):
            if accepted:
                break
            time.sleep(0.2)
            subject, names, accepted = send(["bob"])
        tap.ok(accepted, f"{program}: afterwards mail is accepted")
        promised.append((subject, names, accepted, f"after {program}'s deaths"))

    the_mail.command("postconf", "-e", "transport_maps=")
    tap.equal(the_mail.command("postfix", "reload").returncode, 0, "late gets its mail at last")
    wait_for_empty_queue()
    found, lost = mailboxes(), []
    for subject, names, _, what in promised:
        mark = f"Subject: {subject}\n".encode()
        for name in names:
            # nobody's mail comes back to alice.
            boxes = {"all": ("carol", "dave"), "nobody": ("alice",)}.get(name, (name,))
            lost += [(subject, name, what) for box in boxes if mark not in found[box]]
    tap.equal(lost, [], f"{dead} deaths: nothing is lost of {len(promised)} messages")


with instance.Instance(main=MAIN) as the_mail:
    # bounce has a process for each of its services; others come with the load.
    at_rest = {name: 1 for name, _, _ in POINTS} | {"bounce": len(the_mail.pids("bounce"))}
    tap.run(test_points)
