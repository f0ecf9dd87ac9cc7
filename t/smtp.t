#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client's transactions: envelopes, messages by DATA and BDAT, and what becomes of a recipient
for every reply that a server can give; by SMTP and LMTP."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap
import smtp_cases
from instance import DOMAIN, Instance, wait_until

def check_case(mail, case, queue_id):
    for rcpt, want in zip(case.rcpts, case.want):
        got, relay = smtp_cases.outcome(mail, queue_id, case, rcpt)
        tap.ok(re.fullmatch(want, got), f"{case.name}: {rcpt}", f"{got}\nwanted {want}")
        tap.equal(relay, f"127.0.0.1[127.0.0.1]:{case.server.port}", f"{case.name}: relay=")
    if case.sent is not None:
        case.server.wait(lambda s: s.sessions[0].closed.is_set())
        lines = case.server.sessions[0].lines
        tap.ok(len(lines) == len(case.sent) and all(map(re.fullmatch, case.sent, lines)),
               f"{case.name}: what was said", "\n".join(lines))


def test_cases(mail, cases):
    ids = [smtp_cases.submit(mail, case) for case in cases]
    for case, queue_id in zip(cases, ids):
        check_case(mail, case, queue_id)


def test_message(cases):
    """Byte for byte the message, dots doubled for DATA alone; the same for both ways."""
    by_name = {case.name: case.server for case in cases}
    plain, chunked = by_name["plain"].messages[0], by_name["chunked"].messages[0]
    tap.ok(plain.endswith(b"\r\n\r\n..dot\r\nhello\r\n"), "DATA: dots are doubled", repr(plain))
    tap.ok(chunked.endswith(b"\r\n\r\n.dot\r\nhello\r\n"), "BDAT: they are not", repr(chunked))
    tap.ok(plain.startswith(b"Received: from "), "with a Received header")
    tap.equal(by_name["one-of-two"].messages[0].count(b"hello"), 1, "one copy for all recipients")
    tap.equal(by_name["none-of-two"].messages, [b""], "nobody accepted: the dot alone")
    tap.equal(by_name["lost-at-data"].messages, [], "no message without DATA")


def test_reports(mail):
    """What DSN servers report is theirs to report; what others took is reported by us."""
    wait_until(lambda: len(mail.log().split("sender delivery status notification")) > 1, "a report")
    found = re.findall(r"(\w+): sender delivery status notification", mail.log())
    own = re.search(r"(\w+): to=<a@no-reports\.test>", mail.log())[1]
    tap.equal(found, [own], "one report, for the server without DSN")


def test_configuration():
    """A relay that leads back here is a mistake in main.cf, for which no mail is returned."""
    main = {"virtual_mailbox_domains": ""}
    for name, more in (("relayhost", {"relayhost": "[127.0.0.1]"}),
                       ("smtp_fallback_relay", {"relayhost": "[127.0.0.1]:1",
                                                "smtp_fallback_relay": "[127.0.0.1]"}),
                       (None, {"transport_maps": "static:smtp:[127.0.0.1]"})):
        with Instance({**main, **more}, "smtp unix - - n - - smtp\n") as mail:
            mail.command("sendmail", "-f", "", "bob@example.test", input="Subject: x\n\nx\n")
            found = mail.wait_for_log(r"to=<bob@example\.test>.* dsn=(\S+), status=(\w+) (.*)$")
            # What is only out of reach is worth another try anyway.
            wanted = {"relayhost": ("4.3.5", "deferred"),
                      "smtp_fallback_relay": ("4.4.1", "deferred"), None: ("5.4.6", "bounced")}[name]
            tap.equal(found.groups()[:2], wanted, f"{name}: a loop")
            tap.equal(re.findall(r"warning: (\w+) configuration problem", mail.log()),
                      [name] if wanted[0] == "4.3.5" else [], f"{name}: the warning")


def main():
    test_configuration()
    cases = smtp_cases.make()
    with Instance(smtp_cases.main_cf(cases),
                  "smtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n") as mail:
        test_cases(mail, cases)
        test_message(cases)
        test_reports(mail)


def test_no_agent():
    """An agent whose configuration is wrong never comes up: its mail is deferred, not forgotten."""
    with Instance({"transport_maps": f"inline:{{{DOMAIN}=broken:[127.0.0.1]:1}}", "qmgr_ipc_timeout": "2s",
                   "virtual_mailbox_maps": "", "smtp_sasl_password_maps": ""},
                  "broken unix - - n - - smtp\n  -o smtp_sasl_auth_enable=yes\n") as mail:
        mail.send("x")
        mail.wait_for_log(r"postfix/smtp\[\d+\]: fatal: ")
        mail.wait_for_log(r"to=<bob@example\.test>, relay=none, .*dsn=4\.3\.0, status=deferred "
                          r"\(mail transport unavailable\)")
        tap.ok(True, "no agent: the mail is deferred")
        tap.unlike(mail.log(), "died twice", "no agent: the message is no suspect")


tap.run(main, test_no_agent)
