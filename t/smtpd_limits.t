#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Limits per client: what is counted over all processes, what the dead give back, statistics.

Replies and log lines are compared with a real Postfix's in t/peer_clients.t.
"""

import os
import re
import signal
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

LIMIT = 6
COUNT_PORT, TLS_PORT, WRAPPER_PORT, RATE_PORT, PREFIX_PORT, BURST_PORT = instance.free_ports(6)
MASTER = f"""
127.0.0.1:{COUNT_PORT} inet n - n - - smtpd
  -o smtpd_client_connection_count_limit={LIMIT}
  -o postcote_smtpd_processes=3
127.0.0.1:{TLS_PORT} inet n - n - - smtpd
  -o smtpd_client_new_tls_session_rate_limit=2
127.0.0.1:{WRAPPER_PORT} inet n - n - - smtpd
  -o smtpd_client_new_tls_session_rate_limit=2 -o smtpd_tls_wrappermode=yes
127.0.0.1:{RATE_PORT} inet n - n - - smtpd
  -o smtpd_client_connection_rate_limit=2
127.0.0.1:{PREFIX_PORT} inet n - n - - smtpd
  -o smtpd_client_connection_count_limit=1 -o smtpd_authorized_xclient_hosts=127.0.0.1
  -o smtpd_client_ipv4_prefix_length=24 -o smtpd_client_ipv6_prefix_length=56
127.0.0.1:{BURST_PORT} inet n - n - 100 smtpd
"""
TOO_MANY = ["421 4.7.0 mail.example.test Error: too many connections from 127.0.0.1"]


def accepted(d):
    return bool(d.greeting) and d.greeting[0].startswith("220 ")


def opened(count, port=COUNT_PORT):
    """So many connections, made at the same time."""
    made = []

    def make():
        made.append(Dialogue(port))
    threads = [threading.Thread(target=make) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


def all_are_gone():
    """Waits until nobody is counted any more."""
    def none():
        made = opened(LIMIT)
        good = all(accepted(d) for d in made)
        for d in made:
            d.close()
        return good
    instance.wait_until(none, "connections to be given back")


def test_count():
    made = opened(3 * LIMIT)
    good = [d for d in made if accepted(d)]
    bad = [d for d in made if not accepted(d)]
    # One that is refused counts until it is gone, so it may cost another one its place.
    tap.ok(0 < len(good) <= LIMIT, "not more than the limit, over all processes", len(good))
    tap.ok(all(d.greeting == TOO_MANY and d.rest() == [] for d in bad), "the others are told so")
    for d in bad:
        d.close()
    more = [instance.wait_until(fresh, "a connection") for _ in range(LIMIT - len(good))]
    tap.equal(Dialogue(COUNT_PORT).greeting, TOO_MANY, "one more")
    the_mail.wait_for_log(rf"warning: Connection concurrency limit exceeded: {LIMIT + 1} from "
                          rf"localhost\[127\.0\.0\.1\] for service 127\.0\.0\.1:{COUNT_PORT}$")
    tap.equal(good[0].ask("EHLO x")[:3], "250", "who is there stays")
    for d in good + more:
        d.close()
    all_are_gone()
    tap.ok(True, "who has gone is not counted")


def of_service(pids):
    """Those of PIDS that listen on the port of the count."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        inodes = [line.split()[9] for line in f if f":{COUNT_PORT:04X} " in line]
    found = []
    for pid in pids:
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if any(f"socket:[{inode}]" in links for inode in inodes):
            found.append(pid)
    return found


def test_killed():
    """A process that dies gives back what it had."""
    for round_ in range(3):
        made = [instance.wait_until(fresh, "a connection") for _ in range(LIMIT)]
        tap.equal(Dialogue(COUNT_PORT).greeting, TOO_MANY, f"all, and then nobody, {round_}")
        pids = the_mail.pids("smtpd")
        victims = of_service(pids) or pids
        for pid in victims[:1] if round_ == 0 else victims:
            os.kill(pid, signal.SIGKILL)
        if round_ > 0:
            # One after the other: with the old ones still counted none would be let in.
            made += [instance.wait_until(fresh, "a connection") for _ in range(LIMIT)]
            tap.equal(Dialogue(COUNT_PORT).greeting, TOO_MANY, f"exactly so many, {round_}")
        for d in made:
            d.close()
        all_are_gone()
        tap.ok(True, f"counts return to zero, {round_}")


def fresh():
    try:
        d = Dialogue(COUNT_PORT, timeout=10)
    except OSError:
        return None
    if accepted(d):
        return d
    d.close()
    return None


def test_reload():
    """Who is served by a process of the last generation counts in this one."""
    d = Dialogue(COUNT_PORT)
    d.ask("EHLO x")
    d.ask("MAIL FROM:<alice@example.test>")
    the_mail.reload()

    def new_ones():
        made = [Dialogue(COUNT_PORT) for _ in range(LIMIT)]
        good = [x for x in made if accepted(x)]
        for x in made:
            x.close()
        return len(good) == LIMIT - 1
    instance.wait_until(new_ones, "the old connection to count")
    tap.ok(True, "counts know no generations")
    tap.equal(d.ask("RCPT TO:<bob@example.test>"), "250 2.1.5 Ok", "the old one goes on")
    d.close()
    all_are_gone()


def test_new_tls():
    replies = []
    for _ in range(4):
        with Dialogue(TLS_PORT) as d:
            d.ask("EHLO x")
            replies.append(d.ask("STARTTLS"))
            if replies[-1].startswith("220"):
                d.tls(the_mail.tls())
                replies.append(d.ask("EHLO x").split("\n", maxsplit=1)[0])
    tap.equal(replies, [
        "220 2.0.0 Ready to start TLS", "250-mail.example.test",
        "220 2.0.0 Ready to start TLS", "250-mail.example.test", "220 2.0.0 Ready to start TLS",
        "421 4.7.0 mail.example.test Error: too many new TLS sessions from localhost[127.0.0.1]",
        "454 4.7.0 Error: too many new TLS sessions from localhost[127.0.0.1]"], "STARTTLS")
    service = rf"localhost\[127\.0\.0\.1\] for service 127\.0\.0\.1:{TLS_PORT}$"
    the_mail.wait_for_log(rf"warning: New TLS session rate limit exceeded: 3 from {service}")
    the_mail.wait_for_log(rf"warning: Refusing STARTTLS request from {service}")


def test_wrapper():
    got = []
    for _ in range(4):
        with Dialogue(WRAPPER_PORT, greeting=False) as d:
            try:
                d.tls(the_mail.tls())
                got.append(d.reply()[0])
            except (ssl.SSLError, ConnectionError):
                got.append("refused")
    tap.equal(got, [
        "220 mail.example.test ESMTP Postfix", "220 mail.example.test ESMTP Postfix",
        "421 4.7.0 mail.example.test Error: too many new TLS sessions from localhost[127.0.0.1]",
        "refused"], "in wrapper mode")
    the_mail.wait_for_log(r"warning: Refusing TLS service request from localhost\[127\.0\.0\.1\]")


def test_rate():
    made = [Dialogue(RATE_PORT) for _ in range(4)]
    tap.equal([accepted(d) for d in made], [True, True, False, False], "connection rate")
    for d in made:
        d.close()
    instance.wait_until(lambda: accepted(Dialogue(RATE_PORT)), "the next unit of time")
    tap.ok(True, "the next unit of time begins")


def test_prefixes():
    def speak_for(address):
        d = Dialogue(PREFIX_PORT)
        return d, d.ask(f"XCLIENT ADDR={address}")[:3]

    for first, same, other in (("192.0.2.1", "192.0.2.254", "192.0.3.1"),
                               ("IPV6:2001:db8:0:0::1", "IPV6:2001:db8:0:ff::1",
                                "IPV6:2001:db8:0:100::1")):
        kept, code = speak_for(first)
        tap.equal(code, "220", f"{first} is let in")
        tap.equal(speak_for(same)[1], "421", f"{same} is the same client")
        tap.equal(speak_for(other)[1], "220", f"{other} is another one")
        kept.close()


def test_statistics():
    """They are logged once nobody comes any more."""
    peak = rf"for \(127\.0\.0\.1:{COUNT_PORT}:127\.0\.0\.1\) at \w+ [ \d]\d [\d:]+$"
    start = r"postfix/anvil\[\d+\]: statistics: max "
    the_mail.wait_for_log(rf"{start}cache size [1-9]\d* at \w+ [ \d]\d [\d:]+$")
    the_mail.wait_for_log(rf"{start}connection rate \d+/20s for \(127\.0\.0\.1:\d+:127\.0\.0\.1\) at ")
    the_mail.wait_for_log(rf"{start}connection count \d+ {peak}")
    the_mail.wait_for_log(rf"{start}newtls rate \d+/20s for \(127\.0\.0\.1:\d+:127\.0\.0\.1\) at ")
    counts = [int(n) for n in re.findall(rf"{start}connection count (\d+) {peak}", the_mail.log(),
                                         re.M)]
    tap.ok(max(counts) > LIMIT, "the highest count is among them", counts)


def test_burst():
    """Other processes of the service begin when the first has sessions: no reason for a warning"""
    made = opened(80, BURST_PORT)
    tap.equal(sum(accepted(d) for d in made), 80, "all are served")
    tap.unlike(the_mail.log(), "has reached its process limit", "without a word of a limit")
    for d in made:
        d.close()


with instance.Instance(master=MASTER, main={
        "smtpd_client_event_limit_exceptions": "", "smtpd_client_connection_count_limit": "0",
        "anvil_rate_time_unit": "20s", "max_idle": "3s", "smtpd_tls_security_level": "may",
        "smtpd_peername_lookup": "yes"}) as the_mail:
    # The reload is last: it ends idle sessions of all services, some time.
    tap.run(test_burst, test_count, test_killed, test_new_tls, test_wrapper, test_prefixes, test_rate,
            test_reload, test_statistics)
tap.done()
