#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The programs that people let read Postfix's log read ours: pflogsumm and fail2ban say the same
about our log and a real Postfix's after the same sessions."""

import base64
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import peer_postfix  # noqa: E402
import side_by_side  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402
from smtp_server import CLOSE, Server  # noqa: E402

FILTERS = "/etc/fail2ban/filter.d"
peer_postfix.find()
for program in ("pflogsumm", "fail2ban-regex"):
    if not shutil.which(program):
        tap.skip_all(f"no {program}")

MAIN = {
    "myhostname": "mail.example.test", "mydomain": "example.test", "myorigin": "example.test",
    "mydestination": "", "local_recipient_maps": "", "mynetworks": "192.0.2.0/24",
    "virtual_mailbox_domains": "example.test, late.test",
    "virtual_mailbox_maps": "inline:{alice@example.test=example.test/alice/ "
                            "bob@example.test=example.test/bob/ x@late.test=x/}",
    "transport_maps": "inline:{late.test=late:}",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_recipient_restrictions": "check_recipient_access inline:{ {friend@example.test = "
                                    "450 4.7.1 Try again} }",
    "smtpd_helo_restrictions": "reject_invalid_helo_hostname",
    "smtpd_sender_restrictions": "check_sender_access inline:{ {spam@example.net = REJECT} "
                                 "{odd@example.net = WARN it is odd} }",
    "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "5",
    "smtpd_forbid_unauth_pipelining": "yes", "smtpd_tls_security_level": "none",
    "smtpd_client_connection_count_limit": "0", "smtpd_client_connection_rate_limit": "0",
    "smtpd_tls_auth_only": "no", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot",
    "smtpd_sasl_security_options": "noanonymous", "smtpd_peername_lookup": "yes",
    # Debian's pflogsumm does not know the field that 3.11 has added.
    "smtp_log_tls_feature_status": "no", "smtp_tls_security_level": "none", "relay_domains": "far.test",
    "relay_transport": "smtp:[127.0.0.1]:$far_port",
}
FAR = {"RCPT TO:<no@": "550 5.1.1 no such user", "RCPT TO:<later@": "450 4.2.0 try again",
       "RCPT TO:<cut@": CLOSE}
START = ["EHLO client.example.net"]
MAIL = START + ["MAIL FROM:<sender@example.net>"]
TEXT = "Subject: x\r\n\r\nbody\r\n."


def plain(user, password):
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


SESSIONS = {
    "delivered": MAIL + ["RCPT TO:<bob@example.test>", "RCPT TO:<alice@example.test>", "DATA", TEXT, "QUIT"],
    "another": START + ["MAIL FROM:<other@example.org>", "RCPT TO:<bob@example.test>", "DATA", TEXT, "QUIT"],
    "relayed": START + ["MAIL FROM:<alice@example.test>",
                       "RCPT TO:<ann@far.test>", "RCPT TO:<no@far.test>",
                       "RCPT TO:<later@far.test>", "DATA", TEXT, "QUIT"],
    "cut": MAIL + ["RCPT TO:<cut@far.test>", "DATA", TEXT, "QUIT"],
    "deferred": MAIL + ["RCPT TO:<x@late.test>", "DATA", TEXT, "QUIT"],
    "relay": MAIL + ["RCPT TO:<x@example.org>", "RCPT TO:<y@example.org>", "QUIT"],
    "unknown user": MAIL + ["RCPT TO:<nobody@example.test>", "QUIT"],
    "try again": MAIL + ["RCPT TO:<friend@example.test>", "QUIT"],
    "bad HELO": ["HELO a..b", "MAIL FROM:<sender@example.net>", "RCPT TO:<bob@example.test>", "QUIT"],
    "refused sender": START + ["MAIL FROM:<spam@example.net>", "RCPT TO:<bob@example.test>", "QUIT"],
    "warned": START + ["MAIL FROM:<odd@example.net>", "RCPT TO:<bob@example.test>", "QUIT"],
    "wrong password": START + [plain("alice@example.test", "wrong"), plain("nobody", "x"), "QUIT"],
    "given up": START + [plain("alice@example.test", "wrong")],
    "pipelining": [b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n"],
    "too many errors": START + ["FOO"] * 6,
    "lost": MAIL,
    "lost in DATA": MAIL + ["RCPT TO:<bob@example.test>", "DATA", b"Subject: x\r\n"],
    "nothing": [],
    "web": ["GET / HTTP/1.0"],
}


def talk(port, steps):
    with Dialogue(port) as d:
        for step in steps:
            if isinstance(step, str):
                d.ask(step)
            else:
                d.send(step)
                d.sock.settimeout(0.5)
                try:
                    while d.reply():
                        pass
                except TimeoutError:
                    pass


def run_all(side):
    for name, steps in SESSIONS.items():
        skip = len(side.postfix_log())
        talk(side.smtp_port, steps)
        instance.wait_until(lambda n=skip: "disconnect from" in side.postfix_log()[n:], f"end of {name}")
    for count, pattern in ((5, "status=sent"), (3, "status=deferred"), (1, "status=bounced"), (2, "removed$"),
                           (1, "sender non-delivery notification")):
        instance.wait_until(lambda n=count, p=pattern: len(re.findall(p, side.postfix_log(), re.M)) >= n, pattern)


def make_newer(side):
    """What the peer's log would look like if it were as new as we are: 3.10 put an id in front of
    some lines (which fail2ban's filters of that time do not know), 3.9 ends DATA's in another way."""
    text = re.sub(r"(smtpd\[\d+\]: )(lost connection|timeout|too many errors) after (?!DATA)",
                  r"\1NOQUEUE: \2 after ", side.postfix_log())
    with open(side.mail_log, "w", encoding="utf-8") as f:
        f.write(text)


def report(side):
    """pflogsumm's words without what is measured: bytes, times, hours."""
    done = subprocess.run(["pflogsumm", "--problems_first", "--verbose_msg_detail", side.mail_log], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    tap.equal(done.stderr, "", "pflogsumm has no complaint")
    text = re.sub(r"Per-Hour Traffic Summary.*?\n\n", "", done.stdout, flags=re.S)
    text = re.sub(r"\d+\.\d s", "N s", text)
    text = re.sub(r"^ +[\d.]+k? +bytes .*\n", "", text, flags=re.M)
    text = re.sub(r"^( +\d+) +\d+k?( +\d+ +N s +N s)", r"\1 BYTES\2", text, flags=re.M)
    text = re.sub(r"^( +\d+) +\d+k?   (?=\S+$)", r"\1 BYTES ", text, flags=re.M)
    text = re.sub(r"^ +\d+k?   (?=\S+@)", "BYTES ", text, flags=re.M)
    text = re.sub(r"\b[0-9A-F]{10,14}\b", "ID", text)
    text = re.sub(r"(\[127\.0\.0\.1\]):\d+", r"\1:PORT", text)
    # Only masters and what they start speak of themselves.
    text = re.sub(r"(?ms)^Master daemon messages\n-+\n.*\Z", "", text)
    return text


def matches(side, filter_name, mode):
    """How often each expression of a filter matches, and which lines did."""
    name = f"{FILTERS}/{filter_name}.conf" + (f"[mode={mode}]" if mode else "")
    done = subprocess.run(["fail2ban-regex", "--print-all-matched", side.mail_log, name], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    found = re.search(r"Matched line\(s\):\n(.*?)\n`-", done.stdout, re.S)
    lines = peer_postfix.smtpd_lines(found.group(1)) if found else []
    return sorted(re.sub(r"^[0-9A-F]{10,14}: ", "ID: ", line) for line in lines)


def test_pflogsumm():
    ours, peers = report(the_mail), report(the_peer)
    tap.equal(ours.splitlines(), peers.splitlines(), "pflogsumm")
    for words in (r"^ +5 +delivered$", r"^ +3 +deferred +\(", r"^ +1 +bounced$", r"^ +\d+ +rejected \(", r"Relay access denied"):
        tap.like(ours, words, f"it found {words}")


def test_fail2ban():
    for mode, least in (("normal", 4), ("auth", 3), ("more", 4), ("ddos", 2), ("extra", 7),
                        ("aggressive", 9), ("errors", 0)):
        ours, peers = matches(the_mail, "postfix", mode), matches(the_peer, "postfix", mode)
        tap.ok(len(peers) >= least, f"fail2ban, {mode}: {len(peers)} lines of the peer's match", peers)
        tap.equal(ours, peers, f"fail2ban, {mode}: the same of ours")


far_hosts = [Server(FAR), Server(FAR)]
with instance.Instance(main={**MAIN, "far_port": far_hosts[0].port},
                       master="smtp unix - - n - - smtp\n") as the_mail:
    the_mail.command("postconf", "-e", "smtpd_sasl_path=private/auth")
    os.chmod(the_mail.path("spool/private"), 0o755)
    os.chmod(the_mail.path("spool/private/auth"), 0o666)
    with peer_postfix.PeerPostfix({**MAIN, "far_port": far_hosts[1].port, "smtpd_sasl_path": the_mail.path("spool/private/auth")}) as the_peer:
        # The looks whether a port is open are sessions, too: both logs begin after them.
        for side in (the_mail, the_peer):
            side_by_side.settle(side)
            open(side.mail_log, "w", encoding="ascii").close()
            run_all(side)
        make_newer(the_peer)
        tap.run(test_pflogsumm, test_fail2ban)
