#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A real deployment of four hosts: three mail domains with virtual users, submission and POP3, and a
relay between them that knows nobody; configured and tried with the commands that its administrators
type, by port 25, 587, 465 and stunnel, and with a real Postfix and Dovecot in the place of each."""

import concurrent.futures
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hosts import Host, Network, layer  # noqa: E402
from instance import wait_until  # noqa: E402

SHARE = "/usr/share/dovecot"
NET = "172.16.108"
USERS = {1: ("alice", "test1"), 2: ("bob", "test2"), 3: ("alpha", "beta")}

# mta.crt and its sisters, "prepared beforehand".
CERTIFICATES = """
mkdir -p /etc/pki/mail && cd /etc/pki/mail
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.crt
for host in mta mta1 mta2 mta3; do
	openssl req -newkey rsa:2048 -nodes -subj /CN=$host.vm -keyout $host.key -out $host.csr &&
	openssl x509 -req -in $host.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out $host.crt || exit 1
done
chmod 600 *.key
groupadd -g 5000 vmail; useradd -g vmail -u 5000 vmail -d /var/mail/vhosts
mkdir -p /var/mail/vhosts && chown vmail:vmail /var/mail/vhosts
"""

TLS = """smtpd_use_tls = yes
smtpd_tls_security_level = may
{auth_only}smtpd_tls_loglevel = 1
smtpd_tls_session_cache_database = btree:${{data_directory}}/smtpd_scache
smtpd_tls_CAfile = /etc/pki/mail/ca.crt\x20\x20
smtpd_tls_key_file = /etc/pki/mail/{host}.key
smtpd_tls_cert_file = /etc/pki/mail/{host}.crt
# smtp
smtp_use_tls = yes
smtp_tls_security_level = encrypt
smtp_tls_loglevel = 1
smtp_tls_note_starttls_offer = yes\x20\x20
smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache
maillog_file = /var/log/maillog
"""

MTA_CF = """
myhostname = mta{n}.vm{n}.vm
mydomain = vm{n}.vm
myorigin = $mydomain
inet_interfaces = all
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
"""

RELAY_CF = """
myhostname = mta.vm.vm
mydomain = vm.vm
inet_interfaces = all
relay_domains = vm1.vm, vm2.vm, vm3.vm
message_size_limit = 52428800
mailbox_size_limit = 1073741824
transport_maps = hash:/etc/postfix/ts
"""

MASTER_CF = """smtp      inet  n       -       n       -       -       smtpd
submission inet n       -       n       -       -       smtpd
smtps     inet  n       -       n       -       -       smtpd
    -o smtpd_tls_wrappermode=yes
"""
# What the document's "relay-smtps" stands for.
SMTPS = """relay-smtps unix -       -       n       -       -       smtp
    -o smtp_tls_wrappermode=yes -o smtp_tls_security_level=encrypt
"""

STUNNEL = """[local-smtp-to-mta-smtps]
accept = 25000
client = yes
connect = 172.16.108.100:465
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
        (r"^ssl_cert = .*$", "ssl_cert = </etc/pki/mail/mta{n}.crt"),
        (r"^ssl_key = .*$", "ssl_key = </etc/pki/mail/mta{n}.key"),
    ],
    "conf.d/auth-passwdfile.conf.ext": [
        (r"^  args = scheme=CRYPT .*$", "    args = /etc/dovecot/vusers"),
        (r"^userdb \{\n(?:.*\n)*?\}$", "#userdb {{\n# ...\n#}}"),
    ],
    "conf.d/auth-static.conf.ext": [
        (r"\Z", "\nuserdb {{\n    driver = static\n"
                "    args = uid=vmail gid=vmail home=/var/mail/vhosts/%d/%n\n}}\n"),
    ],
}

SEND = """(
  echo "ehlo {host}"
  {login}
  echo "mail from: {sender}"
  echo "rcpt to: {rcpt}"
  echo "data"
  echo "from: {sender}"
  echo "to: {rcpt}"
  echo "subject: {subject}"
  echo "{sender} say hello to {rcpt}"
  echo "."
  sleep 1
  echo "quit"
) | openssl s_client -crlf -connect {address}:465"""
LOGIN = """echo "auth login"; echo "{user}"; echo "{password}" """

POP3 = """(
  echo "user {user}"
  echo "pass {password}"
  echo "{command}"
  sleep 1
  echo "quit"
) | openssl s_client -crlf -connect {address}:995"""

# As the document has them.
BASE64 = {"alice": ("YWxpY2VAdm0xLnZt", "YWxpY2U="), "bob": ("Ym9iQHZtMi52bQ==", "Ym9i"),
          "alpha": ("YWxwaGFAdm0zLnZt", "YWxwaGE=")}


class Mta:
    """Host 0 is the relay.  REAL: Debian's postfix and dovecot run there."""

    def __init__(self, net, number, layers, real=False):
        self.number, self.real = number, real
        self.label = f"mta{number or ''}"
        self.host = Host(net, self.label, 100 + number, *(layers[1:] if real else layers))

    def edit(self, name, edits):
        path = self.host.path(name)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for old, new in edits:
            text, count = re.subn(old, lambda m, new=new: new, text, count=1, flags=re.M)
            if count != 1:
                raise RuntimeError(f"{name}: nothing matches {old}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def sh(self, command):
        done = self.host.sh(command)
        if done.returncode != 0:
            raise RuntimeError(f"{self.label}: {command}: {done.stdout}")
        return done.stdout

    def configure_dovecot(self):
        n = self.number
        self.sh(f"rm -rf /etc/dovecot && cp -r {SHARE} /etc/dovecot")
        self.host.write("/etc/dovecot/vusers", "".join(
            f"{user}@vm{n}.vm:{{Plain}}{user}::::::\n" for user in USERS[n]))
        for name, edits in DOVECOT_EDITS.items():
            self.edit("/etc/dovecot/" + name, [(
                old, new.format(n=n) if "{n}" in new or "{{" in new else new) for old, new in edits])

    def configure_postfix(self):
        n = self.number
        if self.real:
            self.sh("mkdir -p /etc/postfix && cp /usr/share/postfix/main.cf.dist /etc/postfix/main.cf && "
                    "cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf && "
                    "sed -i '/^setgid_group/d; /^sendmail_path/d; /^newaliases_path/d; /^mailq_path/d; "
                    "/^html_directory/d; /^manpage/d; /^sample/d; /^readme/d' /etc/postfix/main.cf")
        with open(self.host.path("/etc/postfix/main.cf"), "a", encoding="utf-8") as f:
            if n:
                f.write(MTA_CF.format(n=n))
            else:
                f.write(RELAY_CF)
            f.write(TLS.format(host=self.label, auth_only="smtpd_tls_auth_only = yes\n" if n else ""))
            # The document's hosts have no DNS, and Debian's have mail for local users.
            f.write("setgid_group = postdrop\nalias_maps =\n" if self.real else "")
        text = re.sub(r"^smtp +inet.*$", "", self.host.read("/etc/postfix/master.cf"), flags=re.M)
        self.host.write("/etc/postfix/master.cf", MASTER_CF + text + SMTPS)
        if n:
            self.host.write("/etc/postfix/vusers", "".join(
                f"{user}@vm{n}.vm vm{n}.vm/{user}/\n" for user in USERS[n]))
            self.sh("postmap /etc/postfix/vusers")

    def route(self, transport):
        """The table ts: TRANSPORT is a format with the address of the next host."""
        others = [n for n in (1, 2, 3) if n != self.number]
        self.host.write("/etc/postfix/ts", "# ts\n" + "".join(
            f"vm{n}.vm  " + transport.format(f"{NET}.{100 + n if self.number == 0 else 100}") + "\n"
            for n in others))
        self.sh("postmap /etc/postfix/ts")

    def start(self):
        if self.number:
            self.sh("dovecot >/run/dovecot.out 2>&1")  # a real one goes on holding both
        self.sh("postfix start")
        for port in (25, 587, 465) + ((995,) if self.number else ()):
            wait_until(lambda p=port: re.search(
                rf":{p}\b", self.host.sh("ss -tnlp | grep -E 'master|dovecot'").stdout),
                f"{self.label}: port {port}")

    def stop(self):
        self.host.sh("postfix stop")
        if self.number:
            self.host.sh("doveadm stop")

    def log(self):
        try:
            return self.host.read("/var/log/maillog")
        except FileNotFoundError:
            return ""


def build(net, layers, real=None):
    mtas = [Mta(net, number, layers, number == real) for number in range(4)]
    for mta in mtas:
        if mta.number:
            mta.configure_dovecot()
        mta.configure_postfix()
    return mtas


def routes(mtas, out, relay):
    for mta in mtas:
        mta.route(relay if mta.number == 0 else out)


def messages(mta, user):
    n = mta.number
    said = mta.host.sh(POP3.format(user=f"{user}@vm{n}.vm", password=user, command="list",
                                   address=f"{NET}.{100 + n}")).stdout
    found = re.search(r"^\+OK (\d+) messages", said, re.M)
    return int(found[1]) if found else 0


def send(mtas, sender, rcpt, subject, auth=True):
    n = next(n for n, users in USERS.items() if sender in users)
    login = LOGIN.format(user=BASE64[sender][0], password=BASE64[sender][1]) if auth else ":"
    return mtas[n].host.sh(SEND.format(host=f"mta{n}", login=login, sender=sender, rcpt=rcpt,
                                       subject=subject, address=f"{NET}.{100 + n}")).stdout


def deliver(mtas, sender, rcpt, to, what):
    """What the server said to the sender, and what the recipient's POP3 server gives, or None."""
    before = messages(mtas[to], rcpt)
    sent = send(mtas, sender, f"{rcpt}@vm{to}.vm", f"{sender} to {rcpt}: {what}")
    try:
        wait_until(lambda: messages(mtas[to], rcpt) > before, f"{rcpt}'s mail")
    except TimeoutError:
        return sent, None
    return sent, mtas[to].host.sh(POP3.format(
        user=f"{rcpt}@vm{to}.vm", password=rcpt, command=f"retr {before + 1}",
        address=f"{NET}.{100 + to}")).stdout


def exchange(mtas, what):
    """alice to bob, bob to beta, alpha to alice, each through the relay."""
    ways = (("alice", "bob", 2), ("bob", "beta", 3), ("alpha", "alice", 1))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda way: deliver(mtas, *way, what), ways))
    for (sender, rcpt, _), (sent, got) in zip(ways, said):
        tap.like(sent, r"^250 2\.0\.0 Ok: queued as \w+", f"{what}: {sender} to {rcpt} is accepted")
        tap.like(got or "", rf"(?i)^subject: {sender} to {rcpt}: {re.escape(what)}",
                 f"{what}: {rcpt} has mail") or show_logs(mtas)
        tap.equal(len(re.findall(r"^Received: ", got or "", re.M)), 3, f"{what}: it came by three hosts")


def show_logs(mtas):
    for mta in mtas:
        for line in mta.log().splitlines()[-12:]:
            tap.note(f"{mta.label}: {line}")


def test_relays(mtas):
    """What the three logs say of a message that was encrypted on all its ways."""
    for mta in mtas[1:]:
        tap.like(mta.log(), r"postfix/relay/smtp\[\d+\]: \w+: to=<\w+@vm\d\.vm>, relay=172\.16\.108\.100"
                            r"\[172\.16\.108\.100\]:25, delay=[\d.]+, delays=[\d./]+, (tls=\S+, )?dsn=2\.0\.0, "
                            r"status=sent \(250 2\.0\.0 Ok: \d+ bytes queued as \w+\)", f"{mta.label}: to the relay")
        tap.like(mta.log(), r"postfix/relay/smtp\[\d+\]: Untrusted TLS connection established to "
                            r"172\.16\.108\.100\[172\.16\.108\.100\]:25: TLSv1\.3 with cipher",
                 f"{mta.label}: by TLS")
    tap.like(mtas[0].log(), r"postfix/relay/smtp\[\d+\]: \w+: to=<bob@vm2\.vm>, "
                            r"relay=172\.16\.108\.102\[172\.16\.108\.102\]:25, .*status=sent",
             "the relay hands over")
    tap.like(mtas[2].log(), r"postfix/virtual\[\d+\]: \w+: to=<bob@vm2\.vm>, .*status=sent "
                            r"\(delivered to maildir\)", "mta2 delivers")


def test_unusual(mtas):
    said = send(mtas, "alice", "bob@vm2.vm", "no login", auth=False)
    tap.like(said, r"^554 5\.7\.1 <alice>: Sender address rejected: Access denied",
             "unauthenticated, another domain: refused")
    said = mtas[1].host.sh(SEND.format(host="x", login=":", sender="alice", rcpt="x@elsewhere.test",
                                       subject="x", address=f"{NET}.100")).stdout
    tap.unlike(said, "queued as", "the relay is for the three domains alone") \
        if not mtas[0].real else None
    mtas[0].host.write("/etc/postfix/ts", "vm2.vm  relay-stmps:172.16.108.102\n")
    mtas[0].sh("postmap /etc/postfix/ts && postfix reload")
    send(mtas, "alice", "bob@vm2.vm", "a transport that is not there")
    wait_until(lambda: re.search(r"to=<bob@vm2\.vm>.*status=deferred \(mail transport unavailable\)",
                                 mtas[0].log()), "the mistyped transport in the log")
    tap.ok(True, "a mistyped transport defers, and the log says so")


def test_ours(net, layers):
    mtas = build(net, layers)
    routes(mtas, "relay:{}", "relay:{}")
    for mta in mtas:
        mta.start()
    exchange(mtas, "port 25")
    test_relays(mtas)
    routes(mtas, "relay:{}:587", "relay:{}:587")
    exchange(mtas, "port 587")
    routes(mtas, "relay-smtps:{}:465", "relay-smtps:{}:465")
    exchange(mtas, "smtps")
    if shutil.which("stunnel"):
        for mta in mtas[1:]:
            mta.host.write("/etc/stunnel/stunnel.conf", STUNNEL)
            mta.sh("sed -i 's/^smtp_tls_security_level = encrypt/smtp_tls_security_level = may/' "
                   "/etc/postfix/main.cf && stunnel && postfix reload")
            wait_until(lambda m=mta: ":25000" in m.host.sh("ss -tnlp").stdout, "stunnel")
        routes(mtas, "relay:127.0.0.1:25000", "relay-smtps:{}:465")
        exchange(mtas, "stunnel")
    else:
        tap.skip("stunnel is not installed (package stunnel4)", "stunnel")
    test_unusual(mtas)
    for mta in mtas:
        mta.host.end()


def test_mixed(net, layers):
    for real in range(4):
        mtas = build(net, layers, real)
        routes(mtas, "relay:{}", "relay:{}")
        for mta in mtas:
            mta.start()
        exchange(mtas, f"a real {mtas[real].label}")
        for mta in mtas:
            mta.host.end()


def main():
    net = Network(NET)
    certificates = layer("certificates", CERTIFICATES)
    ours = layer("ours", hostroot.install_command(), certificates)
    test_ours(net, (ours, certificates))
    test_mixed(net, (ours, certificates))


hostroot.enter()
if not os.path.isdir(SHARE + "/conf.d"):
    tap.skip_all("Debian's dovecot-core, whose conf.d files are edited here, is not installed")
tap.run(main)
