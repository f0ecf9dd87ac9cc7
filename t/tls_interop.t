#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Our TLS with clients that others wrote: openssl s_client, Python's ssl and smtplib."""

import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile

TREE = os.environ.get("PC_SRCDIR", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PC_BUILDDIR", os.path.join(TREE, "build"))
sys.path.insert(0, os.path.join(TREE, "t", "lib"))

import tap  # noqa: E402

DIR = tempfile.mkdtemp(prefix="postcote-test.")


class Server:
    """A tls_echo for the time of a with statement."""

    def __init__(self, *protocols):
        self.protocols = protocols

    def __enter__(self):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "t", "tls_echo"), os.path.join(DIR, "cert.pem"), *self.protocols],
            stdout=subprocess.PIPE,
        )
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def s_client(port, *options, say="INFO\r\nQUIT\r\n"):
    """What openssl s_client says and hears after STARTTLS."""
    # -quiet: "Q" and "R" at the beginning of a line are commands of s_client without it.
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", "smtp", "-quiet"]
    done = subprocess.run(
        command + list(options), input=say.encode(), capture_output=True, timeout=60, check=False
    )
    return (done.stdout + done.stderr).decode("latin-1")


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(os.path.join(DIR, "cert.pem"))
    return context


def test_s_client():
    with Server() as server:
        for version in ("1_2", "1_3"):
            said = s_client(server.port, f"-tls{version}", "-servername", "mx.example")
            tap.like(said, rf"^250 TLSv{version.replace('_', '.')} .* name=mx\.example", version)
            tap.like(said, r"^221 bye", f"{version}: the last reply comes")
            tap.unlike(said, "unexpected eof", f"{version}: the end is announced")


def test_s_client_resumes():
    with Server() as server:
        for version in ("1_2", "1_3"):
            session = os.path.join(DIR, f"session{version}")
            first = s_client(server.port, f"-tls{version}", "-sess_out", session)
            second = s_client(server.port, f"-tls{version}", "-sess_in", session)
            tap.like(first, "resumed=0", f"{version}: new")
            tap.like(second, "resumed=1", f"{version}: resumed")


def test_protocols():
    with Server(">=TLSv1.3") as server:
        tap.unlike(s_client(server.port, "-tls1_2"), "^250 TLS", "1.2 is refused")
        tap.like(s_client(server.port), r"^250 TLSv1\.3", "1.3 is not")


def test_smtplib():
    with Server() as server, smtplib.SMTP("127.0.0.1", server.port, timeout=60) as client:
        tap.equal(client.docmd("INFO")[1], b"plain", "before")
        tap.equal(client.starttls(context=no_name(client_context()))[0], 220, "STARTTLS")
        tap.like(client.docmd("INFO")[1].decode(), "^TLSv1.3", "after")
        tap.equal(client.quit()[0], 221, "QUIT")


def no_name(context):
    """The certificate is for mx.example, smtplib connects to an address."""
    context.check_hostname = False
    return context


def start_tls(port):
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    plain.recv(100)
    plain.sendall(b"STARTTLS\r\n")
    tap.equal(plain.recv(100), b"220 go ahead\r\n", "STARTTLS")
    return client_context().wrap_socket(plain, server_hostname="mx.example")


def receive(client, size):
    got = b""
    while len(got) < size:
        more = client.recv(65536)
        if not more:
            break
        got += more
    return got


def test_much():
    with Server() as server, start_tls(server.port) as client:
        lines = b"".join(b"%d %s\r\n" % (i, b"x" * (i * 7 % 5000)) for i in range(100))
        client.sendall(lines)
        tap.ok(receive(client, len(lines)) == lines, "a pipeline is answered in full")
        long = b"y" * 65534 + b"\r\n"
        client.sendall(long)
        tap.ok(receive(client, len(long)) == long, "a line of 64 KiB")
        client.sendall(b"QUIT\r\n")
        tap.equal(receive(client, 9), b"221 bye\r\n", "QUIT")
        tap.equal(client.recv(10), b"", "a clean end, which Python insists on")


def test_injection():
    """CVE-2011-0411"""
    with Server() as server:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        plain.recv(100)
        plain.sendall(b"STARTTLS\r\nINFO\r\n")
        got = receive(plain, 1000)
        plain.close()
        tap.equal(got, b"220 go ahead\r\n", "what was sent in clear is never answered")


def test_vanishing_client():
    with Server() as server:
        for say in (b"", b"\x16\x03\x01\x00", b"GET / HTTP/1.0\r\n\r\n"):
            plain = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            plain.recv(100)
            plain.sendall(b"STARTTLS\r\n")
            plain.recv(100)
            plain.sendall(say)
            plain.close()
        tap.like(s_client(server.port), "^250 TLS", "the next client is served")


if not shutil.which("openssl"):
    tap.skip_all("the openssl command is missing")
try:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
        + ["/CN=mx.example", "-addext", "subjectAltName=DNS:mx.example", "-keyout"]
        + [os.path.join(DIR, "key.pem"), "-out", os.path.join(DIR, "cert.pem")],
        check=True,
        capture_output=True,
    )
    with open(os.path.join(DIR, "cert.pem"), "ab") as cert:
        with open(os.path.join(DIR, "key.pem"), "rb") as key:
            cert.write(key.read())
    tap.run(
        test_s_client,
        test_s_client_resumes,
        test_protocols,
        test_smtplib,
        test_much,
        test_injection,
        test_vanishing_client,
    )
finally:
    shutil.rmtree(DIR)
