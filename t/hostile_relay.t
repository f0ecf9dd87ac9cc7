#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Broken and hostile next hops: whatever they say, the client lives, each recipient gets one result,
nothing is sent twice, and what they said can break neither our log nor a notice."""

import email
import email.policy
import os
import re
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostile_hops
import tap
from hostile import DIED, PAGE
from instance import Instance, wait_until
from small_ca import SmallCa
from smtp_dialogue import Dialogue
from smtp_server import Server

GROWTH = 64 << 20
QUICK = ["connect", "helo", "mail", "rcpt", "data_init", "data_xfer", "data_done", "starttls", "quit",
         "rset", "lhlo"]
SERVICES = {
    "hop": "smtp", "lmtp": "lmtp",
    "quick": "smtp" + "".join(f" -o smtp_{t}_timeout=3s" for t in QUICK if t != "lhlo"),
    "quicklmtp": "lmtp" + "".join(f" -o lmtp_{t}_timeout=3s" for t in QUICK if t != "helo"),
    "tls": "smtp -o smtp_tls_security_level=encrypt -o smtp_starttls_timeout=5s",
    "maytls": "smtp -o smtp_tls_security_level=may -o smtp_starttls_timeout=5s",
}


def main_cf(cases):
    rules = " ".join(f"{{{case.name}.test = {case.via}:inet:[127.0.0.1]:{case.server.port}}}".replace(
        ":inet:", ":inet:" if "lmtp" in case.via else ":") for case in cases)
    return {"transport_maps": f"inline:{{ {rules} }}", "smtp_tls_security_level": "none",
            "minimal_backoff_time": "1000s", "maximal_backoff_time": "1000s", "mydestination": "",
            "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": "", "virtual_mailbox_limit": "0", "mailbox_size_limit": "0",
            "smtp_quit_timeout": "3s", "virtual_transport": "virtual"}


def memory(mail):
    """Of the clients, their own in RAM."""
    total = 0
    for pid in mail.pids("smtp") + mail.pids("lmtp"):
        with open(f"/proc/{pid}/statm", encoding="ascii") as f:
            _, resident, shared = map(int, f.read().split()[:3])
        total += (resident - shared) * PAGE
    return total


def submit(mail, cases):
    with Dialogue(mail.smtp_port) as d:
        d.ask("EHLO x")
        for case in cases:
            d.ask("MAIL FROM:<alice@example.test>")
            for to in case.recipients():
                d.ask(f"RCPT TO:<{to}>")
            d.ask("DATA")
            body = ("y" * 70 + "\r\n") * (case.size // 72)
            reply = d.ask(f"Subject: {case.name}\r\n\r\n{body}end\r\n.")
            if not reply.startswith("250"):
                raise RuntimeError(f"{case.name}: {reply}")


def results(mail, case):
    """What each recipient's lines say."""
    log = mail.postfix_log()
    return [re.findall(rf"to=<{re.escape(to)}>, .*?dsn=(.*)$", log, re.M) for to in case.recipients()]


def check(mail, case):
    try:
        wait_until(lambda: all(results(mail, case)), case.name)
    except TimeoutError:
        tap.ok(False, f"{case.name}: it has a result", case.server.lines())
        return
    for want, got in zip(case.want, results(mail, case)):
        tap.ok(len(got) == 1 and re.match(want, got[0]), f"{case.name}: one result, as it should be",
               f"{got}\nwanted {want}")
    taken = len(case.server.messages)
    tap.ok(taken <= case.taken or case.taken == 0 and "." in case.script, f"{case.name}: sent once", taken)


def check_log(mail):
    """A line is a line of ours, and nothing in it moves a cursor."""
    with open(mail.mail_log, "rb") as f:
        lines = f.read().split(b"\n")[:-1]
    bad = [line for line in lines
           if not re.match(rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ [\w/.-]+\[\d+\]: ", line) and
           not re.match(rb"\d{4}-\d\d-\d\dT\S+ \S+ [\w/.-]+\[\d+\]: ", line)]
    tap.equal(bad[:3], [], "each line of the log begins as one")
    tap.equal([line for line in lines if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line)][:3], [],
              "no line has control characters")
    tap.ok(max(map(len, lines)) < 40000, "no line is endless")


def check_notice(text, case):
    raw = re.findall(rb"^Subject: (.*)$", text, re.M)
    notice = email.message_from_bytes(text, policy=email.policy.default)
    parts = list(notice.iter_parts())
    tap.equal([p.get_content_type() for p in parts],
              ["text/plain", "message/delivery-status", "message/rfc822"], f"{case.name}: the notice's parts")
    tap.ok(not re.search(rb"[\x00\x1b\x0b\x0c]|\r", text), f"{case.name}: without odd bytes", raw)
    status = text.split(b"message/delivery-status", 1)[1].split(b"message/rfc822", 1)[0]
    tap.equal(re.findall(rb"(?m)^Final-Recipient: .*", status),
              [f"Final-Recipient: rfc822; r0@{case.name}.test".encode()],
              f"{case.name}: it tells of whom it is about alone")
    tap.equal([d for p in parts for d in p.defects] + list(notice.defects), [], f"{case.name}: well-formed")


def check_notices(mail, cases):
    bounced = [case for case in cases if "bounced" in str(results(mail, case))]
    def of(case):
        return [m for m in mail.mails("alice") if b"@" + case.name.encode() + b".test" in m]
    wait_until(lambda: all(of(case) for case in bounced), "the notices")
    tap.equal([case.name for case in cases if len(of(case)) != (case in bounced)], [],
              f"{len(bounced)} notices, one for each message with a refusal")
    for case in bounced:
        if "evil" in case.name:
            check_notice(of(case)[0], case)


def test_hops():
    cases = hostile_hops.make()
    with tempfile.TemporaryDirectory(prefix="postcote-t-") as directory:
        ca = SmallCa(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.path("ca.chain"))
        for case in cases:
            case.server = Server(case.script, lmtp="lmtp" in case.via, tls=context if case.tls else None)
        master = "".join(f"{name} unix - - n - 200 {command}\n" for name, command in SERVICES.items())
        with Instance({**main_cf(cases), "default_destination_concurrency_limit": "50"}, master) as mail:
            submit(mail, cases)
            clients = set(wait_until(lambda: mail.pids("smtp"), "smtp"))
            for case in cases:
                check(mail, case)
            check_notices(mail, cases)
            tap.ok(clients <= set(mail.pids("smtp")), "the clients live")
            found = DIED.search(mail.log())
            tap.ok(not found, "no process died", found and found.group(0))
            grown = memory(mail)
            if os.environ.get("PC_SANITIZERS", "no") == "no":
                tap.ok(grown <= GROWTH, "their memory stays within bounds", grown)
            check_log(mail)
            for case in cases:
                case.server.__exit__()


tap.run(test_hops)
