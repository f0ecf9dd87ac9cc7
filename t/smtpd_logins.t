#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Restrictions on who is logged in: which sender addresses a login owns, check_sasl_access, and that
a login ends where the session does."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import auth_server  # noqa: E402
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

NOT_OWNED = "553 5.7.1 <{}>: Sender address rejected: not owned by user {}"
NOT_LOGGED_IN = "553 5.7.1 <{}>: Sender address rejected: not logged in"
OWNERS = "inline:{ {mine@far.test=me} {ours@far.test=you, me} {theirs@far.test=you} }"
OPTIONS = {
    "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_tls_auth_only": "no",
    "smtpd_sasl_security_options": "noanonymous", "smtpd_sender_login_maps": OWNERS,
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_recipient_restrictions": "", "smtpd_client_connection_count_limit": "0",
    "smtpd_authorized_xclient_hosts": "127.0.0.1 192.0.2.7",
}
# Restriction: what "me" may not send from; what nobody may, without a login.
ROWS = {
    "reject_sender_login_mismatch": (["theirs", "free"], ["mine", "ours", "theirs"]),
    "reject_authenticated_sender_login_mismatch": (["theirs", "free"], []),
    "reject_unauthenticated_sender_login_mismatch": ([], ["mine", "ours", "theirs"]),
    "reject_known_sender_login_mismatch": (["theirs"], ["mine", "ours", "theirs"]),
}
ADDRESSES = ("mine", "ours", "theirs", "free")
RCPT = f"RCPT TO:<bob@{instance.DOMAIN}>"
FAR = "RCPT TO:<x@far.test>"


def ask_all(port, user):
    replies = {}
    with Dialogue(port) as d:
        d.ask("EHLO x")
        if user:
            tap.equal(d.ask(f"AUTH PLAIN {auth_server.plain(user)}"),
                      "235 2.7.0 Authentication successful", f"{user} logs in")
        for name in ADDRESSES:
            d.ask(f"MAIL FROM:<{name}@far.test>")
            replies[name] = d.ask(RCPT)
            d.ask("RSET")
    return replies


def test_owners(ports):
    for port, (name, (as_me, as_nobody)) in zip(ports, ROWS.items()):
        want = {a: NOT_OWNED.format(f"{a}@far.test", "me") if a in as_me else "250 2.1.5 Ok"
                for a in ADDRESSES}
        tap.equal(ask_all(port, "me"), want, f"{name}, logged in")
        want = {a: NOT_LOGGED_IN.format(f"{a}@far.test") if a in as_nobody else "250 2.1.5 Ok"
                for a in ADDRESSES}
        tap.equal(ask_all(port, None), want, f"{name}, not logged in")


def relay(d):
    d.ask("MAIL FROM:<a@far.test>")
    reply = d.ask(FAR)
    d.ask("RSET")
    return reply


def test_access(port):
    for user, want in (("me", "554 5.7.1 <me>: SASL login name rejected: not you"),
                       ("you", "250 2.1.5 Ok"),
                       (None, "554 5.7.1 <x@far.test>: Relay access denied")):
        with Dialogue(port) as d:
            d.ask("EHLO x")
            if user:
                d.ask(f"AUTH PLAIN {auth_server.plain(user)}")
            tap.equal(relay(d), want, f"check_sasl_access for {user}")


def test_end_of_login(port):
    """What a login may ends with it."""
    denied = "554 5.7.1 <x@far.test>: Relay access denied"
    with Dialogue(port) as d:
        d.ask("EHLO x")
        tap.equal(d.ask(f"AUTH PLAIN {auth_server.plain('you', 'wrong')}")[:9], "535 5.7.8",
                  "a wrong password")
        tap.equal(relay(d), denied, "is no login")
        d.ask(f"AUTH PLAIN {auth_server.plain('you')}")
        tap.equal(relay(d), "250 2.1.5 Ok", "a right one is")
        d.ask("EHLO y")
        tap.equal(relay(d), "250 2.1.5 Ok", "and stays over EHLO")
        d.ask("XCLIENT ADDR=192.0.2.7")
        d.ask("EHLO z")
        tap.equal(relay(d), denied, "XCLIENT is another client, who has not logged in")
        d.ask("XCLIENT LOGIN=you")
        d.ask("EHLO z")
        tap.equal(relay(d), "250 2.1.5 Ok", "unless it says so")
        d.ask("XCLIENT LOGIN=[UNAVAILABLE]")
        d.ask("EHLO z")
        tap.equal(relay(d), denied, "or no longer")


def service(port, **options):
    return f"127.0.0.1:{port} inet n - n - - smtpd\n" + "".join(
        f"  -o {{ {key} = {value} }}\n" for key, value in {**OPTIONS, **options}.items())


def main():
    ports = instance.free_ports(len(ROWS) + 1)
    mail = instance.Instance()
    path = mail.path("auth")
    with open(mail.path("etc/postfix/master.cf"), "a", encoding="ascii") as f:
        for port, name in zip(ports, ROWS):
            f.write(service(port, smtpd_sasl_path=path, smtpd_sender_restrictions=name))
        f.write(service(ports[-1], smtpd_sasl_path=path, smtpd_sender_restrictions=
                        "check_sasl_access inline:{ {me=REJECT not you} {you=OK} }"))
    server = auth_server.AuthServer(path)
    with mail:
        tap.run(lambda: test_owners(ports), lambda: test_access(ports[-1]),
                lambda: test_end_of_login(ports[-1]))
    server.close()


main()
