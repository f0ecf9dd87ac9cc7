#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No power cut loses an acknowledged message.

The suite runs under the recorder while mail comes in that is delivered at once, delivered later,
deferred, and refused by a full mailbox. Then it is started on the disks that a power cut could have
left after each call: every message whose 250 had left by then must be in a mailbox or in the spool.

PC_ALL_TESTS=yes tries all disks, otherwise a sample; PC_CRASH_SAMPLE sets its size.
"""

import glob
import os
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import check_suite  # noqa: E402
import tap  # noqa: E402
from instance import DOMAIN, Instance, free_ports, stage, wait_until  # noqa: E402

SAMPLE = None if os.environ.get("PC_ALL_TESTS") else int(os.environ.get("PC_CRASH_SAMPLE", "60"))
QUEUES = ("incoming", "active", "deferred", "hold")


def queue_files(spool, queues=QUEUES):
    return [path for queue in queues
            for path in glob.glob(f"{spool}/{queue}/**", recursive=True) if os.path.isfile(path)]


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def tokens_in(paths):
    """The subjects of our messages in these files."""
    found = set()
    for path in paths:
        for line in read(path).split(b"\n"):
            at = line.find(b"Subject: token-")
            if at >= 0:
                found.add(line[at + 9:].split(b"\0")[0].strip().decode(errors="replace")[:8 + 6])
    return found


def mail_files(mail):
    return glob.glob(f"{mail}/{DOMAIN}/*/new/*") + glob.glob(f"{mail}/{DOMAIN}/*/cur/*")


class Suite:
    """The SMTP side of the suite, started on a disk."""

    def __init__(self, instance, dirs, slot):
        self.instance = instance
        self.spool = dirs[instance.path("spool")]
        base = os.path.dirname(self.spool)
        self.conf = os.path.join(base, "etc")
        shutil.copytree(instance.path("etc/postfix"), self.conf)
        port = free_ports(1)[0]
        text = read(os.path.join(self.conf, "main.cf")).decode()
        text = text.replace(instance.path("spool"), self.spool)
        text = text.replace(instance.path("mail"), dirs[instance.path("mail")])
        text = text.replace(instance.path("data"), os.path.join(base, "data"))
        text = text.replace(instance.path("log/mail.log"), os.path.join(base, "mail.log"))
        text = text.replace(instance.path("etc/postfix"), self.conf)
        text += f"maillog_file_prefixes = {base}\n"
        os.mkdir(os.path.join(base, "data"))
        with open(os.path.join(self.conf, "main.cf"), "w", encoding="utf-8") as f:
            f.write(text)
        master = read(os.path.join(self.conf, "master.cf")).decode()
        master = master.replace(f":{instance.smtp_port} ", f":{port} ")
        lines = master.splitlines()
        keep, skipping = [], False
        for line in lines:
            if f":{instance.submission_port} " in line:
                skipping = True
            elif skipping and line.startswith(" "):
                continue
            else:
                skipping = False
            if not skipping:
                keep.append(line)
        with open(os.path.join(self.conf, "master.cf"), "w", encoding="utf-8") as f:
            f.write("\n".join(keep) + "\n")
        instance.own(base)
        self.run("start")
        self.log = os.path.join(base, "mail.log")
        wait_until(lambda: not queue_files(self.spool, ("incoming", "active")),
                   "the queue manager takes up what is there")

    def run(self, verb):
        done = self.instance.command("postfix", "-c", self.conf, verb)
        if done.returncode != 0 and verb == "start":
            raise RuntimeError(f"postfix start: {done.stdout}{done.stderr}")

    def stop(self):
        self.run("stop")


def record(instance):
    """Runs the suite under the recorder and sends mail; the trace, and {queue id: token}."""
    tokens = {}
    lock = threading.Lock()
    command = instance.as_user([os.path.join(stage(), "sbin/postfix"), "-c",
                                instance.path("etc/postfix"), "start-fg"])
    recording = check_suite.Recording(
        command, [instance.path("spool"), instance.path("mail")], instance.path("trace"),
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def send(number, to, smtp=None):
        token = f"token-{number:03d}"
        reply = instance.send(token, to=to, smtp=smtp, body="x" * 500)
        with lock:
            tokens[reply.split()[-1]] = token

    def session(first):
        smtp = instance.smtp()
        for number in range(first, first + 4):
            send(number, "bob" if number % 2 else "alice", smtp)
        smtp.quit()

    wait_until(lambda: _answers(instance), "the suite starts under the recorder")
    threads = [threading.Thread(target=session, args=(first,)) for first in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send(30, "carol")  # whose mailbox cannot be written: deferred
    instance.wait_for_log(r"status=deferred")
    wait_until(lambda: queue_files(instance.path("spool"), ("deferred",)), "a deferred message")
    wait_until(lambda: len(mail_files(instance.path("mail"))) >= 12, "deliveries")
    # Sockets, the lock files and reasons for people are not what a promise rests on.
    return recording.finish(ignore=["*/pid/*", "*/defer/*"]), tokens


def _answers(instance):
    try:
        instance.smtp().quit()
        return True
    except OSError:
        return False


def test_power_cut():
    instance = Instance(prefix="postcote-crash-")
    try:
        with open(instance.path("etc/postfix/vmailbox"), "a", encoding="utf-8") as f:
            f.write(f"carol@{DOMAIN}\t{DOMAIN}/carol/\n")
        os.makedirs(instance.path("mail", DOMAIN))
        with open(instance.path("mail", DOMAIN, "carol"), "w", encoding="utf-8"):
            pass  # a file where the Maildir should be
        instance.own(instance.dir)
        trace, tokens = record(instance)
        tap.equal(len(tokens), 13, "thirteen messages were acknowledged")
        states = list(trace.states(sample=SAMPLE))
        tap.note(f"{trace.count()} different disks, {len(states)} are tried")
        result = check_suite.run_enumeration(
            states, lambda dirs, slot: Suite(instance, dirs, slot),
            lambda dirs, slot: tokens_in(mail_files(dirs[instance.path("mail")])
                                         + queue_files(dirs[instance.path("spool")])),
            tokens, instance.path("disks"), keep=bool(os.environ.get("PC_TEST_KEEP")))
        tap.ok(result.checked > 0 and not result.failures,
               f"no disk of {result.checked} lost a message", result.report())
    finally:
        instance.close()


tap.run(test_power_cut)
