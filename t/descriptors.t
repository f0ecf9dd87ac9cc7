#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""More clients than descriptors (hostile input 100): those beyond wait, nothing spins or dies, mail is
refused for a time at worst, and all is well when they have gone."""

import os
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

FILES = 80
CLIENTS = 150  # for two smtpd processes
MESSAGE = ("EHLO x", "MAIL FROM:<alice@example.test>", "RCPT TO:<bob@example.test>", "DATA", "x\r\n.")


def cpu_ticks():
    total = 0
    for pid in the_mail.pids("smtpd"):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            total += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    return total


def greeted(sock):
    try:
        return sock.recv(100).startswith(b"220 ")
    except TimeoutError:
        return False


def test_exhaustion():
    clients = [socket.create_connection(("127.0.0.1", the_mail.smtp_port), 20) for _ in range(CLIENTS)]
    for sock in clients:
        sock.settimeout(0.5)
    served = [sock for sock in clients if greeted(sock)]
    tap.ok(0 < len(served) < CLIENTS, f"{len(served)} of {CLIENTS} are served, the others wait",
           "the limit was not reached")
    before = cpu_ticks()
    time.sleep(1)
    tap.ok(cpu_ticks() - before < 20, "nothing spins meanwhile", cpu_ticks() - before)
    for sock in clients:
        sock.close()
    with Dialogue(the_mail.smtp_port) as d:
        replies = [d.ask(line) for line in MESSAGE]
    tap.like(replies[-1], "^250 2.0.0 Ok: queued", "when they have gone mail is taken")
    the_mail.wait_for_mail("bob", 1)
    tap.unlike(the_mail.log(), "killed by signal|exit status|panic:|fatal:", "and nothing has died")


the_mail = instance.Instance()
try:
    done = the_mail.command("postcote", "start", "-c", the_mail.path("etc"), preexec_fn=lambda:
                            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)))
    tap.ok(done.returncode == 0, f"the suite starts with {FILES} descriptors", done.stderr)
    instance.wait_until(lambda: instance._listens(the_mail.smtp_port), "the port")
    tap.run(test_exhaustion)
finally:
    the_mail.close()
