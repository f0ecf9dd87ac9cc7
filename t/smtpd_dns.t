#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A name server that does not answer proves nothing of a client: in a network of its own, where
there is none."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
MAIN = {"unknown_client_reject_code": "550", "smtpd_peername_lookup": "yes", "mynetworks": "192.0.2.0/24",
        "postcote_dns_timeout": "5s", "smtpd_recipient_restrictions": ""}
TEXT = "Client host rejected: cannot find your {}hostname, [127.0.0.9]"


def test(restriction, want):
    main = {**MAIN, "smtpd_client_restrictions": restriction}
    with instance.Instance(main=main) as mail, Dialogue(mail.smtp_port, client="127.0.0.9") as d:
        d.ask("EHLO x")
        d.ask("MAIL FROM:<a@b.test>")
        tap.equal(d.ask(f"RCPT TO:<bob@{instance.DOMAIN}>"), want, restriction)


if not os.environ.get("PC_ALONE"):
    if subprocess.run([*ALONE, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        tap.skip_all("no network of its own here")
    os.environ["PC_ALONE"] = "yes"
    os.execvp(ALONE[0], [*ALONE, sys.executable, os.path.abspath(sys.argv[0])])
tap.run(lambda: test("reject_unknown_client_hostname", "450 4.7.25 " + TEXT.format("")),
        lambda: test("reject_unknown_reverse_client_hostname", "450 4.7.1 " + TEXT.format("reverse ")))
