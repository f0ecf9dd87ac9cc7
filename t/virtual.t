#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The agent virtual: mailboxes, results and log lines, with a master that starts nothing else."""

import os
import pwd
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap
from agent import Agent, start_only
from instance import Instance, wait_until

TABLE = """
    {alice@example.test = example.test/alice/}
    {bob@example.test = example.test/bob/}
    {mbox@example.test = example.test/mbox}
    {badid@example.test = example.test/badid/}
    {noid@example.test = example.test/noid/}
    {file@example.test = example.test/file/}
    {up@example.test = ../outside/}"""


def configure(mail):
    uid, gid = pwd.getpwnam(mail.user)[2:4]
    users = ("alice", "bob", "mbox", "file", "up")
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write("virtual_mailbox_maps = inline:{" + TABLE + " }\n")
        f.write("virtual_uid_maps = inline:{ " + ", ".join(
            f"{{{user}@example.test = {uid}}}" for user in users) +
            ", {badid@example.test = 0} }\n")
        f.write(f"virtual_gid_maps = static:{gid}\n")
        f.write("virtual_mailbox_limit = 20000\nmessage_size_limit = 10000\n")
        f.write("recipient_delimiter = +\n")


def test_maildir(mail, agent):
    got = agent.deliver([("Alice@example.test", "al@example.test")],
                        [b"Subject: x", b"", b".", b"8bit \xe4", b"carriage\r", b""])
    tap.equal(got, [("sent", "2.0.0", "delivered to maildir")], "a message is delivered")
    files = mail.mail_files("alice")
    tap.equal(len(files), 1, "there is one file")
    tap.like(files[0], r"/new/\d+\.V[0-9a-f]+I[0-9a-f]+M\d+\.[^,/]+,S=\d+,W=\d+$", "its name")
    with open(files[0], "rb") as f:
        data = f.read()
    tap.equal(data, b"Return-Path: <s@example.test>\nX-Original-To: al@example.test\n"
              b"Delivered-To: Alice@example.test\nSubject: x\n\n.\n8bit \xe4\ncarriage\r\n\n",
              "its content")
    name = os.path.basename(files[0])
    crlf = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    tap.ok(name.endswith(f",S={len(data)},W={len(crlf)}"), "the sizes in its name", name)
    tap.equal(oct(os.stat(files[0]).st_mode & 0o777), "0o600", "its mode")
    for part in ("", "new", "cur", "tmp"):
        path = mail.path("mail/example.test/alice", part)
        tap.equal(oct(os.stat(path).st_mode & 0o777), "0o700", f"the mode of alice/{part}")
    tap.equal(os.listdir(mail.path("mail/example.test/alice/tmp")), [], "tmp is empty")
    mail.wait_for_log(r"postfix/virtual\[\d+\]: 4ABCDEF12: to=<Alice@example.test>, "
                      r"orig_to=<al@example.test>, relay=virtual, delay=\S+, delays=\S+, "
                      r"dsn=2\.0\.0, status=sent \(delivered to maildir\)$")
    tap.ok(True, "the log line")


def test_null_sender_and_extension(mail, agent):
    before = set(mail.mail_files("alice"))
    got = agent.deliver(["alice+list@example.test"], sender="")
    tap.equal(got[0][0], "sent", "an address with an extension")
    new = set(mail.mail_files("alice")) - before
    with open(new.pop(), "rb") as f:
        data = f.read()
    tap.ok(data.startswith(b"Return-Path: <>\nX-Original-To: alice+list@example.test\n"
                           b"Delivered-To: alice+list@example.test\n"), "its head", data)


def test_failures(mail, agent):
    with open(mail.path("mail/example.test/file"), "w", encoding="utf-8"):
        pass
    recipients = ["Nobody@example.test", "mbox@example.test", "badid@example.test",
                  "noid@example.test", "file@example.test", "bob@example.test"]
    got = agent.deliver(recipients)
    want = [("bounced", "5.1.1", 'unknown user: "nobody@example.test"'),
            ("deferred", "4.3.5", None),
            ("deferred", "4.3.5", "mail system configuration error"),
            ("deferred", "4.3.5", "mail system configuration error"),
            ("deferred", "4.2.0", None),
            ("sent", "2.0.0", "delivered to maildir")]
    for rcpt, g, w in zip(recipients, got, want):
        tap.equal(g if w[2] else g[:2] + (None,), w, f"the result of {rcpt}")
    tap.like(got[1][2], r"mbox format", "the reason for an mbox")
    tap.like(got[4][2], r"^maildir delivery failed: create maildir file .*: Not a directory$",
             "the reason for a file in the way")
    mail.wait_for_log(r"warning: recipient badid@example.test: bad uid 0 in virtual_uid_maps")
    mail.wait_for_log(r"warning: recipient noid@example.test: not found in virtual_uid_maps")
    tap.ok(True, "the warnings")


def test_outside(mail, agent):
    got = agent.deliver(["up@example.test"])
    if os.path.exists(mail.path("outside")):
        tap.skip("this kernel has no Landlock", "a path that leads out of virtual_mailbox_base")
        return
    tap.equal(got[0][0], "deferred", "a path that leads out of virtual_mailbox_base")


def test_limit(mail, agent):
    got = agent.deliver(["bob@example.test"], [b"x" * 900] * 25)
    tap.equal(got, [("bounced", "5.2.2",
                     "maildir delivery failed: error writing message: File too large")],
              "past virtual_mailbox_limit")
    tap.equal(os.listdir(mail.path("mail/example.test/bob/tmp")), [], "nothing is left of it")


def test_no_permission(mail, agent):
    path = mail.path("mail/example.test/bob/new")
    os.chmod(path, 0)
    try:
        got = agent.deliver(["bob@example.test"])
    finally:
        os.chmod(path, 0o700)
    tap.equal(got[0][:2], ("deferred", "4.2.0"), "a mailbox that may not be read")
    tap.like(got[0][2], r"^maildir delivery failed: create maildir file .*: Permission denied$",
             "its reason")
    mail.wait_for_log(r"warning: maildir access problem for UID/GID=\d+/\d+: ")


def test_many(mail, agent):
    before = len(mail.mail_files("alice"))
    numbers = [agent.send(["alice@example.test", "bob@example.test"] * 10, [b"", b"Hi."])
               for _ in range(20)]
    results = agent.results(numbers)
    tap.ok(all(item[0] == "sent" for number in numbers for item in results[number]),
           "400 deliveries at a time are sent")
    tap.equal(len(mail.mail_files("alice")) - before, 200, "all of them are there")


def workers(mail):
    """Processes of virtual whose parent is the root parent: the ones without a child."""
    pids = mail.pids("virtual")
    parents = set()
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            parents.add(int(f.read().rsplit(")", 1)[1].split()[1]))
    return [pid for pid in pids if pid not in parents]


def test_killed_worker(mail, agent):
    killed = workers(mail)
    before = len(mail.mail_files("alice"))
    numbers = [agent.send(["alice@example.test"] * 20, [b"", b"x" * 500] * 5) for _ in range(20)]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    results = agent.results(numbers)
    words = [item[0] for number in numbers for item in results[number]]
    sent = words.count("sent")
    tap.equal(len(words), 400, "every recipient has a result")
    tap.equal(sent + words.count("deferred"), 400, "sent or deferred")
    # What was not reported may have been delivered: never the other way round.
    tap.ok(len(mail.mail_files("alice")) - before >= sent, "all that is reported is there")
    tap.equal(agent.deliver(["bob@example.test"])[0][0], "sent", "the next worker delivers")


def test_reload(mail, agent):
    old = mail.pids("virtual")
    tap.equal(mail.command("postfix", "reload").returncode, 0, "reload")
    agent.wait_for("LEAVE")
    tap.equal(agent.deliver(["bob@example.test"])[0][0], "sent",
              "the old process serves what comes over its connection")
    agent.close()
    wait_until(lambda: not set(old) & set(mail.pids("virtual")), "the old processes to end")
    agent = Agent(mail, "virtual")
    tap.equal(agent.deliver(["bob@example.test"])[0][0], "sent", "the new process delivers")
    agent.close()


def test_stop(mail, agent):
    tap.equal(mail.command("postfix", "stop").returncode, 0, "stop")
    wait_until(lambda: not mail.pids(), "all processes to end")
    tap.ok(True, "no process is left")


mail = Instance()
try:
    configure(mail)
    start_only(mail, "virtual unix - n n - - virtual")
    agent = Agent(mail, "virtual")
    for test in (test_maildir, test_null_sender_and_extension, test_failures, test_outside,
                 test_limit, test_no_permission, test_many, test_killed_worker, test_reload, test_stop):
        try:
            test(mail, agent)
        except Exception as error:
            tap.ok(False, f"{test.__name__}: {error!r}")
            tap.note(mail.log())
finally:
    mail.close()
tap.done()
