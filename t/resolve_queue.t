#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Mail that waits follows edited tables at its next attempt; a sender who was told of a delay is told
when it is over (confirm_delay_cleared)."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402

BOXES = ("alice@example.test", "bob@example.test", "x@text.test", "x@lmdb.test", "y@text.test")
MAIN = {
    "virtual_mailbox_maps": "inline:{ %s }" % " ".join(f"{{{a} = example.test/{a.split('@')[0]}/}}" for a in BOXES),
    "transport_maps": "texthash:$config_directory/routes, lmdb:$config_directory/ways",
    "relocated_maps": "texthash:$config_directory/moved",
    "mydestination": "here.test", "local_recipient_maps": "", "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "delay_warning_time": "1s", "confirm_delay_cleared": "yes", "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s", "queue_run_delay": "1s",
}
TEXT = "text.test retry:4.4.1 later\nmoved.test retry:4.4.1 later\n"
LMDB = "lmdb.test retry:4.4.1 later\n"


def write(name, text):
    path = the_mail.path("etc/postfix", name)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    the_mail.own(path + ".new")
    os.rename(path + ".new", path)


def compile_table(name):
    done = the_mail.command("postmap", f"lmdb:{the_mail.path('etc/postfix', name)}")
    tap.equal((done.returncode, done.stderr), (0, ""), f"postmap {name}")


def send(to, notify=""):
    smtp = the_mail.smtp()
    smtp.ehlo("client.example.net")
    smtp.mail("alice@example.test")
    tap.equal(smtp.rcpt(to, [notify] if notify else [])[0], 250, f"{to} is taken")
    queue_id = smtp.data("Subject: s\r\n\r\nx\r\n")[1].split()[-1].decode()
    smtp.quit()
    return queue_id


def waits(queue_id):
    the_mail.wait_for_log(rf"{queue_id}: to=<.*dsn=4.4.1, status=deferred \(later\)$")


def sent(queue_id):
    the_mail.wait_for_log(rf"{queue_id}: to=<.*relay=virtual.*status=sent")
    the_mail.wait_for_log(rf"{queue_id}: removed$")


def test_text():
    told, untold = send("x@text.test"), send("y@text.test", "NOTIFY=FAILURE")
    waits(told)
    waits(untold)
    the_mail.wait_for_log(rf"{told}: sender delay notification: ")
    write("routes", TEXT.replace("retry:4.4.1 later\n", "virtual:\n", 1))
    sent(told)
    sent(untold)
    the_mail.wait_for_log(rf"{told}: sender delivery status notification: ")
    tap.unlike(the_mail.log(), rf"{untold}: sender", "who wanted to hear of no delay hears of no end")
    found = re.search(rf"{told}: sender delivery status notification: (\w+)", the_mail.log()).group(1)
    the_mail.wait_for_log(rf"{found}: removed$")
    notice = [m for m in the_mail.mails("alice") if f"id {found};".encode() in m][0].decode()
    tap.like(notice, r"^Subject: Successful Mail Delivery Report$", "it is over: the subject")
    tap.like(notice, r"^Action: delivered$", "it is over: the action")


def test_lmdb():
    queue_id = send("x@lmdb.test")
    waits(queue_id)
    write("ways", "lmdb.test virtual:\n")
    compile_table("ways")
    sent(queue_id)


def test_relocated():
    queue_id = send("z@moved.test")
    waits(queue_id)
    write("moved", "@moved.test the moon\n")
    the_mail.wait_for_log(rf"{queue_id}: to=<z@moved.test>.*dsn=5.1.6, status=bounced \(User has moved to the moon\)$")
    the_mail.wait_for_log(rf"{queue_id}: sender non-delivery notification: ")
    the_mail.wait_for_log(rf"{queue_id}: removed$")
    tap.ok(True, "a user who has moved meanwhile")


def test_nobody():
    """What is sent to double-bounce is delivered to nobody, and needs no local delivery."""
    queue_id = send("Double-Bounce@here.test")
    the_mail.wait_for_log(rf"{queue_id}: to=<Double-Bounce@here.test>, relay=none, .*dsn=2.0.0, status=sent "
                          r"\(undeliverable postmaster notification discarded\)$")
    the_mail.wait_for_log(rf"{queue_id}: removed$")
    tap.ok(True, "double-bounce")


the_mail = instance.Instance(main=MAIN)
write("routes", TEXT)
write("ways", LMDB)
write("moved", "# nobody\n")
compile_table("ways")
with the_mail:
    tap.run(test_text, test_lmdb, test_relocated, test_nobody)
