# SPDX-License-Identifier: BSD-2-Clause
"""Mail that comes in, and connections that are idle."""

import pathlib
import socket
import time

import bench_mailbox as mailbox
from bench_target import BOTH, SMTP, Meter, call_figures, count_calls, kernel_memory

USERS = 100
# Until threads that are not needed have gone.
SETTLE_S = 8
DRIP_S = 20
SLOW_SYNC_MS = 200
SIZES = {
    # messages by connections at a time
    "1K": (1024, {1: 300, 20: 3000, 200: 3000}),
    "16K": (16384, {1: 300, 20: 2000, 200: 2000}),
    "1M": (1 << 20, {1: 50, 20: 150, 200: 200}),
}


def wait_until_delivered(run, count, seconds=120):
    """Returns how many came."""
    deadline = time.monotonic() + seconds
    while True:
        came = mailbox.count_mails(run.target, USERS)
        if came >= count or time.monotonic() > deadline:
            return came
        time.sleep(0.05)


def measure(run, case, size, slots, total, per_session, is_tls, domain=None, roles=SMTP,
            bench="smtp-in"):
    """One run: TOTAL messages through SLOTS connections at a time, until all are in mailboxes."""
    users = run.users(USERS, domain)
    mailbox.renew_users(run.target, USERS)
    with Meter(run.target, roles) as meter:
        load = run.load("smtp.ld", port=run.target.ports["smtp"], slots=slots,
                        sessions=max(1, total // per_session), size=size, users=users,
                        tls_rounds=int(is_tls), permsg=per_session, rcpt="%U")
        accepted, since = load.count("message"), time.time()
        delivered = wait_until_delivered(run, accepted)
        wall = load["elapsed"] + time.time() - since
    each = max(accepted, 1)
    run.emit(bench, case, accepted=accepted, delivered=delivered, **load.failures(),
             accept_per_s=load.per_second(accepted), per_s=round(accepted / wall, 1),
             cpu_per_1000=round(meter.cpu * 1000 / each, 3),
             p50_ms=load.ms("message", "p50"), p99_ms=load.ms("message", "p99"),
             client_cpu_per_1000=round(load["client_cpu"] * 1000 / each, 3),
             ctxt_per_msg=round(meter.switches / each, 1), psi=meter.psi, cpu_by=meter.cpu_by)


def cases():
    """Name and arguments of measure()."""
    for label, (size, totals) in SIZES.items():
        for slots, total in totals.items():
            for per_session in (1, 10):
                for is_tls in (False, True):
                    if label == "1M" and slots == 200 and per_session == 10:
                        continue
                    name = f"{label} c={slots} {per_session}/conn {'tls' if is_tls else 'plain'}"
                    yield name, (size, slots, total, per_session, is_tls)


def smtp_in(run):
    """SMTP into Maildirs: sizes, connections, messages per connection, STARTTLS"""
    for case, (size, slots, total, per_session, is_tls) in cases():
        count = total // 4 if run.is_quick else total
        for _ in run.repeat(case):
            measure(run, case, size, slots, count, per_session, is_tls)


def smtp_lmtp(run):
    """the same through LMTP into the mail store"""
    for label in ("1K", "16K"):
        case = f"{label} c=20 10/conn plain via lmtp"
        for _ in run.repeat(case):
            measure(run, case, SIZES[label][0], 20, 1000, 10, False,
                    run.target["relay_domains"]["lmtp"], BOTH)


def smtp_strace(run):
    """system calls and syncs per message"""
    messages = 200

    def send(size):
        before = mailbox.count_mails(run.target, USERS)
        run.load("smtp.ld", port=run.target.ports["smtp"], slots=5, sessions=messages // 10,
                 size=size, users=run.users(USERS), tls_rounds=0, permsg=10, rcpt="%U")
        wait_until_delivered(run, before + messages, 20)

    # What only a mailbox's first message or a process's first session needs is not counted.
    mailbox.renew_users(run.target, USERS)
    for _ in range(2):
        send(1024)
    for label in ("1K", "16K"):
        for _ in run.repeat(label, 1):
            calls = count_calls(run.target, SMTP, lambda size=SIZES[label][0]: send(size))
            run.emit("smtp-strace", label, **call_figures(calls, messages))


class Memory:
    """Of the target's processes and of the kernel, compared with what it was."""

    def __init__(self, target):
        self.target = target
        self.pss, self.processes = target.memory(SMTP)
        self.kernel = kernel_memory()

    def figures(self, count):
        """What has been added since, for each of COUNT connections."""
        now, each = Memory(self.target), max(count, 1)
        kernel = now.kernel["kernel"] - self.kernel["kernel"]
        available = self.kernel["available"] - now.kernel["available"]
        return {"pss_kib_per_conn": round((now.pss - self.pss) / each, 1),
                "kernel_kib_per_conn": round(kernel / each, 1),
                "all_kib_per_conn": round((now.pss - self.pss + kernel) / each, 1),
                "avail_kib_per_conn": round(available / each, 1),
                "procs": now.processes - self.processes}


def per_second(held, load):
    return round(held.count / load["held_all"], 1) if load["held_all"] else 0


def idle_connections(run, case, count, is_tls, mails, before):
    target = run.target
    time.sleep(1)
    cpu = target.cpu(SMTP)
    held = run.hold("smtp_idle.ld", port=target.ports["smtp_scale"], slots=count, sessions=count,
                    ehlo=int(not is_tls), tls_rounds=int(is_tls), extra=["-a", "200"], idle=300,
                    users=run.users(USERS), permsg=mails)
    time.sleep(SETTLE_S if mails else 0.5)
    figures = before.figures(held.count)
    cpu = target.cpu(SMTP) - cpu
    load = held.release()
    run.emit("connscale", case, held=held.count, **load.failures(), **figures,
             accept_per_s=per_second(held, load),
             cpu_ms_per_conn=round(cpu * 1e3 / max(held.count, 1), 2),
             banner_p50_ms=load.ms("banner", "p50"), banner_p99_ms=load.ms("banner", "p99"))


def dripping_connections(run, case, count, before):
    """COUNT connections in the middle of DATA, which send a byte a second; banners meanwhile."""
    target = run.target
    held = run.hold("smtp_drip.ld", port=target.ports["smtp_scale"], slots=count, sessions=count,
                    extra=["-a", "200"], idle=300, users=run.users(USERS), seconds=DRIP_S)
    held.go()
    time.sleep(DRIP_S / 2)
    figures = before.figures(held.count)
    others = run.load("smtp_quit.ld", port=target.ports["smtp_scale"], slots=1, sessions=100)
    load = held.end()
    run.emit("connscale", case, held=held.count, **load.failures(), **figures,
             banner_p50_ms=others.ms("banner", "p50"), banner_p99_ms=others.ms("banner", "p99"),
             banners_failed=others["failed"])


def connscale(run):
    """1,000 and 5,000 connections, idle and in DATA; connections and handshakes per second"""
    before = Memory(run.target)
    mailbox.renew_users(run.target, USERS)
    for count in (1000,) if run.is_quick else (1000, 5000):
        for mails in (0, 1):
            for is_tls in (False, True):
                case = (f"{count} idle {'tls' if is_tls else 'plain'}"
                        f"{' after a message' if mails else ''}")
                for _ in run.repeat(case, min(run.reps, 2) if count == 1000 else 1):
                    idle_connections(run, case, count, is_tls, mails, before)
        case = f"{count} in DATA"
        for _ in run.repeat(case, 1):
            dripping_connections(run, case, count, before)
    for case, script, count in (("connect+quit rate c=20", "smtp_quit.ld", 3000),
                                ("tls handshakes c=20", "smtp_tls.ld", 1500)):
        for _ in run.repeat(case):
            with Meter(run.target, SMTP) as meter:
                load = run.load(script, port=run.target.ports["smtp"], slots=20, sessions=count)
            run.emit("connscale", case, per_s=load.per_second(load["sessions"]),
                     cpu_ms_per_conn=round(meter.cpu * 1e3 / count, 2), psi=meter.psi,
                     **load.failures())


def burst(run):
    """1,000 connections at once to a server that was just started"""
    case, count = "cold burst of 1000", 1000
    for _ in run.repeat(case):
        restart_smtp(run)
        held = run.hold("smtp_idle.ld", port=run.target.ports["smtp_scale"], slots=count,
                        sessions=count, ehlo=0, tls_rounds=0, permsg=0, idle=300)
        load = held.release()
        run.emit("burst", case, held=held.count, **load.failures(),
                 banners_per_s=per_second(held, load), banner_p50_ms=load.ms("banner", "p50"),
                 banner_p99_ms=load.ms("banner", "p99"))


def restart_smtp(run, seconds=20):
    """Stops and starts; returns when there is a banner."""
    target = run.target
    target.run("smtp_stop")
    deadline = time.monotonic() + seconds
    while target.tree(SMTP) and time.monotonic() < deadline:
        time.sleep(0.05)
    target.run("smtp_start")
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((target.host, target.ports["smtp"]), 5) as sock:
                if sock.recv(10):
                    break
        except OSError:
            time.sleep(0.01)
    time.sleep(1)


class SlowMailboxes:
    """The target, started with a library that makes each sync of a mailbox's file slow."""

    def __init__(self, run):
        self.run = run
        self.main_cf = pathlib.Path(run.target["main_cf"])
        self.text = self.main_cf.read_text(encoding="ascii")

    def __enter__(self):
        library = self.run.tools / "slowsync.so"
        self.main_cf.write_text(
            self.text + "import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C "
            f"LD_PRELOAD={library} SLOWSYNC={SLOW_SYNC_MS}:{self.run.target['mail_owner'][0]}\n",
            encoding="ascii")
        restart_smtp(self.run)

    def __exit__(self, *exc):
        self.main_cf.write_text(self.text, encoding="ascii")
        restart_smtp(self.run)


def slow_sync(run):
    """mail into mailboxes whose disk takes 200 ms to sync"""
    with SlowMailboxes(run):
        for slots, total in ((20, 200), (200, 1000)):
            case = f"1K c={slots} 10/conn plain, {SLOW_SYNC_MS} ms per sync"
            for _ in run.repeat(case):
                measure(run, case, 1024, slots, total, 10, False, bench="slow-sync")
