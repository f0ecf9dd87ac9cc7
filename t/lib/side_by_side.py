# SPDX-License-Identifier: BSD-2-Clause
"""The same SMTP dialogues with our smtpd and a real Postfix's: replies and log lines compared.

Each of CASES is a name and sessions, which are lists of steps: a command whose reply is read, bytes
that are sent as they are and whose replies are gathered until it is quiet, or KEEP: the connection
stays open until the case ends.  A session that begins with RAW gets no greeting first.
DIFFERENT names what is meant to differ: {(case, session, step): (pattern of ours, reason)}; a step
"log" (and any pattern) is for the case's log.
"""

import os
import re
import time

import instance
import peer_postfix
import tap
from smtp_dialogue import Dialogue

KEEP, RAW = object(), object()
MAIN = {
    "myhostname": "mail.example.test", "mydomain": "example.test", "myorigin": "example.test",
    "mydestination": "", "local_recipient_maps": "", "mynetworks": "192.0.2.64/26",
    "virtual_mailbox_domains": "example.test",
    "virtual_mailbox_maps": "inline:{alice@example.test=example.test/alice/ "
                            "bob@example.test=example.test/bob/}",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_recipient_restrictions": "", "smtpd_error_sleep_time": "0",
    "smtpd_forbid_bare_newline_exclusions": "", "smtpd_tls_security_level": "none",
    "smtpd_client_connection_count_limit": "0", "smtputf8_enable": "no",
}
# Announced by one of the two only.
KEYWORDS = r"^250[- ](ETRN|DSN|SMTPUTF8|CHUNKING)\n?"


def neutral(text):
    """Without what is another one each time."""
    text = re.sub(r"queued as \w+", "queued as ID", text)
    text = re.sub(r"\b[0-9A-F]{9,}(?=:)", "ID", text)
    text = re.sub(r"for service \S+", "for service SERVICE", text)
    text = re.sub(r"(\[127\.0\.0\.1\]):\d+", r"\1:PORT", text)
    text = text.removesuffix(" notes=bare_lf")  # since 3.9
    # Since 3.10 these have a prefix.
    text = re.sub(r"^(NOQUEUE|ID): (?=lost connection|timeout|too many errors)", "", text)
    return text


def hide(reply):
    return (re.sub(KEYWORDS, "", reply, flags=re.M).replace("250-8BITMIME", "250 8BITMIME")
            .rstrip("\n"))


def _gather(d, step):
    d.send(step)
    d.sock.settimeout(1)
    got = []
    try:
        while reply := d.reply():
            got.append("\n".join(reply))
    except TimeoutError:
        got.append("(open)")
    d.sock.settimeout(20)
    return " | ".join(got)


def session(port, steps):
    """The replies, the greeting first; and the open connection if it is kept."""
    raw = steps[:1] == [RAW]
    d = Dialogue(port, greeting=not raw)
    replies = [] if raw else ["\n".join(d.greeting)]
    for step in steps:
        if isinstance(step, bytes):
            replies.append(_gather(d, step))
        elif isinstance(step, str):
            replies.append(d.ask(step))
    if steps[-1:] == [KEEP]:
        return replies, d
    d.close()
    return replies, None


def log_of(side):
    """The log of the Postfix half alone."""
    if isinstance(side, peer_postfix.PeerPostfix):
        return side.log()
    with open(side.path("log/mail.log"), encoding="utf-8", errors="replace") as f:
        return f.read()


def lines(log):
    found = [neutral(m.group(1)) for m in re.finditer(r"postfix/smtpd\[\d+\]: (.*)", log)]
    return [x for x in found if not x.startswith(("setting up", "warning: dict", "initializing"))]


def talk(side, port, sessions):
    """Replies of all sessions, one after the other, and the log."""
    skip, kept, replies = len(log_of(side)), [], []

    def ended():
        return log_of(side)[skip:].count(": disconnect from ")

    for steps in sessions:
        got, d = session(port, steps)
        replies.append([hide(neutral(r)) for r in got])
        if d:
            kept.append(d)
        else:
            want = len(replies) - len(kept)
            instance.wait_until(lambda w=want: ended() >= w, "disconnect")
    for d in kept:
        d.close()
        time.sleep(0.1)
    instance.wait_until(lambda: ended() >= len(sessions), "disconnect")
    return replies, lines(log_of(side)[skip:])


def compare(name, sessions, ours, peer, different):
    got, log = talk(ours, ours.smtp_port, sessions)
    want, peer_log = talk(peer, peer.port, sessions)
    for i, (a, b) in enumerate(zip(got, want)):
        for j, (x, y) in enumerate(zip(a, b)):
            if (name, i, j) in different:
                pattern, reason = different[name, i, j]
                tap.like(x, pattern, f"{name}: session {i}, reply {j} differs: {reason}")
            elif x != y:
                tap.equal(x, y, f"{name}: session {i}, reply {j}")
                return
    if (name, "log") in different:
        tap.ok(True, f"{name}: the log differs: {different[name, 'log']}")
        return
    tap.equal(log, peer_log, f"{name}: replies and log")


def run(main, cases, different, only=()):
    """Compares CASES under one configuration."""
    chosen = {c: s for c, s in cases.items() if not only or c in only}
    if not chosen:
        return
    values = {**MAIN, **main}
    with peer_postfix.PeerPostfix(values) as peer, instance.Instance(main=values) as ours:
        # The looks whether a port is open are sessions, too.
        for side in (ours, peer):
            instance.wait_until(
                lambda s=side: log_of(s).count(": disconnect from ") >= 1, "the first sessions")
        time.sleep(0.2)
        for name, sessions in chosen.items():
            compare(name, sessions, ours, peer, different)
