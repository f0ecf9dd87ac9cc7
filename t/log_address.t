#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""info_log_address_format: addresses in the log with their quotes, and without."""

import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance                                       # noqa: E402
import tap                                            # noqa: E402

MAIN = {
    "mydestination": "", "mynetworks": "127.0.0.0/8", "default_transport": "retry:later",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "header_checks": "regexp:{{/^X-Info/ INFO it}}", "virtual_alias_domains": "al.test",
    "virtual_alias_maps": 'inline:{ {@al.test="s t"@t.test} }',
    "smtpd_recipient_restrictions": "check_recipient_access inline:{no@x.test=REJECT}",
}


def run(form, a, o, s):
    with instance.Instance({**MAIN, "info_log_address_format": form}) as mail:
        with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=60) as smtp:
            smtp.ehlo("c.test")
            for line in ('MAIL FROM:<"a b"@t.test>', "RCPT TO:<no@x.test>", 'RCPT TO:<"o p"@al.test>',
                         "DATA"):
                smtp.docmd(line)
            smtp.send(b"Subject: x\r\nX-Info: y\r\n\r\nx\r\n.\r\n")
            smtp.getreply()
        instance.wait_until(lambda: "status=deferred" in mail.log(), "the delivery")
        log = mail.log()
    for name, pattern in (
            ("smtpd", f"reject: RCPT .*; from=<{a}> to=<no@x.test> "),
            ("cleanup", f"info: header X-Info: y from .*; from=<{a}> to=<{o}> "),
            ("qmgr", f": from=<{a}>, size="),
            ("error", f": to=<{s}>, orig_to=<{o}>, relay=")):
        tap.like(log, rf"postfix/{name}\[\d+\]: .*{pattern}", f"{form}: {name}")


def main():
    run("internal", "a b@t.test", "o p@al.test", "s t@t.test")
    run("external", '"a b"@t.test', '"o p"@al.test', '"s t"@t.test')


tap.run(main)
