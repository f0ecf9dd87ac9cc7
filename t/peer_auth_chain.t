#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Chains of passdb blocks beside a real Dovecot 2.3: the same answers, the same log lines.

All chains stand in one configuration; each has names of its own and its blocks a username_filter.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # pylint: disable=wrong-import-position
from peer_auth import both, peer_programs  # pylint: disable=wrong-import-position

RULES = ["return-ok", "return", "return-fail", "continue", "continue-ok", "continue-fail"]
OUTCOMES = {"ok": "success", "mismatch": "failure", "unknown": "failure", "fail": "internalfail"}


def block(chain, outcome, rule):
    if outcome == "fail":
        source = "driver = static\n args = password=%{none}\n"
    else:
        source = "driver = passwd-file\n args = scheme=PLAIN {dir}/users-" + outcome + "\n"
    return ("passdb {\n " + source + f" username_filter = {chain}\n"
            f" result_{OUTCOMES[outcome]} = {rule}\n" + "}\n")


def two_block_chains():
    """(name, blocks) for each pair of outcomes and rules."""
    for a in OUTCOMES:
        for a_rule in RULES:
            yield f"{a}-{a_rule}", [(a, a_rule)]
            for b in OUTCOMES:
                for b_rule in RULES:
                    yield f"{a}-{a_rule}.{b}-{b_rule}", [(a, a_rule), (b, b_rule)]


def three_block_chains():
    """A third block, which says yes or no, behind those that go on."""
    goes_on = [r for r in RULES if r.startswith("continue")]
    for a in OUTCOMES:
        for a_rule in goes_on:
            for b in OUTCOMES:
                for b_rule in goes_on:
                    for c in ("ok", "unknown"):
                        yield (f"{a}-{a_rule}.{b}-{b_rule}.{c}",
                               [(a, a_rule), (b, b_rule),
                                (c, "return-ok" if c == "ok" else "continue")])


def test_rules():
    chains = list(two_block_chains()) + list(three_block_chains())
    config = "".join(block(f"c{i}", *b) for i, (_, blocks) in enumerate(chains) for b in blocks)
    names = [f"c{i}" for i in range(len(chains))]
    files = {
        "users-ok": "".join(f"{n}:pw\n" for n in names),
        "users-mismatch": "".join(f"{n}:other\n" for n in names),
        "users-unknown": "nobody:x\n",
    }
    compare_all(config, files, [(what, n, "pw") for n, (what, _) in zip(names, chains)])


def compare_all(config, files, logins, lookups=(), normal=lambda seen: seen):
    """LOGINS are (what, user, password, ...), each user in one of them; LOOKUPS (what, line)."""
    seen = {}
    for it in both(config, files):
        with it:
            answers = it.plain_all([login[1:] for login in logins])
            told = log_by_user(it, [login[1] for login in logins])
            for login, answer in zip(logins, answers):
                seen[it.name, login[0]] = (answer, told.get(login[1], []))
            master = it.master()
            for what, line in lookups:
                seen[it.name, what] = master.ask(line).replace(it.dir, "{dir}")
    for what, *_ in [*logins, *lookups]:
        tap.equal(normal(seen["ours", what]), normal(seen["peer", what]), what)


def log_by_user(instance, users):
    found = {}
    wanted = set(users)
    for line in instance.auth_lines():
        name = re.search(r"\(([^,()]*)[,)]", line)
        if name and name[1] in wanted:
            found.setdefault(name[1], []).append(line)
    return found


def run_all():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    if not peer_programs():
        tap.skip_all("no Dovecot 2.3 is installed (dovecot-core)")
    tap.run(test_rules)


run_all()
