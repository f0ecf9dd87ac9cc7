#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""doveadm pw beside real Dovecot's: what one makes the other verifies, and what both say."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap  # pylint: disable=wrong-import-position
from instance import stage, wait_until  # pylint: disable=wrong-import-position

OURS = os.path.join(stage(), "sbin/doveadm")
THEIRS = shutil.which("doveadm", path="/usr/bin:/usr/sbin")
ENV = dict(os.environ, LC_ALL="C")
USER = "anna@example.com"

# What both say of stored text; their words and exit codes.
VERIFY = """
{SHA1}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4
{SHA1.HEX}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4
{SHA1.B64}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4
{SHA1.ROT}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4
{SHA1.HEX}5en6G6MezRroT3XKqkdPOmY/BfQ=
{SHA1}e5e9fa
{SHA1}e5e9
{SHA1}####
{SHA}
{SSHA}K7gN
{SSHA}
{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
{SSHA.HEX}a36fa8dbaa4404254fb9451b930139aac4aaa1ef4f9d2508
{SSHA}a36fa8dbaa4404254fb9451b930139aac4aaa1ef4f9d2508
{SMD5}hbiwTho7UoKin1wiZT8Qjg==
{SMD5}hbiwTho7UoKin1wiZT8QjpNjgUI=
{XX}foo
foo
{foo
$1$xfGU3A1K$3kQf2A1LTpIm0IG/F2PbW1
{CRYPT}*
{CRYPT}
{CRYPT}$6$salt
{PLAIN}secret
{PLAIN}secre
{plain.Base64}c2VjcmV0
{PLAIN.}c2VjcmV0
{PLAIN.B64.HEX}c2VjcmV0
{PLAIN.B64}c2VjcmV0==
{PLAIN.HEX}zz
{PLAIN.HEX}123
{PLAIN-TRUNC}secret
{PLAIN-TRUNC}6-secret
{PLAIN-TRUNC}3-sec
{PLAIN-TRUNC}3-secr
{PLAIN-TRUNC}x-sec
{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69
{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==
{MD5}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/
{MD5}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/$x
{MD5}
{MD5-CRYPT}5ebe2294ecd0e0f08eab7690d2a6ee69
{MD5-CRYPT}$6$saltstring
{LDAP-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69
{LDAP-MD5}AAAA
{PLAIN-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==
{PLAIN-MD5}e5e9
{PLAIN-MD5}zz
{PLAIN-MD4}67d3dafef63ff00603aeef3769cfbf0d
{DES-CRYPT}/d63lSE/fkfgI
{DES-CRYPT}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/
{DES-CRYPT}/d63lSE/fkf
{SHA512-CRYPT}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/
{BLF-CRYPT}$1$0xRbPuvC$EXOMC2sfeiLSgR.bMeSqK/
{BLF-CRYPT}
{BLF-CRYPT}$2y$
{SHA512-CRYPT.HEX}244141
{CRAM-MD5}cd3b
{CRAM-MD5}zTun3qrW5cojRIukLjeXR6ng9/H7wAyKgbuqw5VzG1Y=
{SCRAM-SHA-1}foo
{SCRAM-SHA-1}4095,zvyIo1yMsUid8Oh9ebAklQ==,4ktDQX4vA3URPrSQqBDlIHkgj4w=,UP8KNSfVEsR2whbVF6LgVT/J/hw=
{SCRAM-SHA-1}x,zvyIo1yMsUid8Oh9ebAklQ==,4ktDQX4vA3URPrSQqBDlIHkgj4w=,UP8KNSfVEsR2whbVF6LgVT/J/hw=
{SCRAM-SHA-1}4096,zvyIo1yMsUid8Oh9ebAklQ==,####,UP8KNSfVEsR2whbVF6LgVT/J/hw=
{SCRAM-SHA-1}4096,zvyIo1yMsUid8Oh9ebAklQ==,4ktDQX4vA3URPrSQqBDlIHkgj4w=,AAAA
{SCRAM-SHA-1}4096,zvyIo1yMsUid8Oh9ebAklQ==,4ktDQX4vA3URPrSQqBDlIHkgj4w=
{PBKDF2}$2$IMO2cz3ki0mWfVL6$1$2bd5142861e209a92bc06d8c5c5912122e373576
{PBKDF2}$1$IMO2cz3ki0mWfVL6$0$2bd5142861e209a92bc06d8c5c5912122e373576
{PBKDF2}$1$IMO2cz3ki0mWfVL6$1$2bd5
{PBKDF2}$1$a$1
{PBKDF2}foo
{OTP}foo
{OTP}md5 1024 6ebb11513668ad25 379229f6ae4f82c4
{OTP}SHA1 1024 6EBB11513668ad25 379229f6ae4f82c4
{OTP}sha1 x 6ebb11513668ad25 379229f6ae4f82c4
{ARGON2ID}foo
{SKEY}x
""".strip("\n").split("\n")

# Whole command lines of which both must say the same.
SAME = [
    ["-l"], ["-l", "-s", "PLAIN"], ["-l", "x"], ["-p", "secret", "extra"], ["-x"], ["-s"], ["-t"],
    ["-t", "", "-p", "x"],
    ["-s", "FOO", "-p", "secret"], ["-s", "SHA256.FOO", "-p", "secret"],
    ["-s", "sha256", "-p", "secret"], ["-s", "SHA256.HEX", "-p", "secret"],
    ["-s", "SHA256.b64", "-p", "secret"], ["-s", "PLAIN.HEX", "-p", "secret"],
    ["-s", "PLAIN", "-p", ""], ["-s", "PLAIN", "-p", "secret", "-V"],
    ["-s", "PLAIN-TRUNC", "-p", "secret"], ["-s", "PLAIN-TRUNC", "-p", "secret", "-V"],
    ["-s", "HMAC-MD5", "-p", ""], ["-s", "CRAM-MD5", "-p", "x" * 65],
    ["-s", "CRAM-MD5", "-p", "x" * 64], ["-s", "PLAIN-MD4", "-p", "x" * 200],
    ["-s", "DIGEST-MD5", "-p", "secret"], ["-s", "DIGEST-MD5", "-p", "secret", "-u", "user"],
    ["-s", "DIGEST-MD5", "-p", "secret", "-u", "a@b@c"],
    ["-s", "DIGEST-MD5.B64", "-p", "secret", "-u", "a@b@c"],
    ["-s", "SHA", "-p", "secret", "-r", "4"], ["-s", "PLAIN", "-p", "x", "-u", "foo"],
    ["-s", "PLAIN", "-t", "{PLAIN}secret", "-p", "secret"],
    ["-s", "ARGON2I", "-p", "secret", "-r", "1"],
]

# What the rounds make of a setting: the part of the hash that tells.
ROUNDS = [
    ("CRYPT", None), ("CRYPT", 4), ("CRYPT", 3), ("BLF-CRYPT", 6), ("SHA512-CRYPT", 5),
    ("SHA512-CRYPT", 1000), ("SHA512-CRYPT", 5000), ("SHA256-CRYPT", 5001), ("PBKDF2", 1),
    ("PBKDF2", None), ("SCRAM-SHA-1", 9000), ("ARGON2I", 3), ("ARGON2I", 6), ("ARGON2ID", 1),
    ("ARGON2ID", None), ("ARGON2ID", 3), ("MD5-CRYPT", 9), ("OTP", 9),
]

# Seen on a terminal: what is typed.
TYPED = [
    (["-s", "PLAIN"], [b"foo\n", b"foo\n"]),
    (["-s", "PLAIN"], [b"foo\n", b"bar\n", b"foo\n", b"foo\n"]),
    (["-t", "{PLAIN}foo"], [b"foo\n"]),
    (["-t", "{PLAIN}foo"], [b"bar\n"]),
]


def run(program, args, text=""):
    r = subprocess.run([program, "pw", *args], input=text, capture_output=True, text=True,
                       timeout=60, check=False, env=ENV)
    return r.stdout, r.stderr, r.returncode


def schemes():
    return run(THEIRS, ["-l"])[0].split()


def test_both_ways():
    passwords = ["secret", "", "p\xe4ss w\xf6rd{}$:%", "x" * 71]
    encodings = ["", ".HEX", ".B64", ".BASE64"]
    for i, scheme in enumerate(schemes()):
        if scheme == "PLAIN-TRUNC":
            continue  # what is made has no length and is refused by both
        # The plain form of each, and an encoding and another password by turns.
        for encoding in encodings[0], encodings[1 + i % 3]:
            plain = passwords[encodings.index(encoding)]
            words = ["-p", plain, "-u", USER]
            for maker, judge, what in ((OURS, THEIRS, "ours, judged by theirs"),
                                       (THEIRS, OURS, "theirs, judged by ours")):
                made = run(maker, ["-s", scheme + encoding] + words)
                stored = made[0].rstrip("\n")
                verdict = run(judge, ["-t", stored] + words)
                wrong = run(judge, ["-t", stored, "-p", plain[:5] + "?" + plain[6:], "-u", USER])
                tap.ok(made[2] == 0 and verdict == (f"{stored} (verified)\n", "", 0)
                       and wrong[2] == 75, f"{scheme}{encoding}: {what}",
                       f"{made}\n{verdict}\n{wrong}")


def test_verdicts():
    for stored in VERIFY:
        words = ["-t", stored, "-p", "secret"]
        tap.equal(run(OURS, words), run(THEIRS, words), f"-t '{stored[:60]}'")


def test_command_lines():
    for words in SAME:
        tap.equal(run(OURS, words), run(THEIRS, words), " ".join(words)[:60])


def setting(text):
    """Salts and hashes taken out, with their lengths."""
    text = re.sub(r"(\$\d\w?\$(?:rounds=\d+\$|\d\d\$)?)([./0-9A-Za-z]{5,})",
                  lambda m: f"{m[1]}<{len(m[2])}>", text)
    return re.sub(r"[+./0-9A-Za-z=]{16,}", lambda m: f"<{len(m[0])}>", text)


def test_rounds():
    for scheme, rounds in ROUNDS:
        words = ["-s", scheme, "-p", "secret"] + (["-r", str(rounds)] if rounds else [])
        ours, theirs = run(OURS, words), run(THEIRS, words)
        tap.equal((setting(ours[0]), ours[1:]), (setting(theirs[0]), theirs[1:]),
                  f"{scheme} with {rounds} rounds")


def read_some(fd):
    if not select.select([fd], [], [], 60)[0]:
        raise RuntimeError("the program says nothing more")
    return os.read(fd, 4096)


def on_terminal(program, args, typed):
    """Each line is typed when its prompt is there."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(program, [program, "pw", *args], ENV)
    out = b""
    try:
        for line in typed:
            while not out.endswith(b": "):
                out += read_some(fd)
            # What is typed before echoing is off is thrown away, or shown.
            wait_until(lambda: not termios.tcgetattr(fd)[3] & termios.ECHO, "a silent terminal")
            os.write(fd, line)
            out += read_some(fd)
        while True:
            out += read_some(fd)
    except OSError:
        pass
    finally:
        os.close(fd)
    return out, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_prompts():
    for words, typed in TYPED:
        tap.equal(on_terminal(OURS, words, typed), on_terminal(THEIRS, words, typed),
                  f"{words} with {typed}")


def test_pipe():
    tap.equal(run(OURS, ["-s", "PLAIN"], "foo\nfoo\n"), run(THEIRS, ["-s", "PLAIN"], "foo\nfoo\n"),
              "two lines through a pipe")
    words = ["-t", "{PLAIN}foo"]
    tap.equal(run(OURS, words, "foo\n"), run(THEIRS, words, "foo\n"), "one line to be verified")


def test_different_on_purpose():
    """Where the peer makes the hash of an empty password, or lets everybody in."""
    tap.equal(run(OURS, ["-s", "PLAIN"], ""), ("", "Fatal: No password was given\n", 75),
              "no password at all")
    tap.equal(run(OURS, ["-s", "PLAIN"], "foo\n")[2], 75, "typed once")
    for stored in "{PLAIN-TRUNC}0-", "{PLAIN-TRUNC}-":
        tap.equal((run(OURS, ["-t", stored, "-p", "x"])[2], run(THEIRS, ["-t", stored, "-p", "x"])[2]),
                  (75, 0), stored)
    tap.equal(run(OURS, ["-s", "BLF-CRYPT", "-p", "x", "-r", "abc"])[2], 64, "-r abc")
    for scheme in "SHA512-CRYPT", "DES-CRYPT":
        tap.equal(run(OURS, ["-s", scheme, "-p", "x" * 600])[::2], ("", 75),
                  f"{scheme} of a password that crypt(3) cannot take")


DOVECOT = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
if not THEIRS or not DOVECOT:
    tap.skip_all("no doveadm of Dovecot's")
if not subprocess.run([DOVECOT, "--version"], capture_output=True, text=True, timeout=60,
                      check=False).stdout.startswith("2.3."):
    tap.skip_all("the doveadm here is not Dovecot 2.3's")
tap.run(test_both_ways, test_verdicts, test_command_lines, test_rounds, test_prompts, test_pipe,
        test_different_on_purpose)
