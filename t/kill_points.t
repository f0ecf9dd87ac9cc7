#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each process that has a part in a message's way dies at each kind of call with which it takes
part, the first time, the second time, and so on: what was acknowledged arrives, or bounces."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import inject  # noqa: E402
import instance  # noqa: E402
import ordeal  # noqa: E402
import tap  # noqa: E402
from smtp_server import Server  # noqa: E402

inject.find()

# The next hop of "far"; it refuses "refused", whose mail comes back to alice as nobody's does.
next_hop = Server({"RCPT TO:<refused": "550 5.1.1 refused"})
# "nobody" bounces, "all" stands for two others.
NAMES = ("alice", "bob", "carol", "dave", "late")
MAIN = ordeal.main_cf(
    NAMES, virtual_alias_maps="inline:{ {all@example.test = carol@example.test, dave@example.test} }",
    smtpd_reject_unlisted_recipient="no", postcote_quarantine_time="1s", service_throttle_time="1s",
    smtp_tls_security_level="none", smtp_connection_reuse_count_limit="2", transport_maps="inline:{ {late@example.test = late:} "
    f"{{far@example.test = smtp:[127.0.0.1]:{next_hop.port}}} "
    f"{{refused@example.test = smtp:[127.0.0.1]:{next_hop.port}}} }}")

# Processes, calls of their protocols and of the disk, and how many of each.
POINTS = (
    ("smtpd", ("openat", "pwrite64", "sendmsg", "recvmsg", "linkat", "fsync", "sendto"), 3),
    ("qmgr", ("recvmsg", "pread64", "sendmsg", "unlinkat", "openat", "linkat", "fsync", "utimensat",
              "pwrite64"), 3),
    ("virtual", ("recvmsg", "pread64", "openat", "fsync", "linkat", "sendmsg"), 3),
    ("smtp", ("recvmsg", "connect", "recvfrom", "sendto", "pread64", "sendmsg"), 4),
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
        reply = ordeal.send(the_mail, subject, recipients, timeout=30,
                            client=f"127.1.{number // 250}.{number % 250 + 1}")
    except OSError:
        reply = ""
    return subject, recipients, reply.startswith("250")


def ready(program):
    """Its processes' pids, when master has them all again."""
    pids = the_mail.pids(program)
    return pids if len(pids) >= at_rest[program] else None


def point(program, call, n):
    """What was sent meanwhile, and did a process come to this call and die there?"""
    pids = instance.wait_until(lambda: ready(program), program)
    dying = inject.Inject(pids, call, f"signal=KILL:when={n}", the_mail.path("strace.out"))
    with dying:
        sent = [send(to) for to in (["bob"], ["far"], ["all", "nobody", "late"],
                                    ["far", "refused", "late"])]
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

    ordeal.finish(the_mail)
    # nobody's mail comes back to alice.
    boxes = {"all": ("carol", "dave"), "nobody": ("alice",), "refused": ("alice",)}
    awaited = [(subject, box, what) for subject, names, _, what in promised for name in names
               for box in boxes.get(name, (name,))]
    tap.equal(ordeal.lost(the_mail, [a for a in awaited if a[1] != "far"]), [],
              f"{dead} deaths: nothing is lost of {len(promised)} messages")
    there = b"".join(next_hop.messages)
    tap.equal([a for a in awaited if a[1] == "far" and f"Subject: {a[0]}\r\n".encode() not in there], [],
              "nor of those that were relayed")


with instance.Instance(main=MAIN, master="smtp unix - - n - - smtp\n") as the_mail:
    send(["far"])  # smtp is started by its first mail
    # bounce has a process for each of its services; others come with the load.
    at_rest = {name: 1 for name, _, _ in POINTS} | {"bounce": len(the_mail.pids("bounce"))}
    tap.run(test_points)
