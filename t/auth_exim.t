#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Exim's SMTP server asks authd: logins, wrong passwords, aborts, and authd coming back."""

import base64
import hmac
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hostroot import sh  # noqa: E402
from instance import stage, wait_until  # noqa: E402

USERS = {"alice@a.test": "secret", "bob@a.test": "pass word"}

DOVECOT = """
log_path = {dir}/dovecot.log
base_dir = {dir}/run
state_dir = {dir}/state
protocols =
ssl = no
auth_mechanisms = plain login cram-md5
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid=5000 gid=5000 home=/home/%u
}}
service auth {{
  unix_listener {dir}/exim-auth {{
    mode = 0660
    group = Debian-exim
  }}
}}
"""

AUTHENTICATOR = """{label}:
  driver = dovecot
  public_name = {name}
  server_socket = {dir}/exim-auth
  server_set_id = $auth1
"""

EXIM = """
primary_hostname = mx.example.test
tls_advertise_hosts =
host_lookup =
spool_directory = {dir}/spool
log_file_path = {dir}/exim-%slog
acl_smtp_mail = acl_mail
begin acl
acl_mail:
  deny !authenticated = *
       message = who are you
  accept message = you are $authenticated_id
begin authenticators
"""


def exim_program():
    """Debian does not install it beside Postfix; unpacked it does, too."""
    unpacked = os.path.join(os.environ.get("PC_BUILDDIR", "."), "exim/usr/sbin/exim4")
    for path in (os.environ.get("PC_EXIM"), unpacked, shutil.which("exim4")):
        if path and os.access(path, os.X_OK):
            return path
    return None


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Session:
    """SMTP with `exim -bs`."""

    def __init__(self, program, config):
        self.exim = subprocess.Popen(
            [program, "-C", config, "-oMa", "192.0.2.7", "-bs"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.reply()
        self.say("EHLO client.example.test")

    def reply(self):
        lines = []
        while not lines or lines[-1][3:4] == "-":
            line = self.exim.stdout.readline()
            if not line:
                raise EOFError(f"exim is gone after {lines}")
            lines.append(line.rstrip("\r\n"))
        return "\n".join(lines)

    def say(self, line):
        self.exim.stdin.write(line + "\r\n")
        self.exim.stdin.flush()
        return self.reply()

    def close(self):
        self.say("QUIT")
        self.exim.stdin.close()
        self.exim.stdout.close()
        self.exim.wait(60)


def plain(user, password):
    return "AUTH PLAIN " + b64(f"\0{user}\0{password}")


def test_logins(exim):
    for user, password in USERS.items():
        session = Session(*exim)
        tap.like(session.say(plain(user, password)), r"^235 ", f"PLAIN as {user}")
        tap.like(session.say("NOOP"), r"^250 ", "the session goes on")
        session.close()
        session = Session(*exim)
        tap.equal(session.say("AUTH LOGIN")[:3], "334", "LOGIN asks")
        tap.equal(session.say(b64(user))[:3], "334", "and asks on")
        tap.like(session.say(b64(password)), r"^235 ", f"LOGIN as {user}")
        session.close()
        session = Session(*exim)
        challenge = base64.b64decode(session.say("AUTH CRAM-MD5")[4:])
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
        tap.like(session.say(b64(f"{user} {digest}")), r"^235 ", f"CRAM-MD5 as {user}")
        session.close()


def test_refusals(exim):
    session = Session(*exim)
    tap.like(session.say(plain("alice@a.test", "pass word")), r"^535 ", "another's password")
    tap.like(session.say(plain("nobody@a.test", "x")), r"^535 ", "nobody")
    tap.like(session.say("AUTH PLAIN ="), r"^535 ", "an empty response")
    tap.equal(session.say("AUTH CRAM-MD5")[:3], "334", "CRAM-MD5 begins")
    tap.like(session.say("*"), r"^501 ", "and is aborted")
    tap.equal(session.say("AUTH CRAM-MD5")[:3], "334", "CRAM-MD5 begins")
    tap.like(session.say(b64("alice@a.test 0123456789abcdef0123456789abcdef")), r"^535 ",
             "and a wrong digest is none")
    tap.like(session.say("MAIL FROM:<x@a.test>"), r"^550 who are you", "nobody is logged in")
    tap.like(session.say(plain("bob@a.test", "pass word")), r"^235 ", "then a right one")
    tap.like(session.say("MAIL FROM:<x@a.test>"), r"^250 ", "and mail")
    session.close()


def test_restart(exim, directory, start):
    master = start()
    wait_until(lambda: os.path.exists(directory + "/exim-auth"), "the socket")
    session = Session(*exim)
    tap.like(session.say(plain("alice@a.test", "secret")), r"^235 ", "the first authd")
    session.close()
    master.terminate()
    master.wait(60)
    session = Session(*exim)
    tap.like(session.say(plain("alice@a.test", "secret")), r"^435 ", "without one: not now")
    session.close()


def main():
    hostroot.enter()
    exim = exim_program()
    if not exim:
        tap.skip_all("there is no Exim (exim4-daemon-light, unpacked, in $PC_EXIM)")
    directory = tempfile.mkdtemp(prefix="postcote-exim-")
    os.chmod(directory, 0o755)
    made = sh("getent passwd Debian-exim || useradd -r -U Debian-exim; "
              "getent passwd dovecot || useradd -r -U dovecot; "
              "getent passwd dovenull || useradd -r -U dovenull; "
              f"mkdir {directory}/spool; chown Debian-exim {directory}/spool {directory}")
    tap.equal(made.returncode, 0, "accounts")
    config = os.path.join(directory, "exim.conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write(EXIM.format(dir=directory))
        for name in ("PLAIN", "LOGIN", "CRAM-MD5"):
            f.write(AUTHENTICATOR.format(label=name.replace("-", "_").lower(), name=name, dir=directory))
    with open(directory + "/dovecot.conf", "w", encoding="utf-8") as f:
        f.write(DOVECOT.format(dir=directory))
    with open(directory + "/users", "w", encoding="utf-8") as f:
        f.writelines(f"{user}:{{PLAIN}}{password}\n" for user, password in USERS.items())

    def start():
        return subprocess.Popen(
            [os.path.join(stage(), "libexec/postcote/master"), "-i", "-D",
             directory + "/dovecot.conf"], stdin=subprocess.DEVNULL, cwd="/")

    test_restart((exim, config), directory, start)
    master = start()
    try:
        wait_until(lambda: sh(f"test -S {directory}/exim-auth").returncode == 0, "the socket")
        test_logins((exim, config))
        test_refusals((exim, config))
    finally:
        master.terminate()
        master.wait(60)
    with open(directory + "/dovecot.log", encoding="utf-8") as f:
        log = f.read()
    # Exim aborts by hanging up, which is told as Dovecot tells it.
    complaints = [line for line in re.findall(r"^.*(?:Error|Fatal|Panic): .*$", log, re.M)
                  if not re.search(r"auth client \d+ disconnected with \d pending requests: EOF$",
                                   line)]
    tap.equal(complaints, [], "authd has nothing to complain of")
    shutil.rmtree(directory, ignore_errors=True)
    tap.done()


main()
