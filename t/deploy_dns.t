#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A deployment as far as its DNS goes: a zone of the administrators' own BIND says where the mail of
their domain goes, a real Postfix with local users takes it there, and our host finds the way to it;
then with a better MX that is down, and back, to a domain whose MX is ours."""

import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hosts import Host, Network, layer  # noqa: E402
from instance import wait_until  # noqa: E402

# As the distribution has them, before the administrators' sed.
NAMED_CONF = """options {
	listen-on port 53 { 127.0.0.1; };
	listen-on-v6 port 53 { ::1; };
	directory "/var/named";
	allow-query { localhost; };
	recursion yes;
	dnssec-validation no;
	pid-file "/run/named.pid";
};
include "/etc/named.rfc1912.zones";
"""

BIND = r"""
sed -i -e 's,127.0.0.1;,any;,g' -e 's,localhost;,any;,g' -e 's,::1;,any;,g' /etc/named.conf
sed -i '/recursion yes/a\\tforwarders { 114.114.114.114; 8.8.8.8; };' /etc/named.conf

cat <<EOF> /etc/named.rfc1912.zones
zone "linuxprobe.com" IN {
    type master;
    file "linuxprobe.com.zone";
    allow-update { none; };
};
zone "ours.test" IN { type master; file "ours.test.zone"; };
EOF

mkdir -p /var/named
cat <<EOF> /var/named/linuxprobe.com.zone
\$TTL 1D
@       IN SOA  linuxprobe.com. root.linuxprobe.com (0 1D 1H 1W 3H);
        NS      ns.linuxprobe.com.
ns      A       192.168.10.10
@       MX 10   mail.linuxprobe.com.
mail    A       192.168.10.10
EOF
cat <<EOF> /var/named/ours.test.zone
\$TTL 1D
@       IN SOA  ours.test. root.ours.test. (0 1D 1H 1W 3H);
        NS      ns.linuxprobe.com.
@       MX 10   mx.ours.test.
mx      A       192.168.10.20
EOF
named -c /etc/named.conf && nslookup mail.linuxprobe.com 192.168.10.10
"""

# The document's seds over a main.cf with its lines that are no comments.
PEER_MAIN_CF = """compatibility_level = 2
inet_interfaces = localhost
inet_protocols = all
mydestination = $myhostname, localhost.$mydomain, localhost
unknown_local_recipient_reject_code = 550
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
setgid_group = postdrop
maillog_file = /var/log/maillog
"""
PEER_START = r"""
sed -i '1i myhostname = mail.linuxprobe.com\nmydomain = linuxprobe.com\nmyorigin = \$mydomain' /etc/postfix/main.cf
sed -i 's,^inet_interfaces =.*,inet_interfaces = all,' /etc/postfix/main.cf
sed -i 's,^mydestination =.*,mydestination = \$myhostname\, \$mydomain,' /etc/postfix/main.cf
useradd boss && newaliases && touch /var/mail/boss && chown boss:mail /var/mail/boss &&
echo nameserver 192.168.10.10 >/etc/resolv.conf && postfix start
"""

OUR_MAIN_CF = """
myhostname = mx.ours.test
inet_protocols = ipv4
virtual_mailbox_domains = ours.test
virtual_mailbox_base = /var/mail/vhosts
virtual_mailbox_maps = inline:{ root@ours.test=root/ }
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
maillog_file = /var/log/maillog
"""


def must(host, command):
    done = host.sh(command)
    if done.returncode != 0:
        raise RuntimeError(f"{host.name}: {command}: {done.stdout}")
    return done.stdout


def send(host, sender, rcpt, text):
    must(host, f"printf 'Subject: test\\n\\n{text}\\n' | sendmail -f {sender} {rcpt}")


def test_dns(theirs):
    theirs.write("/etc/named.conf", NAMED_CONF)
    said = must(theirs, BIND)
    tap.like(said, r"Name:\s+mail\.linuxprobe\.com\nAddress: 192\.168\.10\.10", "nslookup finds the host")


def start_theirs(theirs):
    must(theirs, "mkdir -p /etc/postfix && cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf")
    theirs.write("/etc/postfix/main.cf", PEER_MAIN_CF)
    theirs.write("/etc/aliases", "postmaster: root\n")
    must(theirs, PEER_START)


def start_ours(ours):
    must(ours, "groupadd -g 5000 vmail; useradd -g vmail -u 5000 vmail; mkdir -p /var/mail/vhosts && "
               "chown vmail:vmail /var/mail/vhosts && echo nameserver 192.168.10.10 >/etc/resolv.conf")
    with open(ours.path("/etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write(OUR_MAIN_CF)
    must(ours, "postfix start")


def log_line(host, pattern, what):
    try:
        wait_until(lambda: re.search(pattern, host.read("/var/log/maillog"), re.M), what, 30)
        tap.ok(True, what)
    except TimeoutError as error:
        tap.ok(False, what, f"{error}\n{host.read('/var/log/maillog')[-3000:]}")


def test_mx(ours, theirs):
    send(ours, "root@ours.test", "boss@linuxprobe.com", "hello boss")
    log_line(ours, r"postfix/smtp\[\d+\]: \w+: to=<boss@linuxprobe\.com>, "
                   r"relay=mail\.linuxprobe\.com\[192\.168\.10\.10\]:25, .*dsn=2\.0\.0, status=sent",
             "mail finds its way by MX")
    log_line(theirs, r"to=<boss@linuxprobe\.com>, relay=local, .*status=sent", "and is delivered there")
    tap.like(theirs.read("/var/mail/boss"), "^hello boss$", "cat /var/spool/mail/boss")


def test_dead_mx(ours, theirs):
    """A better MX that is down: the next one gets the mail at once."""
    must(theirs, "printf '@ MX 5 dead.linuxprobe.com.\\ndead A 192.168.10.99\\n' "
                 ">>/var/named/linuxprobe.com.zone && sed -i 's/(0 1D/(1 1D/' /var/named/linuxprobe.com.zone &&"
                 " kill -HUP $(cat /run/named.pid)")
    wait_until(lambda: "dead" in theirs.sh("nslookup -type=mx linuxprobe.com 192.168.10.10").stdout,
               "the new zone")
    send(ours, "root@ours.test", "boss@linuxprobe.com", "hello again")
    log_line(ours, r"postfix/smtp\[\d+\]: connect to dead\.linuxprobe\.com\[192\.168\.10\.99\]:25: "
                   r"No route to host", "the dead MX is tried")
    wait_until(lambda: "hello again" in theirs.read("/var/mail/boss"), "the other one has it")
    tap.ok(True, "the other one gets the mail")


def test_back(ours, theirs):
    send(theirs, "boss@linuxprobe.com", "root@ours.test", "hello root")
    log_line(ours, r"to=<root@ours\.test>, relay=virtual, .*status=sent", "and back, to our MX")
    send(ours, "root@ours.test", "x@nowhere.linuxprobe.com", "x")
    log_line(ours, r"to=<x@nowhere\.linuxprobe\.com>, relay=none, .*dsn=5\.4\.4, status=bounced \(Host or "
                   r"domain name not found\. Name service error for name=nowhere\.linuxprobe\.com "
                   r"type=AA*: Host not found\)", "a domain that is not there bounces")


def main():
    net = Network("192.168.10")
    theirs = Host(net, "mail", 10)
    ours = Host(net, "mx", 20, layer("ours", hostroot.install_command()))
    test_dns(theirs)
    start_theirs(theirs)
    start_ours(ours)
    test_mx(ours, theirs)
    test_dead_mx(ours, theirs)
    test_back(ours, theirs)


hostroot.enter()
for program in ("named", "nslookup", "/usr/lib/postfix/sbin/local"):
    if not shutil.which(program):
        tap.skip_all(f"no {program}")
tap.run(main)
