#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One host of a real deployment: virtual users of one domain, submission with TLS and logins
through Dovecot's socket, POP3 over TLS; installed, configured and tried with the commands that its
administrators type."""

import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hostroot import sh  # noqa: E402
from instance import wait_until  # noqa: E402

SHARE = "/usr/share/dovecot"

MAIN_CF = """
# line 76
myhostname = mta1.vm1.vm
# line 83
mydomain = vm1.vm
# line 99
myorigin = $mydomain
# line 113, 116
inet_interfaces = all
#inet_interfaces = localhost
message_size_limit = 52428800
mailbox_size_limit = 1073741824
virtual_mailbox_domains = $mydomain
virtual_mailbox_base = /var/mail/vhosts
virtual_mailbox_maps = hash:/etc/postfix/vusers
virtual_mailbox_limit = $mailbox_size_limit
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000\x20\x20
# dovecot sasl auth
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_local_domain = $mydomain
smtpd_sender_restrictions = permit_auth_destination, permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_auth_destination, permit_sasl_authenticated, reject
broken_sasl_auth_clients = yes
transport_maps = hash:/etc/postfix/ts
# smtpd tls support
smtpd_use_tls = yes
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_tls_session_cache_database = btree:${data_directory}/smtpd_scache
smtpd_tls_CAfile = /etc/pki/mail/ca.crt\x20\x20
smtpd_tls_key_file = /etc/pki/mail/mta1.key
smtpd_tls_cert_file = /etc/pki/mail/mta1.crt
smtp_use_tls = yes
smtp_tls_security_level = encrypt
smtp_tls_loglevel = 1
smtp_tls_note_starttls_offer = yes\x20\x20
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
maillog_file = /var/log/maillog
"""

MASTER_CF = """# line 11
smtp      inet  n       -       n       -       -       smtpd
# line 16
submission inet n       -       n       -       -       smtpd
# line 26
smtps     inet  n       -       n       -       -       smtpd
# line 28
    -o smtpd_tls_wrappermode=yes
"""

# file: [(what stands there, what the administrator makes of it)]
DOVECOT_EDITS = {
    "conf.d/10-auth.conf": [
        (r"^#disable_plaintext_auth = yes$", "disable_plaintext_auth = no"),
        (r"^auth_mechanisms = plain$", "auth_mechanisms = plain login"),
        (r"^!include auth-system.conf.ext$", "#!include auth-system.conf.ext"),
        (r"^#!include auth-passwdfile.conf.ext$", "!include auth-passwdfile.conf.ext"),
        (r"^#!include auth-static.conf.ext$", "!include auth-static.conf.ext"),
    ],
    "conf.d/10-mail.conf": [
        (r"^mail_location = .*$", "mail_location = maildir:/var/mail/vhosts/%d/%n"),
    ],
    "conf.d/10-master.conf": [
        (r"^  #unix_listener /var/spool/postfix/private/auth \{\n  #  mode = 0666\n  #\}$",
         "    unix_listener /var/spool/postfix/private/auth {\n        mode = 0666\n    }"),
    ],
    "conf.d/10-ssl.conf": [
        (r"^ssl_cert = .*$", "ssl_cert = </etc/pki/mail/mta1.crt"),
        (r"^ssl_key = .*$", "ssl_key = </etc/pki/mail/mta1.key"),
    ],
    "conf.d/auth-passwdfile.conf.ext": [
        (r"^  args = scheme=CRYPT .*$", "    args = /etc/dovecot/vusers"),
        (r"^userdb \{\n(?:.*\n)*?\}$", "#userdb {\n# ...\n#}"),
    ],
    "conf.d/auth-static.conf.ext": [
        (r"\Z", "\nuserdb {\n    driver = static\n"
                "    args = uid=vmail gid=vmail home=/var/mail/vhosts/%d/%n\n}\n"),
    ],
}

AUTHENTICATED = """(
  echo "ehlo mta1"
  echo "auth login"
  echo "YWxpY2VAdm0xLnZt"
  echo "YWxpY2U="
  echo "mail from: alice"
  echo "rcpt to: test1"
  echo "data"
  echo "from: alice"
  echo "to: test1"
  echo "subject: alice to test1 on mta1"
  echo "alice say hello to test1"
  echo "."
  sleep 3
  echo "quit"
) | openssl s_client -crlf -connect 127.0.0.1:465"""

UNAUTHENTICATED = """(
  echo "ehlo mta1"
  echo "mail from: alice"
  echo "rcpt to: {rcpt}"
  echo "data"
  echo "from: alice"
  echo "to: {rcpt}"
  echo "subject: alice to {rcpt} without auth"
  echo "alice say hello without auth"
  echo "."
  sleep 3
  echo "quit"
) | openssl s_client -crlf -connect {host}:465"""

POP3 = """(
  echo "user {user}@vm1.vm"
  echo "pass {user}"
  echo "{command}"
  sleep 3
  echo "quit"
) | openssl s_client -crlf -connect 127.0.0.1:995"""


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def edit(path, edits):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for old, new in edits:
        text, count = re.subn(old, lambda m, new=new: new, text, count=1, flags=re.M)
        if count != 1:
            raise RuntimeError(f"{path}: nothing matches {old}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def test_install():
    hostroot.install()
    for user in ("postfix", "dovecot", "dovenull"):
        tap.equal(sh(f"id -un {user}").stdout.strip(), user, f"make install made the user {user}")
    for program in ("postdrop", "postqueue"):
        mode = os.stat(f"/usr/sbin/{program}").st_mode
        tap.equal(oct(mode & 0o7777), "0o2755", f"{program} is set-gid")


def test_configure():
    made = sh("ip addr add 172.16.108.101/24 dev lo && mkdir -p /etc/pki/mail && cd /etc/pki/mail &&"
              "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key"
              " -out ca.crt && openssl req -newkey rsa:2048 -nodes -subj /CN=mta1.vm1.vm"
              " -keyout mta1.key -out mta1.csr && openssl x509 -req -in mta1.csr -CA ca.crt"
              " -CAkey ca.key -CAcreateserial -days 30 -out mta1.crt && chmod 600 *.key")
    tap.equal(made.returncode, 0, "certificates") or tap.note(made.stdout)

    shutil.rmtree("/etc/dovecot", ignore_errors=True)
    shutil.copytree(SHARE, "/etc/dovecot", ignore=shutil.ignore_patterns("stopwords"))
    write("/etc/dovecot/vusers",
          "    alice@vm1.vm:{Plain}alice::::::\n    test1@vm1.vm:{Plain}test1::::::\n".replace(
              "    ", ""))
    made = sh("groupadd -g 5000 vmail; useradd -g vmail -u 5000 vmail -d /var/mail/vhosts;"
              "mkdir -p /var/mail/vhosts && chown vmail:vmail /var/mail/vhosts; id vmail")
    tap.like(made.stdout, r"uid=5000\(vmail\) gid=5000\(vmail\)", "the user vmail")
    for path, edits in DOVECOT_EDITS.items():
        edit("/etc/dovecot/" + path, edits)

    write("/etc/postfix/vusers", "alice@vm1.vm vm1.vm/alice/\ntest1@vm1.vm vm1.vm/test1/\n")
    write("/etc/postfix/ts", "# relay\nvm2.vm  relay:172.16.108.100\nvm3.vm  relay:172.16.108.100\n"
                             "#vm2.vm  relay:172.16.108.100:587\n")
    for table in ("vusers", "ts"):
        made = sh(f"postmap /etc/postfix/{table}")
        tap.equal((made.returncode, made.stdout), (0, ""), f"postmap /etc/postfix/{table}")
    with open("/etc/postfix/main.cf", "a", encoding="utf-8") as f:
        f.write(MAIN_CF)
    with open("/etc/postfix/master.cf", encoding="utf-8") as f:
        text = re.sub(r"^smtp +inet.*$", "", f.read(), flags=re.M)
    write("/etc/postfix/master.cf", MASTER_CF + text)


def test_start():
    started = sh("dovecot")
    tap.equal(started.returncode, 0, "dovecot starts") or tap.note(started.stdout)
    tap.equal(len(re.findall(r"(?im)^.*warning.*imap.*$", started.stdout)), 1,
              "the missing IMAP is one warning") or tap.note(started.stdout)
    started = sh("postfix start")
    tap.equal(started.returncode, 0, "postfix starts") or tap.note(started.stdout)
    tap.equal(sh("postfix status").returncode, 0, "postfix status")
    wait_until(lambda: ":995" in sh("ss -tnlp | grep dovecot").stdout, "POP3S")
    listening = sh("ss -tnlp | grep dovecot").stdout
    tap.like(listening, r":110\b", "ss shows dovecot at 110")
    tap.like(listening, r":995\b", "ss shows dovecot at 995")
    listening = sh("ss -tlnp | grep master").stdout
    for port in (25, 465, 587):
        tap.like(listening, rf":{port}\b", f"ss shows master at {port}")


def test_doveadm_user():
    for user in ("alice", "test1"):
        result = sh(f"doveadm user {user}@vm1.vm")
        tap.equal(result.returncode, 0, f"doveadm user {user}@vm1.vm")
        for want in (r"^field\tvalue$", r"^uid\t5000$", r"^gid\t5000$",
                     rf"^home\t/var/mail/vhosts/vm1.vm/{user}$",
                     rf"^mail\tmaildir:/var/mail/vhosts/vm1.vm/{user}$"):
            tap.like(result.stdout, want, f"{user}: {want}")
    tap.equal(sh("doveadm user nobody@vm1.vm").returncode, 67, "doveadm user, unknown")


def test_first_mail():
    said = sh(AUTHENTICATED).stdout
    tap.like(said, r"^235 2\.7\.0 Authentication successful", "alice logs in")
    tap.like(said, r"^250-AUTH=PLAIN LOGIN", "AUTH= for old clients")
    tap.like(said, r"^250 2\.0\.0 Ok: queued as \w+", "alice to test1 is accepted")
    wait_until(lambda: re.search(r"^1 \d+", sh(POP3.format(user="test1", command="list")).stdout, re.M),
               "the mail in the mailbox")
    said = sh(POP3.format(user="test1", command="list")).stdout
    tap.like(said, r"^\+OK 1 messages:", "list shows one message")
    said = sh(POP3.format(user="test1", command="retr 1")).stdout
    tap.like(said, r"(?i)^subject: alice to test1 on mta1", "retr 1: the subject")
    tap.like(said, r"^alice say hello to test1", "retr 1: the body")
    tap.like(said, r"(?i)^from: alice@vm1.vm", "the header's address got the origin")
    tap.like(said, r"^Received: from mta1 \(localhost \[127\.0\.0\.1\]\)", "retr 1: Received")
    tap.like(said, r"^Return-Path: <alice@vm1.vm>", "retr 1: Return-Path")


def test_unusual():
    said = sh(UNAUTHENTICATED.format(rcpt="bob@vm2.vm", host="172.16.108.101")).stdout
    tap.like(said, r"^554 5\.7\.1 <alice>: Sender address rejected: Access denied",
             "unauthenticated, another domain: refused")
    tap.unlike(said, "queued as", "nothing of it is queued")
    said = sh(UNAUTHENTICATED.format(rcpt="test1", host="127.0.0.1")).stdout
    tap.like(said, r"^250 2\.0\.0 Ok: queued as", "unauthenticated, alice to test1: accepted")
    said = sh(UNAUTHENTICATED.format(rcpt="ghost", host="127.0.0.1")).stdout
    tap.like(said, r"^550 5\.1\.1 <ghost>: Recipient address rejected: "
                   r"User unknown in virtual mailbox table", "an unknown user is refused")


def test_log():
    with open("/var/log/maillog", encoding="utf-8") as f:
        log = f.read()
    for want in (r"postfix/master\[\d+\]: daemon started -- version \S+, configuration /etc/postfix",
                 r"postfix/smtpd\[\d+\]: connect from localhost\[127\.0\.0\.1\]",
                 r"postfix/smtpd\[\d+\]: \w+: client=localhost\[127\.0\.0\.1\], "
                 r"sasl_method=LOGIN, sasl_username=alice@vm1\.vm",
                 r"postfix/cleanup\[\d+\]: \w+: message-id=<",
                 r"postfix/qmgr\[\d+\]: \w+: from=<alice@vm1\.vm>, size=\d+, nrcpt=1 \(queue active\)",
                 r"postfix/virtual\[\d+\]: \w+: to=<test1@vm1\.vm>, (orig_to=<test1>, )?relay=virtual, "
                 r"delay=[\d.]+, delays=[\d./]+, dsn=2\.0\.0, status=sent \(delivered to maildir\)",
                 r"postfix/qmgr\[\d+\]: \w+: removed",
                 r"NOQUEUE: reject: RCPT from \S+\[172\.16\.108\.101\]: 554 5\.7\.1 <alice>: "
                 r"Sender address rejected: Access denied; from=<alice> to=<bob@vm2\.vm> "
                 r"proto=ESMTP helo=<mta1>"):
        tap.like(log, want, f"log: {want[:60]}")


def test_walls():
    owners = sh("ps -eo user,comm").stdout
    for program, user in (("smtpd", "postfix"), ("qmgr", "postfix"), ("authd", "dovecot"),
                          ("pop3-login", "dovenull")):
        tap.like(owners, rf"^{user}\s+{program}", f"{program} runs as {user}")
    stat = os.stat("/var/mail/vhosts/vm1.vm/test1/new")
    tap.equal((stat.st_uid, stat.st_gid), (5000, 5000), "the mailbox belongs to vmail")


def test_stop():
    for command in ("postfix reload", "doveadm reload", "postfix stop", "doveadm stop"):
        result = sh(command)
        tap.equal(result.returncode, 0, command) or tap.note(result.stdout)
    wait_until(lambda: not sh("ss -tlnp | grep -E 'master|dovecot'").stdout, "the ports are closed")
    tap.equal(sh("postfix status").returncode, 1, "postfix status after stop")


hostroot.enter()
if not os.path.isdir(SHARE + "/conf.d"):
    tap.skip_all("Debian's dovecot-core, whose conf.d files are edited here, is not installed")
tap.run(test_install, test_configure, test_start, test_doveadm_user, test_first_mail, test_unusual,
        test_log, test_walls, test_stop)
