# SPDX-License-Identifier: BSD-2-Clause
"""A login while many slow password checks wait."""

import socket
import time

from bench_target import IMAP, Meter

FLOOD = 200
SCHEME = "bcrypt10"
# From where the flood comes, and the one who is measured.
FLOODER, CLIENT = "127.0.0.2", "127.0.0.3"
LIMIT_S = 120
CASES = [("one more of the same scheme", SCHEME), ("one with {PLAIN}", "plain")]


class Login:
    """A POP3 connection whose password has been sent."""

    def __init__(self, run, source, user):
        self.sock = socket.create_connection((run.target.host, run.target.ports["pop3"]), LIMIT_S,
                                             (source, 0))
        self.lines = self.sock.makefile("rb")
        self.lines.readline()
        self.sock.sendall(f"USER {user}\r\n".encode())
        self.lines.readline()
        self.start = time.monotonic()
        self.sock.sendall(b"PASS secret\r\n")

    def finish(self):
        """Seconds until the answer, and whether it was +OK."""
        answer = self.lines.readline()
        seconds = time.monotonic() - self.start
        self.sock.close()
        return seconds, answer.startswith(b"+OK")


def flood(run):
    """POP3: time until a login is served while 200 of bcrypt, cost 10, from one address wait"""
    users = {key: open(path, encoding="ascii").read().split()
             for key, path in run.target["auth_users"].items()}
    names = [line.split(":")[0] for line in users[SCHEME]]
    count = FLOOD // 4 if run.is_quick else FLOOD
    for case, scheme in CASES:
        for _ in run.repeat(case):
            with Meter(run.target, IMAP) as meter:
                start = time.monotonic()
                waiting = [Login(run, FLOODER, names[i % len(names)]) for i in range(count)]
                seconds, good = Login(run, CLIENT, users[scheme][-1].split(":")[0]).finish()
                accepted = sum(login.finish()[1] for login in waiting)
                total = time.monotonic() - start
            run.emit("auth-flood", case, login_s=round(seconds, 3), logged_in=good,
                     checks_per_s=round((count + 1) / total, 1), accepted=accepted,
                     sent=count, psi=meter.psi, cpu_by=meter.cpu_by)
