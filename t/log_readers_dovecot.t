#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fail2ban's dovecot filter says of our log what it says of a real Dovecot's after the same
sessions, in each of its modes."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import pop3_side  # noqa: E402
import tap  # noqa: E402
from pop3_side import LOGIN, TLS, Pair, plain  # noqa: E402

FILTER = "/etc/fail2ban/filter.d/dovecot.conf"
pop3_side.need_peer()
if not shutil.which("fail2ban-regex") or not os.path.exists(FILTER):
    tap.skip_all("no fail2ban")

SESSIONS = [
    [], ["QUIT"], [TLS], LOGIN + ["QUIT"], [TLS] + LOGIN + ["STAT"], ["USER u0", "PASS wrong"],
    [TLS, "USER u0", "PASS wrong", "QUIT"], ["USER who", "PASS x", "USER u0", "PASS y", "QUIT"],
    ["AUTH PLAIN"], ["AUTH PLAIN", "*"], ["AUTH FOO"], ["AUTH PLAIN ===="], ["AUTH PLAIN " + plain("u0", "no"), "QUIT"],
    ["FOO", "BAR", "BAZ"], [b"STLS\r\n", b"GET / HTTP/1.0\r\n\r\n"], ["USER u0\x01<>, rip=192.0.2.1", "PASS x"],
    ["USER a, rip=192.0.2.9, lip=1", "PASS x", "QUIT"],
]


def found(side, mode):
    """Addresses with what matched, and how many lines did and did not."""
    done = subprocess.run(["fail2ban-regex", "--print-all-matched", side.path("log"), f"{FILTER}[mode={mode}]"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    counts = re.search(r"Lines: .*? (\d+) ignored, (\d+) matched", done.stdout)
    section = done.stdout.partition("Matched line(s):")[2].partition("\n`-")[0]
    matched = sorted(re.sub(r"^\|\s+\w+ \d+ [\d:]+ ", "", pop3_side.neutral(line, side))
                     for line in section.splitlines() if re.match(r"\|\s+\w+ \d+ [\d:]+ ", line))
    return counts.group(2) if counts else done.stdout, matched


def run_all():
    extra = "disable_plaintext_auth = yes\nauth_verbose = yes\n"
    with Pair("fail2ban", extra) as pair:
        pair.put({"cur/1.h:2,": "a: b\n\nx\n"})
        for side in pair.sides:
            for steps in SESSIONS:
                side.talk(list(steps))
                side.talk(list(steps), source="127.0.0.2")
        for mode in ("normal", "aggressive"):
            (ours, our_lines), (theirs, peer_lines) = (found(side, mode) for side in pair.sides)
            tap.equal(our_lines, peer_lines, f"mode {mode}: the lines that count")
            tap.equal(ours, theirs, f"mode {mode}: how many")
            tap.ok(peer_lines, f"mode {mode}: there are some")
    tap.done()


run_all()
