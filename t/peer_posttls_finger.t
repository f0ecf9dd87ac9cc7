#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""posttls-finger beside a real Postfix's: the same words about the same servers."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import small_ca
import tap
from instance import stage
from smtp_tls_cases import GARBAGE, NO_OFFER, REFUSES, WRAPPED, Server

PEER = "/usr/sbin/posttls-finger"


def neutral(text):
    # The words for certificates are newer than Debian's, and so is "Trusted" for another's.
    text = text.replace("issuer_CN=", "issuer=").replace(", fingerprint=", ", cert fingerprint=")
    text = text.replace("pkey_fingerprint=", "pkey fingerprint=")
    # Once more in a resumed session, which nobody signed.
    text = re.sub(r"server-signature RSA-PSS \(2048 bits\)\n", "\n", text).replace(" \n", "\n")
    text = re.sub(r"&[0-9A-F]{64}", "&DIGEST", text)
    # It asks for the root's name servers to see whether DNSSEC is to be had.
    text = re.sub(r"posttls-finger: warning: (DNSSEC validation may|reason: dnssec_probe).*\n", "", text)
    return re.sub(r"(?<=: )(Trusted|Untrusted) (?=TLS)", "", text)


def run(command, directory, args):
    done = subprocess.run([command, *args], env={**os.environ, "MAIL_CONFIG": directory},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60, check=False)
    return done.returncode, neutral(done.stdout)


def cases(ca):
    good, alone = Server(ca.path("good.chain")), Server(ca.path("alone.chain"))
    root = ["-F", ca.path("ca.pem")]
    return [
        (good, ["-l", "may"], []), (good, ["-l", "none"], []), (good, ["-l", "encrypt", *root], []),
        (good, ["-l", "verify", *root], ["mx.example.test"]),
        (good, ["-l", "verify", *root], ["other.test"]), (good, ["-l", "secure", *root], [".example.test"]),
        (good, ["-l", "secure"], ["mx.example.test"]), (good, ["-l", "secure", *root], []),
        (good, ["-l", "secure", "-A", ca.path("ca.pem")], ["mx.example.test"]),
        (alone, ["-l", "secure", *root], ["mx.example.test"]),
        (good, ["-l", "fingerprint"], [ca.fingerprint("good")]),
        (good, ["-l", "fingerprint"], [ca.key_fingerprint("good")]),
        (good, ["-l", "fingerprint"], [ca.fingerprint("alone")]),
        (good, ["-c", "-C", "-L", "none", "-l", "encrypt"], []), (good, [], []),
        (good, ["-l", "may", "-p", "TLSv1.2"], []), (good, ["-l", "encrypt", "-p", "nonsense"], []),
        (good, ["-l", "encrypt", "-g", "nonsense"], []), (good, ["-l", "may"], ["x"]),
        (good, ["-l", "may", "-L", "summary,verbose,cache", "-r", "1"], []),
        (good, ["-S", "-l", "may"], []),
        (Server(mode=NO_OFFER), ["-l", "encrypt"], []), (Server(mode=REFUSES), ["-l", "may"], []),
        (Server(mode=GARBAGE), ["-l", "may"], []),
        (Server(ca.path("good.chain"), mode=WRAPPED), ["-w", "-l", "may"], []),
    ]


def main():
    if not shutil.which(PEER) or "Postcote" in open(PEER, "rb").read().decode("latin-1"):
        tap.skip_all("no real posttls-finger is installed (package postfix)")
    small_ca.find()
    with tempfile.TemporaryDirectory() as directory:
        ca = small_ca.SmallCa(directory)
        ca.server("good")
        ca.self_signed("alone")
        with open(os.path.join(directory, "main.cf"), "w", encoding="ascii") as f:
            f.write("compatibility_level = 3.6\nmyhostname = own.example.test\n"
                    "inet_protocols = ipv4\nsmtp_tls_fingerprint_digest = sha256\n"
                    # The same list in all releases.
                    "tls_medium_cipherlist = aNULL:-aNULL:HIGH:@STRENGTH\n")
        own = os.path.join(stage(), "sbin/posttls-finger")
        for server, args, match in cases(ca):
            line = [*args, f"[127.0.0.1]:{server.port}", *match]
            tap.equal(run(own, directory, line), run(PEER, directory, line), " ".join(args + match))


tap.run(main)
