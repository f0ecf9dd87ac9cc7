#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""TLS of the SMTP server: certificates, names, ciphers, sessions, reload, and hostile clients.  What
the log and Received say beside a real Postfix is in peer_tls.t."""

import os
import re
import shutil
import ssl
import struct
import sys
import tempfile

TREE = os.environ.get("PC_SRCDIR", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TREE, "t", "lib"))

import instance  # noqa: E402
import small_ca  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

DIR = tempfile.mkdtemp(prefix="postcote-test.")
ENVELOPE = ["MAIL FROM:<alice@example.test>", "RCPT TO:<bob@example.test>"]


def main_cf(**more):
    return {"smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1",
            "smtpd_tls_chain_files": f"{DIR}/rsa.chain, {DIR}/ec.chain",
            "smtpd_tls_cert_file": "", "smtpd_tls_key_file": "",
            "smtpd_tls_CAfile": f"{DIR}/ca.pem", **more}


class Client:
    """TLS between two buffers, so that the test says which bytes travel when."""

    def __init__(self, port, name="mail.example.test", steps=("EHLO x", "STARTTLS"), context=None):
        self.plain = Dialogue(port)
        for step in steps:
            self.plain.ask(step)
        if context is None:
            context = ssl.create_default_context(cafile=f"{DIR}/ca.pem")
            context.check_hostname = False
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server_hostname=name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.plain.close()

    def push(self, extra=b""):
        self.plain.send(self.out.read() + extra)

    def pull(self):
        """Something from the server; False at the end."""
        try:
            data = self.plain.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if data:
            self.into.write(data)
        return bool(data)

    def handshake(self, held=False):
        """With HELD the last flight is not sent yet."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.push()
                if not self.pull():
                    raise ssl.SSLError("the server has closed") from None
        if not held:
            self.push()

    def write(self, text):
        """One record, not sent yet."""
        self.tls.write(text if isinstance(text, bytes) else text.encode())

    def read(self):
        """What comes next; "" at the end."""
        while True:
            try:
                return self.tls.read(65536).decode()
            except ssl.SSLWantReadError:
                if not self.pull():
                    return ""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return ""

    def ask(self, text):
        self.write(text + "\r\n")
        self.push()
        reply = self.read()
        while reply and not re.search(r"^\d\d\d .*\r\n\Z", reply, re.M):
            reply += self.read()
        return reply

    def certificate(self):
        return self.tls.getpeercert(True)


def shown(port, name="mail.example.test", **kwargs):
    with Client(port, name, **kwargs) as c:
        c.handshake()
        c.ask("QUIT")
        return c.certificate()


def test_chains():
    with instance.Instance(main=main_cf()) as mail:
        for kind, options in (("rsa", ["-sigalgs", "RSA-PSS+SHA256"]), ("ec", [])):
            said = small_ca.s_client(mail.smtp_port, *options, "-CAfile", f"{DIR}/ca.pem")
            tap.like(said, "^221 2.0.0 Bye", f"{kind}: talks")
            tap.unlike(said, "verify error", f"{kind}: the chain is good")
            word = "RSA-PSS" if kind == "rsa" else "ECDSA"
            mail.wait_for_log(f"server-signature {word}")
        tap.ok(True, "both keys sign")


def test_bad_chains():
    for name, value, line in (
            ("certificate first", f"{DIR}/rsa.pem {DIR}/rsa.key", "key not first: disabling TLS support"),
            ("another key", f"{DIR}/mixed.pem", "key at index 1 in .*mixed.pem does not match next certificate"),
            ("nothing in it", f"{DIR}/empty.pem", "No PEM data in"),
            ("no file", f"{DIR}/absent.pem", "error opening chain file: .*: No such file or directory")):
        with instance.Instance(main=main_cf(smtpd_tls_chain_files=value)) as mail:
            mail.wait_for_log("warning: .*" + line)
            with Dialogue(mail.smtp_port) as d:
                tap.like(d.ask("EHLO x"), "^250-STARTTLS", f"{name}: STARTTLS is offered")
                tap.like(d.ask("STARTTLS"), "^454 4.7.0 TLS not available due to local problem",
                         f"{name}: and refused")
                tap.like(d.ask("NOOP"), "^250", f"{name}: mail goes on")


def test_configuration():
    for more, line in (
            ({"smtpd_tls_ciphers": "fine"}, 'invalid cipher grade: "fine"'),
            ({"smtpd_tls_exclude_ciphers": "+RC4"}, r"invalid unary '!\+-@' in cipher exclusion: \+RC4"),
            ({"smtpd_tls_protocols": ">=TLSv9"}, 'Invalid TLS protocol list ">=TLSv9"'),
            ({"smtpd_tls_CAfile": "/absent"}, 'cannot load Certification Authority data, CAfile="/absent"'),
            ({"smtpd_tls_fingerprint_digest": "crc"}, 'Digest algorithm "crc" not found'),
            ({"tls_config_file": "here.cnf"}, "tls_config_file = here.cnf is not an absolute pathname"),
            ({"tls_config_file": "/absent.cnf"}, "error loading the 'global' settings from the /absent.cnf"),
            ({"smtpd_tls_chain_files": ""}, "No server certs available. TLS won't be enabled"),
            ({"tls_session_ticket_cipher": "rot13"}, "invalid value: rot13; session tickets disabled"),
            ({"tls_ssl_options": "NO_FUN"}, 'unknown tls_ssl_options value "NO_FUN"'),
            ({"smtpd_tls_dh1024_param_file": "/absent"}, 'error opening DH parameter file "/absent"'),
            ({"tls_eecdh_auto_curves": "oval", "tls_ffdhe_auto_groups": ""},
             "none of the configured key exchange groups are supported"),
            ({"smtpd_tls_security_level": "verify"}, 'unsupported TLS level "verify", using "encrypt"')):
        with instance.Instance(main=main_cf(**more)) as mail:
            tap.ok(mail.wait_for_log("warning: .*" + line), f"{more}")


def test_ciphers():
    more = {"smtpd_tls_exclude_ciphers": "AES256, SHA384", "tls_preempt_cipherlist": "yes",
            "tls_eecdh_auto_curves": "nonsense prime256v1", "smtpd_tls_protocols": "!TLSv1, !TLSv1.1"}
    with instance.Instance(main=main_cf(**more)) as mail:
        small_ca.s_client(mail.smtp_port, "-tls1_2")
        tap.ok(mail.wait_for_log(r"TLSv1.2 with cipher ECDHE-ECDSA-(AES128|CHACHA20)"), "excluded ciphers are not used")
        tap.unlike(small_ca.s_client(mail.smtp_port, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"),
                   "^221", "nor on demand")
        tap.unlike(small_ca.s_client(mail.smtp_port, "-tls1_1", "-cipher", "ALL@SECLEVEL=0"), "^221",
                   "nor excluded versions")
        small_ca.s_client(mail.smtp_port, "-tls1_3")
        tap.ok(mail.wait_for_log(r"key-exchange ECDHE \(prime256v1\)"), "the curve that is configured")


def test_ca_directory():
    with instance.Instance(main=main_cf(smtpd_tls_CAfile="", smtpd_tls_CApath=f"{DIR}/cas",
                                        smtpd_tls_ask_ccert="yes")) as mail:
        for name, want in (("good", "Trusted"), ("alone", "Untrusted")):
            small_ca.s_client(mail.smtp_port, "-cert", CA.path(name + ".pem"), "-key", CA.path(name + ".key"))
            tap.ok(mail.wait_for_log(f"{want} TLS connection established"), f"{name} is {want}")


def test_purpose():
    more = {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_loglevel": "2"}
    for trust, want in (("no", "Untrusted"), ("yes", "Trusted")):
        with instance.Instance(main=main_cf(tls_trust_server_ccerts=trust, **more)) as mail:
            small_ca.s_client(mail.smtp_port, "-cert", CA.path("a.pem"), "-key", CA.path("a.key"))
            tap.ok(mail.wait_for_log(f"{want} TLS connection established"),
                   f"tls_trust_server_ccerts = {trust}: a server's certificate is {want}")
    foreign = small_ca.SmallCa(os.path.join(DIR, "foreign"), "Foreign CA")
    foreign.server("stranger")
    CA.server("old", days=0)
    with instance.Instance(main=main_cf(tls_trust_server_ccerts="yes", **more)) as mail:
        for ca, name, chain in ((foreign, "stranger", ["-cert_chain", foreign.path("ca.pem")]),
                                (foreign, "stranger", []), (CA, "old", [])):
            skip = len(mail.log())
            small_ca.s_client(mail.smtp_port, "-cert", ca.path(name + ".pem"), "-key", ca.path(name + ".key"),
                              *chain)
            tap.like(instance.wait_until(lambda s=skip: re.search(r"\w+ TLS connection established",
                                                                  mail.log()[s:]), "a log line").group(),
                     "^Untrusted", f"and no more is forgiven: {name} {'with' if chain else 'without'} its CA")


def sni_map(mail, maps):
    """Makes a table with postmap -F, and says so in main.cf."""
    source = mail.path("etc/sni")
    with open(source, "w", encoding="ascii") as f:
        f.write(f"a.example {DIR}/a.chain\n.b.example {DIR}/b.key, {DIR}/b.pem\n"
                f"bad.example {DIR}/rsa.pem\n")
    mail.own(source)
    done = mail.command("postmap", "-F", "lmdb:" + source)
    tap.equal(done.stderr, "", "postmap -F")
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="ascii") as f:
        f.write(f"tls_server_sni_maps = {maps}\n")


def check_names(mail, what):
    for name, want in (("a.example", "a"), ("A.Example", "a"), ("x.b.example", "b"),
                       ("x.y.b.example", "b"), ("b.example", "ec"), ("other.example", "ec"), (None, "ec")):
        tap.ok(shown(mail.smtp_port, name) == CA.der(want), f"{what}: {name} gets {want}")
    tap.ok(mail.wait_for_log(r"established from \S+ to x\.b\.example: TLS"), f"{what}: the name is logged")
    tap.ok(mail.wait_for_log(r"TLS SNI other\.example from \S+ not matched, using default chain"),
           f"{what}: so is one that is not there")


def test_names():
    mail = instance.Instance(main=main_cf())
    sni_map(mail, f"lmdb:{mail.path('etc/sni')}")
    with mail:
        check_names(mail, "table")
        try:
            shown(mail.smtp_port, "bad.example")
            tap.ok(False, "a bad chain ends the handshake")
        except ssl.SSLError:
            tap.ok(True, "a bad chain ends the handshake")
        tap.ok(mail.wait_for_log("aborting TLS handshake"), "and the log says why")
    names = f"a.example={DIR}/a.chain"
    with instance.Instance(main=main_cf(
            tls_server_sni_maps=f"inline:{{{{{names}}}, {{.b.example={DIR}/b.chain}}}}")) as mail:
        check_names(mail, "inline")


def hello(name):
    """A ClientHello of TLS 1.2 whose SNI is NAME, whatever that is."""
    sni = struct.pack(">HHBH", len(name) + 5, len(name) + 3, 0, len(name)) + name
    extensions = b"\0\0" + sni
    extensions += bytes.fromhex("000a00060004001d0017000b00020100000d00080006040308040401")
    ciphers = bytes.fromhex("c02bc02fc02cc030")
    body = (b"\x03\x03" + bytes(32) + b"\0" + struct.pack(">H", len(ciphers)) + ciphers + b"\x01\0"
            + struct.pack(">H", len(extensions)) + extensions)
    return b"\x16\x03\x01" + struct.pack(">HBBH", len(body) + 4, 1, 0, len(body)) + body


def memory(mail):
    total = 0
    for pid in mail.pids("smtpd"):
        with open(f"/proc/{pid}/statm", encoding="ascii") as f:
            total += int(f.read().split()[1]) * 4
    return total


def test_hostile_names():
    """Rows 78 and 79."""
    mail = instance.Instance(main=main_cf())
    sni_map(mail, f"lmdb:{mail.path('etc/sni')}")
    with mail:
        for name in (b"a.example\\\0", b"a.example\\", b"\0", b"a\0b", b".", b"..", b"-a", b"x" * 255,
                     b"a..b", b".b.example", b"\xff\xfe", b"x" * 5000, b"a.example\0"):
            with Dialogue(mail.smtp_port) as d:
                d.ask("EHLO x")
                d.ask("STARTTLS")
                d.send(hello(name))
                first = d.sock.recv(100)
                tap.ok(first[:1] in (b"\x15", b"\x16"), f"{name[:20]!r} gets an alert or a certificate")
        tap.ok(mail.wait_for_log(r"TLS SNI from \S+ is invalid: a\.example\\$"), "what is no name is logged")
        before = None
        for i in range(400):
            with Dialogue(mail.smtp_port) as d:
                d.ask("EHLO x")
                d.ask("STARTTLS")
                d.send(hello(b"%d.%d.random.example" % (i * 7919, i)))
                d.sock.recv(100)
            if i == 200:
                before = memory(mail)
        if os.environ.get("PC_SANITIZERS", "no") == "no":
            tap.ok(memory(mail) - before < 4096, "names that nobody knows leave nothing behind")
        else:
            tap.skip("sanitizers keep what is freed for a while",
                     "names that nobody knows leave nothing behind")
        tap.ok(shown(mail.smtp_port, "a.example") == CA.der("a"), "and the next client is served")


def shows(mail, name):
    """A process that leaves at the reload may say 421 to the connection that it took last."""
    try:
        return shown(mail.smtp_port) == CA.der(name)
    except OSError:
        return False


def test_reload():
    with instance.Instance(main=main_cf(smtpd_tls_chain_files=f"{DIR}/live.pem")) as mail:
        shutil.copy(CA.path("a.chain"), CA.path("live.new"))
        tap.ok(shown(mail.smtp_port) == CA.der("rsa"), "the first certificate")
        with Client(mail.smtp_port) as old:
            old.handshake()
            for step in ["EHLO x"] + ENVELOPE:
                tap.like(old.ask(step), "^250", f"before the reload: {step}")
            os.rename(CA.path("live.new"), CA.path("live.pem"))
            tap.equal(mail.command("postfix", "-c", mail.path("etc/postfix"), "reload").returncode, 0, "reload")
            instance.wait_until(lambda: shows(mail, "a"), "the new certificate")
            tap.ok(True, "the new certificate is shown")
            tap.like(old.ask("DATA"), "^354", "the old session goes on")
            tap.like(old.ask("Subject: x\r\n\r\nx\r\n."), "^250", "to the end of its message")


def test_sessions():
    """What is left of a session is a ticket, and good for its service only."""
    with instance.Instance(main=main_cf()) as mail:
        for version in ("1_2", "1_3"):
            session = os.path.join(DIR, f"session{version}")

            def resumed(port, *options):
                with open(session, "rb") as f:
                    before = f.read()
                said = small_ca.openssl(
                    "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", "smtp", "-ign_eof",
                    f"-tls{version}", "-sess_in", session, *options, stdin=None,
                    input=b"QUIT\r\n", check=False).stdout.decode("latin-1")
                with open(session, "wb") as f:
                    f.write(before)
                return "Reused, TLS" in said

            small_ca.s_client(mail.smtp_port, f"-tls{version}", "-sess_out", session)
            tap.ok(resumed(mail.smtp_port), f"{version}: resumed")
            tap.ok(not resumed(mail.submission_port), f"{version}: not by another service")
            mail.reload()
            tap.ok(instance.wait_until(lambda: resumed(mail.smtp_port), "the new processes"),
                   f"{version}: after a reload, too")
    with instance.Instance(main=main_cf(smtpd_tls_session_cache_timeout="0")) as mail:
        for version in ("1_2", "1_3"):
            session = os.path.join(DIR, "none" + version)
            small_ca.s_client(mail.smtp_port, f"-tls{version}", "-sess_out", session)
            said = small_ca.s_client(mail.smtp_port, f"-tls{version}", "-msg")
            tap.unlike(said, "NewSessionTicket", f"{version}: no tickets when their time is 0")


def test_injection():
    """Row 20"""
    for forbid in ("no", "yes"):
        with instance.Instance(main=main_cf(smtpd_forbid_unauth_pipelining=forbid)) as mail:
            c = Client(mail.smtp_port, steps=["EHLO x"])
            c.plain.send("STARTTLS\r\nMAIL FROM:<x@example.test>\r\n")
            tap.like("\n".join(c.plain.reply()), "^220", f"STARTTLS, forbidden pipelining: {forbid}")
            c.handshake()
            tap.like(c.ask("RCPT TO:<bob@example.test>"), "^503 5.5.1 Error: need MAIL",
                     "what was sent in clear was never heard")
            tap.like(c.ask("STARTTLS"), "^554 5.5.1 Error: TLS already active", "not twice")
            c.plain.close()


def test_end_of_tls():
    """Row 17: after close_notify nothing more is read, least of all in clear."""
    with instance.Instance(main=main_cf()) as mail:
        for body in ("BDAT 100 LAST\r\nSubject: x", "DATA\r\n"):
            c = Client(mail.smtp_port)
            c.handshake()
            for step in ["EHLO x"] + ENVELOPE:
                c.ask(step)
            c.write(body)
            c.push()
            if body[0] == "D":
                tap.like(c.read(), "^354", "DATA")
                c.write("Subject: x\r\n")
            try:
                c.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            c.push(b"\r\n\r\nclear bytes" + b"x" * 100 + b"\r\n.\r\nMAIL FROM:<evil@example.test>\r\nNOOP\r\n")
            tap.equal(c.read(), "", f"{body[:4]}: nothing is answered")
            c.plain.close()
        instance.wait_until(lambda: len(re.findall(r"lost connection after (BDAT|DATA)", mail.log())) == 2, "ends")
        tap.equal(mail.mails("bob"), [], "no message")
        tap.unlike(mail.log(), "evil", "no command")


def test_dots():
    """Row 9: the end of DATA in records split at each offset."""
    end = b"x\r\n.\r\n"
    with instance.Instance(main=main_cf()) as mail, Client(mail.smtp_port) as c:
        c.handshake()
        c.ask("EHLO x")
        splits = [[end[:i], end[i:]] for i in range(1, len(end))] + [[end[i:i + 1] for i in range(len(end))]]
        for parts in splits:
            for step in ENVELOPE + ["DATA"]:
                c.ask(step)
            for together in (True, False):
                if not together:
                    for step in ENVELOPE + ["DATA"]:
                        c.ask(step)
                c.write("Subject: x\r\n\r\n")
                for part in parts:
                    c.write(part)
                    if not together:
                        c.push()
                c.push()
                tap.like(c.read(), "^250 2.0.0 Ok: queued", f"{parts}, {'one' if together else 'many'} segments")
        count = 2 * len(splits)
        bodies = {re.split(rb"\r?\n\r?\n", m, maxsplit=1)[1] for m in mail.wait_for_mail("bob", count)}
        tap.equal({b.replace(b"\r", b"") for b in bodies}, {b"x\n"}, "each of one line")


def test_early_command():
    """A command in the segment of the client's last flight, whole and cut."""
    with instance.Instance(main=main_cf()) as mail:
        for cut in (0, 1, 7, 30):
            with Client(mail.smtp_port) as c:
                c.handshake(held=True)
                c.write("EHLO early\r\n")
                data = c.out.read()
                c.plain.send(data[:len(data) - cut])
                if cut:
                    tap.ok(c.plain.quiet(0.2) or c.plain.buffer[:1] == b"\x17", f"cut by {cut}: waits")
                    c.into.write(c.plain.buffer)
                    c.plain.send(data[len(data) - cut:])
                tap.like(c.read(), "^250-", f"cut by {cut}: answered")
                tap.like(c.ask("QUIT"), "^221", f"cut by {cut}: goes on")


small_ca.find()
try:
    os.chmod(DIR, 0o755)
    CA = small_ca.SmallCa(DIR)
    for each in ("rsa", "a", "b"):
        CA.server(each, host=f"{each}.example.test")
    CA.server("ec", "ec", host="ec.example.test")
    CA.client("good")
    CA.self_signed("alone")
    os.mkdir(CA.path("cas"))
    shutil.copy(CA.path("ca.pem"), CA.path("cas/ca.pem"))
    small_ca.openssl("rehash", CA.path("cas"))
    shutil.copy(CA.path("rsa.chain"), CA.path("live.pem"))
    with open(CA.path("mixed.pem"), "wb") as mixed:
        for part in ("a.key", "rsa.pem"):
            with open(CA.path(part), "rb") as source:
                mixed.write(source.read())
    open(CA.path("empty.pem"), "w", encoding="ascii").close()
    only = sys.argv[1:]
    tap.run(*[test for name, test in list(globals().items()) if name.startswith("test_")
              and (not only or name in only)])
finally:
    shutil.rmtree(DIR, ignore_errors=True)
