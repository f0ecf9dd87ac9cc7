#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""stress: once all sessions of a service were taken while clients waited, its new sessions live by
${stress?...}, and the others as before."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402


def test_stress():
    patient = Dialogue(busy_port)
    tap.equal([patient.ask("FOO")[:3] for _ in range(3)], ["500"] * 3, "an error is forgiven before")
    other = Dialogue(busy_port)
    waiting = Dialogue(busy_port, greeting=False)
    tap.ok(waiting.quiet(), "a third client waits")
    the_mail.wait_for_log('warning: service ".*" .* has reached its process limit "2"')
    other.close()
    tap.like("\n".join(waiting.reply()), "^220 ", "who waited is served")
    tap.like(waiting.ask("EHLO x"), "^250.*PIPELINING", "EHLO under stress")
    tap.equal(waiting.ask("FOO"), "500 5.5.2 Error: command not recognized", "the first error")
    tap.equal(waiting.rest(), ["421 4.7.0 mail.example.test Error: too many errors"], "is the last")
    waiting.close()
    with Dialogue(busy_port) as d:
        d.ask("EHLO x")
        tap.equal(d.rest(), ["421 4.4.2 mail.example.test Error: timeout exceeded"],
                  "smtpd_timeout under stress")
    tap.equal(patient.ask("FOO")[:3], "500", "the session from before goes on as it was")
    patient.close()


def test_always():
    with Dialogue(always_port) as d:
        d.ask("EHLO x")
        d.ask("FOO")
        tap.equal(d.rest(), ["421 4.7.0 mail.example.test Error: too many errors"], "-o stress=yes")


def test_halves():
    """One of two processes is full while the other has room: nobody has to live by stress."""
    def come_and_go(until):
        while time.monotonic() < until:
            with Dialogue(halves_port) as d:
                d.ask("QUIT")
    # The one that began has room for one more.
    held = [Dialogue(halves_port) for _ in range(19)]
    instance.wait_until(lambda: len(the_mail.pids("smtpd")) > 3, "another process")
    time.sleep(2.2)  # a process that fills while others begin is no sign
    until = time.monotonic() + 2.5
    threads = [threading.Thread(target=come_and_go, args=(until,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tap.unlike(the_mail.log(), f"{halves_port}.*has reached its process limit", "half full is not full")
    for d in held:
        d.close()


busy_port, always_port, halves_port = instance.free_ports(3)
MASTER = (f"127.0.0.1:{busy_port} inet n - n - 2 smtpd\n"
          "  -o { smtpd_timeout = ${stress?{1}:{300}}s }\n"
          f"127.0.0.1:{always_port} inet n - n - - smtpd -o stress=yes\n"
          f"127.0.0.1:{halves_port} inet n - n - 40 smtpd\n")
with instance.Instance(master=MASTER, main={"smtpd_error_sleep_time": "0", "postcote_smtpd_processes": "2"}) as the_mail:
    tap.run(test_stress, test_always, test_halves)
