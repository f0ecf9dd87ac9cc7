#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client logs in at a server of ours with authd behind it: every mechanism, right and wrong
passwords, what is asked of TLS, and the cache of failed logins."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from scripted_server import ScriptedServer  # noqa: E402

MECHANISMS = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256".split()
IN_TLS = {"smtp_sasl_security_options": "noplaintext", "smtp_sasl_mechanism_filter": "plain"}
# One transport of the client's each, and the password it looks up for the server.
TRANSPORTS = {
    **{name.lower(): ("bob@example.test:bob", {"smtp_sasl_mechanism_filter": name.lower()})
       for name in MECHANISMS},
    "best": ("bob@example.test:bob", {}),
    "wrong": ("bob@example.test:wrong", {}),
    "hard": ("bob@example.test:wrong", {"smtp_sasl_auth_soft_bounce": "no"}),
    "secure": ("bob@example.test:bob", {"smtp_sasl_security_options": "noplaintext,noanonymous",
                                        "smtp_sasl_mechanism_filter": "plain"}),
    "nothing": (None, {}),
    "delimiter": ("bob@example.test|bob", {"smtp_sasl_password_result_delimiter": "|"}),
    "sender": ("alice@example.test:alice", {"smtp_sender_dependent_authentication": "yes"}),
    "broken": (False, {}),
    # In TLS that encrypts, and in TLS with a certificate that was verified.
    "in-tls": ("bob@example.test:bob", {**IN_TLS, "smtp_tls_security_level": "encrypt",
                                        "smtp_sasl_tls_security_options": "noanonymous"}),
    "unverified": ("bob@example.test:bob", {**IN_TLS, "smtp_tls_security_level": "encrypt",
                                            "smtp_sasl_tls_security_options": "noplaintext"}),
    "verified": ("bob@example.test:bob", {
        **IN_TLS, "smtp_tls_security_level": "secure", "smtp_sasl_tls_security_options": "noplaintext",
        "smtp_tls_secure_cert_match": "mail.example.test",
        "smtp_sasl_tls_verified_security_options": "noanonymous"}),
}
SERVER = {"smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "no",
          "smtpd_sasl_security_options": "noanonymous", "recipient_delimiter": "+",
          "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
          "smtpd_error_sleep_time": "0"}
CLIENT = {"virtual_mailbox_domains": "", "relay_domains": "example.test client.test",
          "relay_recipient_maps": "", "smtpd_relay_restrictions": "permit_mynetworks, reject",
          "smtp_sasl_auth_enable": "yes", "smtp_sasl_security_options": "noanonymous",
          "smtp_tls_security_level": "none", "smtp_connection_cache_on_demand": "no"}


def options_of(name, client):
    """The -o of a transport, and the table of its passwords."""
    password, options = TRANSPORTS[name]
    table = f"texthash:{client.path('etc/postfix')}/pass-{name}"
    if password is False:
        table = "fail:nothing"
    else:
        with open(client.path(f"etc/postfix/pass-{name}"), "w", encoding="ascii") as f:
            f.write(f"127.0.0.1 {password}\n" if password else "unused x:y\n")
            f.write("bob@example.test bob@example.test:bob\n" if name == "sender" else "")
    values = {"smtp_sasl_password_maps": table, "syslog_name": f"postfix/{name}", **options}
    return "".join(f" -o {{ {key} = {value} }}" for key, value in values.items())


class Client(instance.Instance):
    """Sends mail for bob+NAME@example.test to PORT through the transport NAME."""

    def __init__(self, port, **main):
        maps = " ".join("{bob+%s@example.test = %s:[127.0.0.1]:%d}" % (name, name, port)
                        for name in TRANSPORTS)
        super().__init__(main={**CLIENT, "transport_maps": "inline:{ %s }" % maps, **main})
        with open(self.path("etc/postfix/master.cf"), "a", encoding="ascii") as f:
            for name in TRANSPORTS:
                f.write(f"{name} unix - - n - - smtp{options_of(name, self)}\n")

    def result(self, name, sender="alice"):
        """(dsn, status, text) of a message through the transport."""
        skip = len(self.postfix_log())
        self.send(name, to=f"bob+{name}", sender=sender)
        pattern = re.compile(rf"to=<bob\+{name}@.*?dsn=([\d.]+), status=(\w+) \((.*)\)$", re.M)
        found = instance.wait_until(lambda: pattern.search(self.postfix_log(), skip), name)
        return found.groups()


def logins(log):
    return re.findall(r"sasl_method=(\S+), sasl_username=(\S+)", log)


def test_mechanisms():
    for name in MECHANISMS:
        skip = len(server.postfix_log())
        tap.equal(client.result(name.lower())[:2], ("2.0.0", "sent"), f"{name}: sent")
        tap.equal(logins(server.postfix_log()[skip:]), [(name, "bob@example.test")],
                  f"{name}: the server's log")


def test_choice():
    for name, sender, want in (("best", "alice", [("SCRAM-SHA-256", "bob@example.test")]),
                               ("delimiter", "alice", [("SCRAM-SHA-256", "bob@example.test")]),
                               ("sender", "alice", [("SCRAM-SHA-256", "alice@example.test")]),
                               ("sender", "bob", [("SCRAM-SHA-256", "bob@example.test")])):
        skip = len(server.postfix_log())
        tap.equal(client.result(name, sender)[:2], ("2.0.0", "sent"), f"{name} {sender}: sent")
        tap.equal(logins(server.postfix_log()[skip:]), want, f"{name} {sender}: the login")


def test_failures():
    said = r"^SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 Error: "
    for name, dsn, status, text in (
            ("wrong", "4.7.8", "deferred", said), ("hard", "5.7.8", "bounced", said),
            ("secure", "4.7.0", "deferred", r"^SASL authentication failed; cannot authenticate to "
             r"server 127\.0\.0\.1\[127\.0\.0\.1\]: no mechanism available$"),
            ("nothing", "5.7.1", "bounced", r"^host .* said: 554 5\.7\.1 .*Access denied"),
            ("broken", "4.3.0", "deferred", "^smtp_sasl_password_maps lookup error$")):
        got = client.result(name)
        tap.equal(got[:2], (dsn, status), f"{name}: the result")
        tap.like(got[2], text, f"{name}: the text")
    tap.unlike(client.postfix_log(), r"fatal:|panic:", "nothing died")
    tap.unlike(client.postfix_log(), r":wrong|d3Jvbmc", "no password in the log")


def test_tls():
    for name in ("in-tls", "verified"):
        skip = len(server.postfix_log())
        tap.equal(client.result(name)[:2], ("2.0.0", "sent"), f"{name}: sent")
        tap.equal(logins(server.postfix_log()[skip:]), [("PLAIN", "bob@example.test")],
                  f"{name}: the login")
    got = client.result("unverified")
    tap.equal(got[:2], ("4.7.0", "deferred"), "no plain text in TLS that nobody verified")
    tap.like(got[2], "no mechanism available$", "and so it says")


def test_cache():
    with ScriptedServer({"AUTH": "535 5.7.8 Error: no"}) as refuser:
        options = {"smtp_sasl_auth_cache_name": "proxy:btree:$data_directory/sasl_cache"}
        with Client(refuser.port, **options) as one:
            tap.like(one.result("wrong")[2], "^SASL authentication failed; server", "asked")
            asked = len(refuser.sessions)
            # Another transport, another process, the same account.
            got = one.result("hard")
            tap.equal(got[:2], ("5.7.8", "bounced"), "from the cache: the result")
            tap.equal(got[2], "SASL [CACHED] authentication failed; server 127.0.0.1 said: "
                      "535 5.7.8 Error: no", "from the cache: the text")
            tap.equal([line.split()[0] for line in refuser.sessions[asked]], ["EHLO", "QUIT"],
                      "nothing is tried")
            one.result("plain")
            tap.like(" ".join(refuser.sessions[-1]), "AUTH PLAIN", "another password is tried")
            table = "btree:" + one.path("data/sasl_cache")
            tap.like(one.command("postmap", "-s", table).stdout, r"^[0-9a-f]{64}\s+\d+;",
                     "postmap reads it")


def test_unknown_type():
    with Client(1, smtp_sasl_type="dovecot") as bad:
        skip = len(bad.postfix_log())
        bad.send("x", to="bob+best")
        bad.wait_for_log("unsupported SASL client implementation: dovecot")
        bad.wait_for_log("fatal: SASL library initialization")
        tap.unlike(bad.postfix_log()[skip:], "status=(sent|bounced)", "the mail waits")


server = instance.Instance(main=SERVER, dovecot="auth_mechanisms = "
                           + " ".join(MECHANISMS).lower() + "\n")
client = Client(server.smtp_port, smtp_tls_CAfile=server.path("etc/ssl/cert.pem"))
try:
    server.start()
    client.start()
    tap.run(test_mechanisms, test_choice, test_failures, test_tls, test_cache, test_unknown_type)
finally:
    client.close()
    server.close()
