# SPDX-License-Identifier: BSD-2-Clause
"""Mail to a suite whose processes are hurt meanwhile, and whether what it acknowledged arrives.

Mail for "late" waits, since its transport has no agent, until finish().
"""

import re
import time

import instance
import tap
from smtp_dialogue import Dialogue


def main_cf(names, **more):
    """Mailboxes for NAMES, and short times."""
    boxes = " ".join(f"{{{name}@example.test = example.test/{name}/}}" for name in names)
    return {"transport_maps": "inline:{ {late@example.test = late:} }",
            "virtual_mailbox_maps": f"inline:{{ {boxes} }}",
            "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "queue_run_delay": "1s",
            "transport_retry_time": "1s", **more}


def send(mail, subject, recipients, **how):
    """The first reply that is no success, or the last one; HOW is for the Dialogue."""
    with Dialogue(mail.smtp_port, **how) as d:
        for line in ("EHLO client.example.net", "MAIL FROM:<alice@example.test>",
                     *(f"RCPT TO:<{name}@example.test>" for name in recipients),
                     "DATA", f"Subject: {subject}\r\n\r\n" + "x" * 2000 + "\r\n."):
            reply = d.ask(line)
            if not re.match("[23]", reply):
                break
    return reply


def finish(mail):
    """Returns when the queue is empty."""
    def is_empty():
        mail.command("postsuper", "-H", "ALL")  # what was there at many deaths is held
        mail.command("postqueue", "-f")
        time.sleep(0.2)
        return "Mail queue is empty" in mail.command("postqueue", "-p").stdout

    now = mail.command("postconf", "-hx", "transport_maps").stdout.strip()
    rest = now.replace("{late@example.test = late:}", "")
    mail.command("postconf", "-e", "transport_maps=" + (rest if "@" in rest else ""))
    tap.equal(mail.command("postfix", "reload").returncode, 0, "late gets its mail at last")
    try:
        instance.wait_until(is_empty, "an empty queue")
    except TimeoutError:
        tap.note(mail.command("postqueue", "-p").stdout)
        raise


def lost(mail, promised):
    """Those of PROMISED, which are (subject, mailbox, what happened meanwhile), that are not there."""
    boxes = {name: b"".join(mail.mails(name)) for name in {name for _, name, _ in promised}}
    return [p for p in promised if f"Subject: {p[0]}\n".encode() not in boxes[p[1]]]
