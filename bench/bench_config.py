# SPDX-License-Identifier: BSD-2-Clause
"""What a target of the benchmarks is configured with: certificates, accounts, main.cf, master.cf,
dovecot.conf and tables, the same for Postcote and for the installed Postfix and Dovecot wherever
both can read it; and target.json, which tells the benchmarks how to reach and watch it."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

USERS = 1000
DOMAIN = "bench.test"
MAIL_UID = 5000
SCHEMES = {"plain": ["PLAIN"], "s512": ["SHA512-CRYPT"], "bcrypt": ["BLF-CRYPT"],
           "bcrypt10": ["BLF-CRYPT", "-r", "10"], "argon": ["ARGON2ID"]}
USERS_PER_SCHEME = 100

# What is added to the base port.
PORTS = {"smtp": 25, "smtp_scale": 26, "submission": 587, "pop3": 110, "pop3s": 995, "imap": 143,
         "imaps": 993, "sink": 99, "sinktls": 98, "hold": 97}


def run(*argv, check=True):
    """Output goes to a file, not to a pipe: a daemon keeps its descriptors for ever."""
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT, timeout=60)
        output.seek(0)
        text = output.read()
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, argv))}: {text}")
    return text


def read_pid(path):
    try:
        return int(pathlib.Path(path).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return 0


def is_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def wait_for_banner(port, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as sock:
                sock.settimeout(5)
                if sock.recv(100):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"port {port}: no banner within {seconds} s")


class Layout:
    """Where the files of a target lie, below one directory, and its ports."""

    def __init__(self, directory, base):
        self.dir = pathlib.Path(directory).resolve()
        self.ports = {name: base + offset for name, offset in PORTS.items()}
        self.postfix = self.dir / "etc/postfix"
        self.dovecot_conf = self.dir / "etc/dovecot/dovecot.conf"
        self.tls = self.dir / "etc/ssl"
        self.users = self.dir / "users"
        self.passwd = self.dir / "etc/dovecot/passwd"
        self.mail = self.dir / "mail"
        self.spool = self.dir / "spool"
        self.data = self.dir / "data"
        self.run = self.dir / "run"
        self.log = self.dir / "log"
        self.postfix_pid = self.spool / "pid/master.pid"
        self.dovecot_pid = self.run / "master.pid"
        self.target = self.dir / "target.json"

    def prepare(self, owner_uid):
        """Directories, certificates, accounts.  DATA belongs to the mail owner."""
        for path in (self.postfix, self.dovecot_conf.parent, self.tls, self.mail, self.spool,
                     self.data, self.run, self.log):
            path.mkdir(parents=True, exist_ok=True)
        os.chmod(self.dir, 0o755)
        os.chown(self.mail, MAIL_UID, MAIL_UID)
        os.chown(self.data, owner_uid, -1)
        make_certificates(self.tls)
        self.make_users()

    def make_users(self):
        """USERS is what load clients read (user:password), and one such file per scheme."""
        if self.passwd.exists():
            return
        names = [f"u{i}@{DOMAIN}" for i in range(1, USERS + 1)]
        lines = [f"{name}:{{PLAIN}}secret::::::" for name in names]
        self.users.write_text("".join(f"{name}:secret\n" for name in names), encoding="ascii")
        for key, scheme in SCHEMES.items():
            digest = run("doveadm", "pw", "-p", "secret", "-s", *scheme).strip()
            names = [f"{key}{i}@{DOMAIN}" for i in range(1, USERS_PER_SCHEME + 1)]
            lines += [f"{name}:{digest}::::::" for name in names]
            self.scheme_users(key).write_text("".join(f"{name}:secret\n" for name in names),
                                              encoding="ascii")
        self.passwd.write_text("\n".join(lines) + "\n", encoding="ascii")

    def scheme_users(self, key):
        return self.dir / f"users.{key}"

    def write_tables(self):
        """vmailbox and transport, as text."""
        users = range(1, USERS + 1)
        (self.postfix / "vmailbox").write_text(
            "".join(f"u{i}@{DOMAIN} u{i}/\nu{i}@lm.{DOMAIN} u{i}/\n" for i in users),
            encoding="ascii")
        sink = f"smtp:[127.0.0.1]:{self.ports['sink']}"
        (self.postfix / "transport").write_text(
            f"sink.test {sink}\n"
            f"sinktls.test smtptls:[127.0.0.1]:{self.ports['sinktls']}\n"
            f"hold.test smtp:[127.0.0.1]:{self.ports['hold']}\n"
            f"lm.{DOMAIN} lmtp:unix:{self.dir}/lmtp\n", encoding="ascii")
        (self.postfix / "transport.pcre").write_text(
            f"/^d\\d+\\.many\\.test$/ {sink}\n"
            f"/^(.*@)?d\\d+\\.many\\.test$/ {sink}\n", encoding="ascii")

    def write_target(self, name, pids, commands, absent=()):
        """ABSENT: names of ports that nobody listens on."""
        target = {
            "name": name, "host": "127.0.0.1", "domain": DOMAIN,
            "ports": {key: port for key, port in self.ports.items()
                      if key != "hold" and key not in absent},
            "users": str(self.users),
            "auth_users": {key: str(self.scheme_users(key)) for key in SCHEMES},
            "ca": str(self.tls / "ca.pem"), "cert": str(self.tls / "cert.pem"),
            "key": str(self.tls / "key.pem"),
            "lmtp": str(self.dir / "lmtp"),
            "maildir": f"{self.mail}/%n", "mail_owner": [MAIL_UID, MAIL_UID],
            "relay_domains": {"sink": "sink.test", "sinktls": "sinktls.test", "hold": "hold.test",
                              "many": "d%d.many.test", "lmtp": f"lm.{DOMAIN}"},
            "pids": pids, "main_cf": str(self.postfix / "main.cf"),
            "cmd": dict(commands, smtp_pidfile=str(self.postfix_pid),
                        imap_pidfile=str(self.dovecot_pid)),
        }
        self.target.write_text(json.dumps(target, indent=1), encoding="utf-8")
        print(self.target, pids)


def make_certificates(tls):
    if (tls / "cert.pem").exists():
        return
    key = ("-newkey", "rsa:2048", "-nodes")
    run("openssl", "req", "-x509", *key, "-days", "3650", "-subj", "/CN=Bench CA",
        "-keyout", tls / "ca.key", "-out", tls / "ca.pem")
    (tls / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n",
                                    encoding="ascii")
    run("openssl", "req", *key, "-subj", "/CN=localhost", "-keyout", tls / "key.pem",
        "-out", tls / "request.pem")
    run("openssl", "x509", "-req", "-in", tls / "request.pem", "-CA", tls / "ca.pem",
        "-CAkey", tls / "ca.key", "-CAcreateserial", "-days", "3650",
        "-extfile", tls / "extensions", "-out", tls / "cert.pem")


def main_cf(at, programs):
    """PROGRAMS: parameters that say where the suite's programs lie."""
    return f"""\
compatibility_level = 3.6
queue_directory = {at.spool}
data_directory = {at.data}
{programs}mail_owner = postfix
setgid_group = postdrop
maillog_file = {at.log}/mail.log
maillog_file_prefixes = {at.dir}
myhostname = mx.{DOMAIN}
mydestination =
local_recipient_maps =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
biff = no
alias_maps =
alias_database =
virtual_mailbox_domains = {DOMAIN}, lm.{DOMAIN}
virtual_mailbox_base = {at.mail}
virtual_mailbox_maps = hash:{at.postfix}/vmailbox
virtual_uid_maps = static:{MAIL_UID}
virtual_gid_maps = static:{MAIL_UID}
virtual_mailbox_limit = 0
message_size_limit = 52428800
transport_maps = hash:{at.postfix}/transport, pcre:{at.postfix}/transport.pcre
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_security_level = may
smtpd_tls_cert_file = {at.tls}/cert.pem
smtpd_tls_key_file = {at.tls}/key.pem
smtpd_tls_session_cache_database =
smtpd_sasl_type = dovecot
smtpd_sasl_path = {at.dir}/auth-client
smtpd_sasl_security_options = noanonymous
smtp_tls_CAfile = {at.tls}/ca.pem
smtp_tls_session_cache_database = btree:{at.data}/smtp_scache
smtp_host_lookup = native
disable_dns_lookups = yes
default_process_limit = 300
in_flow_delay = 0
initial_destination_concurrency = 20
default_destination_concurrency_limit = 50
smtp_destination_concurrency_limit = 50
virtual_destination_concurrency_limit = 50
"""


def master_cf(at):
    ports = at.ports
    return f"""\
{ports['smtp']} inet n - n - 300 smtpd
{ports['smtp_scale']} inet n - n - 5600 smtpd
{ports['submission']} inet n - n - 300 smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=no
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
smtptls unix - - n - - smtp
  -o smtp_tls_security_level=encrypt
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


LOGIN_PERFORMANCE = """\
  service_count = 0
  process_min_avail = 2
  client_limit = 10000
  process_limit = 4
"""
LOGIN_SECURITY = """\
  service_count = 1
  process_min_avail = 0
  client_limit = 1
  process_limit = 6000
"""
MAILBOX_PERFORMANCE = "  service_count = 256\n  process_min_avail = 2\n"
MAILBOX_SECURITY = "  service_count = 1\n  process_min_avail = 0\n"
MAILBOX_HIBERNATE = """\
  service_count = 1
  process_min_avail = 2
  unix_listener imap-master {
    user = dovecot
  }
"""
HIBERNATE = """\
imap_hibernate_timeout = 5s
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0666
  }
}
"""


def dovecot_services(at, protocols, mode):
    """The login and mailbox halves.  hs: a process per session, as Dovecot ships them; hp: shared
    processes; hib: hp, and IMAP sessions that idle are put to sleep."""
    text = ""
    for protocol in protocols:
        login = LOGIN_SECURITY if mode == "hs" else LOGIN_PERFORMANCE
        mailbox = MAILBOX_SECURITY if mode == "hs" else MAILBOX_PERFORMANCE
        if mode == "hib" and protocol == "imap":
            mailbox = MAILBOX_HIBERNATE
        text += f"""\
service {protocol}-login {{
{login}  inet_listener {protocol} {{
    port = {at.ports[protocol]}
  }}
  inet_listener {protocol}s {{
    port = {at.ports[protocol + 's']}
    ssl = yes
  }}
}}
service {protocol} {{
{mailbox}  process_limit = 6000
}}
"""
    return text


def dovecot_conf(at, protocols, mode):
    text = f"""\
base_dir = {at.run}
state_dir = {at.run}
log_path = {at.log}/dovecot.log
protocols = {' '.join(protocols)}
listen = 127.0.0.1
ssl = yes
ssl_cert = <{at.tls}/cert.pem
ssl_key = <{at.tls}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{at.mail}/%n
first_valid_gid = 1
default_process_limit = 6000
default_client_limit = 30000
default_vsz_limit = 4G
mail_max_userip_connections = 100000
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {at.passwd}
}}
userdb {{
  driver = static
  args = uid={MAIL_UID} gid={MAIL_UID} home={at.mail}/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = create
  }}
  mailbox Trash {{
    auto = create
  }}
}}
service auth {{
  client_limit = 30000
  unix_listener {at.dir}/auth-client {{
    mode = 0666
  }}
}}
"""
    if mode == "hib":
        text += HIBERNATE
    return text + dovecot_services(at, [p for p in protocols if p != "lmtp"], mode)
