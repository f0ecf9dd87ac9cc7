#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Restrictions beside a real Postfix: the same lists, tables and dialogues for both; replies and
log lines of smtpd are compared.

Each configuration is a service on a port of its own, with its parameters behind -o.  DIFFERENT lists
what is meant to differ, with the reason.
"""

import difflib
import os
import re
import shutil
import sys
import tempfile
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import auth_server  # noqa: E402
import instance  # noqa: E402
import peer_postfix  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

MAIN = {
    "myhostname": "mail.example.test", "mydomain": "example.test", "myorigin": "example.test",
    "mydestination": "local.test", "local_recipient_maps": "inline:{root=x}",
    "mynetworks": "192.0.2.0/24", "recipient_delimiter": "+", "relay_domains": "relay.test",
    "relay_recipient_maps": "inline:{known@relay.test=x}",
    "virtual_alias_domains": "alias.test", "virtual_alias_maps": "inline:{al@alias.test=bob@example.test}",
    "virtual_mailbox_domains": "example.test",
    "virtual_mailbox_maps": "inline:{alice@example.test=example.test/alice/ "
                            "bob@example.test=example.test/bob/}",
    "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_recipient_restrictions": "",
    "smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": "100", "smtpd_hard_error_limit": "100",
    "smtputf8_enable": "no", "smtpd_tls_security_level": "none", "smtpd_peername_lookup": "no",
    "smtpd_client_connection_count_limit": "0", "smtpd_client_connection_rate_limit": "0",
    "smtpd_restriction_classes": "{strict, outer, inner, loop}",
    "strict": "reject_non_fqdn_sender, permit_mynetworks, reject",
    "outer": "inner, warn_if_reject reject", "inner": "reject_non_fqdn_sender, permit_auth_destination",
    "loop": "loop",
}
MAIN["smtpd_restriction_classes"] = "strict, outer, inner"
del MAIN["loop"]

# What an access table says about a sender aN@act.test, or a client that says HELO aN.act.test.
ACTIONS = [
    "OK", "RELAY", "ok", "12345", "12", "DUNNO", "REJECT", "REJECT some text", "reject 5.1.2 some text",
    "REJECT 4.7.9 text", "DEFER", "DEFER some text", "DEFER 4.1.2 text", "450 text", "450", "450 4.7.2 text",
    "554 text", "554 5.1.1 text", "554 5.1.8 text", "550 4.1.2 text", "421 text", "521 text", "421 4.7.0 text", "599 text",
    "250 text", "200", "354 x", "DEFER_IF_PERMIT", "DEFER_IF_PERMIT 4.1.2 later, perhaps", "DEFER_IF_REJECT",
    "DEFER_IF_REJECT why not", "HOLD", "HOLD held", "DISCARD", "DISCARD thrown", "FILTER virtual:", "FILTER x",
    "FILTER", "REDIRECT alice@example.test", "REDIRECT nodomain", "REDIRECT", "BCC alice@example.test", "BCC x",
    "BCC", "PREPEND X-Test: yes", "PREPEND nonsense", "PREPEND", "WARN", "WARN a text", "INFO", "INFO a text",
    "HANGUP", "HANGUP a text", "permit", "reject", "defer", "strict", "reject_non_fqdn_sender, reject",
    "warn_if_reject reject, permit", "nonsense", "defer_if_permit", "defer_if_reject", "reject_unauth_destination",
    "permit_mynetworks, reject", "permit_auth_destination", "check_sender_access texthash:/nonexistent",
    "554 5.7.1", "5.7.1 text", "REJECT,", "OK text behind", "DUNNO text behind",
]

RCPTS = ["RCPT TO:<bob@example.test>", "RCPT TO:<x@other.test>"]
MESSAGE = ["DATA", "Subject: x\r\n\r\nbody\r\n.", "QUIT"]


def mail(sender, *rcpts, helo="client.example.net"):
    return [f"EHLO {helo}", f"MAIL FROM:<{sender}>", *(rcpts or RCPTS), *MESSAGE]


def by_sender():
    return [mail(f"a{n}@act.test") for n in range(len(ACTIONS))]


def by_helo():
    return [mail("a@far.test", helo=f"a{n}.act.test") for n in range(len(ACTIONS))]


LISTS = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")
ADDRESSES = ["", "x", "x@nodots", "x@far.test", "x@[192.0.2.1]", "nobody@example.test", "nobody@local.test",
             "root@local.test", "bob+ext@example.test", "nobody@relay.test", "known@relay.test", "al@alias.test",
             "nobody@alias.test", "x@sub.relay.test", "x%far.test@example.test", "\"a b\"@far.test",
             "postmaster", "postmaster@example.test"]
HELOS = ["x", "nodots", "a..b", "-a.test", "a_b.test", "1.2.3.4", "[1.2.3.4]", "[1.2.3]", "[IPv6:::1]", "[::1]",
         "[IPv6:x]", "far.test", "far.test.", "a b", "256.1.1.1", "[", "*", "1", "a.1"]
SECOND = ["EHLO far.test", "MAIL FROM:<x@far.test>", *RCPTS, "RCPT TO:<alice@example.test>", *MESSAGE]


def senders(*more):
    return [mail(a) for a in [*ADDRESSES, *more]]


def recipients():
    return [["EHLO far.test", "MAIL FROM:<x@far.test>", *(f"RCPT TO:<{a}>" for a in ADDRESSES if a), "QUIT"]]


def helos():
    return [[f"EHLO {h}", "MAIL FROM:<x@far.test>", RCPTS[0], "QUIT"] for h in HELOS]


ACCESS = "inline:{" + ", ".join(f"{{{key} = REJECT {text}}}" for key, text in {
    "far.test": "dom", ".test": "dottest", "x@far.test": "whole", "bob@example.test": "noext", "user@": "user",
    "<>": "null", "192.0.2": "net", "127": "seven", "com": "com"}.items()) + "}"
# Name: (options, dialogues)
CONFIGS = {}


def add(name, dialogues, **options):
    CONFIGS[name] = (options, dialogues)


def add_all():
    tables = f"check_sender_access texthash:{TABLES}/actions"
    for which in LISTS:
        tail = ", reject_unauth_destination" if which in ("relay", "recipient") else ""
        add(f"{which} actions", by_sender(), **{f"smtpd_{which}_restrictions": tables + tail})
    add("sender actions, at once", by_sender(), smtpd_sender_restrictions=tables, smtpd_delay_reject="no")
    add("helo actions, at once", by_helo(), smtpd_delay_reject="no",
        smtpd_helo_restrictions=f"check_helo_access texthash:{TABLES}/helos")
    for action in ("REJECT", "DEFER x", "421 bye", "HANGUP", "WARN x", "HOLD", "DEFER_IF_PERMIT", "DEFER_IF_REJECT",
                   "OK", "PREPEND X: y", "DISCARD"):
        add(f"client {action}, at once", [SECOND, ["NOOP", "QUIT"]], smtpd_delay_reject="no",
            smtpd_client_restrictions=f"check_client_access inline:{{{{127.0.0.1={action}}}}}")
    add("warn_if_reject actions", by_sender(),
        smtpd_sender_restrictions=f"warn_if_reject {tables}")
    add("soft bounce", by_sender(), smtpd_sender_restrictions=tables, soft_bounce="yes")
    for word in ("reject", "defer", "defer_if_permit", "defer_if_reject", "permit", "reject_plaintext_session",
                 "reject_unauth_pipelining", "strict", "outer", "warn_if_reject outer", "nonsense",
                 "warn_if_reject nonsense", "check_sender_access fail:x", "warn_if_reject check_sender_access fail:x",
                 "warn_if_reject warn_if_reject reject", "reject_multi_recipient_bounce", "permit_mynetworks reject",
                 "permit_inet_interfaces, reject", "warn_if_reject defer_if_permit", "reject_unlisted_recipient",
                 "reject_unlisted_sender", "reject_non_fqdn_recipient", "check_recipient_access static:REJECT",
                 "check_helo_access static:REJECT", "check_client_access static:REJECT", "reject_unauth_destination",
                 "check_reverse_client_hostname_access static:REJECT", "defer_unauth_destination",
                 "permit_sasl_authenticated reject", "reject_unknown_client_hostname",
                 "reject_unknown_reverse_client_hostname", "static:REJECT", "warn_if_reject static:REJECT",
                 "reject_sender_login_mismatch", "permit_naked_ip_address, reject", "reject_maps_rbl",
                 "check_relay_domains", "sleep 0, reject", "sleep 0", "REJECT", "Permit_Mynetworks, Reject",
                 "check_sender_access static:REJECT, permit", "check_sender_access", "reject_authenticated_sender_login_mismatch",
                 "check_sasl_access static:REJECT", "reject_sender_login_mismatch, reject", "check_etrn_access static:REJECT"):
        for which in ("client", "recipient", "data", "end_of_data"):
            tail = ", reject_unauth_destination" if which == "recipient" else ""
            add(f"{which}: {word}", [SECOND], **{f"smtpd_{which}_restrictions": word + tail})
    for parameter, value in (("access_map_reject_code", "571"), ("reject_code", "599"), ("defer_code", "451"),
                             ("access_map_defer_code", "459"), ("relay_domains_reject_code", "559"),
                             ("show_user_unknown_table_name", "no"), ("unknown_virtual_mailbox_reject_code", "450"),
                             ("smtpd_reject_unlisted_recipient", "no"), ("smtpd_reject_unlisted_sender", "yes"),
                             ("smtpd_client_port_logging", "no"),
                             ("smtpd_null_access_lookup_key", "nullsender"), ("allow_untrusted_routing", "yes")):
        add(f"{parameter} = {value}", [mail("a6@act.test"), mail("a10@act.test"), mail("", *RCPTS), *recipients()],
            smtpd_sender_restrictions=tables + ", check_sender_access inline:{nullsender=REJECT}", **{parameter: value})
    add("unlisted sender", senders(), smtpd_reject_unlisted_sender="yes")
    add("non-fqdn sender", senders(), smtpd_sender_restrictions="reject_non_fqdn_sender")
    add("sender access", senders("x@a.far.test", "x@b.com", "user+x@z.net", "user@z.net", "x@a.b.test"),
        smtpd_sender_restrictions=f"check_sender_access {ACCESS}")
    add("sender access without parents", senders("x@a.far.test", "x@b.com"),
        smtpd_sender_restrictions=f"check_sender_access {ACCESS}", parent_domain_matches_subdomains="")
    add("recipients", recipients())
    add("recipient access", recipients(), smtpd_recipient_restrictions=f"check_recipient_access {ACCESS}")
    add("relay after recipient", recipients(), smtpd_relay_before_recipient_restrictions="no",
        smtpd_recipient_restrictions="reject_non_fqdn_recipient, check_recipient_access inline:{x@far.test=REJECT}")
    add("non-fqdn recipient", recipients(), smtpd_recipient_restrictions="reject_non_fqdn_recipient")
    add("invalid helo", helos(), smtpd_helo_restrictions="reject_invalid_helo_hostname")
    add("non-fqdn helo", helos(), smtpd_helo_restrictions="reject_non_fqdn_helo_hostname")
    add("old names", helos(), smtpd_helo_restrictions="reject_invalid_hostname, reject_non_fqdn_hostname")
    add("helo access", helos(), smtpd_helo_restrictions=f"check_helo_access {ACCESS}")
    add("client access", [SECOND], smtpd_client_restrictions=f"check_client_access {ACCESS}")
    add("no helo", [["MAIL FROM:<a@b.c>", *RCPTS, "QUIT"]], smtpd_helo_required="no",
        smtpd_helo_restrictions="reject_non_fqdn_helo_hostname", smtpd_client_restrictions="check_helo_access static:REJECT")
    add("vrfy", [["EHLO x", "VRFY bob@example.test", "VRFY x@other.test", "VRFY nobody@example.test", "QUIT"]])
    add("footer", [SECOND, mail("a6@act.test"), ["FOO", "HELO", "QUIT"]], smtpd_sender_restrictions=tables,
        smtpd_reject_footer=r"\c. For help, call \$localtime? $client_address $server_name nobody")
    add("footer 2", [SECOND, mail("a6@act.test"), ["FOO", "HELO", "QUIT"]], smtpd_sender_restrictions=tables,
        smtpd_reject_footer=r"first $client\nsecond $sender $recipient $helo_name $mail_name\n4.7.0 x")
    add("log permits", [SECOND, mail("a0@act.test"), mail("a1@act.test"), mail("a3@act.test"), mail("a66@act.test")],
        smtpd_log_access_permit_actions="static:all", smtpd_client_restrictions="permit_inet_interfaces",
        smtpd_sender_restrictions=tables + ", permit", smtpd_helo_restrictions="check_helo_access static:OK",
        smtpd_recipient_restrictions="permit_auth_destination", smtpd_data_restrictions="permit",
        smtpd_end_of_data_restrictions="check_client_access static:permit")
    add("log one permit", [SECOND], smtpd_log_access_permit_actions="!permit_mynetworks, permit_auth_destination",
        smtpd_recipient_restrictions="permit_auth_destination", smtpd_client_restrictions="permit")
    add_logins()
    add_replies()
    add("login", [mail("owned@far.test"), mail("other@far.test")],
        smtpd_sender_restrictions="reject_sender_login_mismatch",
        smtpd_sender_login_maps="inline:{owned@far.test=me}")


OWNERS = "inline:{" + ", ".join(f"{{{key} = {value}}}" for key, value in {
    "mine@far.test": "me", "ours@far.test": "you, me", "theirs@far.test": "you", "ME@dom.test": "me",
    "@all.test": "me", "big@far.test": "ME"}.items()) + "}"
OWNED = ["", "mine@far.test", "ours@far.test", "theirs@far.test", "free@far.test", "MINE@far.test", "mine+x@far.test",
         "me@dom.test", "x@all.test", "big@far.test", "mine", "postmaster", "bob@example.test", "al@alias.test"]


def login(user, *steps):
    """Who says its own name as password is let in."""
    return ["EHLO x", *([f"AUTH PLAIN {auth_server.plain(user)}"] if user else []), *steps]


def add_logins():
    sasl = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "@AUTH@",
            "smtpd_sasl_security_options": "noanonymous", "smtpd_sender_login_maps": OWNERS,
            "smtpd_tls_auth_only": "no",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination"}
    steps = [step for a in OWNED for step in (f"MAIL FROM:<{a}>", RCPTS[0], "RSET")]
    for name in ("", "authenticated_", "unauthenticated_", "known_"):
        add(f"{name}sender_login_mismatch", [login(user, *steps, "QUIT") for user in ("me", "you", "other", None)],
            smtpd_sender_restrictions=f"reject_{name}sender_login_mismatch", **sasl)
    for which in ("client", "helo", "sender", "relay", "recipient", "data"):
        add(f"check_sasl_access in {which}",
            [login(user, "MAIL FROM:<x@far.test>", *RCPTS, *MESSAGE) for user in ("me", "you", "You", "x@y", None)],
            **{**sasl, f"smtpd_{which}_restrictions": "check_sasl_access inline:{{me=REJECT not you} you=OK, x=DEFER}"
               + (", permit_sasl_authenticated, reject_unauth_destination" if which == "relay" else "")})
    add("logged refusals", [login("me", "MAIL FROM:<x@far.test> AUTH=y@z", "RCPT TO:<nobody@example.test>", "QUIT"),
                            ["EHLO x", f"AUTH PLAIN {auth_server.plain('me', 'wrong')}", "QUIT"]], **sasl)


# What tables say of replies: regular expressions, since keys of others have no blanks.
REPLIES = {
    "filter": {"500 5.5.2 Error: command not recognized": "500 5.5.1 what?", "502 5.5.1 ": "421 4.5.2 go away",
               "501 5.5.4 Syntax: MAIL": "550", "503 5.5.1 Error: need MAIL": "450 no code",
               "503 5.5.1 Error: need RCPT": "250 2.0.0 no refusal", "501 Syntax: HELO": "nonsense",
               "554 5.7.1 <x@other.test>": "454 4.7.1 not now"},
    "footers": {"554 5.7.1 <x@other.test>": r"\c; call $$client_address about $$recipient",
                "503 5.5.1 Error: need MAIL": r"one\ntwo $$sender.", "454 4.7.1 not now": "another"},
}


def write_replies(directory):
    for name, rules in REPLIES.items():
        with open(os.path.join(directory, name), "w", encoding="ascii") as f:
            f.writelines(f"/^{key.replace('.', '[.]')}/ {value}\n" for key, value in rules.items())


def add_replies():
    steps = ["EHLO x", "RCPT TO:<a@b>", "DATA", "MAIL nothing", "HELO", "MAIL FROM:<a@far.test>", *RCPTS,
             "RCPT TO:<nobody@example.test>", "VRFY", "FOO", "NOOP", "QUIT"]
    maps, footer = f"regexp:{TABLES}/footers", r"\c ($recipient, $sender, $helo_name)"
    add("footer maps", [steps], smtpd_reject_footer_maps=maps)
    add("footer maps and footer", [steps], smtpd_reject_footer_maps=maps, smtpd_reject_footer="the usual one")
    add("footer for recipients", [steps], smtpd_reject_footer=footer)
    add("footer, soft", [steps], smtpd_reject_footer_maps=maps, soft_bounce="yes")
    add("footer maps fail", [steps], smtpd_reject_footer_maps="fail:x", smtpd_reject_footer="the usual one")
    if peer_postfix.version() >= (3, 11):
        filtered = f"regexp:{TABLES}/filter"
        add("reply filter", [steps, ["EHLO x", "EXPN x", "NOOP", "QUIT"]], smtpd_reject_filter_maps=filtered,
            disable_vrfy_command="yes")
        add("reply filter and footers", [steps], smtpd_reject_filter_maps=filtered, smtpd_reject_footer_maps=maps,
            smtpd_reject_footer=footer)
        add("reply filter, soft", [steps], smtpd_reject_filter_maps=filtered, soft_bounce="yes")
        add("reply filter fails", [steps], smtpd_reject_filter_maps="fail:x")


# A pattern of cases: the reason why they differ.
DIFFERENT = {
    r"recipient: (permit|check_sender_access static:REJECT, permit), 0":
        "the peer warns at its start, too, which is this connection",
    r"show_user_unknown_table_name = no, 3": "the peer asks trivial-rewrite, which has no -o here",
    r"\w+: (permit_naked_ip_address, reject|reject_maps_rbl|check_relay_domains), 0": "removed in 3.9",
}


def neutral(text):
    """Without what is another one each time."""
    return re.sub(r"127\.0\.0\.1\]:\d+", "127.0.0.1]:PORT", peer_postfix.neutral(text))


def talk(port, steps):
    replies = []
    with Dialogue(port) as d:
        replies.append("\n".join(d.greeting))
        for step in steps:
            if step.startswith("Subject") and "-> 354" not in replies[-1]:
                continue
            replies.append(step + " -> " + neutral(d.ask(step)))
    return [re.sub(r"(?s)(EHLO.*?-> 250)-.*", r"\1", r) for r in replies]


def lines_of(side, skip):
    instance.wait_until(lambda: "disconnect from" in side.postfix_log()[skip:], "disconnect")
    skipped = OLD_REJECT if peer_postfix.version() < (3, 11) else "()(?!)"
    lines = [re.sub(skipped, r"\1", neutral(line))
             for line in peer_postfix.smtpd_lines(side.postfix_log()[skip:])]
    return [line for line in lines if not re.match(
        r"(dis)?connect from|setting up|initializing|warning: dict|(NOQUEUE: )?lost connection", line)]


def run(side, port, steps):
    skip = len(side.postfix_log())
    replies = talk(port, steps)
    return replies + lines_of(side, skip)


def compare(sides, name, number, steps, ports):
    label = f"{name}, {number}"
    if name.endswith("actions") or "actions," in name:
        label += f" ({ACTIONS[number]})"
    reason = next((why for case, why in DIFFERENT.items() if re.match(case, f"{name}, {number}")), None)
    got, want = (run(side, port, steps) for side, port in zip(sides, ports))
    same = got == want
    if reason:
        tap.ok(not same, f"{label} differs: {reason}")
        return
    tap.ok(same, label, "\n".join(difflib.unified_diff(want, got, "Postfix", "ours", n=1, lineterm="")))


def service(port, options, auth):
    text = f"127.0.0.1:{port} inet n - n - - smtpd\n"
    for key, value in options.items():
        value = value.replace("@AUTH@", auth)
        text += f"  -o {{ {key} = {value} }}\n"
    return text


def run_batch(cases):
    """Both suites with a service for each case."""
    ports = [instance.free_ports(2) for _ in cases]
    peer = peer_postfix.PeerPostfix(MAIN)
    with open(peer.path("etc/master.cf"), "a", encoding="ascii") as f:
        f.writelines(service(two[1], CONFIGS[case][0], peer.own("auth")) for case, two in zip(cases, ports))
    ours = instance.Instance(main=MAIN, master="".join(
        service(two[0], CONFIGS[case][0], peer.path("auth")) for case, two in zip(cases, ports)))
    server = auth_server.AuthServer(peer.path("auth"))
    with peer, ours:
        for case, two in zip(cases, ports):
            for number, steps in enumerate(CONFIGS[case][1]):
                try:
                    compare((ours, peer), case, number, steps, two)
                except (OSError, RuntimeError, TimeoutError):
                    tap.ok(False, f"{case}, {number} ended with an exception", traceback.format_exc())
    server.close()


# Later a refusal says who was logged in.
OLD_REJECT = r"(reject: .*?)( sasl_\w+=\S+)+$"
BATCH = 25  # services at a time

peer_postfix.find()
TABLES = tempfile.mkdtemp(prefix="postcote-peer-restrict-")
os.chmod(TABLES, 0o755)
# The peer may see another root.
PLACES = [TABLES] + ([peer_postfix.ROOT + TABLES] if peer_postfix.ROOT else [])
for place in PLACES:
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "actions"), "w", encoding="ascii") as table:
        table.writelines(f"a{n}@act.test {action}\n" for n, action in enumerate(ACTIONS))
    with open(os.path.join(place, "helos"), "w", encoding="ascii") as table:
        table.writelines(f"a{n}.act.test {action}\n" for n, action in enumerate(ACTIONS))
    write_replies(place)
try:
    add_all()
    only = re.compile(sys.argv[1]) if len(sys.argv) > 1 else None
    chosen = [c for c in CONFIGS if not only or only.search(c)]
    for first in range(0, len(chosen), BATCH):
        run_batch(chosen[first:first + BATCH])
finally:
    for place in PLACES:
        shutil.rmtree(place, ignore_errors=True)
tap.done()
