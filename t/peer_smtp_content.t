#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same messages through a real Postfix's SMTP client and ours: what comes to the server, byte for
byte, what is logged of it, and what becomes of it.

Made the same first: dates and ids; and in fields whose addresses were mapped blanks and folds, where
we keep what was there and the peer writes anew.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import content_cases                                  # noqa: E402
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import tap                                            # noqa: E402


def write_file(name, text):
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(name, 0o644)


def configure(server, own):
    """Our view of the server's files is server.path, its own is OWN."""
    os.makedirs(server.path("tables"))

    def table(name, text):
        write_file(server.path("tables", name), text)
        return own("tables", name)

    side = content_cases.Side(table)
    folder = "etc/postfix" if os.path.exists(server.path("etc/postfix")) else "etc"
    with open(server.path(folder, "main.cf"), "a", encoding="utf-8") as f:
        f.writelines(f"{k} = {v}\n" for k, v in side.main.items())
    with open(server.path(folder, "master.cf"), "a", encoding="utf-8") as f:
        f.write(side.master)
    return side


def same(transport, data):
    if data is None or transport not in ("generic", "extension"):
        return data
    header, _, body = data.partition(b"\r\n\r\n")
    header = re.sub(rb"\s+", b" ", re.sub(rb"\r\n(?![ \t])", b"\0", header))
    return re.sub(rb" ?([(,:]) ?", rb"\1", header).split(b"\0"), body


def compare(sides, mails, ids):
    for transport, _, _, messages in content_cases.TRANSPORTS:
        for case in messages:
            theirs, ours = (same(transport, side.message(transport, case)) for side in sides)
            tap.equal(ours, theirs, f"{transport}: {case}")
    for key in ids[0]:
        theirs, ours = (content_cases.lines(mail, i[key]) for mail, i in zip(mails, ids))
        tap.equal(ours, theirs, f"{key[0]}: {key[1]}: log")
    theirs, ours = map(content_cases.warnings, mails)
    tap.equal(ours, theirs, "warnings")


def main():
    peer_postfix.find()
    peer = peer_postfix.PeerPostfix({})
    ours = instance.Instance()
    sides = [configure(peer, peer.own), configure(ours, ours.path)]
    ours.own(ours.dir)
    with peer, ours:
        ids = [side.send_all(mail) for side, mail in zip(sides, (peer, ours))]
        compare(sides, (peer, ours), ids)


tap.run(main)
