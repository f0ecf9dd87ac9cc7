#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of a refusal's text: smtpd_reject_filter_maps, smtpd_reject_footer_maps and
smtpd_reject_footer."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

FILTER = r"""
/^500 5\.5\.2 Error: command not recognized/ 550 5.5.1 what?
/^503 5\.5\.1 Error: need MAIL/ 450 no code
/^503 5\.5\.1 Error: need RCPT/ 250 2.0.0 no refusal
/^501 5\.5\.4 Syntax: MAIL/ 550
/^501 Syntax: HELO/ nonsense
/^250/ 550 5.0.0 never asked
"""
FOOTERS = r"""
/^454 4\.7\.1 <x@other\.test>/ \c; call $$client_address about $$sender
/^554 5\.7\.1 <x@other\.test>/ \c; call $$client_address about $$sender
/^450 no code/ one\ntwo $$sender $$helo_name.
/^500 / what the filter has replaced
/^250/ never asked
"""
USUAL = r"\c (see $server_name)"
RELAY = "5.7.1 <x@other.test>: Relay access denied"
# What is sent, and the replies: without tables, with footers, with a filter, with both.
STEPS = (
    ("RCPT TO:<a@b.test>",
     "503 5.5.1 Error: need MAIL command",
     "503 5.5.1 Error: need MAIL command (see mx.example)",
     "450 no code",
     "450-no code\n450-one\n450 two  client.test."),
    ("FOO",
     "500 5.5.2 Error: command not recognized",
     "500-5.5.2 Error: command not recognized\n500 5.5.2 what the filter has replaced",
     "550 5.5.1 what?",
     "550 5.5.1 what? (see mx.example)"),
    ("MAIL nothing", *["501 5.5.4 Syntax: MAIL FROM:<address>",
                       "501 5.5.4 Syntax: MAIL FROM:<address> (see mx.example)"] * 2),
    ("HELO", *["501 Syntax: HELO hostname", "501 Syntax: HELO hostname (see mx.example)"] * 2),
    ("DATA", *["503 5.5.1 Error: need RCPT command",
               "503 5.5.1 Error: need RCPT command (see mx.example)"] * 2),
    ("MAIL FROM:<a@far.test>", *["250 2.1.0 Ok"] * 4),
    ("RCPT TO:<x@other.test>", *[f"554 {RELAY}", f"554 {RELAY}; call 127.0.0.1 about a@far.test"] * 2),
    ("NOOP", *["250 2.0.0 Ok"] * 4),
)
WITHOUT, WITH_FOOTERS, WITH_FILTER, WITH_BOTH = range(1, 5)


def settings(mail, which, **more):
    """main.cf for one column of STEPS."""
    values = {"smtpd_reject_filter_maps": "", "smtpd_reject_footer_maps": "", "smtpd_reject_footer": "",
              "soft_bounce": "no"}
    if which in (WITH_FILTER, WITH_BOTH):
        values["smtpd_reject_filter_maps"] = "regexp:" + mail.path("filter")
    if which in (WITH_FOOTERS, WITH_BOTH):
        values["smtpd_reject_footer_maps"] = "regexp:" + mail.path("footers")
        values["smtpd_reject_footer"] = USUAL
    return {**values, **more}


def talk(mail, steps):
    with Dialogue(mail.smtp_port) as d:
        d.ask("EHLO client.test")
        return [d.ask(step) for step in steps]


def start(which, **more):
    mail = instance.Instance(main={"myhostname": "mx.example", "mynetworks": "10.0.0.0/8"})
    for name, text in (("filter", FILTER), ("footers", FOOTERS)):
        with open(mail.path(name), "w", encoding="ascii") as f:
            f.write(text.lstrip())
        mail.own(mail.path(name))
    for name, value in settings(mail, which, **more).items():
        mail.command("postconf", "-e", f"{name} = {value}")
    return mail


def check(which, what):
    with start(which) as mail:
        for step, got in zip(STEPS, talk(mail, [step[0] for step in STEPS])):
            tap.equal(got, step[which], f"{what}: {step[0]}")
        return mail.log()


def test_without():
    check(WITHOUT, "neither")


def test_footers():
    """A table's own footer comes instead of the usual one, and none to what is no refusal."""
    check(WITH_FOOTERS, "footers")


def test_filter():
    log = check(WITH_FILTER, "filter")
    tap.like(log, r"NOQUEUE: reply filter in: 500 5\.5\.2 Error: command not recognized$", "what it was")
    tap.like(log, r"NOQUEUE: reply filter out: 550 5\.5\.1 what\?$", "what it is")
    for result in ("250 2.0.0 no refusal", "550", "nonsense"):
        tap.like(log, rf"warning: NOQUEUE: ignoring invalid reject filter result: {result}$",
                 f"{result!r} is none")


def test_both():
    """Footers are looked up for what the filter has made of the reply."""
    check(WITH_BOTH, "both")


def test_soft():
    """They are asked for the replies as they are, and what comes out is softened."""
    with start(WITH_BOTH, soft_bounce="yes") as mail:
        got = talk(mail, ["FOO", "MAIL FROM:<a@far.test>", "RCPT TO:<x@other.test>"])
    tap.equal(got, ["450 4.5.1 what? (see mx.example)", "250 2.1.0 Ok",
                    "454 4.7.1 <x@other.test>: Relay access denied; call 127.0.0.1 about a@far.test"],
              "soft_bounce")


def test_broken():
    """A refusal stays what it was when a table cannot say."""
    with start(WITHOUT, smtpd_reject_filter_maps="fail:x", smtpd_reject_footer_maps="fail:x",
               smtpd_reject_footer=USUAL) as mail:
        got = talk(mail, ["FOO", "NOOP"])
        log = mail.log()
    tap.equal(got, ["500 5.5.2 Error: command not recognized (see mx.example)", "250 2.0.0 Ok"], "broken")
    tap.like(log, r"warning: fail:x lookup error for \"500 5\.5\.2 Error: command not recognized\"$", "so says the log")


tap.run(test_without, test_footers, test_filter, test_both, test_soft, test_broken)
