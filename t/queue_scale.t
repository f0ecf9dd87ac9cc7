#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Thousands of deferred messages: what they cost while they wait, that all are tried when they are
due or flushed, and how new mail fares meanwhile.  bench/ has the same with 100,000."""

import os
import pwd
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import spool_maker                                    # noqa: E402
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from queue_instance import Queue                      # noqa: E402

COUNT = 5000
ELSEWHERE = 20
# Of a message that waits, everything counted; and what else may have changed meanwhile.
BYTES_EACH, BYTES_MORE = 300, 400000
THREADS_MAX = 40
REASON = "mail transport unavailable"
HOLD = "x%d@hold.test"
MAIN = {
    "minimal_backoff_time": "3000s", "maximal_backoff_time": "4000s", "queue_run_delay": "300s",
    "transport_retry_time": "3000s",
    "transport_maps": "inline:{ {hold.test=nothere:} {other.test=nothere:} }",
    "fast_flush_domains": "hold.test, other.test",
}


def anonymous(pid):
    """The process's own memory in bytes; None where only root may look."""
    if os.geteuid() != 0:
        return None
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return int(re.search(r"^Pss_Anon: +(\d+) kB", f.read(), re.M).group(1)) * 1024


class Threads:
    """The most that a process has during a with block."""

    def __init__(self, pid):
        self.path, self.most, self.is_over = f"/proc/{pid}/task", 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.is_over.wait(0.002):
            self.most = max(self.most, len(os.listdir(self.path)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.is_over.set()
        self.thread.join()


def make(q, count, **kwargs):
    user = pwd.getpwnam(q.user)
    now = int(time.time())
    return spool_maker.make_deferred(q.spool, count, now + 3000, now - 1000, uid=user.pw_uid,
                                     gid=user.pw_gid, **kwargs)


def attempts(q, since):
    """{id: times} of recipients that were deferred since the log had that size."""
    found = {}
    for ident in re.findall(r"(\w+): to=<.*status=deferred", q.postfix_log()[since:]):
        found[ident] = found.get(ident, 0) + 1
    return found


def stat_of(q, queue, ident):
    return os.stat(os.path.join(q.spool, queue, ident[0], ident))


def wait_for_attempts(q, since, count):
    wait_until(lambda: len(attempts(q, since)) >= count, f"{count} attempts")


def rests(q, idents):
    """All have been settled: the next attempt of each is in the future."""
    return all(stat_of(q, "deferred", i).st_mtime > time.time() + 2000 for i in idents)


def test_memory(q):
    pid = q.qmgr_pid()
    before = anonymous(pid)
    q.stop()
    wait_until(lambda: not q.pids(), "stopped")
    q.ids = make(q, COUNT, reason=REASON)
    os.utime(os.path.join(q.spool, "deferred", q.ids[-1][0], q.ids[-1]), (1, 1))
    since = len(q.postfix_log())
    q.start()
    pid = q.qmgr_pid()
    with Threads(pid) as threads:
        # Directories are read to their end before the queue may be changed.
        q.command("postsuper", "-h", "ABCDEF123456")
    wait_for_attempts(q, since, 1)
    tap.equal(attempts(q, since), {q.ids[-1]: 1}, "what is due is tried, nothing else")
    tap.ok(threads.most <= THREADS_MAX, f"{COUNT} are found with few threads", threads.most)
    if os.environ.get("PC_SANITIZERS", "no") != "no":
        tap.skip("a sanitizer's memory is its own", "memory")
        return
    if before is None:
        tap.skip("only root may look", "memory")
        return
    cost = anonymous(pid) - before
    tap.ok(cost <= COUNT * BYTES_EACH + BYTES_MORE,
           f"{COUNT} that wait take no more than {BYTES_EACH} bytes each", cost)


def flush(q, how):
    since = len(q.postfix_log())
    with Threads(q.qmgr_pid()) as threads:
        how()
        wait_for_attempts(q, since, COUNT)
        wait_until(lambda: rests(q, q.ids), "all are settled")
    tried = attempts(q, since)
    tap.equal(sorted(set(q.ids) - set(tried)), [], "all are tried")
    tap.equal(set(tried.values()), {1}, "each once")
    tap.ok(threads.most <= THREADS_MAX, "with few threads", threads.most)


def age(q):
    """Nothing in the spool is new."""
    for ident in q.ids:
        for queue in ("deferred", "defer"):
            path = os.path.join(q.spool, queue, ident[0], ident)
            os.utime(path, (1000, 1000))


def test_flush(q):
    age(q)
    said = {}

    def new_mail():
        q.command("postqueue", "-f")
        said["new"] = q.inject("a@x.test", "ok-new@y.test")
    flush(q, new_mail)
    ident, answer = said["new"]
    wait_until(lambda: q.is_removed(ident), "new mail is delivered meanwhile")
    tap.ok(answer in ("DONE", "SPOOLED"), "and taken")
    with open(os.path.join(q.spool, "defer", q.ids[0][0], q.ids[0]), encoding="utf-8") as f:
        tap.like(f.read(), rf"\A\n<x0@hold.test>: {REASON}\n(?s:.*)\nreason={REASON}\n\n\Z",
                 "the reasons are ours now")
    age(q)
    flush(q, lambda: q.command("postqueue", "-f"))
    tap.equal({stat_of(q, "defer", i).st_mtime for i in q.ids}, {1000},
              "reasons that are the same are not written again")


def trigger(q, text):
    fd = os.open(os.path.join(q.spool, "public"), os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"/proc/self/fd/{fd}/qmgr")
            s.sendall(text)
    finally:
        os.close(fd)


def test_some(q):
    """One message, one site, the triggers that do less than all."""
    since = len(q.postfix_log())
    trigger(q, b"W")
    trigger(q, b"F")
    trigger(q, b"DI")
    q.command("postqueue", "-i", q.ids[7])
    wait_for_attempts(q, since, 1)
    q.command("postqueue", "-s", "other.test")
    wait_for_attempts(q, since, 1 + ELSEWHERE)
    tap.equal(attempts(q, since), dict({q.ids[7]: 1}, **{i: 1 for i in q.elsewhere}),
              "postqueue -i and -s, and neither W nor F, D, I make more due")
    wait_until(lambda: rests(q, q.elsewhere), "settled")
    q.command("sendmail", "-qI" + q.ids[8])
    wait_for_attempts(q, since, 2 + ELSEWHERE)
    q.command("sendmail", "-qRother.test")
    wait_until(lambda: set(attempts(q, since)[i] for i in q.elsewhere) == {2}, "-qR")
    tap.equal([attempts(q, since)[i] for i in q.ids[7:9]], [1, 1], "sendmail -qI and -qR")
    flush(q, lambda: trigger(q, b"A"))


def test_elsewhere(q):
    """Messages for another site appear."""
    user = pwd.getpwnam(q.user)
    q.elsewhere = []
    for number in range(ELSEWHERE):
        name = spool_maker.ident(COUNT + number)
        path = q.path("spool/incoming", "." + name)
        with open(path, "wb") as f:
            f.write(spool_maker.queue_file([f"y{number}@other.test"], int(time.time())))
            os.fchown(f.fileno(), user.pw_uid, user.pw_gid)
            os.fchmod(f.fileno(), 0o700)
        os.rename(path, q.path("spool/incoming", name))
        q.elsewhere.append(name)
    wait_until(lambda: all(q.files().get(i) == "deferred" for i in q.elsewhere), "found")
    tap.ok(True, "names that appear are found")


def test_listing(q):
    text = q.command("postqueue", "-p").stdout
    tap.equal(len(re.findall(r"^\w+ +\d+ ", text, re.M)), COUNT + ELSEWHERE, "all are listed")


def test_delete(q):
    with Threads(q.qmgr_pid()) as threads:
        result = q.command("postsuper", "-d", "ALL")
    tap.like(result.stderr, rf"Deleted: {COUNT + ELSEWHERE} messages\n\Z", "postsuper -d ALL")
    tap.equal(q.files(), {}, "no file is left")
    left = [name for _, _, names in os.walk(os.path.join(q.spool, "defer")) for name in names]
    tap.equal(left, [], "no log either")
    tap.ok(threads.most <= THREADS_MAX, "with few threads", threads.most)


def main():
    with Queue(**MAIN) as q:
        tap.run(lambda: test_memory(q), lambda: test_flush(q), lambda: test_elsewhere(q),
                lambda: test_some(q), lambda: test_listing(q), lambda: test_delete(q))


main()
