#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sendmail -bv and -v beside a real Postfix: what is said, logged and mailed.  And what becomes of
such a report that cannot be made at once."""

import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import side_by_side                                   # noqa: E402
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402

BOXES = ("alice", "bob")
MAIN = {
    **side_by_side.MAIN, "relay_domains": "later.test, bad.test", "recipient_delimiter": "",
    "virtual_alias_maps": "inline:{ old@example.test=bob@example.test }",
    "transport_maps": "inline:{ {bad.test=error:5.1.2 no such place} {later.test=retry:4.4.1 later} }",
}
ALICE = ("-f", "alice@example.test")
# Name: arguments, mails for alice and for bob.
CASES = {
    "probe": (("-bv", *ALICE, "bob@example.test", "nobody@example.test", "x@bad.test", "y@later.test"),
              1, 0),
    "probe of an alias": (("-bv", *ALICE, "old@example.test"), 1, 0),
    "probe from nobody": (("-bv", "-f", "", "bob@example.test"), 0, 0),
    "report": (("-v", *ALICE, "bob@example.test", "nobody@example.test"), 2, 1),
    "report of a delay": (("-v", *ALICE, "bob@example.test", "y@later.test"), 1, 1),
    "-bv -t": (("-bv", "-t"), 0, 0), "-bv -N": (("-bv", "-N", "never", "bob"), 0, 0),
    "-bv -R": (("-bv", "-R", "full", "bob"), 0, 0), "-bv -v": (("-bv", "-v", "bob"), 0, 0),
}
FIELDS = re.compile(r"^((?:Return-Path|To|Subject|From|X-Postfix-Sender|Content-Description): .*|"
                    r"\t\S+@\S+$)", re.M)


def take(side):
    """{name: what is in each message}, which are removed; groups of recipients in order."""
    found = {}
    for name in BOXES:
        box = side.path("mail/example.test", name, "new")
        for file in os.listdir(box) if os.path.isdir(box) else ():
            with open(os.path.join(box, file), encoding="utf-8") as f:
                text = f.read()
            os.unlink(os.path.join(box, file))
            groups = re.findall(r"^Final-Recipient: (?:.+\n)+", text, re.M)
            found.setdefault(name, []).append((FIELDS.findall(text), sorted(groups)))
    return {name: sorted(mails) for name, mails in found.items()}


def count(side, name):
    box = side.path("mail/example.test", name, "new")
    return len(os.listdir(box)) if os.path.isdir(box) else 0


def run(side, sendmail, config, case):
    args, alice, bob = CASES[case]
    skip = len(side.postfix_log())
    done = subprocess.run([sendmail, *args], input="Subject: s\n\nx\n", text=True, timeout=60,
                          env=dict(os.environ, MAIL_CONFIG=config), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    wait_until(lambda: count(side, "alice") >= alice and count(side, "bob") >= bob, case)

    # Reports go, and the message that they are about, unless it waits.
    going = alice + (done.returncode == 0 and case != "report of a delay")

    def ended():
        log = side.postfix_log()[skip:]
        return log.count("removed\n") >= going and (log or "nothing")
    log = wait_until(ended, f"{case}: removed")
    lines = re.findall(r"(to=<.*?>), .*(relay=\w+), .*(dsn=.*)", log)
    kinds = re.findall(r": (sender [-a-z ]* notification)", log)
    return done.returncode, done.stdout, done.stderr, sorted(lines), sorted(kinds), take(side)


def test_peer():
    peer = peer_postfix.PeerPostfix(MAIN)
    with open(peer.path("etc/master.cf"), "a", encoding="ascii") as f:
        f.write("pickup unix n - n 60 1 pickup\n")
    with peer, instance.Instance(main=MAIN) as ours:
        for case in CASES:
            got = run(ours, os.path.join(instance.stage(), "sbin/sendmail"),
                      ours.path("etc/postfix"), case)
            want = run(peer, "/usr/sbin/sendmail", peer.path("etc"), case)
            names = ("exit status", "output", "errors", "deliveries", "notices", "mail")
            for name, a, b in zip(names, got, want):
                tap.equal(a, b, f"{case}: {name}")
        # The report on the first attempt was the last one.
        ours.command("postqueue", "-f")
        wait_until(lambda: ours.log().count("to=<y@later.test>") >= 3, "another attempt")
        listed = ours.command("postqueue", "-p").stdout
        tap.like(listed, r"^\w+\*? .* alice@example.test$", "what waits goes on waiting")
        ident = re.search(r"^(\w+)", listed.splitlines()[1]).group(1)
        tap.like(ours.command("postcat", "-eq", ident).stdout,
                 r"^killed_record: trace_flags=1024$", "the record is killed")
        tap.equal(count(ours, "alice"), 0, "a second attempt makes no report")
        ours.stop()
        wait_until(lambda: not ours.pids(), "stopped")
        ours.start()
        ours.command("postqueue", "-f")
        wait_until(lambda: ours.log().count("to=<y@later.test>") >= 4, "one after a restart")
        tap.unlike(ours.log(), "checksum|corrupt", "the file is whole")


def test_owed():
    """Without bounce the message waits with the answer; it is not delivered, nor probed again."""
    with instance.Instance(main=MAIN) as ours:
        for flag, subject, text in (("-bv", "probe", "deliverable"), ("-v", "s", "delivered")):
            for pid in ours.pids("bounce"):
                os.kill(pid, signal.SIGSTOP)
            done = ours.command("sendmail", flag, *ALICE, "bob@example.test",
                                input="Subject: s\n\nx\n")
            ident = wait_until(lambda: re.search(
                rf": (\w+): to=<bob@.*status={'deliverable' if flag == '-bv' else 'sent'}",
                ours.log()), "an answer").group(1)
            for pid in ours.pids("bounce"):
                os.kill(pid, signal.SIGKILL)

            def flushed():
                ours.command("postqueue", "-f")
                return count(ours, "alice")
            wait_until(flushed, "the report")
            notice = take(ours)["alice"][0]
            tap.ok(any(f"Action: {text}\n" in group for group in notice[1]), f"{flag}: {text}", notice)
            tap.equal(len(re.findall(rf"{ident}: to=<bob@", ours.log())), 1, f"{flag}: tried once")
            tap.equal((done.returncode, subject in str(notice[0])), (0, True), f"{flag}: exit status")


def main():
    peer_postfix.find()
    tap.run(test_peer, test_owed)


main()
