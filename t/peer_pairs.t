#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""All pairs of SMTP commands in each state of a session, and some triples, with our smtpd and a
real Postfix: the replies, and the log lines of each connection in their order, are the same.

    t/peer_pairs.t [SEED [STATE COMMAND...]]

SEED chooses other triples; a sequence is run alone, and all that was said is shown.
"""

import collections
import functools
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import pairs  # noqa: E402
import peer_postfix  # noqa: E402
import tap  # noqa: E402

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
TRIPLES = 500
SHOWN = 10  # differences
MAIN = {
    "compatibility_level": "3.6", "myhostname": "mail.example.test", "mydomain": "example.test",
    "myorigin": "example.test", "mydestination": "", "local_recipient_maps": "",
    "mynetworks": "192.0.2.0/24", "virtual_mailbox_domains": "example.test",
    "virtual_mailbox_maps": "inline:{alice@example.test=example.test/alice/ "
                            "bob@example.test=example.test/bob/}",
    "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_recipient_restrictions": "",
    "smtpd_peername_lookup": "no", "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "1000000", "smtpd_hard_error_limit": "1000000",
    "smtpd_junk_command_limit": "1000000", "message_size_limit": "5000",
    "mailbox_size_limit": "5000", "virtual_mailbox_limit": "5000", "hopcount_limit": "5",
    "smtpd_forbidden_commands": "CONNECT GET POST", "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_unauth_pipelining": "yes", "smtpd_tls_security_level": "may",
    "smtpd_tls_loglevel": "1", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot",
    "smtpd_tls_auth_only": "no",
    "smtpd_client_connection_count_limit": "0", "smtputf8_enable": "yes", "in_flow_delay": "0",
}
AUTH = """
auth_failure_delay = 0
service auth {
  unix_listener %s/auth {
    mode = 0666
  }
}
"""
ENDS = re.compile(r": disconnect from unknown\[127\.[1-9]")
LOOKS = "127.0.0.1"  # whether the port is open
SIZE, CHUNK = "MAIL with a big SIZE", "BDAT, too big"


def different(sequence):
    """Why the answers to this sequence differ, "" if they do not.  It has a connection of its own."""
    state, *names = sequence
    if SIZE in names and any(n.startswith(("MAIL", "pipe")) for n in names[names.index(SIZE) + 1:]):
        return "a refused SIZE is the size of Postfix's next message, too; RFC 1870 has no such thing"
    if names.count(CHUNK) > 1:
        return "Postfix takes for commands what it has of a chunk when it hangs up"
    return ""


@functools.lru_cache
def is_old():
    return peer_postfix.version() < (3, 11)


def lines_of(log, address):
    """Before 3.10 some have no prefix, and no login at their end."""
    lines = log.get(address, [])
    if is_old():
        lines = [re.sub("^(NOQUEUE|ID): (?=lost)|(?<!,) sasl_method=.*", "", line) for line in lines]
    return lines


def is_new(sequence):
    """Before 3.11 a chunk behind a refused one ends Postfix's process; 3.7 has no HELP, and tells no
    client its mechanism."""
    state, *names = sequence
    chunks = [n for n in names if "BDAT" in n or n == "pipelined chunks"]
    return (state == "a refused chunk" or "pipelined chunks" in chunks or "BDAT 0" in chunks
            or any("too big" in n for n in chunks) or len(chunks) > 1 or "HELP" in names
            or names[0] in ("login: FOO", "login: *"))


def chains():
    """All sequences, in lists that share connections."""
    found = [[s for s in chain if not (is_old() and is_new(s))] for chain in every_chain()]
    return [chain for chain in found if chain]


def every_chain():
    names = [n for n, steps in pairs.COMMANDS.items() if steps is not None]
    found = [[(state, a, b) for b in pairs.COMMANDS] for state in pairs.STATES for a in names]
    dice = random.Random(SEED)
    triples = [(dice.choice(list(pairs.STATES)), *dice.choices(names, k=3)) for _ in range(TRIPLES)]
    found += [triples[i:i + 25] for i in range(0, TRIPLES, 25)]
    return found + [[("EHLO", name) for name in pairs.ALL if name.startswith("login:")]]


def certificate(directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=mail.example.test", "-keyout", f"{directory}/key.pem",
         "-out", f"{directory}/cert.pem"], check=True, stderr=subprocess.DEVNULL)
    for name in ("", "/key.pem", "/cert.pem"):
        os.chmod(directory + name, 0o755)


def main_cf(directory):
    return {**MAIN, "smtpd_tls_cert_file": f"{directory}/cert.pem",
            "smtpd_tls_key_file": f"{directory}/key.pem", "smtpd_sasl_path": f"{directory}/auth"}


def run(sequences):
    """Replies, lines by client, and number of connections: of ours, and of the peer."""
    with tempfile.TemporaryDirectory(dir=peer_postfix.ROOT + "/tmp", prefix="postcote-t-") as made:
        certificate(made)
        os.chmod(made, 0o777)  # both ask the same server there
        with instance.Instance(main=main_cf(made), dovecot=AUTH % made) as ours, \
             peer_postfix.PeerPostfix(main_cf(made.removeprefix(peer_postfix.ROOT))) as peer:
            answers, counts = pairs.talk_all((ours.smtp_port, peer.smtp_port), sequences, different)
            logs = []
            for side, count in zip((ours, peer), counts):
                instance.wait_until(lambda s=side, n=count: len(ENDS.findall(s.postfix_log())) >= n,
                                    "the connections' ends")
                logs.append(pairs.logged(side.postfix_log()))
    return answers, logs, counts


def first_difference(ours, peer):
    return next((i for i, (a, b) in enumerate(zip(ours, peer)) if a != b), min(len(ours), len(peer)))


def compare_replies(sequences, answers):
    """One test for each state; the first few differences are shown."""
    wrong, count = collections.defaultdict(list), collections.Counter()
    for chain, ours, peer in zip(sequences, *answers):
        for sequence, a, b in zip(chain, ours, peer):
            count[sequence[0]] += 1
            if a != b and not different(sequence):
                i = first_difference(a, b)
                wrong[sequence[0]].append(
                    f"{sequence}, step {i}:\n  ours: {a[i:i + 1]}\n  peer: {b[i:i + 1]}")
    for state, number in count.items():
        tap.ok(not wrong[state], f"{number} sequences after {state}: replies",
               f"{len(wrong[state])} differ\n" + "\n".join(wrong[state][:SHOWN]))


def compare_logs(sequences, logs):
    ours, peer = logs
    wrong = []
    for address in sorted(set(ours) | set(peer)):
        place = pairs.place_of(address)
        sequence = sequences[place[0]][place[1]] if place else ("nobody's",)
        a, b = lines_of(ours, address), lines_of(peer, address)
        if a != b and address != LOOKS and not (place and different(sequence)):
            i = first_difference(a, b)
            wrong.append(f"from {sequence}, line {i}:\n  ours: {a[i:i + 1]}\n  peer: {b[i:i + 1]}")
    tap.ok(not wrong, f"{len(ours)} connections: log lines",
           f"{len(wrong)} differ\n" + "\n".join(wrong[:SHOWN]))


def show(sequence):
    answers, logs, _ = run([[sequence]])
    for side, (said,), log in zip(("ours", "peer"), answers, logs):
        print(side, *said[0], *log.get(pairs.address_of(0, 0), []), sep="\n  ")
    sys.exit(answers[0] != answers[1])


peer_postfix.find()
if len(sys.argv) > 2:
    show(tuple(sys.argv[2:]))
todo = chains()
the_answers, the_logs, the_counts = run(todo)
compare_replies(todo, the_answers)
tap.equal(*the_counts, "as many connections")
compare_logs(todo, the_logs)
tap.done()
