#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Our smtpd asks the auth process of a real Dovecot: 2.3, or, with PC_PEER_ROOT, the one of that
tree (2.4)."""

import base64
import os
import shutil
import smtplib
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sasl_client  # noqa: E402
import tap  # noqa: E402
from instance import Instance, wait_until  # noqa: E402

ROOT = os.environ.get("PC_PEER_ROOT", "")
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
USER, PASSWORD = "carol@a.test", "geheim"

SETTINGS = """log_path = /dev/stderr
base_dir = {dir}/run
{state}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
ssl = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
service auth {{
  unix_listener {dir}/auth {{
    mode = 0666
  }}
}}
service stats {{
  client_limit = 10
}}
"""
OLD = """passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid=5000 gid=5000 home=/home/%u
}}
protocols =
"""
NEW_FIRST = """dovecot_config_version = {version}
dovecot_storage_version = {version}
"""
NEW = """passdb passwd-file {{
  passwd_file_path = {dir}/users
}}
userdb static {{
  fields {{
    uid = 5000
    gid = 5000
    home = /home/x
  }}
}}
protocols {{
}}
"""


def find():
    """Its root directory and version; skips the whole test where there is none."""
    if os.geteuid() != 0:
        tap.skip_all("a real Dovecot needs root")
    program = ROOT + "/usr/sbin/dovecot"
    owner = subprocess.run(["dpkg-query", *(["--admindir", ROOT + "/var/lib/dpkg"] if ROOT else []),
                            "-S", "/usr/sbin/dovecot"],
                           capture_output=True, text=True, timeout=60, check=False).stdout
    if not os.access(program, os.X_OK) or not owner.startswith("dovecot-core:"):
        tap.skip_all(f"{program} is not Dovecot's")
    return run("dovecot", "--version").stdout.split()[0]


def command(*args):
    return (["chroot", ROOT] if ROOT else []) + ["/usr/sbin/" + args[0], *args[1:]]


def run(*args):
    return subprocess.run(command(*args), capture_output=True, text=True, timeout=60, check=False)


def configure(directory, version):
    """What Dovecot sees as DIRECTORY is below ROOT."""
    here = ROOT + directory
    os.makedirs(here + "/run")
    os.chmod(here, 0o755)
    is_new = not version.startswith("2.3.")
    text = (NEW_FIRST if is_new else "") + SETTINGS + (NEW if is_new else OLD)
    with open(here + "/dovecot.conf", "w", encoding="utf-8") as f:
        f.write(text.format(dir=directory, version=".".join(version.split(".")[:3]),
                            state=f"state_dir = {directory}/state",
                            user="dovecot", group="dovecot",
                            mechanisms=" ".join(MECHANISMS).lower()))
    with open(here + "/users", "w", encoding="utf-8") as f:
        f.write(f"{USER}:{{PLAIN}}{PASSWORD}::::::\n")


def log_in(mail, mechanism, password, initial):
    """The last reply's code."""
    client = sasl_client.make(mechanism, USER, password)
    with smtplib.SMTP("127.0.0.1", mail.submission_port, timeout=60) as smtp:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        smtp.starttls(context=context)
        smtp.ehlo()
        tap.ok(mechanism in smtp.esmtp_features["auth"].split(), f"{mechanism} is offered")
        line = "AUTH " + mechanism
        if initial and client.first is not None:
            line += " " + base64.b64encode(client.first).decode()
            code, text = smtp.docmd(line)
        else:
            code, text = smtp.docmd(line)
            if client.first is not None and code == 334:
                code, text = smtp.docmd(base64.b64encode(client.first).decode())
        while code == 334:
            answer = client.step(base64.b64decode(text))
            code, text = smtp.docmd(base64.b64encode(answer).decode())
        if code == 235:
            tap.ok(client.done, f"{mechanism}: the server has proved itself, too")
            tap.equal(smtp.mail(USER)[0], 250, f"{mechanism}: mail from who is logged in")
        return code


def test_mechanisms(mail):
    for mechanism in MECHANISMS:
        for initial in (True, False):
            how = "with" if initial else "without"
            tap.equal(log_in(mail, mechanism, PASSWORD, initial), 235,
                      f"{mechanism} {how} an initial response")
            tap.equal(log_in(mail, mechanism, "wrong", initial), 535,
                      f"{mechanism} {how} one, a wrong password")


def test_gone(mail, dovecot):
    """Without an auth server it is not the client's fault."""
    dovecot.terminate()
    dovecot.wait(60)
    with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=60) as smtp:
        tap.equal(smtp.ehlo()[0], 250, "smtpd serves on")
    tap.ok(mail.command("postfix", "status").returncode == 0, "and the suite runs")


def main():
    version = find()
    print("# Dovecot " + version, flush=True)
    base = f"/tmp/postcote-dovecot-{os.getpid()}"
    configure(base, version)
    dovecot = None
    try:
        with open(ROOT + base + "/log", "w", encoding="utf-8") as log:
            dovecot = subprocess.Popen(command("dovecot", "-F", "-c", base + "/dovecot.conf"),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: os.path.exists(ROOT + base + "/auth"), "Dovecot's socket")
        except TimeoutError:
            print(open(ROOT + base + "/log", encoding="utf-8").read())
            raise
        with Instance(main={"smtpd_sasl_path": ROOT + base + "/auth",
                            "smtpd_sasl_security_options": "noanonymous"}) as mail:
            test_mechanisms(mail)
            test_gone(mail, dovecot)
    finally:
        if dovecot and dovecot.poll() is None:
            dovecot.terminate()
            dovecot.wait(60)
        shutil.rmtree(ROOT + base, ignore_errors=True)
    tap.done()


main()
