#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Notices to senders and postmasters beside a real Postfix's, byte for byte but for ids and dates."""

import difflib
import os
import re
import socketserver
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import side_by_side                                   # noqa: E402
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from smtp_dialogue import Dialogue                    # noqa: E402

BOXES = ("alice", "bob", "postmaster", "list-x+bad.test", "list-y+bad.test", "chief")
MAIN = {
    **side_by_side.MAIN, "mynetworks": "127.0.0.0/8",
    "virtual_mailbox_maps": "inline:{ %s }" % " ".join(
        f"{{{a}@example.test=example.test/{a}/}}" for a in BOXES),
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_reject_unlisted_recipient": "no", "bounce_size_limit": "2000", "recipient_delimiter": "",
    "virtual_alias_maps": "inline:{ {old@example.test=x@bad.test} {two@example.test=x@bad.test, bob@example.test} }",
    "transport_maps": "inline:{ {bad.test=error:5.1.2 no such place} {later.test=retry:4.4.1 later} "
                      "{long.test=error:5.7.1 %s} {word.test=error:5.0.0 %s} {fit.test=error:5.0.0 %s} "
                      "{odd.test=error:plain text} }" % (
                          "very long text " * 20, "abcdefghij" * 10, "x" * 64 + " y"),
    "smtpd_authorized_verp_clients": "127.0.0.1", "minimal_backoff_time": "1s",
    "maximal_backoff_time": "3s", "queue_run_delay": "1s",
}
LATE = {"delay_warning_time": "1s", "maximal_queue_lifetime": "3d"}
ALL = {**LATE, "notify_classes": "bounce, 2bounce, delay", "smtputf8_enable": "yes",
       "enable_threaded_bounces": "yes", "delay_notice_recipient": "chief"}
TEMPLATES = """
# A comment
failure_template = <<END OF IT
charset: iso-8859-1
FROM: Mailer <MAILER-DAEMON>
Subject: Returned $mail_name
Postmaster-Subject: Copy: $myhostname

Host $myhostname of $mydomain, ${mail_name}, $$x ${myhostname?{v}}
$delay_warning_time_seconds $maximal_queue_lifetime_days $maximal_queue_lifetime_hours
  indented\ttab \\n

end
END OF IT

delay_template = <<EOF
Subject: Later

We are $myhostname
EOF
success_template = <<EOF
X-Bad: header

text
EOF
"""
FROM, TO = "MAIL FROM:<alice@example.test>", "RCPT TO:<x@bad.test>"
BODY = "Subject: s\r\nMessage-Id: <m1@x>\r\n\r\nx\r\n."
# Name: envelope, content.  A message of a case whose name begins with "late" waits.
PLAIN = {
    "plain": ((FROM, TO), BODY),
    "7 bits": ((FROM + " BODY=7BIT", TO), BODY),
    "8 bits": ((FROM + " BODY=8BITMIME", TO), "Subject: s\r\n\r\n\xe4\r\n."),
    "8 bits, undeclared": ((FROM, TO), "Subject: s\r\n\r\n\xe4\r\n."),
    "several": ((FROM, TO, "RCPT TO:<y@bad.test>", "RCPT TO:<bob@example.test>"), BODY),
    "ENVID": ((FROM + " ENVID=e+2Bx", TO), BODY),
    "RET=HDRS": ((FROM + " RET=HDRS", TO), BODY),
    "RET=FULL": ((FROM + " RET=FULL", TO), BODY),
    "ORCPT": ((FROM, TO + " ORCPT=rfc822;q+2Bz@y"), BODY),
    "one never": ((FROM, TO + " NOTIFY=NEVER", "RCPT TO:<y@bad.test>"), BODY),
    "never": ((FROM, TO + " NOTIFY=NEVER"), BODY),
    "success only": ((FROM, TO + " NOTIFY=SUCCESS"), BODY),
    "delay only": ((FROM, TO + " NOTIFY=DELAY"), BODY),
    "failure": ((FROM, TO + " NOTIFY=FAILURE,DELAY"), BODY),
    "a success": ((FROM + " RET=FULL", "RCPT TO:<bob@example.test> NOTIFY=SUCCESS"), BODY),
    "success and failure": ((FROM, "RCPT TO:<bob@example.test> NOTIFY=SUCCESS",
                             TO + " NOTIFY=SUCCESS,FAILURE"), BODY),
    "alias": ((FROM, "RCPT TO:<old@example.test>"), BODY),
    "alias for two": ((FROM, "RCPT TO:<two@example.test> NOTIFY=SUCCESS,FAILURE"), BODY),
    "a quoted address": ((FROM, "RCPT TO:<\"a b\"@bad.test>"), BODY),
    "a long reason": ((FROM, "RCPT TO:<x@long.test>"), BODY),
    "a long word": ((FROM, "RCPT TO:<x@word.test>"), BODY),
    "a reason that just fits": ((FROM, "RCPT TO:<x@fit.test>"), BODY),
    "a reason without code": ((FROM, "RCPT TO:<x@odd.test>"), BODY),
    "unknown user": ((FROM, "RCPT TO:<nobody@example.test>"), BODY),
    "large": ((FROM, TO), "Subject: s\r\n\r\n" + "0123456789\r\n" * 300 + "."),
    "no content": ((FROM, TO), "."),
    "no body": ((FROM, TO), "Subject: s\r\n."),
    "no header": ((FROM, TO), "\r\nx\r\n."),
    "folded": ((FROM, TO), "Subject: s\r\n\tt\r\nX-To: a,\r\n b\r\n\r\nx\r\n."),
    "from nobody": (("MAIL FROM:<>", TO), BODY),
    "VERP": (("MAIL FROM:<list@example.test> XVERP=-+", TO, "RCPT TO:<y@bad.test>"), BODY),
    "late": ((FROM, "RCPT TO:<x@later.test>"), BODY),
}
COPIES = {
    "plain": PLAIN["plain"], "8 bits": PLAIN["8 bits"], "one never": PLAIN["one never"],
    "never": PLAIN["never"], "RET=FULL": PLAIN["RET=FULL"], "from nobody": PLAIN["from nobody"],
    "from nobody, never": (("MAIL FROM:<>", TO + " NOTIFY=NEVER"), BODY),
    "from nobody, headers": (("MAIL FROM:<> RET=HDRS", TO), BODY),
    "large from nobody": (("MAIL FROM:<>", TO), PLAIN["large"][1]),
    "a notice bounces": (("MAIL FROM:<gone@example.test>", TO), BODY),
    "from double-bounce elsewhere": (("MAIL FROM:<double-bounce@bad.test>", TO), BODY),
    "no message-id": ((FROM, TO), "Subject: s\r\n\r\nx\r\n."),
    "SMTPUTF8": ((FROM + " SMTPUTF8", TO, "RCPT TO:<\xc3\xa4@bad.test>"), BODY),
    "SMTPUTF8, headers": ((FROM + " SMTPUTF8 RET=HDRS", "RCPT TO:<\xc3\xa4@bad.test>"), BODY),
    "SMTPUTF8, ORCPT": ((FROM + " SMTPUTF8", TO + " ORCPT=utf-8;\\x{E4}@bad.test"), BODY),
    "VERP": PLAIN["VERP"], "late": PLAIN["late"],
    "late, never": ((FROM, "RCPT TO:<x@later.test> NOTIFY=NEVER"), BODY),
}
OTHER = {"plain": PLAIN["plain"], "7 bits": PLAIN["7 bits"], "8 bits": PLAIN["8 bits"],
         "a success": PLAIN["a success"], "from nobody": PLAIN["from nobody"], "late": PLAIN["late"]}


def neutral(text, ids):
    for number, found in enumerate(ids):
        text = text.replace(found, f"ID{number}")
    text = re.sub(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \S+ \(\w+\)", "DATE", text)
    text = re.sub(r"<\d{14}\.", "<TIME.", text)
    text = re.sub(r"(ID\d)\.\d{10}/", r"\1.TIME/", text)
    # In another order: who is tried first depends on the scheduler.
    for pattern in (r"(?:^<.*(?:\n    .*)*\n\n)+", r"(?:^Final-Recipient: .*\n(?:.+\n)+\n)+"):
        text = re.sub(pattern, lambda m: "".join(sorted(re.findall(r"(?:.+\n)+\n", m.group(0)))),
                      text, flags=re.M)
    return text


def boxes(side):
    for name in BOXES:
        box = side.path("mail/example.test", name, "new")
        for file in os.listdir(box) if os.path.isdir(box) else ():
            with open(os.path.join(box, file), encoding="latin-1") as f:
                yield name, f.read()


class Case:
    """What became of one message on one side."""

    def __init__(self, side, name, steps, has_copies):
        self.side, self.late = side, name.startswith("late")
        # One for the sender, unless he wants none, and one for the postmaster.
        self.least = self.late * (has_copies + ("never" not in name))
        with Dialogue(side.smtp_port) as d:
            replies = [d.ask(step) for step in ("EHLO x", *steps[0], "DATA", steps[1])]
        self.replies = [side_by_side.neutral(r) for r in replies[1:]]
        found = re.search(r"queued as (\w+)", replies[-1])
        if found is None:
            raise RuntimeError(f"{name}: {replies}")
        self.id = found.group(1)

    def notices(self, about=None):
        """[(kind, id)] of those that were made about it, and about those in turn."""
        log = self.side.postfix_log()
        found = re.findall(rf": {about or self.id}: (.* notification): (\w+)$", log, re.M)
        found = [(kind, i) for kind, i in found if f": {i}: removed (canceled)" not in log]
        return found + [more for _, i in found for more in self.notices(i)]

    def over(self):
        log = self.side.postfix_log()
        notices = self.notices()
        gone = [i for _, i in notices] + ([] if self.late else [self.id])
        return len(notices) >= self.least and all(f": {i}: removed\n" in log for i in gone)

    def result(self):
        wait_until(self.over, f"{self.id}: its notices")
        notices = sorted(self.notices(), key=lambda n: n[0])
        ids = [self.id] + [i for _, i in notices]
        found = []
        for box, text in boxes(self.side):
            head = text.split("\n\n", 1)[0]
            for kind, i in notices:
                if re.search(rf"^\tid {i};", head, re.M):
                    found.append((kind, box, neutral(text, [self.id, i] + ids)))
        return self.replies, sorted(kind for kind, _ in notices), sorted(found)


def difference(name, got, want):
    lines = difflib.unified_diff(want.split("\n"), got.split("\n"), "peer", "ours", "", "", 1, "")
    tap.ok(got == want, name, "\n".join(lines))


def compare(title, main, cases, peer_main=()):
    """The logs of both."""
    ours = instance.Instance(main={**MAIN, **main}, master="smtp unix - - n - - smtp\n")
    peer = peer_postfix.PeerPostfix({**MAIN, **main, **dict(peer_main)})
    with ours, peer:
        copies = "delay" in main.get("notify_classes", "")
        started = {name: [Case(side, name, steps, copies) for side in (ours, peer)]
                   for name, steps in cases.items()}
        for name, (a, b) in started.items():
            got, want = a.result(), b.result()
            tap.equal(got[0], want[0], f"{title}: {name}: replies")
            tap.equal(got[1], want[1], f"{title}: {name}: kinds of notices")
            tap.equal([x[:2] for x in got[2]], [x[:2] for x in want[2]], f"{title}: {name}: boxes")
            for x, y in zip(got[2], want[2]):
                difference(f"{title}: {name}: {y[0]} for {y[1]}", x[2], y[2])
        return ours.postfix_log(), peer.postfix_log()


def test_plain():
    compare("defaults", LATE, PLAIN)


def test_copies():
    compare("copies", ALL, COPIES)


def warnings(log):
    found = re.findall(r"bounce\[\d+\]: warning: (.*)", log)
    return sorted(set(re.sub(r"\S*/templates(?:, line \d+)?:", "FILE:", x) for x in found))


def test_templates():
    path = os.path.join(peer_postfix.ROOT or "/", f"tmp/postcote-bounce-{os.getpid()}/templates")
    os.makedirs(os.path.dirname(path))
    try:
        os.chmod(os.path.dirname(path), 0o755)
        with open(path, "w", encoding="latin-1") as f:
            f.write(TEMPLATES)
        got, want = compare("templates", {**LATE, "notify_classes": "2bounce, bounce, delay",
                                          "bounce_template_file": path}, OTHER,
                            {"bounce_template_file": path.removeprefix(peer_postfix.ROOT)})
        tap.equal(warnings(got), warnings(want), "templates: warnings")
    finally:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))


class Refuser(socketserver.StreamRequestHandler):
    """A next hop that refuses recipients, in one line or more."""

    REPLIES = {b"many": b"550-5.1.1 first line\r\n550-5.1.1 second line with some more words in it than fit on one\r\n"
                        b"550 5.1.1 last\r\n",
               b"bare": b"554 no enhanced code\r\n", b"odd": b"550 5.7.1 what is here \xe4\r\n"}

    def handle(self):
        self.wfile.write(b"220 mx.remote.test ESMTP\r\n")
        for line in self.rfile:
            user = re.match(rb"RCPT TO:<(\w+)@", line)
            reply = self.REPLIES.get(user.group(1), b"550 5.1.1 no such user\r\n") if user else b"250 ok\r\n"
            self.wfile.write(b"221 bye\r\n" if line.startswith(b"QUIT") else reply)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def test_remote():
    with Server(("127.0.0.1", instance.free_ports(1)[0]), Refuser) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = f"smtp:[127.0.0.1]:{server.server_address[1]}"
        cases = {name: ((FROM, f"RCPT TO:<{name}@remote.test>"), BODY) for name in ("one", "many", "bare", "odd")}
        compare("remote", {"transport_maps": f"inline:{{remote.test={remote}}}",
                           "compatibility_level": "3.6"}, cases)
        server.shutdown()


def main():
    peer_postfix.find()
    tap.run(test_plain, test_copies, test_templates, test_remote)


main()
