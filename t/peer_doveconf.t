#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""doveconf beside Dovecot 2.3's, over a corpus of configurations: the same output byte for byte, the same
exit status and the same first complaint.

Left out of the comparison: the versions in the two lines at the top; what belongs to ManageSieve, whose
package the peer may lack; its advice on the limits of its own processes. Of several errors the peer tells the first one, we tell all.
"""

import difflib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap

BUILD = os.environ.get("PC_BUILDDIR", os.path.join(HERE, "..", "build"))
OURS = os.path.join(BUILD, "doveconf")
PEER = "/usr/bin/doveconf"
CORPUS = os.path.join(HERE, "data", "doveconf")

# What there is to print, small: name, text, options.
SMALL = [
    ("nothing", "", ["-n"]),
    ("numbers of all kinds", """
auth_cache_size = 1536k
auth_cache_ttl = 90 secs
auth_cache_negative_ttl = 120 mins
auth_failure_delay = 1hour
auth_verbose = Y
auth_debug = 1
mail_attachment_min_size = 10 MiB
mail_max_userip_connections = 007
login_proxy_timeout = 1500 ms
imap_idle_notify_interval = 14 days
config_cache_size = 1025B
mail_max_lock_timeout = 0 hours
""", ["-n"]),
    ("defaults that are set", """
ssl = yes
mail_fsync = optimized
auth_cache_ttl = 60m
passdb {
  driver = pam
  deny = no
}
service auth {
  client_limit = 0
  user = $default_internal_user
}
service imap {
  client_limit = 1
}
namespace a {
  inbox = no
  type = private
  mailbox X {
    auto = no
  }
}
""", ["-n"]),
    ("the same with -N", """
ssl = yes
auth_cache_ttl = 60m
mail_location = x
mail_location =
passdb {
  driver = pam
  deny = no
}
passdb foo {
  driver = static
}
userdb {
  driver = passwd
}
service auth {
  client_limit = 0
}
""", ["-N"]),
    ("labels", """
service "a b" {
  unix_listener "x y" {
    mode = 0600
  }
}
service "c/d" {
  user = x
  inet_listener {
    port = 1
  }
  inet_listener {
    port = 2
  }
  inet_listener named {
    port = 3
  }
}
plugin x {
  a = b
}
dict y {
  a = b
}
""", ["-n"]),
    ("twelve databases", "".join(
        "passdb {\n driver = static\n args = n=%d\n}\n" % i for i in range(12)), ["-n"]),
    ("namespaces", """
namespace {
  prefix = shared/%%u/
  separator = /
  type = shared
  mailbox "Sent Messages" {
    special_use = \\Sent
  }
}
namespace inbox {
  inbox = yes
}
namespace inbox {
  mailbox Trash {
    auto = create
  }
}
namespace {
  prefix = x
}
""", ["-n"]),
    ("quotes", """
login_greeting = 'hi "there" x'
mail_location = ' a '
log_timestamp = "%Y #x"
mail_log_prefix = "a \\"b\\" \\\\ c: "
rejection_subject = a"#b" # c
rejection_reason = "x" y
auth_username_format = "a b
postmaster_address = 'it''s
""", ["-n"]),
    ("comments", """
# c \\
ssl = no
  # another
mail_location = x # comment
login_greeting = "x" # comment
auth_mechanisms = plain \\
  login
listen = 1.2.3.4 # a
""", ["-n"]),
    ("a hash in a word", "mail_location = M#x\nlogin_greeting = a b#c d\nssl = no#x\n", ["-n"]),
    ("tabs and ends of lines", "  mail_location =\ta\tb\t\r\nssl=no\r\n\r\n", ["-n"]),
    ("other settings", """
mail_plugins = a
mail_plugins = $mail_plugins b
mail_plugins = $mail_plugins $mail_plugins $mail_location
mail_location = $mail_fsync z
login_greeting = x $nosuch y
""", ["-n"]),
    ("other settings, expanded", """
mail_plugins = a b
mail_location = x $mail_plugins $mail_fsync
mail_plugins = "$mail_plugins b"
service auth {
  user = $default_internal_user
  client_limit = $default_client_limit
}
""", ["-n", "-x"]),
    ("other settings in filters", """
mail_plugins = a
protocol imap {
  mail_plugins = $mail_plugins b
}
protocol imap {
  mail_plugins = $mail_plugins c
}
remote 10.0.0.0/8 {
  protocol pop3 {
    mail_plugins = $mail_plugins d
  }
}
""", ["-n"]),
    ("files", "mail_plugins = <nosuch\nssl_cert = </etc/x.pem\nssl_key = </etc/y\nssl_dh = <z\n",
     ["-n"]),
    ("secrets", """
imapc_password = secret
doveadm_password = secret2
doveadm_api_key = sec3
auth_policy_hash_nonce = nn
ssl_key = </etc/key
ssl_key_password = x
passdb {
  driver = static
  args = password=foo uid=3
}
plugin {
  a = key:xyz x=1
  b = http://user:pw@host/ b
  c = imapc: user=a:key=b
  d = secretfoo=1 keyboard=2
  e = PASS=1 Key=2
  f = passwd
  g = x/pass=a y,pass=b z.key=d
  h = key = foo bar
  i = pass= foo
  j = host=x&password=foo&b=c d
  k = https://u@h key=a key=b
  l = "key=a#b "
  m = password=
  n = pass:foo,x=y
  o = keys=1 xpass=d key=
  password = x
  foo_key = y
  my_nonce = x
}
""", ["-n"]),
    ("secrets shown", "ssl_key = </k\npassdb {\n driver = static\n args = password=foo\n}\n"
     "plugin {\n a_key = \" b\"\n}\n", ["-n", "-P"]),
    ("paths as names", """
service/auth/client_limit = 4
service/imap-login/inet_listener/imap/port = 0
plugin/quota = x
""", ["-n"]),
    ("filters", """
ssl_cert = </g
local_name a.example {
  ssl_cert = </name
}
local 192.0.2.1 {
  ssl = no
  protocol imap {
    ssl = required
  }
}
remote 10.0.0.0/8 {
  disable_plaintext_auth = no
  protocol pop3 {
    disable_plaintext_auth = yes
  }
}
remote 10.1.2.3/32 {
  mail_debug = yes
}
remote ::1 {
  mail_debug = yes
}
protocol !imap {
  mail_max_userip_connections = 3
}
protocol imap {
  mail_plugins = x
}
protocol imap {
  plugin {
    a = b
  }
  mail_fsync = optimized
}
protocol pop3 {
}
protocol lmtp {
  namespace inbox {
    prefix = x
  }
}
local 192.0.2.7 {
  local_name "x.y z.y" {
    remote 10.0.0.0/8 {
      protocol imap {
        mail_plugins = deep
      }
    }
  }
}
""", ["-n"]),
    ("filters that are asked for", """
mail_plugins = a
protocol imap {
  mail_plugins = b
  ssl = no
  plugin {
    x = y
  }
}
remote 10.0.0.0/8 {
  disable_plaintext_auth = no
}
remote 10.1.0.0/16 {
  disable_plaintext_auth = yes
}
local_name b.example {
  ssl_min_protocol = TLSv1.3
}
plugin {
  x = z
}
""", ["-n", "-f", "protocol=imap", "-f", "remote=10.1.2.3"]),
    ("a setting after its filter", """
mail_location = a
protocol imap {
  mail_location = $mail_location b
}
mail_location = c
""", ["-n"]),
    ("metrics", """
metric m1 {
  filter = event=x
}
event_exporter e1 {
  format = none
  transport = log
  transport_timeout = 250 ms
}
""", ["-n"]),
    ("modes", "service auth {\n unix_listener x {\n  mode = 660\n }\n unix_listener y {\n  mode = 0\n }\n"
     " unix_listener z {\n  mode = 0660\n }\n}\n", ["-n"]),
]

# Questions by name about one configuration.
BY_NAME_TEXT = """
protocols = imap pop3
mail_plugins = quota
protocol imap {
  mail_plugins = $mail_plugins imap_quota
}
remote 10.0.0.0/8 {
  mail_plugins = $mail_plugins far
}
plugin {
  quota = maildir
}
dict {
  quota = pgsql:/etc/x
}
namespace x {
  inbox = yes
}
ssl_key = </etc/key
"""
BY_NAME = [
    ["ssl", "mail_plugins"], ["nosuch"], ["ssl", "nosuch", "listen"], ["service/imap"],
    ["service/imap/executable"], ["-h", "service/imap/executable"], ["plugin"], ["plugin/quota"],
    ["plugin/foo"], ["dict"], ["dict/quota"], ["protocol"], ["-n", "ssl", "mail_plugins"],
    ["-a", "ssl"], ["-d", "ssl", "mail_plugins"], ["-N", "protocols"], ["namespace"],
    ["namespace/x/inbox"], ["-h", "ssl", "listen", "auth_cache_ttl"],
    ["-f", "protocol=imap", "-h", "mail_plugins"], ["-f", "service=imap", "mail_plugins"],
    ["-f", "remote=10.1.1.1", "mail_plugins"], ["-f", "protocol=pop3", "mail_plugins"],
    ["-h", "log_timestamp"], ["-f", "foo=bar", "ssl"], ["ssl_key"], ["-h", "ssl_key"],
    ["-P", "ssl_key"], ["service/auth/unix_listener/auth-client/mode"],
]

WRONG = [
    "foo = bar", "service foo {\n bar = 1\n}", "foo {\n}", "ssl = YES", "ssl", "ssl yes",
    "ssl = yes }", "service auth {", "}", "service auth { client_limit = 1 }", "service auth\n{\n}",
    "auth_verbose = true", "auth_debug = off", "auth_debug = n", "auth_debug =",
    "auth_cache_size = -1", "auth_cache_size = 10 X", "auth_cache_size = 1 kx",
    "auth_cache_size = 1.5M", "auth_cache_size = 99999999999999999999",
    "auth_cache_size = unlimited", "auth_failure_delay = 3", "auth_failure_delay = 3 foo",
    "auth_cache_ttl = 1500 ms", "auth_cache_ttl = 1 weekss", "auth_cache_ttl = 99999 weeks",
    "auth_worker_max_count = -3", "auth_worker_max_count = 3x", "auth_worker_max_count =",
    "auth_worker_max_count = +3", "auth_worker_max_count = 4294967296",
    "auth_worker_max_count = unlimited", "mail_fsync = Always", "!include nosuch.conf",
    "!include no*.conf", "!include_try nosuch.conf", "protocols = foo", "remote foo bar {\n}",
    "protocol imap {\n protocol pop3 {\n }\n}", "local_name a.b {\n local 1.2.3.4 {\n }\n}",
    "remote 1.2.3.4 {\n local 1.2.3.4 {\n }\n}", "protocol imap {\n remote 1.2.3.4 {\n }\n}",
    "remote 1.2.3.4/33 {\n}", "remote 1.2.3.4 {\n auth_debug = yes\n}", "MAIL_LOCATION = x", "mail_location \"x\" = y",
    "service auth {\n unix_listener x {\n  mode = 0x1\n }\n}",
    "service auth {\n unix_listener x {\n  mode = 0899\n }\n}",
    "plugin {\n q = 1\n r = $q x\n}", "passdb foo {\n driver = pam\n}\npassdb foo {\n args = x\n}",
    "dict {\n a b = c\n}", "auth_cache_size = 5", "login_dir = /x", "ssl_cert_file = /x",
    "ssl_disable = yes", "ssl_protocols = !SSLv3", "ssl_parameters_regenerate = 1 h",
    "ssl_dh_parameters_length = 2048", "login_max_processes_count = 3", "max_mail_processes = 3",
    "login_user = x", "sieve = x", "auth_count = 1", "service dns_client {\n client_limit = 3\n}",
    "protocol managesieve {\n mail_debug = yes\n}", "syslog_facility = foo",
    "auth_worker_max_count = 0", "pop3_client_workarounds = foo", "pop3_uidl_format = %q",
    "auth_verbose_passwords = foo", "passdb {\n}", "userdb {\n}",
]


def run(program, path, options, cwd):
    done = subprocess.run([program, "-c", path] + options, cwd=cwd, capture_output=True,
                          timeout=60)
    return done.returncode, clean(done.stdout.decode(errors="replace")), done.stderr.decode()


def clean(text):
    """Without the versions and what the peer has only with a package more."""
    text = re.sub(r"\A# 2\.3\.\S+ \(\w+\):", "# VERSION:", text)
    text = re.sub(r"^# Pigeonhole version .*$", "# Pigeonhole", text, flags=re.M)
    text = re.sub(r"^managesieve_.*\n", "", text, flags=re.M)
    text = re.sub(r"^service/managesieve.*\n", "", text, flags=re.M)
    text = re.sub(r"^(service=.*) managesieve-login managesieve\b", r"\1", text, flags=re.M)
    return re.sub(r"^service managesieve(-login)? \{\n(  .*\n)*\}\n", "", text, flags=re.M)


def same(name, path, options, cwd):
    peer, ours = run(PEER, path, options, cwd), run(OURS, path, options, cwd)
    tap.ok(ours[1] == peer[1], f"{name}: output", "\n".join(difflib.unified_diff(
        peer[1].splitlines(), ours[1].splitlines(), "peer", "ours", lineterm="", n=1)))
    tap.equal(ours[0], peer[0], f"{name}: exit status")
    tap.equal(complaint(ours[2]), complaint(peer[2]), f"{name}: first complaint")


def complaint(text):
    """The first one; how many connections the peer's processes would need is not our worry."""
    lines = [line for line in text.splitlines()
             if not re.match(r"doveconf: Warning: service \w+ \{ client_limit=|"
                             r"doveconf: Warning: service auth|  service auth", line)]
    return lines[:1]


def write(directory, text):
    with open(os.path.join(directory, "e.conf"), "w", encoding="utf-8") as f:
        f.write(text)
    return "e.conf"


def main():
    if not os.path.exists(PEER):
        tap.skip_all("there is no Dovecot here to compare with")
    with tempfile.TemporaryDirectory(prefix="pc-doveconf-") as directory:
        for name, text, options in SMALL:
            same(name, write(directory, text), options, directory)
        write(directory, BY_NAME_TEXT)
        for options in BY_NAME:
            same(" ".join(options), "e.conf", options, directory)
        for options in (["-a"], ["-d"], ["-a", "-s"], ["-a", "-f", "protocol=imap"], ["-S", "-n"],
                        ["-a", "-m", "pop3-login"], ["-a", "-m", "imap"]):
            same("all of it " + " ".join(options), "e.conf", options, directory)
        for text in WRONG:
            same(repr(text), write(directory, text + "\n"), ["-n"], directory)
    for path in sorted(glob.glob(os.path.join(CORPUS, "*.conf"))):
        for options in (["-n"], ["-N"], ["-a"]):
            same(f"{os.path.basename(path)} {options[0]}", os.path.basename(path), options, CORPUS)
    if os.path.exists("/usr/share/dovecot/dovecot.conf") and os.path.exists("/etc/dovecot/conf.d"):
        for options in (["-n"], ["-N"], ["-a"], ["-n", "-P"]):
            same("Debian's " + options[0], "/etc/dovecot/dovecot.conf", options, "/")
    tap.done()


main()
