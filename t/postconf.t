#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postconf: listings and edits, and the same beside the postconf of a real Postfix.

The peer is $PC_PEER_POSTCONF, or /usr/sbin/postconf when that is not ours.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402

BUILD = os.environ.get("PC_BUILDDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
OURS = os.path.join(BUILD, "postconf")
DIR = tempfile.mkdtemp(prefix="postconf.t.")

MAIN = """\
# comment
    # comment
compatibility_level = 3.6
myhostname = mta1.vm1.vm
mydomain=vm1.vm   
smtpd_recipient_restrictions =   permit_mynetworks,
  # inside
\treject_unauth_destination,   

    permit  
virtual_gid_maps = static:5000  
bar = a   b
unused_thing = 1
relayhost = $bar
smtpd_sasl_path =
virtual_mailbox_domains = ${bar?{ x  y }:{ z }} ${{3.6} <level {3.10} ? {a} : {b}}
fallback_relay = backup
forward_path = $home/.forward
smtpd_restriction_classes = strict
strict = reject
hash_queue_names = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p, q r s t u v w x y z aaaaaaaaaaaaaaaaaaaa b
maildrop_destination_recipient_limit = 1
"""

MASTER = """\
# comment
smtp      inet  n       -       n       -       -       smtpd
submission inet n       -       n       -       -       smtpd
  -o syslog_name=postfix/submission
  -o { smtpd_relay_restrictions = permit_sasl_authenticated,reject }
  -o foo=$mydomain
smtps     inet  n       -       n       -       -       smtpd
    -o smtpd_tls_wrappermode=yes
    # inside
  -v -v
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv={/usr/bin/maildrop -d} ${recipient}
a_very_long_service_name  unix  -       n       n       -       0       pipe
  flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient)
"""


def run(program, *args):
    return subprocess.run([program, "-c", DIR, *args], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "MAIL_CONFIG": ""}, check=False)


def write(main=MAIN, master=MASTER):
    with open(os.path.join(DIR, "main.cf"), "w", encoding="utf-8") as f:
        f.write(main)
    with open(os.path.join(DIR, "master.cf"), "w", encoding="utf-8") as f:
        f.write(master)


def main_cf():
    with open(os.path.join(DIR, "main.cf"), encoding="utf-8") as f:
        return f.read()


def test_listing():
    write()
    got = run(OURS, "-n")
    tap.equal(got.returncode, 0, "-n: status")
    tap.equal(got.stdout, f"""\
bar = a b
compatibility_level = 3.6
config_directory = {DIR}
fallback_relay = backup
forward_path = $home/.forward
hash_queue_names = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p, q r s t u v w x y z aaaaaaaaaaaaaaaaaaaa b
maildrop_destination_recipient_limit = 1
mydomain = vm1.vm
myhostname = mta1.vm1.vm
relayhost = $bar
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, permit
smtpd_restriction_classes = strict
smtpd_sasl_path =
strict = reject
virtual_gid_maps = static:5000
virtual_mailbox_domains = ${{bar?{{ x y }}:{{ z }}}} ${{{{3.6}} <level {{3.10}} ? {{a}} : {{b}}}}
""", "-n: sorted, blanks joined")
    tap.equal(got.stderr, f"postconf: warning: {DIR}/main.cf: unused parameter: unused_thing=1\n"
              f"postconf: warning: {DIR}/master.cf: unused parameter: foo=$mydomain\n",
              "-n: what nothing uses is a warning")
    tap.equal(run(OURS, "-q", "-n").stderr, "", "-q: no warnings")
    got = run(OURS, "-x", "relayhost", "virtual_mailbox_domains", "forward_path", "mydestination")
    tap.equal(got.stdout, "relayhost = a b\nvirtual_mailbox_domains = x y a\n"
              "forward_path = $home/.forward\n"
              "mydestination = mta1.vm1.vm, localhost.vm1.vm, localhost\n", "-x")
    got = run(OURS, "nosuch", "relayhost")
    tap.equal((got.returncode, got.stdout), (0, "relayhost = $bar\n"), "by name")
    tap.like(got.stderr, "^postconf: warning: nosuch: unknown parameter$", "an unknown name")
    tap.equal(run(OURS, "-h", "bar", "mydomain").stdout, "a b\nvm1.vm\n", "-h")
    tap.equal(run(OURS, "-H", "bar", "mydomain").stdout, "bar\nmydomain\n", "-H")
    tap.equal(run(OURS, "-d", "mydomain", "relayhost", "queue_run_delay").stdout.split("\n")[1:],
              ["relayhost =", "queue_run_delay = 300s", ""], "-d")
    tap.equal(run(OURS, "-o", "relayhost=y", "-h", "relayhost").stdout, "y\n", "-o")
    types = run(OURS, "-m").stdout.split()
    tap.ok({"hash", "lmdb", "static", "regexp"} <= set(types) and types == sorted(types), "-m", types)
    everything = run(OURS).stdout.splitlines()
    tap.ok(len(everything) > 900, "without names: everything", len(everything))
    names = [line.split(" =")[0] for line in everything]
    tap.equal(names, sorted(names), "in order")
    tap.equal(run(OURS, "-f", "-n", "hash_queue_names").stdout,
              "hash_queue_names = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p, q r s t u v w x y z\n"
              "    aaaaaaaaaaaaaaaaaaaa b\n", "-f")


def test_master():
    write()
    tap.equal(run(OURS, "-M").stdout, """\
smtp       inet  n       -       n       -       -       smtpd
submission inet  n       -       n       -       -       smtpd -o syslog_name=postfix/submission -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o foo=$mydomain
smtps      inet  n       -       n       -       -       smtpd -o smtpd_tls_wrappermode=yes -v -v
maildrop   unix  -       n       n       -       -       pipe flags=DRXhu user=vmail {argv={/usr/bin/maildrop -d}} ${recipient}
a_very_long_service_name unix - n n      -       0       pipe flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient)
""", "-M")
    tap.equal(run(OURS, "-Mf", "smtps").stdout, """\
smtps      inet  n       -       n       -       -       smtpd
    -o smtpd_tls_wrappermode=yes
    -v -v
""", "-Mf")
    tap.equal(run(OURS, "-P", "submission/inet").stdout, """\
submission/inet/foo = $mydomain
submission/inet/smtpd_relay_restrictions = permit_sasl_authenticated,reject
submission/inet/syslog_name = postfix/submission
""", "-P")
    tap.equal(run(OURS, "-Px", "*/inet/foo").stdout, "submission/inet/foo = vm1.vm\n", "-Px")
    tap.equal(run(OURS, "-F", "*/unix/process_limit").stdout,
              "maildrop/unix/process_limit = -\n"
              "a_very_long_service_name/unix/process_limit = 0\n", "-F")
    got = run(OURS, "-M", "nosuch")
    tap.equal(got.returncode, 0, "-M of what is not there: status")
    tap.like(got.stderr, 'unmatched request: "nosuch"', "-M of what is not there")


def master_cf():
    with open(os.path.join(DIR, "master.cf"), encoding="utf-8") as f:
        return f.read()


def test_edit_master():
    """More, beside the peer, is in peer_postconf.t; here is what it does not do, or only lately."""
    write(master="# c\nsmtp inet n - n - - smtpd\n  -o a=b\n# d\n\n#x\nlast unix - - n - - smtp")
    path = os.path.join(DIR, "master.cf")
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 1, 2)
    got = run(OURS, "-P", "smtp/inet/a=c")
    tap.equal((got.returncode, got.stderr), (0, ""), "-P: status")
    tap.equal(master_cf(), "# c\n# d\n\n#x\nsmtp       inet  n       -       n       -       -       smtpd\n"
              "    -o a=c\nlast unix - - n - - smtp\n", "-P edits")
    st = os.stat(path)
    tap.equal((st.st_mode & 0o777, st.st_uid, st.st_gid),
              (0o640, 1, 2) if os.geteuid() == 0 else (0o640, os.geteuid(), os.getegid()),
              "mode and owner stay")
    before = master_cf()
    for arg in ("smtp/inet/chroot=", "smtp/inet/command=", "smtp/inet/service="):
        tap.equal(run(OURS, "-F", arg).returncode, 1, f"-F {arg} is refused")
    tap.equal(run(OURS, "-P", "smtp/inet/a={").returncode, 1, "a brace that nothing closes is refused")
    tap.equal(master_cf(), before, "nothing was edited")
    write(master="p unix - n n - - pipe flags=x argv=a {} {b  c} {{d}}\n")
    run(OURS, "-F", "p/unix/chroot=y")
    tap.equal(master_cf(), "p          unix  -       n       y       -       -       pipe flags=x argv=a {}\n"
              "    {b  c} {{d}}\n", "an empty argument stays one")
    tap.equal(sorted(os.listdir(DIR)), ["main.cf", "master.cf"], "no temporary file is left")


def test_at_the_same_time():
    """Each of many edits is there when all have ended."""
    write(main="a = b\n")
    edits = [subprocess.Popen([OURS, "-c", DIR, "-e", f"n{i} = {i}"]) for i in range(20)]
    edits += [subprocess.Popen([OURS, "-c", DIR, "-M", f"n{i}/unix=n{i} unix - - n - - smtp"])
              for i in range(20)]
    tap.equal([p.wait(60) for p in edits], [0] * 40, "all end well")
    tap.equal(sorted(main_cf().split()), sorted(["a", "=", "b"] + [w for i in range(20) for w in (f"n{i}", "=", str(i))]),
              "all are in main.cf")
    tap.equal(len(run(OURS, "-M").stdout.splitlines()), 5 + 20, "all are in master.cf")
    # Whoever holds the lock of the file that is to be the new one is waited for.
    with open(os.path.join(DIR, "main.cf.tmp"), "w", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        waits = subprocess.Popen([OURS, "-c", DIR, "-e", "late = 1"])
        try:
            waits.wait(0.5)
            tap.ok(False, "an edit waits for another one's lock")
        except subprocess.TimeoutExpired:
            tap.ok(True, "an edit waits for another one's lock")
    tap.equal(waits.wait(60), 0, "and goes on")
    tap.like(main_cf(), "^late = 1$", "and is done")


def test_templates():
    write(main="myhostname = mta1.vm1.vm\ndelay_warning_time = 5430s\n")
    names = ["failure", "delay", "success", "verify"]
    tap.equal(re.findall("^(\\w+)_template = <<EOF$", run(OURS, "-t").stdout, re.M), names, "-t")
    tap.equal(re.findall("^expanded_(\\w+)_text = <<EOF$", run(OURS, "-b").stdout, re.M), names, "-b")
    tap.like(run(OURS, "-b").stdout, "^This is the mail system at host mta1.vm1.vm.$", "-b expands")
    path = os.path.join(DIR, "templates")
    with open(path, "w", encoding="utf-8") as f:
        f.write("# c\nfailure_template = <<X Y\nSubject: S\nfrom: me\n\n"
                "$myhostname $delay_warning_time_minutes $delay_warning_time_hours $$\nX Y\n"
                "bogus_template = <<EOF\nx\nEOF\nsuccess_template = <<EOF\nX-Foo: y\n\nz\nEOF\n")
    got = run(OURS, "-b", path)
    tap.like(got.stdout, "^expanded_failure_text = <<EOF\nmta1.vm1.vm 90 1 \\$\nEOF$", "-b of a file")
    tap.like(got.stderr, "templates, line 8: unknown template name: bogus_template", "a name that is none")
    tap.like(got.stderr, 'unknown "X-Foo" header label in success template', "a header that is none")
    tap.like(run(OURS, "-t", path).stdout, "^failure_template = <<EOF\nCharset: us-ascii\nFrom: me\nSubject: S\n"
             "Postmaster-Subject: .*\n\n\\$myhostname", "-t of a file")
    with open(path, "w", encoding="utf-8") as f:
        f.write("failure_template = <<EOF\n\n$nosuch\nEOF\n")
    got = run(OURS, "-b", path)
    tap.equal(got.returncode, 1, "a name that is not defined: status")
    tap.like(got.stderr, r"undefined \$nosuch in failure template", "a name that is not defined")
    os.unlink(path)


def test_json():
    write(main="a = x\nrelayhost = \"q\" \\ $a\n")
    got = run(OURS, "-jn", "relayhost", "a")
    tap.equal([json.loads(line) for line in got.stdout.splitlines()],
              [{"relayhost": '"q" \\ $a'}, {"a": "x"}], "-j")
    tap.equal(json.loads(run(OURS, "-jM", "maildrop").stdout),
              {"maildrop/unix": "maildrop unix - n n - - pipe flags=DRXhu user=vmail "
               "{argv={/usr/bin/maildrop -d}} ${recipient}"}, "-jM")


def test_edit():
    write(main="relayhost = b\n# comment\n  # c2\n\nrelayhost = c\n   d\n  # e\n   f\nmydomain = x")
    os.chmod(os.path.join(DIR, "main.cf"), 0o640)
    got = run(OURS, "-e", "relayhost = new  value ", "myorigin=$mydomain", "foo=")
    tap.equal(got.returncode, 0, "-e: status")
    tap.equal(main_cf(), "relayhost = new  value\n# comment\n  # c2\n\nrelayhost = new  value\n"
              "  # e\nmydomain = x\nmyorigin = $mydomain\nfoo = \n", "-e")
    tap.like(got.stderr, 'multiple entries for "relayhost"', "-e: two entries are a warning")
    tap.equal(os.stat(os.path.join(DIR, "main.cf")).st_mode & 0o777, 0o640, "-e keeps the mode")
    run(OURS, "mydomain=y")
    tap.like(main_cf(), "^mydomain = y$", "name=value is -e")
    run(OURS, "-#", "relayhost")
    tap.unlike(main_cf(), "^relayhost", "-#")
    tap.like(main_cf(), "^#relayhost = new  value$", "-# keeps the line")
    run(OURS, "-X", "mydomain", "foo")
    tap.unlike(main_cf(), "^(mydomain|foo)", "-X")
    tap.equal(sorted(os.listdir(DIR)), ["main.cf", "master.cf"], "no temporary file is left")


def test_errors():
    write()
    before = main_cf()
    for args in (["-e"], ["-e", "relayhost"], ["-e", " = x"], ["-e", "a=b\nc=d"], ["-e", "a b = c"],
                 ["-e", "#a = c"], ["-X"], ["-X", "a=b"], ["-d", "-n"], ["-h", "-H"], ["-e", "-n", "a=b"],
                 ["-M", "-e", "smtp/inet=x"], ["-z"], ["-m", "-M"], ["-o", "x"], ["-MH"]):
        got = run(OURS, *args)
        tap.equal((got.returncode, got.stdout), (1, ""), f"{args}: status")
        tap.like(got.stderr, "^postconf: fatal: .+", f"{args}: message")
    tap.equal(main_cf(), before, "nothing was edited")
    write(main="a = b\nno equal sign\n = x\n")
    got = run(OURS, "-n")
    tap.equal(got.returncode, 1, "a broken main.cf: status")
    tap.like(got.stderr, "main.cf: line 2: missing '=' after attribute name", "all errors: line 2")
    write(main="relayhost = ${x\n")
    tap.equal(run(OURS, "-x", "relayhost").returncode, 1, "-x of a broken value: status")
    os.unlink(os.path.join(DIR, "main.cf"))
    got = run(OURS, "-n")
    tap.equal((got.returncode, got.stderr),
              (1, f"postconf: fatal: open {DIR}/main.cf: No such file or directory\n"), "no main.cf")
    tap.equal(run(OURS, "-d", "relayhost").stdout, "relayhost =\n", "-d works without main.cf")


def find_peer():
    peer = os.environ.get("PC_PEER_POSTCONF", "/usr/sbin/postconf")
    if not os.access(peer, os.X_OK):
        return None
    probe = subprocess.run([peer, "-c", DIR, "-d", "postcote_session_limit"], capture_output=True,
                           text=True, timeout=60, check=False)
    return peer if probe.stdout == "" else None


# Why a default is another one than that of the postconf beside us (Debian 12 has Postfix 3.7).
DIFFERENT = {
    # The release.
    "mail_release_date", "mail_version", "milter_default_action", "proxy_read_maps",
    "smtp_tls_security_level", "smtp_tls_dane_insecure_mx_policy", "smtpd_forbid_bare_newline",
    "smtpd_forbid_unauth_pipelining", "tls_export_cipherlist", "tls_high_cipherlist",
    "tls_low_cipherlist", "tls_medium_cipherlist", "tls_null_cipherlist", "import_environment",
    "tls_eecdh_auto_curves", "tlsproxy_client_policy_maps", "tlsproxy_client_security_level",
    # hash: and btree: are LMDB, as in releases without Berkeley DB; and no NIS.
    "default_database_type", "address_verify_map", "alias_database", "alias_maps",
    "postscreen_cache_map",
    # Where things are installed.
    "command_directory", "daemon_directory", "data_directory", "queue_directory", "html_directory",
    "manpage_directory", "mailq_path", "newaliases_path", "readme_directory", "sendmail_path",
    "shlib_directory", "meta_directory", "config_directory",
    "process_id",
}
# What refers to one of these.
DIFFERENT_EXPANDED = {"local_recipient_maps", "milter_macro_v", "proxy_write_maps",
                      "tls_random_exchange_name"}
# What 3.7 lists and 3.11 does not.
GONE = {"tls_legacy_public_key_fingerprints", "tlsproxy_client_loglevel_parameter"}


def test_peer():
    write()
    peer = find_peer()
    if not peer:
        tap.skip("no postconf of a real Postfix (install postfix or set PC_PEER_POSTCONF)",
                 "beside the peer")
        return
    for args in (["-n"], ["-nx"], ["-nh"], ["-nH"], ["-nf"], ["-M"], ["-Mf"], ["-Mx"], ["-P"],
                 ["-Px"], ["-Ph"], ["-PH"], ["-F"], ["-FH"], ["-h", "mynetworks"],
                 ["-d", "mynetworks", "myhostname", "mydomain"], ["-x", "mynetworks_style"],
                 ["-M", "*/inet"], ["-F", "*/*/command"], ["-n", "relayhost", "myorigin"],
                 ["-dx", "smtpd_relay_restrictions"], ["-x", "mydestination"],
                 ["-f", "parent_domain_matches_subdomains", "smtpd_client_event_limit_exceptions"]):
        theirs, ours = run(peer, *args), run(OURS, *args)
        tap.equal((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout),
                  f"beside the peer: {args}")
    for option, different in (("-d", DIFFERENT), ("-x", DIFFERENT | DIFFERENT_EXPANDED)):
        theirs, ours = [dict(line.split(" =", 1) for line in run(p, option).stdout.splitlines())
                        for p in (peer, OURS)]
        missing = sorted(set(theirs) - set(ours) - GONE)
        tap.equal(missing, [], f"beside the peer: {option}: every parameter is known")
        other = sorted(name for name in theirs
                       if name in ours and theirs[name] != ours[name] and name not in different)
        tap.equal(other, [], f"beside the peer: {option}: values")


try:
    tap.run(test_listing, test_master, test_edit, test_edit_master, test_at_the_same_time, test_templates, test_json, test_errors, test_peer)
finally:
    shutil.rmtree(DIR)
