#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postfix check on configurations of hosts that move here: what Postcote cannot do of them is named,
what it can is not; and the daemons do what was said."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402
from instance import DOMAIN, Instance  # noqa: E402


def findings(mail, *options):
    """The warnings, without what stands in front of "NAME: "."""
    result = mail.command("postfix", *options, "check")
    tap.equal(result.returncode, 0, "warnings are no failure")
    lines = [line.split(": warning: ", 1)[-1] for line in result.stderr.splitlines()
             if "overriding earlier entry" not in line]
    return [line.split(": ", 2)[-1] if ".cf: line " in line else line for line in lines]


def reply(mail, sender, recipient):
    smtp = mail.smtp()
    try:
        smtp.ehlo("client.example.com")
        smtp.docmd("MAIL", f"FROM:<{sender}>")
        code, text = smtp.docmd("RCPT", f"TO:<{recipient}>")
        return f"{code} {text.decode()}"
    finally:
        smtp.close()


def gets_451(what):
    return f"{what} is not supported yet: who gets there is answered with 451"


def test_small_business():
    """Lists of senders in the DNS, a milter, LMTP to Dovecot."""
    mail = Instance({
        "mydomain": "example.com", "append_dot_mydomain": "no", "biff": "no",
        "disable_vrfy_command": "yes", "smtpd_helo_required": "yes", "readme_directory": "no",
        "smtpd_tls_session_cache_database": "btree:${data_directory}/smtpd_scache",
        "smtp_tls_session_cache_database": "btree:${data_directory}/smtp_scache",
        "smtpd_helo_restrictions": "permit_mynetworks, reject_invalid_helo_hostname, "
                                   "reject_unknown_helo_hostname",
        "smtpd_relay_restrictions": "permit_mynetworks, defer_unauth_destination",
        "smtpd_recipient_restrictions":
            "reject_unauth_destination, reject_non_fqdn_recipient, "
            "reject_rbl_client zen.rbl.test=127.0.0.[2..11], reject_rhsbl_sender dbl.rbl.test",
        "smtpd_data_restrictions": "reject_unauth_pipelining",
        "header_checks": "regexp:$config_directory/header_checks",
        "virtual_transport": "lmtp:unix:private/dovecot-lmtp",
        "smtpd_milters": "inet:localhost:8891", "non_smtpd_milters": "$smtpd_milters",
    }, "lmtp unix - - n - - lmtp\n")
    tables = mail.path("etc/postfix")
    tap.equal(findings(mail), [
        "smtpd_helo_restrictions: " + gets_451("reject_unknown_helo_hostname"),
        "smtpd_recipient_restrictions: " + gets_451("reject_rbl_client"),
        "smtpd_recipient_restrictions: " + gets_451("reject_rhsbl_sender"),
        'smtpd_milters: not supported yet; Postcote goes on as with "smtpd_milters = "',
        'non_smtpd_milters: not supported yet; Postcote goes on as with "non_smtpd_milters = "',
        f"header_checks: open {tables}/header_checks: No such file or directory: what needs it is "
        "deferred"], "what cannot be done is named")
    with open(tables + "/header_checks", "w", encoding="ascii") as f:
        f.write("/^Subject: ok/ DUNNO\n/^Subject: (/ REJECT\n")
    tap.ok(any("header_checks, line 2: " in line for line in findings(mail)),
           "mistakes in a table are told by line")
    with mail:
        tap.equal(reply(mail, "a@far.test", f"bob@{DOMAIN}"),
                  "451 4.3.5 Server configuration error", "who gets there is answered with 451")
        tap.ok(mail.wait_for_log("warning: restriction reject_rbl_client is not supported yet$"),
               "and why is in the log")


def test_provider():
    """Classes, tables of rules, tables in other systems."""
    with Instance() as mail:
        tables = mail.path("etc/postfix")
        for name, text in (("senders", "strict@far.test strict\nout@far.test REJECT\n"),
                           ("names", "mail.far.test REJECT\n"),
                           ("inner", "client.example.com REJECT known to be bad\n"),
                           ("clients", "10.0.0.0/8 OK\n10.0.0.1/8 OK\n"), ("body", "/x/ WARN\n")):
            with open(f"{tables}/{name}", "w", encoding="ascii") as f:
                f.write(text)
        mail.own(tables)
        with open(tables + "/main.cf", "a", encoding="ascii") as f:
            f.write("smtpd_restriction_classes = strict, grey\n"
                    "strict = check_helo_access unionmap:{hash:$config_directory/inner,\n"
                    "  hash:$config_directory/names}, reject_unlisted_sender\n"
                    "grey = check_policy_service { inet:127.0.0.1:10023, timeout = 10s }\n"
                    "smtpd_sender_restrictions = check_sender_access "
                    "hash:$config_directory/senders\n"
                    "smtpd_client_restrictions = check_client_access "
                    "cidr:$config_directory/clients\n"
                    "smtpd_recipient_restrictions = permit_mynetworks, grey\n"
                    "body_checks = pcre:$config_directory/body\n"
                    "sender_canonical_maps = tcp:127.0.0.1:10001\n"
                    "recipient_canonical_maps = pipemap:{socketmap:unix:/x:y,inline:{a=b}}\n"
                    "rbl_reply_maps = hash:$config_directory/gone\n"
                    "smtpd_client_connection_rate_limit = 30\n"
                    "address_verify_poll_count = 7\n")
        found = findings(mail)
        tap.like(found[0], "cidr map .*/clients, line 2: non-null host address bits",
                 "a mistake in a table")
        tap.equal(found[1:], [
            "grey: " + gets_451("check_policy_service"),
            'rbl_reply_maps: not supported yet; Postcote goes on as with "rbl_reply_maps = "',
            'address_verify_poll_count: not supported yet; Postcote goes on as with '
            '"address_verify_poll_count = 3"',
            "sender_canonical_maps: unsupported dictionary type: tcp: what needs it is deferred",
            "recipient_canonical_maps: unsupported dictionary type: socketmap: what needs it is "
            "deferred"], "what cannot be done is named")
        for name in ("senders", "inner", "names"):
            tap.ok(not os.path.exists(f"{tables}/{name}.lmdb"), f"{name} was not compiled before")
        mail.stop()
        mail.start()
        for name in ("senders", "inner", "names"):
            tap.ok(os.path.exists(f"{tables}/{name}.lmdb"),
                   f"{name} was compiled at the start, in a class, too")
        tap.equal(reply(mail, "strict@far.test", f"bob@{DOMAIN}"), "554 5.7.1 "
                  "<client.example.com>: Helo command rejected: known to be bad", "by a class")
        tap.equal(reply(mail, "out@far.test", f"bob@{DOMAIN}"),
                  "554 5.7.1 <out@far.test>: Sender address rejected: Access denied", "by a table")


def test_relay():
    """A relay in front of others: a policy service at the end of the list, verified recipients."""
    main = {
        "relay_domains": "far.test", "transport_maps": "inline:{far.test=relay:[192.0.2.1]}",
        "relay_recipient_maps": "inline:{a@far.test=x}",
        "mynetworks": "192.0.2.0/24", "address_verify_map": "btree:$data_directory/verify",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        "smtpd_recipient_restrictions": "check_recipient_access inline:{a@far.test=OK}, "
                                        "check_policy_service unix:private/policy",
        "default_transport": "uucp:far"}
    with Instance(main, "uucp unix - n n - - pipe user=nobody argv=/bin/uux\n"
                  "policy unix - n n - 0 spawn user=nobody argv=/bin/policyd\n") as mail:
        data = mail.command("postconf", "-hx", "data_directory").stdout.strip()
        tap.equal(findings(mail), [
            "address_verify_map: not supported yet; Postcote goes on as with "
            f'"address_verify_map = lmdb:{data}/verify_cache"',
            "smtpd_recipient_restrictions: " + gets_451("check_policy_service"),
            "default_transport: service uucp runs pipe, which is not supported yet: mail for it is "
            "deferred"], "what cannot be done is named")
        verbose = "\n".join(findings(mail, "-v"))
        for line in ("service policy unix: program spawn is not supported yet: its program is not "
                     "started", "service uucp unix: program pipe is not supported yet: mail for it "
                     "is deferred"):
            tap.ok(line in verbose, f"check -v: {line}", verbose)
        tap.equal(reply(mail, "a@b.test", "a@far.test"), "250 2.1.5 Ok", "permitted before")
        tap.equal(reply(mail, "a@b.test", f"bob@{DOMAIN}"), "451 4.3.5 Server configuration error",
                  "the policy service is never skipped")
        tap.equal(reply(mail, "a@b.test", "a@other.test"),
                  "554 5.7.1 <a@other.test>: Relay access denied", "and nothing is relayed")


tap.run(test_small_business, test_provider, test_relay)
