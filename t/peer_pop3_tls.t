#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""TLS of POP3 beside a real Dovecot 2.3: clients' certificates, good and bad ones, with and without
lists of revoked ones, and who they say the user is; a second certificate; protocols and ciphers."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import pop3_side  # noqa: E402
import tap  # noqa: E402
from pop3_side import LOGIN, TLS, Pair, certificate  # noqa: E402

pop3_side.need_peer()
WORK = tempfile.mkdtemp(prefix="postcote-certs-")
BOX = {"cur/1.h:2,": "Subject: a\n\nbody\n"}

CA = """
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = ca.cert.pem
private_key = ca.key.pem
default_md = sha256
default_days = 3650
default_crl_days = 3650
policy = any
unique_subject = no
[any]
commonName = supplied
emailAddress = optional
"""


def openssl(*args):
    subprocess.run(["openssl", *args], cwd=WORK, check=True, capture_output=True, timeout=60)


def client(name, subject, *options):
    """NAME.pem: a certificate of the CA for SUBJECT, and its key."""
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
            "-keyout", f"{name}.key.pem", "-out", f"{name}.csr.pem")
    openssl("ca", "-batch", "-config", "ca.conf", "-notext", "-preserveDN", "-in", f"{name}.csr.pem", "-out",
            f"{name}.cert.pem", *options)
    join(f"{name}.pem", f"{name}.cert.pem", f"{name}.key.pem")


def join(to, *parts):
    with open(os.path.join(WORK, to), "wb") as out:
        for part in parts:
            with open(os.path.join(WORK, part), "rb") as f:
                out.write(f.read())


def make_certificates():
    for name, text in (("ca.conf", CA), ("index.txt", ""), ("serial", "01"), ("crlnumber", "01")):
        with open(os.path.join(WORK, name), "w", encoding="ascii") as f:
            f.write(text)
    certificate(WORK, "A CA", "ca.")
    client("good", "/CN=u0")
    client("mail", "/CN=somebody/emailAddress=u1")
    client("nobody", "/CN=who")
    client("odd", "/CN=u0@..%2F\"x")
    client("revoked", "/CN=u0")
    client("expired", "/CN=u0", "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
    openssl("ca", "-config", "ca.conf", "-revoke", "revoked.cert.pem")
    openssl("ca", "-config", "ca.conf", "-gencrl", "-out", "crl.pem")
    certificate(WORK, "u0", "foreign.")
    join("foreign.pem", "foreign.cert.pem", "foreign.key.pem")
    join("ca-and-crl.pem", "ca.cert.pem", "crl.pem")


CLIENTS = ("", "good", "mail", "nobody", "odd", "revoked", "expired", "foreign")


def give(side):
    for name in [f"{c}.pem" for c in CLIENTS if c] + ["ca.cert.pem", "ca-and-crl.pem"]:
        shutil.copy(os.path.join(WORK, name), side.path(name))


def accepted(name, extra, clients=CLIENTS, sessions=(LOGIN,), settings="ssl_require_crl = no"):
    """Sessions of clients with each certificate; what tells of the library's own state is not compared."""
    ca = "ca-and-crl.pem" if settings == "" else "ca.cert.pem"
    with Pair(name, f"ssl_ca = <{{dir}}/{ca}\n{settings}\n{extra}", prepare=give) as pair:
        pair.put(BOX)
        for who in clients:
            for steps in sessions:
                pair.talk(f"{who or 'none'}, {steps[0]}", [TLS] + steps + ["QUIT"],
                          cert=f"{who}.pem" if who else None)


VERIFY = "ssl_verify_client_cert = yes\n"
REQUIRE_ALONE = "auth_ssl_require_client_cert = yes\n"
FROM_CERT_ALONE = "auth_ssl_username_from_cert = yes\n"
REQUIRE, FROM_CERT = VERIFY + REQUIRE_ALONE, VERIFY + FROM_CERT_ALONE
EXTERNAL = "auth_mechanisms = plain external\n"
OTHER = ["USER u2", "PASS pw"]


def test_asked():
    accepted("asked for", VERIFY)


def test_required():
    accepted("required", REQUIRE)


def test_not_asked():
    """Without ssl_verify_client_cert no client shows one."""
    accepted("required, not asked for", REQUIRE_ALONE, ("", "good"))
    accepted("names, not asked for", FROM_CERT_ALONE, ("", "good"), (OTHER,))


def test_lists():
    accepted("with a list of revoked ones", REQUIRE, settings="")
    accepted("a list is wanted and there is none", REQUIRE, ("", "good"), settings="ssl_require_crl = yes")


def test_names():
    accepted("names", FROM_CERT, sessions=(LOGIN, OTHER))
    accepted("names, required", FROM_CERT + REQUIRE_ALONE, sessions=(OTHER,))
    accepted("names from another field", FROM_CERT + "ssl_cert_username_field = emailAddress\n", ("", "good", "mail"),
             (OTHER,))


def test_external():
    external = [["AUTH EXTERNAL ="], ["AUTH EXTERNAL dTA="], ["AUTH EXTERNAL dTE="]]
    accepted("EXTERNAL", EXTERNAL + FROM_CERT + REQUIRE_ALONE, ("", "good", "nobody", "foreign"), external)


# ---- without clients' certificates ----

def ask(side, *options):
    """Protocol and cipher of a session with openssl's client, or "refused"; the server's key and its greeting."""
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{side.ssl_port}", "-ign_eof", *options],
        input=b"QUIT\r\n", capture_output=True, timeout=60, check=False)
    text = result.stdout.decode("latin-1")
    found = re.search(r"^New, (\S+), Cipher is (\S+)", text, re.M)
    if not found or "+OK" not in text:
        return "refused"
    protocol = re.search(r"^ *Protocol *: (\S+)", text, re.M)
    kind = re.search(r"^Peer signature type: (\S+)", text, re.M)
    temp = re.search(r"^Server Temp Key: (.+)", text, re.M)
    return [found.group(1), found.group(2)] + [m.group(1) if m else "" for m in (protocol, kind, temp)]


def same(pair, name, *options, want=None):
    ours, theirs = (ask(side, *options) for side in pair.sides)
    tap.equal(ours, theirs, f"{pair.name}: {name}: {ours if ours == 'refused' else ' '.join(ours)}")
    if want is not None:
        tap.like(" ".join(ours) if ours != "refused" else ours, want, f"{pair.name}: {name}, as meant")


OLD = ("-cipher", "ALL:@SECLEVEL=0")
VERSIONS = (("TLS 1.0", ("-tls1", *OLD)), ("TLS 1.1", ("-tls1_1", *OLD)), ("TLS 1.2", ("-tls1_2",)),
            ("TLS 1.3", ("-tls1_3",)))


def test_protocols():
    for least, refused in (("TLSv1.3", 3), ("TLSv1.2", 2), ("TLSv1", None)):
        with Pair(f"ssl_min_protocol = {least}",
                  f"ssl_min_protocol = {least}\nssl_cipher_list = ALL:@SECLEVEL=0\n") as pair:
            for i, (name, options) in enumerate(VERSIONS):
                same(pair, name, *options, want=None if refused is None else
                     "^refused$" if i < refused else "^TLSv1")


def test_ciphers():
    chosen = ("ssl_cipher_list = ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384\n"
              "ssl_cipher_suites = TLS_CHACHA20_POLY1305_SHA256\n")
    theirs_first = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    for extra, want in (("", "AES256-GCM-SHA384"), ("ssl_prefer_server_ciphers = yes\n", "AES128-GCM-SHA256")):
        with Pair("ciphers" + (", ours first" if extra else ""), chosen + extra) as pair:
            same(pair, "the client's order or ours", *theirs_first, want=want)
            same(pair, "one that is not in the list", "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305",
                 want="^refused$")
            same(pair, "TLS 1.3's", "-tls1_3", want="TLS_CHACHA20_POLY1305_SHA256")
            same(pair, "TLS 1.3's, not in the list", "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256",
                 want="^refused$")
    with Pair("ssl_curve_list", "ssl_curve_list = P-384\n") as pair:
        same(pair, "the curve", want="P-384|secp384r1")
        same(pair, "another curve", "-groups", "X25519", want="^refused$")


def give_rsa(side):
    certificate(side.dir, "alt.test", "alt.")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=rsa.test",
                    "-keyout", side.path("rsa.key.pem"), "-out", side.path("rsa.cert.pem")], check=True,
                   stderr=subprocess.DEVNULL)


def test_alternative():
    extra = "ssl_alt_cert = <{dir}/rsa.cert.pem\nssl_alt_key = <{dir}/rsa.key.pem\n"
    with Pair("ssl_alt_cert", extra, prepare=give_rsa) as pair:
        same(pair, "for who knows ECDSA", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", want="ECDSA")
        same(pair, "for who knows RSA", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", want="RSA")
        same(pair, "TLS 1.3, RSA", "-tls1_3", "-sigalgs", "RSA-PSS+SHA256", want="RSA")
        same(pair, "TLS 1.3, ECDSA", "-tls1_3", "-sigalgs", "ECDSA+SHA256", want="ECDSA")
    with Pair("no ssl_alt_cert") as pair:
        same(pair, "RSA", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", want="^refused$")


ALL = (test_asked, test_required, test_not_asked, test_lists, test_names, test_external, test_protocols, test_ciphers, test_alternative)
try:
    make_certificates()
    tap.run(*([globals()[name] for name in sys.argv[1:]] or ALL))
finally:
    shutil.rmtree(WORK, ignore_errors=True)
