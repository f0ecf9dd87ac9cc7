# SPDX-License-Identifier: BSD-2-Clause
"""Deliveries whose outcomes a table changes, for tests of ours alone and beside a real Postfix's."""

import re
import smtplib

from instance import wait_until
from smtp_server import Server

FILTER = r"""
/perm one/ 4.7.7 now temporary
/temp one/ 5.7.8 now permanent
/perm two/ 2.0.0 now ok
/perm three/ 5.9.9
/perm four/ now without code
/perm five/ 7.7.7 bad code
/perm six/ 5.1.1   blanks and 5.1.2 more
/^([0-9.]+) .*queued as (.*)$/ 2.6.7 gone as $2 ($1)
/temp two/ 4.2.2
/delivered to maildir/ 2.7.1 is in its box
"""
REPLIES = {
    "ok": "250 2.1.5 Ok", "p1": "550 5.1.1 perm one", "p2": "550 5.1.1 perm two",
    "p3": "550 5.1.1 perm three", "p4": "550 5.1.1 perm four", "p5": "550 5.1.1 perm five",
    "p6": "550 5.1.1 perm six", "t1": "450 4.2.1 temp one", "t2": "450 4.2.1 temp two",
    "n1": "550 no code",
}
TRANSPORTS = {
    "changed": "smtp_delivery_status_filter=regexp:@",
    "default": "default_delivery_status_filter=regexp:@",
    "soft": "default_delivery_status_filter=regexp:@\n  -o soft_bounce=yes",
    "failing": "smtp_delivery_status_filter=fail:x",
}


class Side:
    def __init__(self, table):
        """TABLE: the path of the file with FILTER, for the client."""
        script = {f"RCPT TO:<{name}@": reply for name, reply in REPLIES.items()}
        self.server = Server(script)
        to = f"[127.0.0.1]:{self.server.port}"
        maps = " ".join(f"{name}.test={name}:{to}" for name in TRANSPORTS)
        self.main = {
            "myhostname": "mail.example.com", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "",
            "smtpd_sender_restrictions": "", "smtpd_recipient_restrictions": "",
            "virtual_mailbox_domains": "box.test", "virtual_mailbox_maps": "inline:{u@box.test=u/}",
            "virtual_delivery_status_filter": f"regexp:{table}",
            "transport_maps": f"inline:{{ sender.test=retry:later {maps} }}"}
        self.master = "".join(f"{name} unix - - n - - smtp\n  -o {value.replace('@', table)}\n"
                              for name, value in TRANSPORTS.items())

    def run(self, mail):
        """(address) to what was logged of it."""
        rcpts = [f"{name}@{domain}.test" for domain in TRANSPORTS for name in REPLIES]
        rcpts.append("u@box.test")
        with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=60) as smtp:
            smtp.sendmail("s@sender.test", rcpts, b"Subject: x\r\n\r\nx\r\n")
        return {rcpt: self.outcome(mail, rcpt) for rcpt in rcpts}

    def outcome(self, mail, rcpt):
        found = wait_until(lambda: re.search(
            rf"to=<{re.escape(rcpt)}>, .*(dsn=.*)", mail.log()), rcpt)
        return found[1]


def warnings(mail):
    return sorted(set(re.findall(r"warning: (\w+_filter: .*)", mail.log())))
