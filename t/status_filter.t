#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""smtp_delivery_status_filter and its sisters."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance                                       # noqa: E402
import status_filter_cases as cases                   # noqa: E402
import tap                                            # noqa: E402


def said(reply):
    return f"(host 127.0.0.1[127.0.0.1] said: {reply} (in reply to RCPT TO command))"


CHANGED = {
    "ok": "dsn=2.6.7, status=sent (gone as TEST (2.0.0))",
    "p1": "dsn=4.7.7, status=deferred (now temporary)",
    "p2": "dsn=5.1.1, status=bounced " + said("550 5.1.1 perm two"),
    "p3": "dsn=5.9.9, status=bounced " + said("550 5.1.1 perm three"),
    "p4": "dsn=5.1.1, status=bounced " + said("550 5.1.1 perm four"),
    "p5": "dsn=5.1.1, status=bounced " + said("550 5.1.1 perm five"),
    "p6": "dsn=5.1.1, status=bounced (blanks and 5.1.2 more)",
    "t1": "dsn=5.7.8, status=bounced (now permanent)",
    "t2": "dsn=4.2.2, status=deferred " + said("450 4.2.1 temp two"),
    "n1": "dsn=5.0.0, status=bounced " + said("550 no code"),
}


def main():
    mail = instance.Instance()
    table = mail.path("filter")
    with open(table, "w", encoding="ascii") as f:
        f.write(cases.FILTER)
    side = cases.Side(table)
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="ascii") as f:
        f.writelines(f"{k} = {v}\n" for k, v in side.main.items())
    with open(mail.path("etc/postfix/master.cf"), "a", encoding="ascii") as f:
        f.write(side.master)
    mail.own(mail.dir)
    with mail:
        got = side.run(mail)
        warned = cases.warnings(mail)
    for domain in ("changed", "default"):
        for name, want in CHANGED.items():
            tap.equal(got[f"{name}@{domain}.test"], want, f"{domain}: {name}")
    tap.equal(got["t1@soft.test"], "dsn=4.7.8, status=SOFTBOUNCE (now permanent)",
              "soft_bounce is for what the filter made")
    tap.equal(got["t1@failing.test"], "dsn=4.2.1, status=deferred " + said("450 4.2.1 temp one"),
              "a table that fails changes nothing")
    tap.equal(got["u@box.test"], "dsn=2.7.1, status=sent (is in its box)", "virtual")
    tap.ok("smtp_delivery_status_filter: bad status code: 2.0.0 now ok" in warned,
           "a failure is no success")


tap.run(main)
