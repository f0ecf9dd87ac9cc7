# SPDX-License-Identifier: BSD-2-Clause
"""Certificates made by the openssl command: a small CA and what it signs, in one directory.

    ca = SmallCa(directory)          # ca.pem
    ca.server("rsa", "rsa:2048")     # rsa.pem, rsa.key, rsa.chain (key first, then the chain)
    ca.client("good")                # the same for a client
    ca.self_signed("alone")
"""

import hashlib
import os
import ssl
import subprocess

import tap

KEYS = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ec384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]}


def openssl(*args, check=True, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(["openssl", *args], check=check, capture_output=True, timeout=60, **kwargs)


class SmallCa:
    def __init__(self, directory, name="Test CA"):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.self_signed("ca", name, ["-addext", "basicConstraints=critical,CA:TRUE",
                                      "-addext", "keyUsage=keyCertSign"])

    def path(self, name):
        return os.path.join(self.dir, name)

    def _chain(self, name):
        with open(self.path(name + ".chain"), "wb") as out:
            for part in (".key", ".pem"):
                with open(self.path(name + part), "rb") as f:
                    out.write(f.read())
        for part in (".key", ".pem", ".chain"):
            os.chmod(self.path(name + part), 0o644)  # the suite under test is another user

    def self_signed(self, name, common_name=None, options=(), key="rsa"):
        openssl("req", "-x509", "-nodes", "-days", "30", "-newkey", *KEYS[key],
                "-subj", f"/CN={common_name or name}", "-keyout", self.path(name + ".key"),
                "-out", self.path(name + ".pem"), *options)
        self._chain(name)

    def sign(self, name, subject, usage, key="rsa", days=30, extra=""):
        openssl("req", "-nodes", "-newkey", *KEYS[key], "-subj", subject, "-utf8",
                "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"))
        with open(self.path(name + ".ext"), "w", encoding="ascii") as f:
            f.write(f"extendedKeyUsage={usage}\n{extra}")
        openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.pem"),
                "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", str(days),
                "-extfile", self.path(name + ".ext"), "-out", self.path(name + ".pem"))
        self._chain(name)

    def server(self, name, key="rsa", host="mx.example.test", **kwargs):
        self.sign(name, f"/CN={host}", "serverAuth", key, extra=f"subjectAltName=DNS:{host}\n",
                  **kwargs)

    def client(self, name, key="rsa", **kwargs):
        self.sign(name, f"/O=Example/CN={name}.client.test", "clientAuth", key, **kwargs)

    def der(self, name):
        with open(self.path(name + ".pem"), encoding="ascii") as f:
            return ssl.PEM_cert_to_DER_cert(f.read())

    def fingerprint(self, name, digest="sha256"):
        """As Postfix writes it."""
        return colons(hashlib.new(digest, self.der(name)).hexdigest())

    def key_fingerprint(self, name, digest="sha256"):
        text = openssl("x509", "-in", self.path(name + ".pem"), "-noout", "-pubkey").stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=text,
                             check=True, capture_output=True, timeout=60).stdout
        return colons(hashlib.new(digest, der).hexdigest())


def colons(text):
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2)).upper()


def s_client(port, *options, say="QUIT\r\n", starttls=True):
    """What openssl s_client says and hears."""
    # -quiet: "Q" and "R" at the beginning of a line are commands of s_client without it.
    start = ["-starttls", "smtp"] if starttls else []
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *start, "-quiet", *options],
        input=say.encode(), capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


def find():
    try:
        openssl("version")
    except OSError:
        tap.skip_all("the openssl command is missing")
