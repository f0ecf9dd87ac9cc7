#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The README's figures are those of the lists of parameters, and what it names is there."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as f:
        return f.read()


def rows(text, macro):
    """How many rows, and how many of them work: YES in front of the description."""
    return len(re.findall(rf"^{macro}\(", text, re.M)), len(re.findall(r',\s*YES,\s*"', text))


def test_counts():
    readme = read("README.md")
    count, work = rows(read("lib/conf/postfix_params.def"), "PARAM")
    tap.like(readme, rf"{work} of {count}\b", f"main.cf: {work} of {count}")
    total = [rows(read("lib/conf", name), "(?:BLOCK_)?SETTING")
             for name in ("dovecot_settings.def", "dovecot_blocks.def")]
    count, work = (sum(column) for column in zip(*total))
    tap.like(readme, rf"{work} of {count}\b", f"dovecot.conf: {work} of {count}")


def test_names():
    for name in re.findall(r"`((?:doc|bench|t|etc)/[\w./-]+)`", read("README.md")):
        tap.ok(os.path.exists(os.path.join(TOP, name)), f"{name} is there")


tap.run(test_counts, test_names)
