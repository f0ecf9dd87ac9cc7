#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The Dovecot side of hosts whose mail users are accounts of the system, with the edits that two
how-tos make in the stock configuration (passdb pam, userdb passwd): POP3, and submission through
private/auth."""

import os
import poplib
import re
import shutil
import smtplib
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hostroot import sh  # noqa: E402
from instance import wait_until  # noqa: E402

SHARE = "/usr/share/dovecot"

# What is typed on the first host: sed -i '1i ...' /etc/dovecot/dovecot.conf.
FIRST_LINES = "protocols = imap pop3 lmtp\ndisable_plaintext_auth = no\n" \
              "login_trusted_networks = 192.168.10.0/24\n"

EDITS = {
    "conf.d/10-auth.conf": [
        (r"^#disable_plaintext_auth = yes$", "disable_plaintext_auth = no"),
        (r"^auth_mechanisms = plain$", "auth_mechanisms = plain login"),
    ],
    "conf.d/10-ssl.conf": [
        (r"^ssl_cert = .*$", "ssl_cert = </etc/pki/host.crt"),
        (r"^ssl_key = .*$", "ssl_key = </etc/pki/host.key"),
    ],
    "conf.d/10-master.conf": [
        (r"^  #unix_listener /var/spool/postfix/private/auth \{\n  #  mode = 0666\n  #\}$",
         "  unix_listener /var/spool/postfix/private/auth {\n    mode = 0666\n    user = postfix\n"
         "    group = postfix\n  }"),
    ],
    # The stock one is an mbox.
    "conf.d/10-mail.conf": [(r"^mail_location = .*$", "mail_location = maildir:~/Maildir")],
}

MAIN_CF = """
myhostname = mail.example.test
mydestination = localhost
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_tls_auth_only = yes
smtpd_sasl_security_options = noanonymous
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_cert_file = /etc/pki/host.crt
smtpd_tls_key_file = /etc/pki/host.key
maillog_file = /var/log/maillog
"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def edit(path, edits):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for old, new in edits:
        text, count = re.subn(old, lambda m, new=new: new, text, count=1, flags=re.M)
        if count != 1:
            raise RuntimeError(f"{path}: nothing matches {old}")
    write(path, text)


def test_configure():
    hostroot.install()
    made = sh("set -e; mkdir -p /etc/pki; openssl req -x509 -newkey rsa:2048 -nodes -days 30"
              " -subj /CN=mail.example.test -keyout /etc/pki/host.key -out /etc/pki/host.crt;"
              " useradd -m boss; echo boss:boss | chpasswd; echo root:boss | chpasswd;"
              " install -d -o boss -g boss -m 700 /home/boss/Maildir /home/boss/Maildir/new"
              " /home/boss/Maildir/cur /home/boss/Maildir/tmp;"
              " printf 'Subject: hello\\n\\nboss\\n' >/home/boss/Maildir/new/1.1.host;"
              " chown boss:boss /home/boss/Maildir/new/*")
    tap.equal(made.returncode, 0, "accounts and a certificate") or tap.note(made.stdout)
    shutil.rmtree("/etc/dovecot", ignore_errors=True)
    shutil.copytree(SHARE, "/etc/dovecot", ignore=shutil.ignore_patterns("stopwords"))
    for path, edits in EDITS.items():
        edit("/etc/dovecot/" + path, edits)
    with open("/etc/dovecot/dovecot.conf", encoding="utf-8") as f:
        text = f.read()
    write("/etc/dovecot/dovecot.conf", FIRST_LINES + text)
    write("/etc/dovecot/local.conf", "log_path = /var/log/dovecot.log\nauth_verbose = yes\n")
    with open("/etc/postfix/main.cf", "a", encoding="utf-8") as f:
        f.write(MAIN_CF)
    with open("/etc/postfix/master.cf", encoding="utf-8") as f:
        text = re.sub(r"^#?(smtp|submission) +inet.*$", "", f.read(), flags=re.M)
    write("/etc/postfix/master.cf", "submission inet n       -       y       -       -       smtpd\n" + text)


def test_start():
    started = sh("dovecot")
    tap.equal(started.returncode, 0, "dovecot starts") or tap.note(started.stdout)
    tap.unlike(started.stdout, r"(?i)driver|auth-worker", "pam and passwd are no news")
    started = sh("postfix start")
    tap.equal(started.returncode, 0, "postfix starts") or tap.note(started.stdout)
    wait_until(lambda: ":110" in sh("ss -tnl").stdout and ":587" in sh("ss -tnl").stdout, "the ports")
    socket = os.stat("/var/spool/postfix/private/auth")
    tap.equal(oct(socket.st_mode & 0o777), "0o666", "Postfix's socket")


def pop3(user, password):
    """What the last command was answered."""
    client = poplib.POP3("127.0.0.1", 110, timeout=60)
    try:
        client.user(user)
        client.pass_(password)
        return client.list()[0].decode() + " " + b" ".join(client.retr(1)[1]).decode()
    except poplib.error_proto as error:
        return str(error)
    finally:
        client.close()


def test_pop3():
    tap.like(pop3("boss", "boss"), r"^\+OK 1 messages:.*Subject: hello", "boss reads his mail")
    tap.like(pop3("boss", "wrong"), r"-ERR \[AUTH\] Authentication failed", "not with another password")
    tap.like(pop3("nobody-here", "boss"), r"-ERR \[AUTH\] Authentication failed", "nor do strangers")
    tap.like(pop3("root", "boss"), r"-ERR", "root has no mailbox, whatever PAM says")
    owner = os.stat("/home/boss/Maildir/dovecot-uidlist")
    tap.equal(owner.st_uid, os.stat("/home/boss").st_uid, "the mailbox is its user's")


def submit(mechanism, user, password):
    with smtplib.SMTP("127.0.0.1", 587, timeout=60) as client:
        client.starttls(context=ssl._create_unverified_context())  # pylint: disable=protected-access
        client.ehlo()
        client.user, client.password = user, password
        try:
            return client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))[0]
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code


def test_submission():
    tap.equal(submit("PLAIN", "boss", "boss"), 235, "boss submits")
    tap.equal(submit("LOGIN", "boss", "boss"), 235, "with LOGIN, too")
    tap.equal(submit("LOGIN", "boss", "wrong"), 535, "not with another password")


def test_commands():
    said = sh("doveadm user boss").stdout
    for want in (r"^home\t/home/boss$", r"^mail\tmaildir:~/Maildir$", r"^system_groups_user\tboss$"):
        tap.like(said, want, f"doveadm user: {want}")
    tap.equal(sh("doveadm auth test boss boss").returncode, 0, "doveadm auth test")
    tap.equal(sh("doveadm auth test boss wrong").returncode, 77, "and with another password")
    tap.like(sh("doveadm user '*'").stdout, r"^boss$", "the users' list")
    with open("/var/log/dovecot.log", encoding="utf-8") as f:
        log = f.read()
    tap.like(log, r"auth-worker\(\d+\): Info: conn unix:auth-worker \(pid=\d+,uid=\d+\): auth-worker<\d+>: "
                  r"pam\(boss,127\.0\.0\.1(,<\S+>)?\): pam_authenticate\(\) failed: "
                  r"Authentication failure \(Password mismatch\?\)", "what fail2ban reads")
    owners = sh("ps -eo user,comm").stdout
    tap.like(owners, r"^root\s+auth-worker", "auth-worker is root")
    tap.like(owners, r"^dovecot\s+authd", "authd is not")


def test_reload():
    for command in ("doveadm reload", "doveadm reload"):
        tap.equal(sh(command).returncode, 0, command)
        tap.equal(submit("PLAIN", "boss", "boss"), 235, "logins go on")
    for command in ("postfix stop", "doveadm stop"):
        tap.equal(sh(command).returncode, 0, command)
    wait_until(lambda: "auth-worker" not in sh("ps -eo comm").stdout, "the workers to go")
    tap.ok(True, "no worker is left")


hostroot.enter()
if not os.path.isdir(SHARE + "/conf.d"):
    tap.skip_all("Debian's dovecot-core, whose conf.d files are edited here, is not installed")
if not os.path.exists("/etc/pam.d/dovecot"):
    tap.skip_all("there is no PAM service dovecot (dovecot-core has it)")
tap.run(test_configure, test_start, test_pop3, test_submission, test_commands, test_reload)
