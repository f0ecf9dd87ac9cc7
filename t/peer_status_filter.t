#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same outcomes through the same filters, in a real Postfix and here."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import status_filter_cases as cases                   # noqa: E402
import tap                                            # noqa: E402


def configure(server, own, folder):
    path = server.path("filter")
    with open(path, "w", encoding="ascii") as f:
        f.write(cases.FILTER)
    os.chmod(path, 0o644)
    side = cases.Side(own("filter"))
    with open(server.path(folder, "main.cf"), "a", encoding="ascii") as f:
        f.writelines(f"{k} = {v}\n" for k, v in side.main.items())
    with open(server.path(folder, "master.cf"), "a", encoding="ascii") as f:
        f.write(side.master)
    return side


def main():
    peer_postfix.find()
    peer, ours = peer_postfix.PeerPostfix({}), instance.Instance()
    sides = (configure(peer, peer.own, "etc"), configure(ours, ours.path, "etc/postfix"))
    ours.own(ours.dir)
    with peer, ours:
        theirs, got = sides[0].run(peer), sides[1].run(ours)
        for rcpt, want in theirs.items():
            tap.equal(got[rcpt], want, rcpt)
        tap.equal(cases.warnings(ours), cases.warnings(peer), "warnings")


tap.run(main)
