# SPDX-License-Identifier: BSD-2-Clause
"""Mail that comes in, and connections that are idle."""

import time

import bench_mailbox as mailbox
from bench_target import BOTH, SMTP, Meter, call_figures, count_calls, kernel_memory

USERS = 100
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


def measure(run, case, size, slots, total, per_session, is_tls, domain=None, roles=SMTP):
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
    run.emit("smtp-in", case, accepted=accepted, delivered=delivered, **load.failures(),
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


def idle_connections(run, case, count, is_tls, start):
    """START: memory before any connection."""
    target = run.target
    time.sleep(1)
    cpu = target.cpu(SMTP)
    held = run.hold("smtp_idle.ld", port=target.ports["smtp_scale"], slots=count, sessions=count,
                    ehlo=int(not is_tls), tls_rounds=int(is_tls), extra=["-a", "200"], idle=300)
    time.sleep(0.5)
    pss, processes = target.memory(SMTP)
    kernel, each = kernel_memory(), max(held.count, 1)
    cpu = target.cpu(SMTP) - cpu
    load = held.release()
    before_pss, before_processes, before_kernel = start
    run.emit("connscale", case, held=held.count, **load.failures(),
             pss_kib_per_conn=round((pss - before_pss) / each, 1),
             procs=processes - before_processes,
             kernel_kib_per_conn=round((kernel["kernel"] - before_kernel["kernel"]) / each, 1),
             avail_kib_per_conn=round(
                 (before_kernel["available"] - kernel["available"]) / each, 1),
             accept_per_s=round(held.count / load["held_all"], 1) if load["held_all"] else 0,
             cpu_ms_per_conn=round(cpu * 1e3 / each, 2),
             banner_p50_ms=load.ms("banner", "p50"), banner_p99_ms=load.ms("banner", "p99"))


def connscale(run):
    """1,000 and 5,000 idle connections; connections and handshakes per second"""
    start = (*run.target.memory(SMTP), kernel_memory())
    for count in (1000,) if run.is_quick else (1000, 5000):
        for is_tls in (False, True):
            case = f"{count} idle {'tls' if is_tls else 'plain'}"
            for _ in run.repeat(case, min(run.reps, 2) if count == 1000 else 1):
                idle_connections(run, case, count, is_tls, start)
    for case, script, count in (("connect+quit rate c=20", "smtp_quit.ld", 3000),
                                ("tls handshakes c=20", "smtp_tls.ld", 1500)):
        for _ in run.repeat(case):
            with Meter(run.target, SMTP) as meter:
                load = run.load(script, port=run.target.ports["smtp"], slots=20, sessions=count)
            run.emit("connscale", case, per_s=load.per_second(load["sessions"]),
                     cpu_ms_per_conn=round(meter.cpu * 1e3 / count, 2), psi=meter.psi,
                     **load.failures())
