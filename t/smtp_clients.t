#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Mail through the clients that people have: swaks, curl, msmtp, smtplib, openssl s_client."""

import base64
import os
import shutil
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402


def arrived(subject):
    mark = f"Subject: {subject}\n".encode()
    return instance.wait_until(lambda: [m for m in the_mail.mails("bob") if mark in m], subject)[0]


def run(*argv, **kwargs):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, **kwargs)


def needs(program, name):
    if shutil.which(program):
        return False
    tap.skip(f"{program} is not installed", name)
    return True


def swaks_tls(common):
    for mechanism in ("PLAIN", "LOGIN"):
        done = run(*common, "--port", str(the_mail.submission_port), "--tls", "--auth", mechanism,
                   "--auth-user", "alice@example.test", "--auth-password", "alice",
                   "--header", f"Subject: swaks {mechanism}")
        tap.ok(done.returncode == 0 and arrived(f"swaks {mechanism}"), f"swaks, TLS, {mechanism}",
               done.stdout)
    done = run(*common, "--port", str(the_mail.submission_port), "--tls", "--auth", "PLAIN",
               "--auth-user", "alice@example.test", "--auth-password", "wrong")
    tap.ok(done.returncode == 28 and "535 5.7.8" in done.stdout, "a wrong password", done.stdout)


def test_swaks():
    if needs("swaks", "swaks"):
        return
    common = ["swaks", "--server", "127.0.0.1", "--from", "alice@example.test", "--to",
              "bob@example.test", "--helo", "client.example.net"]
    done = run(*common, "--port", str(the_mail.smtp_port), "--header", "Subject: swaks plain")
    tap.ok(done.returncode == 0 and arrived("swaks plain"), "swaks in clear", done.stdout)
    if subprocess.run(["perl", "-MNet::SSLeay", "-e1"], stderr=subprocess.DEVNULL).returncode == 0:
        swaks_tls(common)
    else:
        tap.skip("Net::SSLeay is not installed (package libnet-ssleay-perl)", "swaks with TLS")
    done = run(*common, "--port", str(the_mail.smtp_port), "--to", "x@example.org")
    tap.ok(done.returncode == 24 and "554 5.7.1 <x@example.org>: Relay access denied" in done.stdout,
           "no relay", done.stdout)
    done = run(*common, "--port", str(the_mail.smtp_port), "--pipeline", "--header",
               "Subject: swaks pipeline")
    tap.ok(done.returncode == 0 and arrived("swaks pipeline"), "swaks, pipelining", done.stdout)


def test_curl():
    if needs("curl", "curl"):
        return
    mail = "From: alice@example.test\r\nSubject: curl\r\n\r\n.hidden dot\r\n"
    done = run("curl", "-sSv", "--ssl-reqd", "--cacert", the_mail.path("etc/ssl/cert.pem"),
               "--user", "alice@example.test:alice", "--mail-from", "alice@example.test",
               "--mail-rcpt", "bob@example.test", "--upload-file", "-",
               f"smtp://localhost:{the_mail.submission_port}/client.example.net", input=mail)
    tap.equal(done.returncode, 0, "curl, TLS, AUTH") or tap.note(done.stdout)
    tap.ok(arrived("curl").endswith(b"\n\n.hidden dot\n"), "its content")


    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"):
        done = run("curl", "-sSv", "--ssl-reqd", "--cacert", the_mail.path("etc/ssl/cert.pem"),
                   "--user", "alice@example.test:alice", "--login-options", "AUTH=" + mechanism,
                   "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test",
                   "--upload-file", "-", f"smtp://localhost:{the_mail.submission_port}",
                   input=f"Subject: curl {mechanism}\r\n\r\nx\r\n")
        tap.ok(done.returncode == 0 and arrived(f"curl {mechanism}"), f"curl, {mechanism}",
               done.stdout)


MSMTPRC = """account default
host localhost
port {port}
tls on
tls_starttls on
tls_trust_file {cert}
auth {mechanism}
user alice@example.test
passwordeval "echo {password}"
from alice@example.test
"""


def msmtp(mechanism, password, subject):
    path = the_mail.path("msmtprc")
    with open(path, "w", encoding="utf-8") as f:
        f.write(MSMTPRC.format(port=the_mail.submission_port, mechanism=mechanism,
                               cert=the_mail.path("etc/ssl/cert.pem"), password=password))
    os.chmod(path, 0o600)
    return run("msmtp", "-C", path, "bob@example.test", input=f"Subject: {subject}\n\nx\n")


def test_msmtp():
    if needs("msmtp", "msmtp"):
        return
    can = run("msmtp", "--version").stdout.lower().split("supported authentication methods", 1)[-1]
    for mechanism in ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"):
        if mechanism not in can.split():
            tap.skip("this msmtp does not have it", f"msmtp, {mechanism}")
            continue
        done = msmtp(mechanism, "alice", f"msmtp {mechanism}")
        tap.ok(done.returncode == 0 and arrived(f"msmtp {mechanism}"), f"msmtp, {mechanism}",
               done.stdout)
        done = msmtp(mechanism, "wrong", "never")
        tap.ok(done.returncode == 77, f"msmtp, {mechanism}, a wrong password", done.stdout)


def test_smtplib():
    with the_mail.submission() as smtp:
        tap.equal(sorted(smtp.esmtp_features),
                  sorted(["pipelining", "size", "vrfy", "etrn", "auth", "enhancedstatuscodes", "8bitmime",
                          "dsn", "smtputf8", "chunking"]),
                  "what smtplib saw announced")
        for i in range(3):
            smtp.sendmail("alice@example.test", ["bob@example.test"], f"Subject: lib {i}\n\nx\n")
        try:
            smtp.sendmail("alice@example.test", ["nobody@example.test"], "Subject: no\n\n")
            tap.ok(False, "an unknown user")
        except smtplib.SMTPRecipientsRefused as error:
            tap.equal(error.recipients["nobody@example.test"][0], 550, "an unknown user")
        smtp.sendmail("alice@example.test", ["bob@example.test"], "Subject: lib 3\n\nx\n")
    tap.ok(all(arrived(f"lib {i}") for i in range(4)), "several messages in one session")


def test_openssl():
    if needs("openssl", "openssl"):
        return
    script = "\r\n".join([
        "EHLO client.example.net",
        "AUTH PLAIN " + base64.b64encode(b"\0alice@example.test\0alice").decode(),
        "MAIL FROM:<alice@example.test>", "rcpt to:<bob@example.test>", "DATA", "Subject: openssl",
        "", "x", ".", "QUIT", ""])
    done = run("openssl", "s_client", "-quiet", "-ign_eof", "-starttls", "smtp", "-crlf", "-connect",
               f"127.0.0.1:{the_mail.submission_port}", input=script.replace("\r\n", "\n"))
    output = done.stdout.splitlines()
    tap.ok(any(r.startswith("250 2.0.0 Ok: queued as") for r in output), "openssl s_client", output)
    tap.ok(b"\n\nx\n" in arrived("openssl"), "its message")


# Whole sessions in a pipe are what people write down in their deployments.
with instance.Instance(main={"smtpd_forbid_unauth_pipelining": "no"},
                       dovecot="auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 "
                               "scram-sha-256\n") as the_mail:
    tap.run(test_swaks, test_curl, test_msmtp, test_smtplib, test_openssl)
