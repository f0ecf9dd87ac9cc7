#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A private instance: one user for all processes, which is said; the other walls stand."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap
from instance import Instance

DAEMONS = ("smtpd", "qmgr", "virtual", "pickup", "bounce", "authd", "pop3", "pop3-login")


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)


def test_says_so(mail):
    for master in ("postfix/master", "master: Info"):
        tap.like(mail.log(), rf"{master}.*: not started by root: all processes run as \S+, "
                 "which is one wall less$", f"{master} says what is missing")
    said = mail.command("postfix", "check", "-v")
    text = said.stdout + said.stderr
    tap.like(text, r"walls: forbidden system calls \(seccomp\): yes", "check -v: seccomp")
    if os.geteuid() != 0:
        tap.like(text, r"walls: processes under their own users: no", "check -v: users")


def test_walls(mail):
    mail.send("hello")
    mail.wait_for_mail("bob")
    pop = mail.pop3s("bob")
    for program in DAEMONS:
        pids = mail.pids(program)
        tap.ok(pids, f"{program} runs")
        for pid in pids:
            st = status(pid)
            uids = set(st["Uid"].split())
            tap.ok(len(uids) == 1 and "0" not in uids, f"{program} runs as one user", st["Uid"])
            tap.equal((st["NoNewPrivs"].strip(), st["Seccomp"].strip()), ("1", "2"),
                      f"{program}: no new privileges, seccomp")
            tap.equal(os.stat(f"/proc/{pid}/fd").st_uid, 0, f"{program}: not dumpable")
    pop.quit()


with Instance() as instance:
    tap.run(lambda: test_says_so(instance), lambda: test_walls(instance))
