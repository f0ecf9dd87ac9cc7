#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Logins of the client beside a real Postfix's: what a server that follows a script is told, and
what the log says of the recipient."""

import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import peer_postfix  # noqa: E402
import tap  # noqa: E402
from scripted_server import ScriptedServer  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

MAIN = {"myhostname": "mail.example.test", "mydestination": "", "virtual_mailbox_domains": "",
        "relay_domains": "static:all", "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "mynetworks": "127.0.0.0/8", "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_security_options": "noanonymous", "smtp_tls_security_level": "none",
        "smtpd_tls_security_level": "none", "smtpd_sasl_auth_enable": "no",
        "smtp_connection_cache_on_demand": "no", "disable_dns_lookups": "yes",
        "smtp_host_lookup": "native", "virtual_alias_maps": "", "local_recipient_maps": "",
        "recipient_canonical_maps": "", "smtpd_recipient_restrictions": "",
        "smtp_log_tls_feature_status": "no"}
MASTER = "smtp unix - - n - - smtp\n"
USER_334, PASS_334 = "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"
CRAM = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"

# Name, script.  The domain of the recipient is the name.
PLAIN_CASES = {
    "plain": {"AUTH": "235 2.7.0 ok"},
    "login": {"EHLO": ["AUTH LOGIN"], "AUTH": [USER_334, PASS_334, "235 2.7.0 ok"]},
    "cram": {"EHLO": ["AUTH CRAM-MD5"], "AUTH": [CRAM, "235 2.7.0 ok"]},
    "strong": {"EHLO": ["AUTH PLAIN CRAM-MD5 LOGIN"], "AUTH": [CRAM, "235 2.7.0 ok"]},
    "old": {"EHLO": ["AUTH=LOGIN"], "AUTH": [USER_334, PASS_334, "235 ok"]},
    "hard": {"AUTH": "535 5.7.8 Error: authentication failed"},
    "soft": {"AUTH": "454 4.7.0 Temporary authentication failure"},
    "bare": {"AUTH": "535 no"},
    "lines": {"AUTH": "535-5.7.8 one\r\n535 5.7.8 two"},
    "other": {"AUTH": "504 5.5.4 Unrecognized authentication type"},
    "unknown": {"EHLO": ["AUTH NTLMX"]},
    "none": {"EHLO": ["ENHANCEDSTATUSCODES"]},
    "early": {"AUTH": "421 4.3.2 going down"},
    "gone": {"AUTH": None},
    "gone2": {"EHLO": ["AUTH LOGIN"], "AUTH": [USER_334, None]},
    "late": {"EHLO": ["AUTH LOGIN"], "AUTH": [USER_334, PASS_334, "535 5.7.8 no"]},
}
# There the client says "*" before QUIT, and the real one QUIT alone.
GIVEN_UP_CASES = {
    "nobase64": {"EHLO": ["AUTH LOGIN"], "AUTH": ["334 <hello>", "501 5.7.0 cancelled"]},
    "more": {"AUTH": ["334 ", "501 5.7.0 cancelled"]},
}


def neutral(text):
    # The real one, up to 3.11, shows its own response, which is the password.
    text = re.sub(r"(non-empty initial \S+ challenge from server \S+): [^)]*", r"\1: WORD", text)
    # The real one has a '?' where a reply's next line begins.
    text = re.sub(r"\?(?=\d\d\d[ -])", " ", text)
    text = re.sub(r"\[127\.0\.0\.1\]:\d+", "[127.0.0.1]:PORT", text)
    return re.sub(r", delay=.*?, delays=[^,]*", "", text)


class Pair:
    """Both clients, with scripted servers for DOMAIN.test each."""

    def __init__(self, cases, passwords, **main):
        self.servers = {name: ScriptedServer(script) for name, script in cases.items()}
        transport = " ".join("{%s.test = smtp:[127.0.0.1]:%d}" % (name, server.port)
                             for name, server in self.servers.items())
        values = {**MAIN, "transport_maps": "inline:{ %s }" % transport, **main}
        passwords = re.sub(r"PORT\((\w+)\)", lambda m: str(self.servers[m[1]].port), passwords)
        values["smtp_sasl_password_maps"] = "inline:{ %s }" % passwords
        self.ours = instance.Instance(main=values, master=MASTER)
        self.peer = peer_postfix.PeerPostfix(values)
        with open(self.peer.path("etc/master.cf"), "a", encoding="ascii") as f:
            f.write("proxywrite unix - - n - 1 proxymap\n")

    def __enter__(self):
        self.ours.__enter__()
        self.peer.__enter__()
        return self

    def __exit__(self, *exc):
        self.peer.__exit__()
        self.ours.__exit__(*exc)
        for server in self.servers.values():
            server.__exit__()

    def deliver(self, side, name, sender):
        """What the server was told, and the log's line without what is other each time."""
        server = self.servers[name]
        del server.sessions[:]
        skip = len(side.postfix_log())
        with Dialogue(side.smtp_port) as d:
            for line in ("EHLO client.test", f"MAIL FROM:<{sender}>", f"RCPT TO:<u@{name}.test>",
                         "DATA", "Subject: x\r\n\r\nHello.\r\n."):
                reply = d.ask(line)
                if reply[0] not in "23":
                    raise RuntimeError(f"{line}: {reply}")
        pattern = re.compile(rf"to=<u@{name}\.test>, (.*)$", re.M)
        instance.wait_until(lambda: pattern.search(side.postfix_log(), skip), f"{name}: a result")
        log = side.postfix_log()[skip:]
        warnings = sorted(set(re.findall(r"postfix/smtp\[\d+\]: (warning: .*)", log)))
        warnings = [w for w in warnings if "flush" not in w]
        result = neutral(pattern.search(log)[1])
        return [line for s in server.sessions for line in s if line != "QUIT"], result, \
            [neutral(re.sub(r"[0-9A-F]{9,}: ", "ID: ", w)) for w in warnings]

    def compare(self, name, sender="anna@example.test", given_up=False):
        theirs = self.deliver(self.peer, name, sender)
        ours = self.deliver(self.ours, name, sender)
        if given_up:
            tap.equal([line for line in ours[0] if line != "*"], theirs[0], f"{name}: what is said")
            tap.ok("*" in ours[0], f"{name}: the login is cancelled", ours[0])
        else:
            tap.equal(ours[0], theirs[0], f"{name}: what is said")
        tap.equal(ours[1], theirs[1], f"{name}: the result")
        tap.equal(ours[2], theirs[2], f"{name}: warnings")


def test_results():
    with Pair({**PLAIN_CASES, **GIVEN_UP_CASES}, "{127.0.0.1 = user:pass}") as pair:
        for name in PLAIN_CASES:
            pair.compare(name)
        for name in GIVEN_UP_CASES:
            pair.compare(name, given_up=True)


LONG = "x" * 500


def test_keys_and_demands():
    """Hard refusals, a filter, the name twice, senders first, no plain text without TLS."""
    cases = {"hard": {"AUTH": "535 5.7.8 no"}, "soft": {"AUTH": "454 4.7.0 no"},
             "ok": {"AUTH": "235 2.7.0 ok"}, "nopass": {}, "two": {
                 "EHLO": ["AUTH PLAIN CRAM-MD5"], "AUTH": "235 2.7.0 ok"},
             "filtered": {"EHLO": ["AUTH CRAM-MD5"]}, "strange": {"EHLO": ["AUTH CRAM-MD5"]},
             "empty": {"EHLO": ["AUTH"]},
             "long": {"AUTH": ["334 ", "235 ok"]}, "first": {"AUTH": ["334 eA==", "501 ok"]}}
    with Pair(cases, "{anna@example.test = anna:hers} {@sub.test = sub:its} "
              "{long@example.test = long:%s} {bert = bert:his}" % LONG,
              smtp_sasl_auth_soft_bounce="no", smtp_sender_dependent_authentication="yes",
              smtp_sasl_mechanism_filter="!cram-md5, static:all", send_cyrus_sasl_authzid="yes") \
            as pair:
        for name in ("hard", "soft", "ok", "two", "filtered", "empty"):
            pair.compare(name)
        pair.compare("ok", "x@sub.test")
        pair.compare("ok", "anna+ext@example.test")
        pair.compare("ok", "")
        pair.compare("nopass", "other@example.test")
        pair.compare("strange", "other@example.test")
        pair.compare("long", "long@example.test")
        pair.compare("first", "long@example.test", given_up=True)
    with Pair({"ok": {}}, "{127.0.0.1 = user:pass}",
              smtp_sasl_security_options="noplaintext, noanonymous") as pair:
        pair.compare("ok")


def test_next_hop():
    """A password for the next hop as it stands in the table."""
    with Pair({"ok": {"AUTH": "235 ok"}}, "{[127.0.0.1]:PORT(ok) = next:hop}") as pair:
        pair.compare("ok")


def test_cache():
    with Pair({"later": {"AUTH": "454 4.7.0 later"}, "first": {"AUTH": "535 5.7.8 no"},
               "second": {"AUTH": "535 5.7.8 never said"}, "third": {"AUTH": "235 ok"}},
              "{127.0.0.1 = user:pass}",
              smtp_sasl_auth_cache_name="proxy:btree:$data_directory/sasl_cache") as pair:
        for name in ("later", "first", "second", "third"):
            pair.compare(name)



MECHANISMS = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256".split()
SERVER = {"myhostname": "mail.example.test", "smtpd_sasl_auth_enable": "yes",
          "smtpd_tls_auth_only": "no", "smtpd_tls_security_level": "none",
          "smtpd_sasl_security_options": "noanonymous", "smtpd_error_sleep_time": "0",
          "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
          "smtpd_recipient_restrictions": "", "mydestination": "", "local_recipient_maps": "",
          "relay_domains": "static:all", "default_transport": "discard:", "relay_transport": "discard:",
          "virtual_mailbox_domains": ""}


def clients_of(port):
    """main.cf and the lines of master.cf of a client with a transport for each mechanism."""
    transport = " ".join("{%s.test = %s:[127.0.0.1]:%d}" % (m, m, port) for m in map(str.lower, MECHANISMS))
    main = {**MAIN, "transport_maps": "inline:{ %s }" % transport,
            "smtp_sasl_password_maps": "inline:{ {127.0.0.1 = bob@example.test:bob} }"}
    return main, "".join(f"{m.lower()} unix - - n - - smtp -o smtp_sasl_mechanism_filter={m.lower()}\n"
                         for m in MECHANISMS)


def try_mechanisms(client, server, who):
    for name in MECHANISMS:
        skip = len(server.postfix_log())
        with Dialogue(client.smtp_port) as d:
            for line in ("EHLO client.test", "MAIL FROM:<>", f"RCPT TO:<u@{name.lower()}.test>", "DATA",
                         "Subject: x\r\n\r\nHello.\r\n."):
                d.ask(line)
        found = instance.wait_until(lambda: re.search(
            r"sasl_method=(\S+), sasl_username=(\S+)", server.postfix_log()[skip:]), f"{who} {name}")
        tap.equal(found.groups(), (name, "bob@example.test"), f"{who}: {name}")


def test_real_client():
    """A real Postfix's client at our smtpd with authd."""
    dovecot = "auth_mechanisms = " + " ".join(MECHANISMS).lower() + "\n"
    with instance.Instance(main=SERVER, dovecot=dovecot, master="discard unix - - n - - discard\n") as server:
        main, master = clients_of(server.smtp_port)
        peer = peer_postfix.PeerPostfix(main)
        with open(peer.path("etc/master.cf"), "a", encoding="ascii") as f:
            f.write(master)
        with peer:
            try_mechanisms(peer, server, "a real client")


def test_real_server():
    """Ours at a real Postfix's smtpd with Cyrus SASL and a sasldb."""
    if not shutil.which("saslpasswd2", path="/usr/sbin:/usr/bin"):
        tap.skip("saslpasswd2 is not installed (package sasl2-bin)", "a real server")
        return
    peer = peer_postfix.PeerPostfix({**SERVER, "smtpd_sasl_path": "smtpd",
                                     "smtpd_sasl_local_domain": "example.test"})
    with open(peer.path("etc/master.cf"), "a", encoding="ascii") as f:
        f.write("discard unix - - n - - discard\n")
    os.mkdir(peer.path("etc/sasl"))
    with open(peer.path("etc/sasl/smtpd.conf"), "w", encoding="ascii") as f:
        f.write(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {peer.own('sasldb2')}\n"
                f"mech_list: {' '.join(MECHANISMS)}\n")
    subprocess.run(["/usr/sbin/saslpasswd2", "-p", "-c", "-f", peer.path("sasldb2"), "-u", "example.test",
                    "bob"], input=b"bob", check=True, timeout=60)
    os.chmod(peer.path("sasldb2"), 0o644)
    main, master = clients_of(peer.smtp_port)
    with peer, instance.Instance(main=main, master=master) as client:
        try_mechanisms(client, peer, "a real server")


peer_postfix.find()
if not glob.glob(peer_postfix.ROOT + "/usr/lib/*/sasl2/libplain.so"):
    tap.skip_all("the peer has no mechanisms (package libsasl2-modules)")
tap.run(test_results, test_keys_and_demands, test_next_hop, test_cache,
        test_real_client, test_real_server)
