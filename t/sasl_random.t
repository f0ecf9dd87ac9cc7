#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Behind its walls Cyrus SASL still gets at the kernel's random numbers: without them its challenges
would come of the time and the process number, and could be foretold."""

import os
import re
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import inject  # noqa: E402
import tap  # noqa: E402
from instance import Instance  # noqa: E402

SMTPD_CONF = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: CRAM-MD5 SCRAM-SHA-256\n"
MAIN = {"smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "no"}


def opened_during(mail, program, work):
    """Results of opening /dev/urandom in PROGRAM's processes while WORK is done."""
    output = mail.path("strace")
    with inject.Inject(mail.pids(program), "openat", "delay_enter=1", output):
        work()
    with open(output, encoding="ascii", errors="replace") as f:
        return re.findall(r'openat\(.*"/dev/urandom".*\) = (-?\d+)', f.read())


def begin(mail, mechanism):
    with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=60) as smtp:
        smtp.ehlo()
        code, challenge = smtp.docmd("AUTH " + mechanism)
        tap.equal(code, 334, f"{mechanism} begins")
        smtp.docmd("*")
        return challenge


def check(mail, program):
    seen = opened_during(mail, program, lambda: begin(mail, "CRAM-MD5"))
    tap.ok(seen and not any(fd.startswith("-") for fd in seen),
           f"{program}: the library has /dev/urandom", seen)
    challenges = {begin(mail, "CRAM-MD5") for _ in range(5)}
    tap.equal(len(challenges), 5, f"{program}: no challenge comes twice")


def cyrus(mail):
    """smtpd asks the library itself; nobody's password is stored."""
    os.mkdir(mail.path("sasl"))
    with open(mail.path("sasl/smtpd.conf"), "w", encoding="utf-8") as f:
        f.write(SMTPD_CONF + f"sasldb_path: {mail.path('sasl/sasldb2')}\n")
    mail.own(mail.path("sasl"))
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write(f"smtpd_sasl_type = cyrus\ncyrus_sasl_config_path = {mail.path('sasl')}\n")


def main():
    inject.find()
    with Instance(main=MAIN, dovecot="auth_mechanisms = plain cram-md5\n") as mail:
        check(mail, "authd")
    mail = Instance(main=MAIN)
    cyrus(mail)
    with mail:
        check(mail, "smtpd")
    tap.done()


main()
