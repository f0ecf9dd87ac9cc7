#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""qmgr is killed in the middle of a thousand deliveries, again and again: the next one goes on,
nothing is lost, and nothing is delivered twice but what had no result written down."""

import os
import pwd
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import spool_maker                                    # noqa: E402
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from queue_instance import Queue                      # noqa: E402

COUNT, DEFERRED, KILLS = 1000, 100, 3


def delivered(q):
    """{id: times}"""
    found = {}
    for line in q.lines("test"):
        ident, what, _ = line.split(" ", 2)
        if what == "delivered":
            found[ident] = found.get(ident, 0) + 1
    return found


def make(q):
    user = pwd.getpwnam(q.user)
    ids = spool_maker.make_deferred(q.spool, COUNT, 1, int(time.time()) - 10, "ok%d@y.test",
                                    user.pw_uid, user.pw_gid)
    # These stay: agents refuse them each time.
    for number, ident in enumerate(ids[:DEFERRED]):
        path = os.path.join(q.spool, "deferred", ident[0], ident)
        data = spool_maker.queue_file([f"ok-both{number}@y.test", f"defer{number}@y.test"],
                                      int(time.time()))
        with open(path, "wb") as f:
            f.write(data)
        os.utime(path, (1, 1))
    return ids


def test_kills(q):
    q.stop()
    wait_until(lambda: not q.pids(), "stopped")
    ids = make(q)
    offered = {}
    q.start()
    at_kill = []
    for number in range(KILLS):
        enough = (number + 1) * COUNT // (KILLS + 2)
        wait_until(lambda n=enough: len(delivered(q)) >= n, f"{enough} are delivered")
        pid = q.qmgr_pid()
        ident, child = q.inject("a@x.test", "ok-new@y.test", options=["-w", "5000"], wait=False)
        offered[ident] = child
        os.kill(pid, signal.SIGKILL)
        tap.unlike(q.command("postqueue", "-p").stdout, "Mail queue is empty",
                   "the next one says what waits when it knows it")
        wait_until(lambda p=pid: q.pids("qmgr") not in ([], [p]), "the next qmgr")
        at_kill.append((pid, q.postfix_log(), delivered(q)))
    for ident, child in offered.items():
        said = child.communicate(timeout=60)[0].strip()
        tap.ok(said in ("SPOOLED", "DONE"), f"{ident}, offered when qmgr dies, is taken", said)

    wanted = set(ids) | set(offered)
    wait_until(lambda: wanted <= set(delivered(q)), "all are delivered")
    wait_until(lambda: set(q.files()) == set(ids[:DEFERRED]), "and only the refused ones are left")
    tap.ok(True, f"nothing is lost in {KILLS} deaths")
    times = delivered(q)
    tap.ok(max(times.values()) <= 1 + KILLS, "at most once more per death", max(times.values()))
    for pid, log, before in at_kill:
        removed = set(re.findall(rf"qmgr\[{pid}\]: (\w+): removed$", log, re.M))
        tap.ok(removed, f"qmgr {pid} had removed some", len(removed))
        tap.equal([i for i in removed if times[i] > before.get(i, 0)], [],
                  f"what qmgr {pid} had removed is not delivered again")
    twice = [i for i in times if times[i] > 1]
    tap.note(f"{len(twice)} twice")
    tap.unlike(q.log(), "panic:|corrupt", "no file was taken for a damaged one")


def test_written(q):
    """A result that was written down stands."""
    ident = q.inject("a@x.test", "ok-done@y.test", "defer-left@y.test")[0]
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    path = os.path.join(q.spool, "deferred", ident[0], ident)
    with open(path, "rb") as f:
        tap.ok(b"D\x0eok-done@y.test" in f.read(), "marked as done")
    wait_until(lambda: os.stat(path).st_mtime > time.time() - 60, "settled")

    def tries():
        return q.lines("test").count(f"{ident} failed defer-left@y.test")
    os.kill(q.qmgr_pid(), signal.SIGKILL)
    before = tries()
    wait_until(lambda: q.command("postqueue", "-f").returncode == 0, "the next qmgr flushes")
    wait_until(lambda: tries() > before or q.command("postqueue", "-f") is None, "tried again")
    tap.equal(delivered(q)[ident], 1, "who had it does not get it again")


def main():
    with Queue(minimal_backoff_time="4s", maximal_backoff_time="5s") as q:
        tap.run(lambda: test_kills(q), lambda: test_written(q))


main()
