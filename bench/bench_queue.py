# SPDX-License-Identifier: BSD-2-Clause
"""Mail on its way out: relaying, draining a queue, a large deferred queue."""

import json
import signal
import subprocess
import threading
import time

from bench_host import banner_seconds
from bench_target import SMTP, Meter


class Sink:
    """The server that everything goes to."""

    def __init__(self, run, port, is_tls=False):
        argv = [str(run.tools / "sink"), "-p", str(run.target.ports[port])]
        if is_tls:
            argv += ["-C", run.target["cert"], "-K", run.target["key"]]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        time.sleep(0.2)

    def totals(self):
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def wait(self, count, seconds=300, flush=None):
        """Until COUNT messages have come, or none for a minute.  What was deferred after the first
        flush needs another."""
        start = last_news = last_flush = time.time()
        last = -1
        while True:
            came, now = self.totals()["messages"], time.time()
            if came != last:
                last, last_news = came, now
            if came >= count or now - start > seconds or now - last_news > 60:
                return
            if flush and min(now - last_news, now - last_flush) > 5:
                flush()
                last_flush = now
            time.sleep(0.05)

    def stop(self):
        """Returns the totals."""
        self.process.terminate()
        text = self.process.stdout.read()
        self.process.wait()
        return json.loads(text.strip().splitlines()[-1])


def settle(target, seconds=180):
    """Waits until the target has used less than 5 % of a core for three seconds."""
    deadline, quiet, last = time.monotonic() + seconds, 0, target.cpu(SMTP)
    while quiet < 3 and time.monotonic() < deadline:
        time.sleep(1)
        now = target.cpu(SMTP)
        quiet = quiet + 1 if now - last < 0.05 else 0
        last = now


def inject(run, count, per_session, recipient, slots=20, size=1024):
    return run.load("smtp.ld", port=run.target.ports["smtp"], slots=slots, size=size,
                    sessions=count // per_session, timeout=1500, idle=300, tls_rounds=0,
                    permsg=per_session, rcpt=recipient)


RELAY = [
    # case, domain, port of the sink, TLS, size
    ("1K -> sink", "sink", "sink", False, 1024),
    ("16K -> sink", "sink", "sink", False, 16384),
    ("1K -> sink tls", "sinktls", "sinktls", True, 1024),
]


def relay(run):
    """through the MTA to a sink, plain and TLS"""
    count = 2000
    for case, domain, port, is_tls, size in RELAY:
        for _ in run.repeat(case):
            sink = Sink(run, port, is_tls)
            recipient = "x%s@" + run.target["relay_domains"][domain]
            with Meter(run.target, SMTP) as meter:
                load = inject(run, count, 10, recipient, size=size)
                sink.wait(count)
            totals = sink.stop()
            run.emit("relay", case, per_s=round(totals["messages"] / meter.wall, 1),
                     accept_per_s=load.per_second(count), messages=totals["messages"],
                     sink_connections=totals["connections"], tls=totals["tls"],
                     cpu_per_1000=round(meter.cpu * 1000 / count, 3), psi=meter.psi,
                     cpu_by=meter.cpu_by, **load.failures())


class Peak:
    """The most memory that qmgr has during a with block."""

    def __init__(self, target):
        self.target, self.kib, self.is_over = target, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.is_over.wait(0.5):
            self.kib = max(self.kib, self.target.memory_of("qmgr"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.is_over.set()
        self.thread.join()


def drain(run):
    """20,000 queued messages to one sink, and to 1,000 domains"""
    count = 4000 if run.is_quick else 20000
    domains = run.target["relay_domains"]
    cases = (("drain one sink", "x%s@" + domains["sink"]),
             ("drain 1000 domains", "x%s@" + domains["many"].replace("%d", "%m{1000}")))
    for case, recipient in cases:
        for _ in run.repeat(case, 1):
            # Nobody listens yet: all is deferred.
            load = inject(run, count, 50, recipient)
            settle(run.target)
            before = run.target.memory_of("qmgr")
            sink = Sink(run, "sink")
            with Peak(run.target) as peak, Meter(run.target, SMTP) as meter:
                run.target.run("flush")
                sink.wait(count, 600, lambda: run.target.run("flush"))
            totals = sink.stop()
            came = totals["messages"]
            run.emit("drain", case, queued=count, inject_per_s=load.per_second(count),
                     inject_failed=load["failed"], delivered=came,
                     per_s=round(came / max(0.1, totals["last"] - totals["first"]), 1),
                     per_s_incl_scan=round(came / meter.wall, 1),
                     connections=totals["connections"], max_concurrent=totals["max_concurrent"],
                     cpu_per_1000=round(meter.cpu * 1000 / max(1, came), 3), psi=meter.psi,
                     qmgr_pss_kib_peak=peak.kib, qmgr_pss_kib_before=before, cpu_by=meter.cpu_by)


def deferred(run):
    """100,000 deferred messages: restart, flush, memory"""
    count, target = 5000 if run.is_quick else 100000, run.target
    with Meter(target, SMTP) as meter:
        load = inject(run, count, 100, "x%i@" + target["relay_domains"]["hold"], slots=40)
    run.emit("deferred", f"inject {count}", per_s=load.per_second(count), psi=meter.psi,
             cpu_per_1000=round(meter.cpu * 1000 / count, 3),
             qmgr_pss_kib=target.memory_of("qmgr"), **load.failures())
    settle(target)
    target.run("smtp_stop")
    time.sleep(2)
    start = time.time()
    target.run("smtp_start")
    banner, cpu = banner_seconds(target, start, target.ports["smtp"]), target.cpu(SMTP)
    time.sleep(20)
    run.emit("deferred", f"restart with {count} deferred", first_banner_s=round(banner, 3),
             qmgr_pss_kib=target.memory_of("qmgr"), tree_pss_kib=target.memory(SMTP)[0],
             cpu_first_20s=round(target.cpu(SMTP) - cpu, 2))
    with Peak(target) as peak, Meter(target, SMTP) as meter:
        target.run("flush")
        settle(target, 120)
    run.emit("deferred", f"flush scan of {count}", seconds=round(meter.wall - 3, 1),
             cpu_s=round(meter.cpu, 2), qmgr_pss_kib_peak=peak.kib, psi=meter.psi,
             cpu_by=meter.cpu_by)
    start = time.time()
    target.run("purge", 900)
    run.emit("deferred", f"purge {count}", seconds=round(time.time() - start, 2))
