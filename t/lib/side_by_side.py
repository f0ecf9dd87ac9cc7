# SPDX-License-Identifier: BSD-2-Clause
"""The same SMTP dialogues with our smtpd and a real Postfix's: replies and log lines compared.

Each of CASES is a name and sessions, which are lists of steps: a command whose reply is read, bytes
that are sent as they are and whose replies are gathered until it is quiet, or KEEP: the connection
stays open until the case ends.  A session that begins with RAW gets no greeting first.
compare()'s "different" names what is meant to differ: {(case, session, reply): (pattern of ours,
reason)}, and {(case, "log"): reason}.
"""

import re

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


def neutral(text):
    """Without what is another one each time."""
    text = peer_postfix.neutral(text)
    text = re.sub(r"for service \S+", "for service SERVICE", text)
    text = re.sub(r"(\[127\.0\.0\.1\]):\d+", r"\1:PORT", text)
    text = text.removesuffix(" notes=bare_lf")  # since 3.9
    # Since 3.10 these have a prefix.
    text = re.sub(r"^(NOQUEUE|ID): (?=lost connection|timeout|too many errors)", "", text)
    return text


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
    """The replies, the greeting first; and the connection if it is kept open, which 421 does not."""
    raw = steps[:1] == [RAW]
    d = Dialogue(port, greeting=not raw)
    replies = [] if raw else ["\n".join(d.greeting)]
    for step in steps:
        if isinstance(step, bytes):
            replies.append(_gather(d, step))
        elif isinstance(step, str):
            replies.append(d.ask(step))
    if steps[-1:] == [KEEP] and not replies[-1].startswith("421 "):
        return replies, d
    d.close()
    return replies, None


def lines(log):
    found = map(neutral, peer_postfix.smtpd_lines(log))
    return [x for x in found if not x.startswith(("setting up", "warning: dict", "initializing"))]


def talk(side, sessions):
    """Replies of all sessions, one after the other, and the log."""
    skip, kept, replies, over = len(side.postfix_log()), [], [], 0

    def wait_for_end():
        nonlocal over
        over += 1
        instance.wait_until(
            lambda: side.postfix_log()[skip:].count(": disconnect from ") >= over, "disconnect")

    for steps in sessions:
        got, d = session(side.smtp_port, steps)
        replies.append([neutral(r) for r in got])
        if d:
            kept.append(d)
        else:
            wait_for_end()
    for d in kept:
        d.close()
        wait_for_end()
    return replies, lines(side.postfix_log()[skip:])


def looks_have_ended(side):
    """Whether all looks at its ports, which are sessions, too, are in the log: the end of one that
    is still to come would be taken for another's."""
    looks = 2 if isinstance(side, instance.Instance) else 1  # ours has a submission port
    return side.postfix_log().count(": disconnect from ") >= looks


def settle(side):
    """Returns when the looks whether the port is open, which are sessions, too, are in the log."""
    skip = len(side.postfix_log())
    with Dialogue(side.smtp_port) as d:
        d.ask("HELP-US")
    instance.wait_until(lambda: "unknown=0/1" in side.postfix_log()[skip:], "a session's end")


def compare(name, sessions, ours, peer, different=()):
    got, log = talk(ours, sessions)
    want, peer_log = talk(peer, sessions)
    for i, (a, b) in enumerate(zip(got, want)):
        for j, (x, y) in enumerate(zip(a, b)):
            if (name, i, j) in different:
                pattern, reason = different[name, i, j]
                tap.like(x, pattern, f"{name}: session {i}, reply {j} differs: {reason}")
            elif x != y:
                tap.equal(x, y, f"{name}: session {i}, reply {j}")
                return
    if (name, "log") in different:
        # Another release may do as we do.
        tap.ok(log != peer_log or peer_postfix.ROOT,
               f"{name}: the log differs: {different[name, 'log']}", log)
        return
    tap.equal(log, peer_log, f"{name}: replies and log")


def run(main, cases, only=()):
    """Compares CASES under one configuration."""
    chosen = {c: s for c, s in cases.items() if not only or c in only}
    if not chosen:
        return
    values = {**MAIN, **main}
    with peer_postfix.PeerPostfix(values) as peer, instance.Instance(main=values) as ours:
        # The look whether the port is open is a session, too; our other ports have another name.
        for side in (ours, peer):
            instance.wait_until(lambda s=side: looks_have_ended(s), "the first sessions' end")
        for name, sessions in chosen.items():
            compare(name, sessions, ours, peer)
