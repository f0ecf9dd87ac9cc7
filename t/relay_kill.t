#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""smtpd, qmgr, smtp and bounce are killed at random while mail is relayed: what was acknowledged
arrives or bounces, nothing comes twice but what a death explains, and the queue empties by itself.

PC_RELAY_MESSAGES says how many messages; PC_RELAY_SEED repeats a run.
"""

import collections
import os
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import ordeal
import tap
from instance import Instance, wait_until
from smtp_server import Server
from whereabouts import queue_files

MESSAGES = int(os.environ.get("PC_RELAY_MESSAGES") or (1000 if os.environ.get("PC_ALL_TESTS") else 120))
SEED = int(os.environ.get("PC_RELAY_SEED") or random.randrange(1 << 30))
CLIENTS = 4
VICTIMS = ("qmgr", "smtp", "smtpd", "bounce")
KINDS = ("far", "refused", "slow", "all")  # accepted; refused; deferred first; one of each

SUBJECT = re.compile(rb"^Subject: (kill-\S+-end)\r?$", re.M)
# Deliveries to a next hop, and what has a result that is not on the disk yet, at most.
IN_FLIGHT = 50

lock = threading.Lock()
seen = set()     # recipients who were deferred once
arrived = []     # (subject, recipient)
envelopes = {}   # recipients that were taken, by session


def rcpt(session, line):
    name = re.search("<([^@>]*)", line)[1]
    with lock:
        if name.startswith("refused"):
            return "550 5.1.1 refused"
        if name.startswith("slow") and name not in seen:
            seen.add(name)
            return "450 4.2.1 later"
        envelopes.setdefault(session, []).append(name)
    return "250 2.1.5 Ok"


def mail_from(session, _):
    envelopes[session] = []
    return "250 2.1.0 Ok"


def end(session, _):
    with lock:
        arrived.extend((SUBJECT.search(session.last)[1].decode(), name) for name in envelopes[session])
    return "250 2.0.0 Ok"


next_hop = Server({"MAIL": mail_from, "RCPT": rcpt, ".": end})


class Client(threading.Thread):
    def __init__(self, mail, number):
        super().__init__(daemon=True)
        self.mail, self.number, self.accepted = mail, number, []

    def run(self):
        for i in range(MESSAGES // CLIENTS):
            attempt = 0
            while not self.send(i, attempt):
                attempt += 1
                time.sleep(0.05)

    def send(self, i, attempt):
        """An attempt whose answer was lost promised nothing: each has a name of its own."""
        mark = f"{self.number}-{i}-{attempt}"
        kind = KINDS[i % len(KINDS)]
        names = [f"{name}-{mark}" for name in (KINDS[:3] if kind == "all" else [kind])]
        try:
            reply = ordeal.send(self.mail, f"kill-{mark}-end", names, timeout=30,
                                client=f"127.2.{self.number}.{i % 250 + 1}")
        except OSError:
            return False
        if reply.startswith("250"):
            self.accepted += [(f"kill-{mark}-end", name) for name in names]
        return reply.startswith("250")


def kill_one(mail, dice):
    """A process that died; None if there was none."""
    name = dice.choice(VICTIMS)
    pids = mail.pids(name)
    if not pids:
        return None
    try:
        os.kill(dice.choice(pids), signal.SIGKILL)
    except OSError:
        return None
    return name


def kill_while(mail, clients, dice):
    deaths = []
    while any(client.is_alive() for client in clients):
        time.sleep(dice.uniform(0.05, 0.4))
        name = kill_one(mail, dice)
        if name:
            deaths.append(name)
    return deaths


def settle(mail):
    """Until the spool is empty; what postqueue says of it has to agree then."""
    spool = mail.path("spool")
    early = []

    def is_empty():
        mail.command("postsuper", "-H", "ALL")  # what was there at many deaths is held
        mail.command("postqueue", "-f")
        time.sleep(0.3)
        said = "Mail queue is empty" in mail.command("postqueue", "-p").stdout
        left = queue_files(spool)
        if said and left:
            early.append(len(left))
        return said and not left
    wait_until(is_empty, "an empty queue", 120)
    if early:
        tap.note(f"postqueue saw nothing while there were {early} files")


def bounced(mail):
    """(subject, recipient) of each notice."""
    return [(SUBJECT.search(text)[1].decode(), name.decode()) for text in mail.mails("alice")
            for name in re.findall(rb"^Final-Recipient: rfc822; ([^@\s]+)@", text, re.M)]


def copies(found, accepted):
    """How many of them are too many."""
    counts = collections.Counter(found)
    return sum(counts[who] - 1 for who in accepted if counts[who] > 1)


def test_kills(mail):
    tap.note(f"PC_RELAY_SEED={SEED} PC_RELAY_MESSAGES={MESSAGES}")
    clients = [Client(mail, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    deaths = kill_while(mail, clients, random.Random(SEED))
    accepted = [one for client in clients for one in client.accepted]
    tap.ok(deaths, f"{len(deaths)} deaths: " + ", ".join(f"{v} {deaths.count(v)}" for v in VICTIMS))
    settle(mail)
    tap.ok(True, "the queue is empty at last")
    notices = bounced(mail)
    tap.equal(sorted(set(accepted) - set(arrived) - set(notices)), [],
              f"nothing is lost of what was promised to {len(accepted)} recipients")
    tap.equal(sorted(set(arrived) & set(notices)), [], "nobody is told of a failure that was none")
    # Again comes what was under way to the next hop, or was not written down, when a process died
    # (RFC 5321 6.1); a notice, when qmgr or bounce died between it and its record.
    again, twice = copies(arrived, accepted), copies(notices, accepted)
    tap.ok(again <= IN_FLIGHT * (deaths.count("qmgr") + deaths.count("smtp")),
           f"{again} were delivered twice, which the deaths explain")
    tap.ok(twice <= IN_FLIGHT * (deaths.count("qmgr") + deaths.count("bounce")),
           f"{twice} notices came twice, which the deaths explain")
    tap.unlike(mail.log(), "panic:|corrupt", "no file was taken for a damaged one")


MAIN = ordeal.main_cf(
    ("alice",), smtpd_reject_unlisted_recipient="no", service_throttle_time="1s",
    postcote_quarantine_time="1s", smtp_tls_security_level="none",
    transport_maps=f"regexp:{{{{/^(far|slow|refused)-/ smtp:[127.0.0.1]:{next_hop.port}}}}}")


with Instance(main=MAIN, master="smtp unix - - n - - smtp\n") as the_mail:
    tap.run(lambda: test_kills(the_mail))
