#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""stress: once all sessions of a service were taken while clients waited, its new sessions live by
${stress?...}, and the others as before."""

import os
import sys

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
    other.close()
    tap.like("\n".join(waiting.reply()), "^220 ", "who waited is served")
    the_mail.wait_for_log('warning: service ".*" .* has reached its process limit "2"')
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


busy_port, always_port = instance.free_ports(2)
MASTER = (f"127.0.0.1:{busy_port} inet n - n - 2 smtpd\n"
          "  -o { smtpd_timeout = ${stress?{1}:{300}}s }\n"
          f"127.0.0.1:{always_port} inet n - n - - smtpd -o stress=yes\n")
with instance.Instance(master=MASTER, main={"smtpd_error_sleep_time": "0"}) as the_mail:
    tap.run(test_stress, test_always)
