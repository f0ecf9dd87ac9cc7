#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reports of success (RFC 3461) and notices of delays."""

import email
import email.policy
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402

# smtp:[127.0.0.1]:1 is a transport that nobody serves: mail for it waits.
MAIN = {"virtual_mailbox_maps": "inline:{ {alice@example.test = example.test/alice/} "
                                "{bob@example.test = example.test/bob/} "
                                "{slow@example.test = example.test/slow/} }",
        "virtual_alias_maps": "inline:{ {one@example.test = bob@example.test} "
                              "{all@example.test = bob@example.test, slow@example.test} }",
        "transport_maps": "inline:{ {late@example.test = late:} {slow@example.test = late:} }",
        "smtpd_reject_unlisted_recipient": "no", "delay_warning_time": "1s",
        "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}


def send(notify, to, *more):
    """By sendmail as alice; the queue id that qmgr logs for it."""
    known = set(re.findall(r"qmgr\[\d+\]: (\w+): from=<alice@example\.test>", the_mail.log()))
    done = the_mail.command("sendmail", "-f", "alice@example.test", "-N", notify, "-V", "QQ+314",
                            *more, *to, input="From: alice@example.test\nSubject: report\n\nHello.\n")
    tap.equal((done.returncode, done.stderr), (0, ""), f"sendmail -N {notify} {' '.join(to)}")

    def fresh():
        return set(re.findall(r"qmgr\[\d+\]: (\w+): from=<alice@example\.test>", the_mail.log())) - known
    instance.wait_until(fresh, "the queue id")
    return fresh().pop()


def notice(kind, queue_id):
    """The notice that the log says was made, as alice has it."""
    pattern = rf"bounce\[\d+\]: {queue_id}: {kind}: (\w+)$"
    the_mail.wait_for_log(pattern)
    notice_id = re.search(pattern, the_mail.log(), re.M).group(1)
    the_mail.wait_for_log(rf"{notice_id}: removed$")
    found = [m for m in the_mail.mails("alice") if f"\tid {notice_id};".encode() in m]
    tap.equal(len(found), 1, f"{queue_id}: alice has one {kind}")
    return email.message_from_bytes(found[0], policy=email.policy.default)


def group(message, number=1):
    fields = list(message.iter_parts())[1].get_payload()[number]
    return {name: fields[name] for name in ("Final-Recipient", "Action", "Status", "Diagnostic-Code")}


def test_success():
    queue_id = send("success", ["bob@example.test"])
    message = notice("sender delivery status notification", queue_id)
    tap.equal(message["Subject"], "Successful Mail Delivery Report", "Subject")
    parts = list(message.iter_parts())
    tap.like(parts[0].get_content(), r"^<bob@example\.test>: delivery via virtual: delivered to maildir$",
             "it says how")
    tap.equal(group(message), {"Final-Recipient": "rfc822; bob@example.test", "Action": "delivered",
                               "Status": "2.0.0",
                               "Diagnostic-Code": "X-Postfix; delivery via virtual: delivered to maildir"},
              "and for programs")
    tap.equal(parts[1].get_payload()[0]["Original-Envelope-Id"], "QQ+314", "Original-Envelope-Id")
    tap.equal((parts[2].get_content_type(), parts[2]["Content-Description"]),
              ("text/rfc822-headers", "Message Headers"), "the original's header")
    the_mail.wait_for_log(rf"{queue_id}: removed$")


def test_not_asked():
    for notify in ("never", "failure", "delay"):
        queue_id = send(notify, ["bob@example.test"])
        the_mail.wait_for_log(rf"{queue_id}: removed$")
        tap.unlike(the_mail.log(), rf"{queue_id}: sender delivery status", f"{notify}: no report")


def test_expanded():
    """An alias is reported once, by its own name, and not what it stands for."""
    queue_id = send("success", ["one@example.test"])
    message = notice("sender delivery status notification", queue_id)
    tap.equal(group(message), {"Final-Recipient": "rfc822; one@example.test", "Action": "expanded",
                               "Status": "2.0.0", "Diagnostic-Code": "X-Postfix; alias expanded"},
              "an alias was expanded")
    tap.equal(len(list(message.iter_parts())[1].get_payload()), 2, "and nothing else is said")
    the_mail.wait_for_log(rf"{queue_id}: removed$")
    tap.like(the_mail.log(), rf"{queue_id}: from=<alice@example\.test>, size=\d+, nrcpt=1 \(queue", "nrcpt")


def test_expanded_once():
    """One of the recipients waits: the alias is not reported again at each attempt."""
    queue_id = send("success", ["all@example.test"])
    notice("sender delivery status notification", queue_id)
    the_mail.wait_for_log(rf"({queue_id}: to=<slow@example\.test>.*status=deferred[^$]*){{3}}")
    tap.equal(len(re.findall(rf"{queue_id}: sender delivery status", the_mail.log())), 1, "one report")
    tap.equal(len(re.findall(rf"{queue_id}: to=<bob@example\.test>", the_mail.log())), 1, "one delivery")
    tap.equal(the_mail.command("postsuper", "-d", queue_id).returncode, 0, "postsuper -d")


def test_delay():
    queue_id = send("delay,failure", ["late@example.test"])
    message = notice("sender delay notification", queue_id)
    tap.equal(message["Subject"], "Delayed Mail (still being retried)", "Subject")
    fields = list(message.iter_parts())[1].get_payload()[1]
    tap.equal((fields["Action"], fields["Status"]), ("delayed", "4.3.0"), "Action, Status")
    tap.ok(fields["Will-Retry-Until"], "Will-Retry-Until")
    attempts = len(re.findall(rf"{queue_id}: to=<late@example\.test>", the_mail.log()))
    the_mail.wait_for_log(rf"({queue_id}: to=<late@example\.test>[^$]*){{{attempts + 2}}}")
    tap.equal(len(re.findall(rf"{queue_id}: sender delay", the_mail.log())), 1, "one notice, once")
    shown = the_mail.command("postcat", "-e", "-q", queue_id).stdout
    tap.like(shown, r"^warning_message_time: +-1$", "the queue file says that it was made")
    the_mail.command("postsuper", "-d", queue_id)


def test_delay_not_wanted():
    queue_id = send("failure", ["late@example.test"])
    the_mail.wait_for_log(rf"({queue_id}: to=<late@example\.test>[^$]*){{4}}")
    tap.unlike(the_mail.log(), rf"{queue_id}: sender delay", "who did not ask is not told")
    the_mail.command("postsuper", "-d", queue_id)


def test_report_owed():
    """No report can be made: nothing is delivered again, and the report comes later."""
    stopped = the_mail.pids("bounce")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    queue_id = send("success", ["bob@example.test"])
    the_mail.wait_for_log(rf"{queue_id}: to=<bob@example\.test>.*status=sent")
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
    message = notice("sender delivery status notification", queue_id)
    tap.equal(group(message)["Action"], "delivered", "the report came in the end")
    the_mail.wait_for_log(rf"{queue_id}: removed$")
    tap.like(the_mail.log(), rf"{queue_id}: no notice to the sender yet", "after it could not be made")
    tap.equal(len(re.findall(rf"{queue_id}: to=<bob@example\.test>.*status=sent", the_mail.log())), 1,
              "one delivery")
    left = [name for _, _, files in os.walk(the_mail.path("spool/trace")) for name in files]
    tap.equal(left, [], "nothing is left in trace")


with instance.Instance(main=MAIN) as the_mail:
    tap.run(test_success, test_not_asked, test_expanded, test_expanded_once, test_delay,
            test_delay_not_wanted, test_report_owed)
