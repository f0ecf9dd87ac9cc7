#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""public/flush, the peer's flush(8): its requests and answers, as recorded from Postfix 3.7."""

import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import tap                                            # noqa: E402
from instance import WAIT_S, wait_until               # noqa: E402
from queue_instance import Queue                      # noqa: E402

GREETING = b"protocol\0queue_flush_protocol\0\0"
PEER = "/usr/sbin/postqueue"
MAIN = {
    "minimal_backoff_time": "3000s", "maximal_backoff_time": "4000s",
    "transport_maps": "inline:{ {relay.test=nothere:} "
                      "{sub.relay.test=nothere:} {other.test=nothere:} }",
    "fast_flush_domains": "relay.test",
}


def connect(q):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(WAIT_S)
    fd = os.open(os.path.join(q.spool, "public"), os.O_PATH)
    try:
        s.connect(f"/proc/self/fd/{fd}/flush")
    finally:
        os.close(fd)
    return s


def rest(s):
    text = b""
    while True:
        more = s.recv(1000)
        if not more:
            return text
        text += more


def ask(q, *words):
    with connect(q) as s:
        s.sendall(b"".join(w.encode() + b"\0" for w in words) + b"\0")
        said = rest(s)
    if not said.startswith(GREETING):
        raise RuntimeError(f"greeted with {said}")
    return said[len(GREETING):]


def status(number):
    return f"status\0{number}\0\0".encode()


def attempts(q, ident):
    return len(re.findall(rf"{ident}: to=<.*status=deferred", q.postfix_log()))


def test_requests(q):
    for words, want in ((("send_site", "site", "relay.test"), status(0)),
                        (("send_site", "site", "sub.relay.test"), status(0)),
                        (("send_site", "site", "other.test"), status(4)),
                        (("send_site", "site", ""), status(4)),
                        (("send_site", "site", "x" * 500), status(4)),
                        (("send_site", "queue_id", "ABCDEF1234"), status(3)),
                        (("send_site",), status(3)),
                        (("send_file", "queue_id", "ABCDEF1234"), status(0)),
                        (("send_file", "queue_id", "../../etc/passwd"), status(0)),
                        (("send_file",), status(3)),
                        (("add", "site", "relay.test", "queue_id", "ABCDEF1234"), status(0)),
                        (("add", "site", "other.test", "queue_id", "ABCDEF1234"), status(4)),
                        (("add", "site", "relay.test"), status(3)),
                        (("rfrsh",), status(0)), (("purge",), status(0)),
                        (("nonsense",), b"")):
        tap.equal(ask(q, "request", *words), want, " ".join(words)[:60])
    tap.equal(ask(q, "site", "relay.test"), status(3), "no request")
    with connect(q) as s:
        s.sendall(b"x" * 5000)
        try:
            tap.equal(rest(s), GREETING, "too long: no answer")
        except ConnectionResetError:
            tap.ok(True, "too long: no answer")
    with connect(q) as s:
        s.sendall(b"W")
        tap.equal(rest(s), GREETING, "a wake-up")


def test_flush(q):
    first, _ = q.inject("a@x.test", "u@relay.test")
    second, _ = q.inject("a@x.test", "u@other.test")
    third, _ = q.inject("a@x.test", "u@sub.relay.test", "v@relay.test")

    def tried(*want):
        wait_until(lambda: [attempts(q, i) for i in (first, second, third)] == list(want),
                   f"attempts {want}")
        tap.ok(True, f"attempts {want}")
    tried(1, 1, 2)
    wait_until(lambda: set(q.files().values()) == {"deferred"}, "deferred")
    tap.equal(ask(q, "request", "send_site", "site", "RELAY.test"), status(0), "send_site")
    tried(2, 1, 4)
    tap.equal(ask(q, "request", "send_file", "queue_id", second), status(0), "send_file")
    tried(2, 2, 4)
    if not os.path.exists(PEER) or os.geteuid() != 0:
        tap.skip("no real Postfix", "the peer's postqueue")
        return
    os.mkdir(q.path("peer"))
    with open(q.path("peer/main.cf"), "w", encoding="ascii") as f:
        f.write(f"compatibility_level = 3.6\nqueue_directory = {q.spool}\n"
                "fast_flush_domains = relay.test\n")
    done = subprocess.run([PEER, "-c", q.path("peer"), "-s", "relay.test"], timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    tap.equal(done.returncode, 0, "the peer's postqueue -s") or tap.note(done.stdout)
    tried(3, 2, 6)


def main():
    with Queue(**MAIN) as q:
        tap.run(lambda: test_requests(q), lambda: test_flush(q))


main()
