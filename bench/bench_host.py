# SPDX-License-Identifier: BSD-2-Clause
"""The machine's own limits, authentication, tables, and starting."""

import glob
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import bench_mailbox as mailbox
from bench_target import BOTH, Meter

LIMITS = [
    ("create+fsync+rename 4K x1", "fsync {dir} 1 2 4096"),
    ("create+fsync+rename 4K x20", "fsync {dir} 20 2 4096"),
    ("create+fsync+rename 16K x20", "fsync {dir} 20 2 17000"),
    ("create+fsync+rename 1M x20", "fsync {dir} 20 2 1048576"),
    ("append+fdatasync 4K x1", "append {dir} 1 2 4096"),
    ("append+fdatasync 4K x20", "append {dir} 20 2 4096"),
    ("accept", "accept 2"),
    ("echo", "echo 2"),
    ("fork", "fork 2"),
    ("tls rsa2048", "tls {cert} {key} 2"),
    ("parse 1K", "parse 1024 1"),
    ("parse 16K", "parse 16384 1"),
    ("hash", "hash 1"),
    ("scan 10000 files", "scan {dir}/scan/cur"),
]


def limits(run):
    """the machine itself, to run beside every session"""
    target = run.target
    directory = tempfile.mkdtemp(prefix="bench-limits-",
                                 dir=os.path.dirname(target.maildir("x").rstrip("/")))
    if run.wants("scan"):
        mailbox.fill(target, directory + "/scan", 10000)
    for case, command in LIMITS:
        for _ in run.repeat(case):
            args = command.format(dir=directory, cert=target["cert"], key=target["key"]).split()
            done = subprocess.run([str(run.tools / "limits"), *args], capture_output=True,
                                  text=True, timeout=120, check=True)
            run.emit("limits", case, **json.loads(done.stdout))
    shutil.rmtree(directory)


AUTH_SESSIONS = {"plain": 1000, "s512": 300, "bcrypt": 200, "bcrypt10": 60, "argon": 60}


def auth(run):
    """SASL PLAIN by password scheme, over SMTP and IMAP"""
    for scheme, users in run.target["auth_users"].items():
        for protocol, script, port in (("smtp", "smtp_auth.ld", "submission"),
                                       ("imap", "imap_auth.ld", "imap")):
            case = f"{protocol} {scheme}"
            for _ in run.repeat(case):
                with Meter(run.target, BOTH) as meter:
                    load = run.load(script, port=run.target.ports[port], slots=20,
                                    sessions=AUTH_SESSIONS[scheme], users=users)
                run.emit("auth", case, per_s=load.per_second(load["sessions"]),
                         p50_ms=load.ms("auth", "p50"),
                         cpu_ms_per_auth=round(meter.cpu * 1e3 / max(1, load["sessions"]), 2),
                         psi=meter.psi, cpu_by=meter.cpu_by, **load.failures())


QUERIES = 200000


def timed(*args, **kwargs):
    """Seconds, and the CompletedProcess."""
    start = time.time()
    done = subprocess.run(*args, capture_output=True, text=True, timeout=900, **kwargs)
    return time.time() - start, done


def write_table(path, entries):
    """Returns random keys of it, a line each."""
    with open(path, "w", encoding="ascii") as f:
        for i in range(entries):
            domain = f"domain{i % 1000}"
            f.write(f"user{i}@{domain}.example mailbox/{domain}/user{i}/\n")
    chosen = random.Random(1)
    keys = (chosen.randrange(entries) for _ in range(QUERIES))
    return "".join(f"user{i}@domain{i % 1000}.example\n" for i in keys)


def table(run):
    """postmap: building and querying a large table"""
    directory = tempfile.mkdtemp(prefix="bench-table-")
    entries = 100000 if run.is_quick else 1000000
    path = directory + "/map"
    keys = write_table(path, entries)
    postmap = shlex.split(run.target.commands["postmap"])
    for kind in filter(run.wants, ("hash", "lmdb", "cdb")):
        for _ in range(run.reps):
            for name in glob.glob(path + ".*"):
                os.unlink(name)
            seconds, done = timed([*postmap, f"{kind}:{path}"])
            files = glob.glob(path + ".*")
            run.emit("table", f"{kind} build {entries}", seconds=round(seconds, 2),
                     rc=done.returncode, error=done.stderr[:150],
                     bytes=os.path.getsize(files[0]) if files else 0)
            if done.returncode:
                break
            seconds, done = timed([*postmap, "-q", "-", f"{kind}:{path}"], input=keys)
            run.emit("table", f"{kind} query {QUERIES} random", per_s=round(QUERIES / seconds),
                     found=done.stdout.count("\n"))
    shutil.rmtree(directory)


def banner_seconds(target, since, port, limit=60):
    """From SINCE to the first octet of a greeting; -1: none came."""
    while time.time() - since < limit:
        try:
            with socket.create_connection((target.host, port), 5) as sock:
                sock.settimeout(10)
                if sock.recv(10):
                    return time.time() - since
        except OSError:
            time.sleep(0.002)
    return -1


def stop(target, role):
    roots = target.roots((role,))
    if target.commands.get(role + "_stop"):
        target.run(role + "_stop")
    else:
        for pid in roots:
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while target.tree((role,)) and time.monotonic() < deadline:
        time.sleep(0.05)


def restart(run, role, port):
    target = run.target
    stop(target, role)
    start = time.time()
    command = threading.Thread(target=target.run, args=(role + "_start",))
    command.start()
    first = banner_seconds(target, start, port)
    command.join()
    start_seconds = time.time() - start
    time.sleep(1.5)
    start = time.time()
    target.run(role + "_reload")
    reload_seconds = time.time() - start
    after_reload = banner_seconds(target, start, port)
    pss, processes = target.memory((role,))
    run.emit("startup", role, first_banner_s=round(first, 4),
             start_cmd_s=round(start_seconds, 3), reload_cmd_s=round(reload_seconds, 3),
             reload_banner_s=round(after_reload, 4), idle_pss_kib=pss, procs=processes)


def startup(run):
    """start to first greeting; reload; memory of the idle suite"""
    # Where there is no IMAP yet, POP3 stands for the side of the mailboxes.
    mailboxes = "imap" if "imap" in run.target.ports else "pop3"
    for role, port in (("smtp", "smtp"), ("imap", mailboxes)):
        for _ in run.repeat(role):
            restart(run, role, run.target.ports[port])
            time.sleep(1)
