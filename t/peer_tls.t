#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""TLS of our SMTP server beside that of a real Postfix with the same main.cf: log lines, Received
headers and replies, for each protocol, kind of key and client certificate.

    t/peer_tls.t [CASE...]
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

TREE = os.environ.get("PC_SRCDIR", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "t", "lib"))

import instance  # noqa: E402
import peer_postfix  # noqa: E402
import side_by_side  # noqa: E402
import small_ca  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

DIR = tempfile.mkdtemp(prefix="postcote-test.")
MAIL = ["EHLO x", "MAIL FROM:<a@example.net>", "RCPT TO:<bob@example.test>", "DATA",
        "Subject: x\r\n\r\nx\r\n.", "QUIT"]
RELAY = ["EHLO x", "MAIL FROM:<a@example.net>", "RCPT TO:<x@elsewhere.example>", "QUIT"]


def main_cf(**more):
    return {
        "myhostname": "mail.example.test", "mydestination": "", "mynetworks": "",
        "virtual_mailbox_domains": "example.test",
        "virtual_mailbox_maps": "inline:{bob@example.test=example.test/bob/}",
        "smtpd_relay_restrictions": "permit_tls_clientcerts, reject_unauth_destination",
        "smtpd_recipient_restrictions": "", "smtpd_peername_lookup": "no",
        "smtpd_tls_security_level": "may", "smtpd_tls_received_header": "yes",
        "smtpd_tls_cert_file": f"{DIR}/rsa.pem", "smtpd_tls_key_file": f"{DIR}/rsa.key",
        "smtpd_tls_eccert_file": f"{DIR}/ec.pem", "smtpd_tls_eckey_file": f"{DIR}/ec.key",
        "smtpd_tls_CAfile": f"{DIR}/ca.pem", "smtpd_tls_loglevel": "1",
        "relay_clientcerts": f"inline:{{{CA.fingerprint('alone')}=ok}}",
        "smtpd_client_connection_count_limit": "0", **more,
    }


def cert(name):
    return ["-cert", CA.path(name + ".pem"), "-key", CA.path(name + ".key")]


def neutral(text):
    text = re.sub(r"\b[0-9A-F]{9,}\b", "ID", text)
    text = re.sub(r"key expiration: \d+", "key expiration: N", text)
    # Since 3.9 and 3.10, which we follow.
    text = text.replace(", fingerprint=", ", cert fingerprint=").replace(", pkey_fingerprint=", ", pkey fingerprint=")
    text = text.replace("re-using session with untrusted certificate", "re-using session with untrusted peer credential")
    text = re.sub(r'(TLS cipher list ").*?(:!aNULL)?"', r'\1..."', text)
    text = re.sub(r"^(NOQUEUE|ID): (?=lost connection|timeout)", "", text)
    return text


# In a resumed session nothing was signed: 3.11 says nothing of that, 3.7 names the key all the same.
UNSIGNED = re.compile(r"\s(server|client)-signature (RSA-PSS|ECDSA) \([^)]*\)(?! \1-digest)")


def lines_of(log):
    return [UNSIGNED.sub("", line) for line in map(neutral, peer_postfix.smtpd_lines(log))
            if not line.startswith(("connect from", "initializing"))]


def received(side):
    """The Received headers of what was delivered; it is thrown away."""
    base = side.maildirs if isinstance(side, peer_postfix.PeerPostfix) else side.path("mail")
    texts = []
    for path in glob.glob(base + "/example.test/bob/new/*"):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        os.unlink(path)
        text = text[text.index("Received:"):text.index("\tby ")]
        texts.append(UNSIGNED.sub("", neutral(text)).replace("\n\t)", ")"))
    return texts


def session(side, options, steps, wrapped):
    """Replies, log lines and Received headers of a session of openssl s_client."""
    skip = len(side.postfix_log())
    start = [] if wrapped else ["-starttls", "smtp"]
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{side.smtp_port}", *start, "-quiet",
         *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    replies = []
    for step in (["GREETING"] if wrapped else []) + steps:
        try:
            if step != "GREETING":
                client.stdin.write(step.encode() + b"\r\n")
                client.stdin.flush()
        except BrokenPipeError:
            break
        while True:
            line = client.stdout.readline().decode()
            if not re.match(r"250[- ](ETRN|DSN|SMTPUTF8|CHUNKING|8BITMIME)", line):
                replies.append(neutral(line))
            if not re.match(r"\d\d\d-", line):
                break
    try:
        client.stdin.close()
    except BrokenPipeError:
        pass
    client.stdout.close()
    client.wait()
    instance.wait_until(lambda: "disconnect from" in side.postfix_log()[skip:], "disconnect")
    if any("queued as" in r for r in replies):
        instance.wait_until(lambda: "removed" in side.postfix_log()[skip:], "delivery")
    while replies and not replies[-1]:  # that the server has closed shows sooner or later
        replies.pop()
    replies = [re.sub("^250-8BITMIME|^250 CHUNKING", "250 8BITMIME", r) for r in replies]
    return replies, lines_of(side.postfix_log()[skip:]), received(side)


def compare(name, ours, peer, options, steps=None, wrapped=False):
    got = session(ours, options, steps or MAIL, wrapped)
    want = session(peer, options, steps or MAIL, wrapped)
    for what, a, b in zip(("replies", "log", "Received"), got, want):
        tap.equal(a, b, f"{name}: {what}")


def raw(name, ours, peer, steps):
    """Without TLS: each step is sent, its reply read."""
    results = []
    for side in (ours, peer):
        skip = len(side.postfix_log())
        with Dialogue(side.smtp_port) as d:
            replies = []
            for step in steps:
                replies.append([r for r in d.ask(step).split("\n")
                                if not re.match(r"250[- ](ETRN|DSN|SMTPUTF8|CHUNKING|8BITMIME)", r)])
        instance.wait_until(lambda s=side, n=skip: "disconnect from" in s.postfix_log()[n:], "disconnect")
        results.append((replies, lines_of(side.postfix_log()[skip:])))
    tap.equal(results[0][0], results[1][0], f"{name}: replies")
    tap.equal(results[0][1], results[1][1], f"{name}: log")


VERSIONS = {"1.3": ["-tls1_3"], "1.2": ["-tls1_2"],
            "1.1": ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]}
KEYS = {"RSA": ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256:RSA+SHA1"], "ECDSA": []}


def every_kind(ours, peer):
    for version, options in VERSIONS.items():
        for kind, signs in KEYS.items():
            if version == "1.1" and kind == "RSA":
                options, signs = options[:1] + ["-cipher", "aRSA@SECLEVEL=0"], []
            compare(f"TLS {version}, {kind}", ours, peer, options + signs)
    for group in ("P-256", "P-384", "X448"):
        compare(f"group {group}", ours, peer, ["-groups", group])
    compare("DHE", ours, peer, ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"])


def client_certs(ours, peer):
    for version in ("1.3", "1.2"):
        for who in ("good", "goodec", "alone", "other", "old", "server"):
            compare(f"TLS {version}, client {who}", ours, peer, VERSIONS[version] + cert(who))
    compare("no client certificate", ours, peer, [])
    compare("an odd name", ours, peer, cert("odd"))
    for version in ("1.3", "1.2"):
        file = os.path.join(DIR, "session")
        compare(f"TLS {version}: a new session", ours, peer, VERSIONS[version] + cert("good"))
        for side in (ours, peer):
            session(side, VERSIONS[version] + cert("good") + ["-sess_out", file + str(side.smtp_port)],
                    MAIL, False)
        resumed = []
        for side in (ours, peer):
            resumed.append(session(side, VERSIONS[version] + cert("good") +
                                   ["-sess_in", file + str(side.smtp_port)], MAIL, False))
        tap.equal(resumed[0][1:], resumed[1][1:], f"TLS {version}: a resumed session")


def relaying(ours, peer):
    for who in ("good", "alone", "other"):
        compare(f"relay for {who}", ours, peer, cert(who), RELAY)
    compare("relay for nobody", ours, peer, [], RELAY)
    raw("relay without TLS", ours, peer, RELAY)


def without_tls(ours, peer):
    raw("no TLS", ours, peer, ["EHLO x", "STARTTLS x", "STARTTLS", "NOOP", "QUIT"])


def failures(ours, peer):
    for name, data in (("nothing", b""), ("HTTP", b"GET / HTTP/1.0\r\n\r\n"),
                       ("half a record", b"\x16\x03\x01\x00"), ("an old hello", b"\x80\x2e\x01" + b"\0" * 60)):
        results = []
        for side in (ours, peer):
            skip = len(side.postfix_log())
            with Dialogue(side.smtp_port) as d:
                d.ask("EHLO x")
                d.ask("STARTTLS")
                d.send(data)
            instance.wait_until(lambda s=side, n=skip: "disconnect from" in s.postfix_log()[n:], "disconnect")
            results.append(lines_of(side.postfix_log()[skip:]))
        tap.equal(*results, f"failure: {name}")
    compare("no common version", ours, peer, ["-tls1_2", "-cipher", "AES128-SHA"])


def both(test, master="", steps=None, **more):
    """Runs TEST with both servers configured alike."""
    values = main_cf(**more)
    with peer_postfix.PeerPostfix(values) as peer, \
            instance.Instance(main={k: v for k, v in values.items() if k != "maillog_file"}) as ours:
        for side in (ours, peer):
            if more.get("smtpd_tls_wrappermode") == "yes":
                instance.wait_until(lambda s=side: "disconnect from" in s.postfix_log(), "a session's end")
            else:
                side_by_side.settle(side)
        test(ours, peer)


BAD_CERT = {"smtpd_tls_cert_file": "/nonexistent"}
CASES = {
    "level 1": lambda: both(every_kind),
    "level 2": lambda: both(lambda o, p: (compare("level 2", o, p, ["-tls1_3"]),
                                          compare("level 2", o, p, ["-tls1_2"])),
                            smtpd_tls_loglevel="2"),
    "certificates": lambda: both(client_certs, smtpd_tls_ask_ccert="yes"),
    "certificates, level 2": lambda: both(client_certs, smtpd_tls_ask_ccert="yes", smtpd_tls_loglevel="2"),
    "required": lambda: both(client_certs, smtpd_tls_req_ccert="yes", smtpd_tls_security_level="encrypt"),
    "relaying": lambda: both(relaying, smtpd_tls_ask_ccert="yes"),
    "relaying, all": lambda: both(
        relaying, smtpd_tls_ask_ccert="yes",
        smtpd_relay_restrictions="permit_tls_all_clientcerts, reject_unauth_destination"),
    "relaying, not asked": lambda: both(relaying),
    "access": lambda: both(
        relaying, smtpd_tls_ask_ccert="yes", relay_clientcerts="",
        smtpd_relay_restrictions=f"check_ccert_access inline:{{ {{{CA.fingerprint('alone')} = REJECT go away}},"
        f" {{{CA.key_fingerprint('good')} = permit}} }}, reject_unauth_destination"),
    "failures": lambda: both(failures),
    "no certificate": lambda: both(without_tls, smtpd_tls_cert_file="", smtpd_tls_eccert_file=""),
    "a certificate that is not there": lambda: both(without_tls, **BAD_CERT),
    "encrypt": lambda: both(lambda o, p: raw("clear", o, p, MAIL[:3] + ["NOOP", "QUIT"]),
                            smtpd_tls_security_level="encrypt"),
    "wrapper": lambda: both(lambda o, p: compare("wrapper", o, p, cert("good"), wrapped=True),
                            smtpd_tls_wrappermode="yes", smtpd_tls_ask_ccert="yes"),
}

small_ca.find()
peer_postfix.find()
try:
    CA = small_ca.SmallCa(DIR)
    os.chmod(DIR, 0o755)
    CA.server("rsa")
    CA.server("ec", "ec")
    CA.client("good")
    CA.client("goodec", "ec")
    CA.self_signed("alone")
    CA.sign("old", "/CN=old.client.test", "clientAuth", days=0)
    CA.server("server", host="other.example.test")
    CA.sign("odd", "/CN=a(b\\\\c)) \"d\"", "clientAuth")
    stranger = small_ca.SmallCa(os.path.join(DIR, "stranger"), "Strange CA")
    stranger.client("other")
    for part in (".pem", ".key"):
        shutil.copy(stranger.path("other" + part), CA.path("other" + part))
    only = sys.argv[1:]
    tap.run(*[run for name, run in CASES.items() if not only or name in only])
finally:
    shutil.rmtree(DIR, ignore_errors=True)
tap.done()
