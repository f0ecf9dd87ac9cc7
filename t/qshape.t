#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""qshape on a spool of all kinds of files, beside the peer's script where that is installed, and in
a running instance."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import spool_maker  # noqa: E402
import tap  # noqa: E402

OURS, PEER = os.path.join(instance.stage(), "sbin/qshape"), "/usr/sbin/qshape"
DIR = tempfile.mkdtemp(prefix="postcote-qshape-")
NOW = int(time.time())
DOMAINS = ["example.com", "a.example.com", "b.example.com", "c.example.com", "d.example.com",
           "e.example.com", "x.y.z.example.org", "EXAMPLE.com", "no-dot", "tld.", ".begins.test",
           "b.x", "a-domain-that-is-much-longer-than-the-field-for-it-in-a-usual-table.example.net"]
OPTIONS = ["", "-s", "-p", "-p -m 2", "-p -m 1 -w 60", "-b 5", "-b 1", "-b 20 -w 100", "-t 1", "-t 60 -b 4",
           "-l", "-l -b 3 -t 10", "-w 132", "-s -p -m 1", "-b 0 -t 0 -m 0", "-N 1 -n 1"]


def has_peer():
    try:
        with open(PEER, "rb") as f:
            return b"perl" in f.readline() and shutil.which("perl")
    except OSError:
        return False


def put(path, data, mode=0o700):
    path = os.path.join(DIR, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def record(kind, text):
    return spool_maker._record(kind, text)


def make_spool():
    dice = random.Random(7)
    for number in range(300):
        age = 60 * int(2 ** dice.uniform(0, 12)) + 25  # far from the edges of buckets
        recipients = [f"u{i}@{dice.choice(DOMAINS)}" for i in range(dice.randint(1, 4))]
        sender = dice.choice(["", f"s@{dice.choice(DOMAINS)}", "bare"])
        data = spool_maker.queue_file(recipients, NOW - age, sender, dice.randint(1, 5000))
        put(f"deferred/{number % 16:X}/{spool_maker.ident(number)}", data)
    whole = spool_maker.queue_file(["one@done.test", "two@left.test"], NOW - 100)
    at = whole.index(record(b"R", "one@done.test"))
    put("active/3ABCDEF01", whole[:at] + b"D" + whole[at + 1:])
    put("active/4ABCDEF01", spool_maker.queue_file([f"u{i}@many.test" for i in range(12000)], NOW - 100))
    # As sendmail leaves it, with and without a full name.
    tail = record(b"R", "w@drop.test") + record(b"M", "") + record(b"N", "Subject: x") + \
        record(b"L", "part") + record(b"N", "") + record(b"X", "") + record(b"E", "")
    put("maildrop/BABCDEF01", record(b"S", "me@drop.test") + tail)
    put("maildrop/CABCDEF01", record(b"F", "My Name") + record(b"S", "me@drop.test") + tail)
    # A pointer to recipients that were added later.
    head, rest = whole[:at], whole[at:]
    padded = head + record(b"p", f"{len(head) + 17:15d}") + rest
    put("maildrop/EABCDEF01", padded)

    # None of these counts (the peer takes some of them for mail of nobody).
    put("bad/5ABCDEF01", whole, 0o600)
    put("bad/6ABCDEF01", whole[:-2])
    put("bad/7ABCDEF01", whole[:200])
    put("bad/8ABCDEF01", b"")
    put("bad/9ABCDEF01", b"not a queue file")
    put("bad/short", whole)
    put("bad/9ABCDEF02.tmp", whole)
    os.symlink("../active/3ABCDEF01", f"{DIR}/bad/AABCDEF01")
    put("bad/DABCDEF01", record(b"A", "x=y") + record(b"S", "me@drop.test") + tail)


def run(program, *args):
    done = subprocess.run([program, *args], text=True, timeout=60, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def sorted_ties(output):
    """Rows with equal totals and lengths are in no order there."""
    lines = output.split("\n")
    return lines[:1] + sorted(lines[1:])


def test_beside_the_peer():
    if not has_peer():
        tap.skip("the peer's script or perl is not installed", "beside the peer")
        return
    for queues in (["deferred"], ["active"], ["maildrop"], ["deferred", "active", "maildrop"]):
        paths = [f"{DIR}/{queue}" for queue in queues]
        for options in OPTIONS if queues == ["deferred"] else ["", "-s", "-p"]:
            theirs, ours = (run(program, *options.split(), *paths) for program in (PEER, OURS))
            tap.equal((ours[0], sorted_ties(ours[1])), (theirs[0], sorted_ties(theirs[1])),
                      f"{' '.join(queues)} {options}")


def test_table():
    want = ("T  5 10 20 40 80 160 320 640 1280 1280+",
            "TOTAL 12001 12001  0  0  0  0   0   0   0    0     0",
            "many.test 12000 12000  0  0  0  0   0   0   0    0     0",
            "left.test     1     1  0  0  0  0   0   0   0    0     0")
    status, output = run(OURS, f"{DIR}/active", f"{DIR}/bad")
    lines = output.split("\n")
    tap.equal((status, lines.pop()), (0, ""), "the end")
    tap.equal([" ".join(line.split()) for line in lines], [" ".join(line.split()) for line in want],
              "what is counted")
    tap.equal({len(line) for line in lines}, {80}, "a line is as wide as a screen")
    status, output = run(OURS, f"{DIR}/maildrop")
    tap.equal([line.split()[:2] for line in output.split("\n")[1:-1]],
              [["TOTAL", "4"], ["drop.test", "2"], ["done.test", "1"], ["left.test", "1"]],
              "files of sendmail's")


def test_order():
    """Ties are in the alphabet's order, so that two runs say the same."""
    output = run(OURS, f"{DIR}/deferred")[1]
    tap.equal(output, run(OURS, f"{DIR}/deferred")[1], "twice the same")


def test_usage():
    for args in (["-x"], ["-b", "x"], ["-h"]):
        status, output = run(OURS, *args)
        tap.equal((status, output.split("\n")[0].split("[")[0]
                   if args != ["-x"] else "Usage" in output), (1, "Usage: qshape " if args != ["-x"]
                                                               else True), " ".join(args))
    status, output = run(OURS, f"{DIR}/nowhere")
    tap.equal((status, output.split("\n")[0]),
              (0, f"qshape: warning: {DIR}/nowhere: No such file or directory"), "no such queue")


def test_instance():
    with instance.Instance(main={"smtpd_data_restrictions": "check_client_access static:hold"}) as mail:
        mail.send("one")
        mail.send("two", to="alice")
        instance.wait_until(lambda: "TOTAL  2" in mail.command("qshape", "hold").stdout, "two messages")
        # One that moves has both names for a moment.
        instance.wait_until(lambda: not os.listdir(mail.path("spool/incoming")), "nothing moves")
        got = mail.command("qshape", "-c", mail.path("etc/postfix"), "hold", "active", "incoming")
        tap.equal([line.split()[:3] for line in got.stdout.split("\n")[1:-1]],
                  [["TOTAL", "2", "2"], ["example.test", "2", "2"]], "a running instance")
        tap.equal(got.stderr, "", "without a warning")


make_spool()
try:
    tap.run(test_beside_the_peer, test_table, test_order, test_usage, test_instance)
finally:
    shutil.rmtree(DIR)
