#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""smtpd_sasl_type = cyrus beside a real Postfix, with the same smtpd.conf: replies and log lines.
sasldb through auxprop, saslauthd that is real, dead, silent or talks nonsense, clients of all
mechanisms."""

import base64
import ctypes
import hashlib
import hmac
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import peer_postfix  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

HOST = "mail.example.test"
MAIN = {"myhostname": HOST, "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "cyrus",
        "smtpd_sasl_path": "smtpd", "smtpd_tls_security_level": "none", "smtpd_tls_auth_only": "no",
        "smtpd_client_connection_count_limit": "0", "smtpd_error_sleep_time": "0",
        "smtpd_sasl_security_options": "noanonymous",
        "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
        "smtpd_client_restrictions": "", "smtpd_recipient_restrictions": ""}


def b64(text):
    return base64.b64encode(text.encode()).decode()


def plain(user, password, authzid=""):
    return "AUTH PLAIN " + b64(f"{authzid}\0{user}\0{password}")


# What is said after EHLO; each list is a session.
SESSIONS = [
    [plain("anna", "secret")], [plain("anna", "wrong")], [plain("nobody", "wrong")],
    [plain(f"anna@{HOST}", "secret")], [plain("anna@elsewhere.test", "secret")],
    [plain("anna", "secret", "other")], [plain("anna", "secret", "anna")],
    [plain("", "secret")], [plain("anna", "")],
    ["AUTH PLAIN", "*"], ["AUTH PLAIN", "####"], ["AUTH PLAIN ####"], ["AUTH PLAIN " + b64("x")],
    ["AUTH PLAIN", b64("\0anna\0secret")],
    ["AUTH LOGIN", b64("anna"), b64("secret")], ["AUTH LOGIN", b64("anna"), b64("x")],
    ["AUTH LOGIN " + b64("anna"), b64("secret")], ["AUTH LOGIN", "*"], ["AUTH LOGIN", b64("a"), "*"],
    ["AUTH GSSAPI"], ["AUTH"], ["AUTH PLAIN a b c"],
    [plain("anna", "secret"), plain("anna", "secret")],
    ["AUTH PLAIN", "A" * 13000],
]
SHARED = [
    ["AUTH CRAM-MD5", b64("anna x")], ["AUTH CRAM-MD5", b64("nobody " + "0" * 32)],
    ["AUTH CRAM-MD5", "*"], ["AUTH DIGEST-MD5", b64("x")], ["AUTH DIGEST-MD5", "*"],
    ["AUTH SCRAM-SHA-1 " + b64("n,,n=nobody,r=abc")], ["AUTH SCRAM-SHA-256 " + b64("x")],
]


def neutral(text):
    text = re.sub(r"localhost\[127\.0\.0\.1\]", "CLIENT", text)
    return re.sub(r"unknown\[127\.0\.0\.1\]", "CLIENT", text)


def lines(log):
    """What smtpd said of logins."""
    return [neutral(line) for line in peer_postfix.smtpd_lines(log)
            if "SASL" in line or "request longer" in line]


def is_quiet(side):
    """Whether the log tells the end of each session that it tells the beginning of."""
    log = side.postfix_log()
    return log.count(": connect from ") == log.count(": disconnect from ")


def talk(side, steps):
    instance.wait_until(lambda: is_quiet(side), "the sessions before")
    skip = len(side.postfix_log())
    with Dialogue(side.smtp_port) as d:
        d.ask("EHLO client.test")
        got = []
        for step in steps:
            got.append(re.sub(r"^334 (?=\S{20})\S+", "334 CHALLENGE", d.ask(step)))
    instance.wait_until(lambda: ": disconnect from " in side.postfix_log()[skip:] and
                        is_quiet(side), "the end")
    return got, lines(side.postfix_log()[skip:])


def auth_line(side):
    skip = len(side.postfix_log())
    with Dialogue(side.smtp_port) as d:
        found = re.findall(r"^250.(AUTH.*)$", d.ask("EHLO client.test"), re.M)
    # The look whether the port is open is a session, too, and may end later than this one.
    instance.wait_until(lambda: ": disconnect from " in side.postfix_log()[skip:] and
                        is_quiet(side), "the end")
    return found


def scram(d, mechanism, user, password):
    """RFC 5802 3, and the server's signature is checked."""
    name = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism]

    def mac(key, text):
        return hmac.new(key, text, name).digest()

    first = f"n={user},r=fyko+d2lbbFgONRv9qkxdawL"
    challenge = base64.b64decode(d.ask(f"AUTH {mechanism} " + b64("n,," + first))[4:]).decode()
    server = dict(part.split("=", 1) for part in challenge.split(","))
    final = "c=biws,r=" + server["r"]
    salted = hashlib.pbkdf2_hmac(name, password.encode(), base64.b64decode(server["s"]),
                                 int(server["i"]))
    client_key = mac(salted, b"Client Key")
    text = f"{first},{challenge},{final}".encode()
    proof = bytes(x ^ y for x, y in zip(
        client_key, mac(hashlib.new(name, client_key).digest(), text)))
    reply = d.ask(b64(f"{final},p={base64.b64encode(proof).decode()}"))
    if not reply.startswith("334 "):
        return reply
    want = b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), text))
    return d.ask("" if base64.b64decode(reply[4:]) == want else "*")


def digest_md5(d, user, password):
    """RFC 2831 2.1.2."""
    def md5(text):
        return hashlib.md5(text).hexdigest()

    challenge = base64.b64decode(d.ask("AUTH DIGEST-MD5")[4:]).decode()
    nonce, realm = (re.search(f'{x}="([^"]*)"', challenge)[1] for x in ("nonce", "realm"))
    secret = hashlib.md5(f"{user}:{realm}:{password}".encode()).digest()
    a1 = md5(secret + f":{nonce}:c0ffee".encode())
    a2 = md5(f"AUTHENTICATE:smtp/{HOST}".encode())
    response = md5(f"{a1}:{nonce}:00000001:c0ffee:auth:{a2}".encode())
    reply = d.ask(b64(f'charset=utf-8,username="{user}",realm="{realm}",nonce="{nonce}",'
                      f'nc=00000001,cnonce="c0ffee",digest-uri="smtp/{HOST}",'
                      f"response={response},qop=auth"))
    return d.ask("") if reply.startswith("334 ") else reply


def log_in(d, mechanism, user, password):
    """The last reply."""
    if mechanism == "PLAIN":
        return d.ask(plain(user, password))
    if mechanism == "LOGIN":
        d.ask("AUTH LOGIN " + b64(user))
        return d.ask(b64(password))
    if mechanism == "CRAM-MD5":
        challenge = base64.b64decode(d.ask("AUTH CRAM-MD5")[4:])
        return d.ask(b64(f"{user} " + hmac.new(password.encode(), challenge, "md5").hexdigest()))
    if mechanism == "DIGEST-MD5":
        return digest_md5(d, user, password)
    return scram(d, mechanism, user, password)


def log_in_by_swaks(port):
    if not shutil.which("swaks"):
        return True
    return "235 2.7.0 Authentication successful" in subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{port}", "--auth", "CRAM-MD5", "--auth-user", "anna",
         "--auth-password", "secret", "--quit-after", "AUTH"],
        capture_output=True, text=True, timeout=60, check=False).stdout


class Fake:
    """A saslauthd that answers as it is told, and keeps what it was asked."""

    def __init__(self, path, answer):
        self.asked, self.answer = [], answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                conn = self.listener.accept()[0]
                data = b""
                with conn:
                    while len(self._parts(data)) < 4 and (more := conn.recv(9000)):
                        data += more
                    self.asked.append(self._parts(data))
                    if self.answer is None:
                        time.sleep(60)
                    else:
                        conn.sendall(self.answer)
        except OSError:
            pass

    @staticmethod
    def _parts(data):
        parts = []
        while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
            size = int.from_bytes(data[:2], "big")
            parts.append(data[2:2 + size])
            data = data[2 + size:]
        return parts

    def close(self):
        self.listener.close()


class Setting:
    """smtpd.conf, and both servers that read it."""

    def __init__(self, conf, **main):
        self.conf, self.main = conf, {**MAIN, **main}

    def _write(self, directory):
        """Debian's Postfix looks below its configuration directory."""
        os.makedirs(directory)
        with open(f"{directory}/smtpd.conf", "w", encoding="ascii") as f:
            f.write(self.conf)

    def __enter__(self):
        self.ours = instance.Instance(main=self.main)
        self._write(self.ours.path("etc/postfix/sasl"))
        self.ours.__enter__()
        self.peer = peer_postfix.PeerPostfix(self.main)
        self._write(self.peer.path("etc/sasl"))
        self.peer.__enter__()
        return self

    def __exit__(self, *exc):
        self.peer.__exit__()
        self.ours.__exit__(*exc)

    def compare(self, name, sessions, offered=True):
        if offered:
            tap.equal(auth_line(self.ours), auth_line(self.peer), f"{name}: what is offered")
        for steps in sessions:
            ours, theirs = talk(self.ours, steps), talk(self.peer, steps)
            tap.equal(ours, theirs, f"{name}: {' / '.join(steps)[:70]}")


def answer(text):
    return len(text).to_bytes(2, "big") + text


def auxprop(mechanisms):
    return (f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {DIR}/sasldb2\n"
            f"mech_list: {mechanisms}\n")


ALL = "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256"


def test_sasldb():
    with Setting(auxprop(ALL)) as s:
        s.compare("sasldb", SESSIONS + SHARED)
        for mechanism in ALL.upper().split():
            for password, want in (("secret", "235 2.7.0 "), ("Secret", "535 5.7.8 ")):
                with Dialogue(s.ours.smtp_port) as d:
                    d.ask("EHLO client.test")
                    got = log_in(d, mechanism, "anna", password)
                tap.ok(got.startswith(want), f"{mechanism} with {password}", got)
        tap.ok(log_in_by_swaks(s.ours.smtp_port), "swaks")


def test_realm():
    with Setting(auxprop("plain login"), smtpd_sasl_local_domain="other.test") as s:
        s.compare("another realm", [[plain("anna", "secret")], [plain(f"anna@{HOST}", "secret")],
                                    [plain("bert", "secret2")]])
    with Setting(auxprop("plain cram-md5"), smtpd_sasl_security_options="noplaintext,noanonymous") \
            as s:
        s.compare("noplaintext", [["AUTH CRAM-MD5", b64("anna x")]])
        reply = talk(s.ours, [plain("anna", "secret")])[0][-1]
        tap.equal(reply, "535 5.7.8 Error: authentication failed: no mechanism available",
                  "PLAIN is refused where it is not offered")


def test_no_database():
    with Setting(auxprop("plain cram-md5").replace("sasldb2", "nowhere")) as s:
        s.compare("no sasldb", [[plain("anna", "secret")],
                                ["AUTH CRAM-MD5", b64("anna " + "0" * 32)]])


def test_saslauthd():
    path = f"{DIR}/mux"
    conf = f"pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\nsaslauthd_path: {path}\n"
    with Setting(conf) as s:
        s.compare("no saslauthd", [[plain("anna", "secret")],
                                   ["AUTH LOGIN", b64("anna"), b64("secret")]])
        for name, said in (("yes", answer(b"OK")), ("no", answer(b"NO \"authentication failed\"")),
                           ("nonsense", answer(b"HELLO"))):
            if os.path.exists(path):
                os.unlink(path)
            fake = Fake(path, said)
            s.compare(f"saslauthd says {name}", [[plain("anna", "secret")],
                                                 [plain("anna@example.test", "secret")],
                                                 ["AUTH LOGIN", b64("anna"), b64("secret")]], False)
            pairs = list(zip(fake.asked[::2], fake.asked[1::2]))
            tap.ok(pairs and all(a == b for a, b in pairs), f"{name}: both ask the same", pairs)
            fake.close()
        for name, said in (("hangs up", b""), ("stops", b"\0"), ("is too short", answer(b"O"))):
            os.unlink(path)
            fake = Fake(path, said)
            tap.like(talk(s.ours, [plain("anna", "secret")])[0][-1], r"^454 4\.7\.0 ",
                     f"saslauthd {name}: temporary")
            fake.close()
        os.unlink(path)
        fake = Fake(path, None)
        with Dialogue(s.ours.smtp_port) as waiting, Dialogue(s.ours.smtp_port) as other:
            waiting.ask("EHLO client.test")
            waiting.send(plain("anna", "secret").encode() + b"\r\n")
            tap.like(other.ask("EHLO client.test"), "^250", "others are served while saslauthd hangs")
            waiting.sock.settimeout(100)
            tap.like("\n".join(waiting.reply()), r"^454 4\.7\.0 ", "saslauthd is silent: temporary")
            tap.like(waiting.ask("NOOP"), "^250", "and the session goes on")
        fake.close()


def test_real_saslauthd():
    if not shutil.which("saslauthd", path="/usr/sbin:/usr/bin"):
        tap.skip("saslauthd is not installed (package sasl2-bin)", "a real saslauthd")
        return
    if not os.path.exists("/etc/sasldb2"):
        tap.skip("no /etc/sasldb2, which saslauthd would read", "a real saslauthd")
        return
    os.mkdir(f"{DIR}/run", 0o755)
    # It knows one sasldb only; in a namespace of its own that is ours.
    daemon = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"mount --bind {DIR}/sasldb2 /etc/sasldb2 && "
         f"exec /usr/sbin/saslauthd -d -a sasldb -m {DIR}/run"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        instance.wait_until(lambda: os.path.exists(f"{DIR}/run/mux"), "saslauthd")
        conf = f"pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\nsaslauthd_path: {DIR}/run/mux\n"
        with Setting(conf) as s:
            s.compare("a real saslauthd", [
                [plain(f"anna@{HOST}", "secret")], [plain(f"anna@{HOST}", "wrong")],
                ["AUTH LOGIN", b64(f"anna@{HOST}"), b64("secret")], [plain("nobody", "x")]])
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()


def test_as_guides_have_it():
    """smtpd.conf in /usr/lib/sasl2 and saslauthd's usual socket, as most guides write it."""
    for path in "/usr/lib/sasl2", "/var/run/saslauthd":
        if not os.path.isdir(path):
            tap.skip(f"no {path}", "smtpd.conf in /usr/lib/sasl2")
            return
    # Seen by this process and its children only.
    if ctypes.CDLL(None, use_errno=True).unshare(0x00020000) != 0:
        tap.skip("no mount namespaces", "smtpd.conf in /usr/lib/sasl2")
        return
    for name, path in ("lib", "/usr/lib/sasl2"), ("mux.d", "/var/run/saslauthd"):
        os.mkdir(f"{DIR}/{name}")
        subprocess.run(f"mount --make-rprivate / && mount --bind {DIR}/{name} {path}", shell=True,
                       check=True)
    with open("/usr/lib/sasl2/smtpd.conf", "w", encoding="ascii") as f:
        f.write("pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n")
    fake = Fake("/var/run/saslauthd/mux", answer(b"OK"))
    main = {**MAIN, "broken_sasl_auth_clients": "yes", "smtpd_sasl_local_domain": "$myhostname",
            "smtpd_banner": "Welcome to our $myhostname ESMTP,Warning: Version not Available!"}
    with instance.Instance(main=main) as ours:
        with Dialogue(ours.smtp_port) as d:
            tap.equal(d.greeting, ["220 Welcome to our mail.example.test ESMTP,"
                                   "Warning: Version not Available!"], "the banner")
            ehlo = d.ask("EHLO 192.168.88.135")
            tap.equal(re.findall("250-(AUTH.*)", ehlo), ["AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN"],
                      "AUTH, and for broken clients once more")
            tap.equal([d.ask(x) for x in ("auth login", b64("hadoop"), b64("hadoop"))],
                      ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6",
                       "235 2.7.0 Authentication successful"], "a login")
        tap.equal(fake.asked, [[b"hadoop", b"hadoop", b"smtp", HOST.encode()]],
                  "what saslauthd was asked")
    fake.close()


peer_postfix.find()
if not shutil.which("saslpasswd2", path="/usr/sbin:/usr/bin"):
    tap.skip_all("saslpasswd2 is not installed (package sasl2-bin)")
DIR = tempfile.mkdtemp(prefix="postcote-sasl-")
os.chmod(DIR, 0o755)
try:
    for user, realm, password in (("anna", HOST, "secret"), ("bert", "other.test", "secret2")):
        subprocess.run(["/usr/sbin/saslpasswd2", "-p", "-c", "-f", f"{DIR}/sasldb2", "-u", realm,
                        user], input=password.encode(), check=True, timeout=60)
    os.chmod(f"{DIR}/sasldb2", 0o644)
    tap.run(test_sasldb, test_realm, test_no_database, test_saslauthd, test_real_saslauthd,
            test_as_guides_have_it)
finally:
    shutil.rmtree(DIR)
