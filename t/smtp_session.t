#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client's sessions with servers of many kinds up to MAIL, and connections that carry more than
one message."""

import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import smtp_session_cases
import tap
from agent import Agent, start_only
from instance import Instance, wait_until
from smtp_server import CLOSE, EHLO, Server


def check_case(mail, case):
    lines = case.wait(mail)
    tap.ok(len(lines) == len(case.log) and all(map(re.fullmatch, case.log, lines)),
           f"{case.name}: the log", "\n".join(lines) + "\nwanted\n" + "\n".join(case.log))
    tap.equal(case.heard(), case.said, f"{case.name}: what was said")


def test_cases():
    with tempfile.TemporaryDirectory(prefix="postcote-t-") as directory:
        os.chmod(directory, 0o755)
        cases = smtp_session_cases.make(directory) + smtp_session_cases.make_tls()
        os.chmod(f"{directory}/lmtp", 0o666)
        with Instance(smtp_session_cases.main_cf(cases), smtp_session_cases.services(cases)) as mail:
            smtp_session_cases.submit(mail, cases)
            for case in cases:
                check_case(mail, case)


class Reuse:
    """A client with qmgr's end of its connection in our hands."""

    count = 0  # of all

    def __init__(self, mail, server):
        self.mail, self.server = mail, server
        self.agent = Agent(mail, "smtp")

    def deliver(self, **kwargs):
        """The log line's relay and conn_use of one more message."""
        Reuse.count += 1
        queue_id = f"4ABCDE{Reuse.count:03d}"
        self.agent.deliver(["a@example.test"], queue_id=queue_id,
                           nexthop=f"[127.0.0.1]:{self.server.port}", **kwargs)
        found = self.mail.wait_for_log(rf"{queue_id}: to=<\S+>, relay=([^,]+), (?:conn_use=(\d+), )?"
                                       r"delay=.*status=(\w+)")
        return found[2], found[3]

    def lines(self, index):
        return [line.split(":")[0] for line in self.server.sessions[index].lines]


MESSAGE = ["MAIL FROM", "RCPT TO", "DATA"]


def test_on_demand(mail):
    with Server() as server:
        client = Reuse(mail, server)
        got = [client.deliver(more=True), client.deliver(more=True), client.deliver(), client.deliver()]
        tap.equal(got, [(None, "sent"), ("2", "sent"), ("3", "sent"), (None, "sent")],
                  "a connection is kept while there is more")
        server.wait(lambda s: len(s.sessions) == 2 and s.sessions[0].closed.is_set())
        tap.equal(client.lines(0), ["EHLO mail.example.test", *MESSAGE, "RSET", *MESSAGE, "RSET",
                                    *MESSAGE, "QUIT"], "what was said over it")


def test_refusals(mail):
    """A connection is as good as new after a refusal, unless the server did not understand us."""
    with Server({"RCPT": ["550 5.1.1 no", "501 5.5.4 syntax", "250 ok"]}) as server:
        client = Reuse(mail, server)
        got = [client.deliver(more=True) for _ in range(3)]
        tap.equal(got, [(None, "bounced"), ("2", "bounced"), (None, "sent")], "RCPT is refused")


def test_gone(mail):
    """A server that went away in between costs nothing but a new connection."""
    for reply in ("421 4.3.2 bye", "500 5.5.1 what?", CLOSE):
        with Server({"RSET": reply}) as server:
            client = Reuse(mail, server)
            got = [client.deliver(more=True) for _ in range(2)]
            tap.equal(got, [(None, "sent"), (None, "sent")], f"RSET is answered with {reply}")
    with Server() as server:
        client = Reuse(mail, server)
        client.deliver(more=True)
        server.sessions[0].sock.sendall(b"421 4.4.2 idle for too long\r\n")
        wait_until(server.sessions[0].closed.is_set, "the client's end")
        tap.equal(client.lines(0)[-1], "DATA", "a server that hangs up is left without a word")
        tap.equal(client.deliver(), (None, "sent"), "and met again")


def test_idle(mail):
    with Server() as server:
        client = Reuse(mail, server)
        client.deliver(more=True)
        wait_until(server.sessions[0].closed.is_set, "the end of a connection without work")
        tap.equal(client.lines(0)[-1], "QUIT", "a connection without work ends")


def test_always(mail):
    with Server(address="127.0.0.2") as server:
        agent = Agent(mail, "smtp")
        for queue_id in ("4ABCDEF90", "4ABCDEF91"):
            agent.deliver(["a@example.test"], queue_id=queue_id, nexthop=f"[127.0.0.2]:{server.port}")
        mail.wait_for_log("4ABCDEF91: .*, conn_use=2, ")
        tap.equal(len(server.sessions), 1, "smtp_connection_cache_destinations")
        mail.postcote("stop")
        wait_until(server.sessions[0].closed.is_set, "the end with the process")
        tap.equal(server.sessions[0].lines[-1], "QUIT", "what lies idle says QUIT at a stop")


def test_reuse():
    main = {"smtp_tls_security_level": "none", "smtp_connection_cache_destinations": "127.0.0.2",
            "smtp_connection_cache_time_limit": "60", "connection_cache_ttl_limit": "2",
            "smtp_rset_timeout": "5"}
    mail = Instance(main)
    try:
        start_only(mail, "smtp unix - - n - - smtp")
        for test in (test_on_demand, test_refusals, test_gone, test_idle, test_always):
            test(mail)
    finally:
        mail.close()


tap.run(test_cases, test_reuse)
