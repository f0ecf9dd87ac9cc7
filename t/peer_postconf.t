#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postconf beside the postconf of a real Postfix: what it prints, says, returns, and writes.

PC_PEER_ROOT may name the root of another release than the one that is installed here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_postfix  # noqa: E402
import tap  # noqa: E402

BUILD = os.environ.get("PC_BUILDDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
OURS = os.path.join(BUILD, "postconf")
ROOT = peer_postfix.ROOT

MAIN = """\
# A comment
compatibility_level = 3.6
myhostname = a.example.org
  # inside
foo = 1
empty =
quote = a "b" \\c\ttab
relayhost = ${foo?{x  y}:{z}}, $(empty)
smtpd_tls_loglevel=1
mua_x = permit_sasl, $quote
x = $undef and ${undef2?}
mydestination = $myhostname, localhost, ldap:ldapx, proxy:pgsql:pg
ldapx_bind = yes
pg_hosts = h
other_hosts = h
smtpd_recipient_restrictions = permit_mynetworks,
\trc1,

# between
   check_client_access ldap:lx2
smtpd_restriction_classes = rc1 rc2
rc1 = reject
rc2 = x
my_opt = 3
dovecot_time_limit = 5
policy_time_limit = 5
policy_destination_recipient_limit = 5
dovecot_destination_recipient_limit = 1
nosuch_destination_recipient_limit = 1
forward_path = $home/.forward${recipient_delimiter}${extension}
hash_queue_names = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p, q r s t u v w x y z aaaaaaaaaaaaaaaaaaaa b
"""

MASTER = """\
# comment one
smtp      inet  n       -       n       -       -       smtpd
  -o smtpd_tls_security_level=may   -o { foo = a b }
# inner comment
  -o mua=$mua_x -o empty=$mua_helo

submission inet n - n - - smtpd -v -o {smtpd_client_restrictions=$mua_client,reject} -o x={ y }
  -o content_filter=
#465      inet  n       -       n       -       -       smtpd
# -o something
dovecot   unix  -       n       n       -       -       pipe
  flags=DRhu user=vmail:vmail argv=/usr/lib/dovecot/deliver -d ${recipient} {a  b} -o nonopt=1
policy unix - n n - 0 spawn user=nobody argv={ /usr/bin/perl  x }\x20\x20
verylongservicename.example:1234 inet n       -       n       -       -       smtpd
127.0.0.1:10025 inet n - n - - smtpd
smtp unix - - n - - smtp
"""

# Sets of files that belong together.
CONFIGURATIONS = {
    "usual": (MAIN, MASTER),
    "options": ("relayhost = $u1\n", """\
smtp inet n - n - - smtpd -v -v -o a=1 -v -o a=2 -o b=$a$u2 -o myhostname=q -o c=$myhostname -D x -o d=e
relay unix - - n - - smtp -o {b = {c} d} -o { z=$relayhost 1} -o y={b}
last fifo n - n 60? 3 pipe u {a {}} argv={} x{y z}w
"""),
    "few": ("myorigin = x", "a unix - - n - - smtp"),
    "twice": ("foo = 1\nfoo = 2\n c\n# c\nbar = $foo\nrelayhost = $bar\n",
              "smtp inet n - n - - smtpd -v\nsmtp inet n - n - - smtpd\n"),
    "leading": ("  a = b\nc = d #e\n", "  smtp inet n - n - - smtpd\nx unix - - n - - error\n"),
    "comments": ("myorigin = x # y # z\nrelayhost = a#b\nsmtpd_banner = #x\nunused = a #b\n"
                 "used = c #d\nmydestination = $used\nvirtual_transport = x\t#abcdef\n",
                 "smtp inet n - n - - smtpd -o {myorigin=x # foo} -o {mine=y #bar} -o relayhost=y#z # u\n"),
    "no equals": ("a b\n", MASTER),
    "bad type": ("", "smtp bogus n - n - - smtpd\n"),
    "few columns": ("", "#\nsmtp inet n - n - -\n"),
    "bad flag": ("", "smtp inet n x n - - smtpd\n"),
    "bad wakeup": ("", "smtp inet n - n -1 - smtpd\n"),
    "bad limit": ("", "smtp inet n - n 60? x smtpd\n"),
    "bad option": ("", "smtp inet n - n - - smtpd -o foo -o {=x}\n"),
    "loop": ("a = $b\nb = $a\nrelayhost = $a\n", ""),
    "truncated": ("relayhost = ${x\n", ""),
}

LISTINGS = [[*options, *patterns] for options in (["-M"], ["-Mf"], ["-Mx"], ["-F"], ["-Fh"], ["-FH"],
                                                  ["-Ff"], ["-P"], ["-Px"], ["-Ph"], ["-PH"], ["-Pf"])
            for patterns in ([], ["*/inet"], ["smtp"], ["smtp/inet"], ["nosuch/inet"])]
LISTINGS += [[*options, *patterns] for options in (["-n"], ["-nx"], ["-nf"], ["-nh"], ["-nH"], ["-nxf"],
                                                   ["-nq"], ["-n", "-C", "builtin"],
                                                   ["-n", "-C", "user,service"], ["-n", "-C", "all"],
                                                   ["-n", "-o", "foo=7"], ["-no", "myhostname = z.y "])
             for patterns in ([], ["foo", "relayhost", "nosuch", "x"])]
LISTINGS += [
    ["-C", "user"], ["-C", "service"], ["-xC", "service"], ["-C", ""], ["-dC", "service"],
    ["-d", "dovecot_time_limit", "foo", "policy_time_limit", "policy_recipient_limit"],
    ["-x", "relayhost", "quote"], ["-h", "relayhost"], ["myhostname", "myhostname"],
    ["-P", "smtp/inet/mua", "*/*/content_filter"], ["-P", "smtp/inet/nosuch"],
    ["-F", "smtp/inet/chroot", "smtp/inet/private", "*/*/wakeup"], ["-F", "smtp/inet/"],
    ["-M", "smtp/unix", "smtp/inet"], ["-M", "smtp/"], ["-dx", "mydestination", "smtpd_relay_restrictions"],
]
JSON = [["-j", *options] for options in (["-n"], ["-nx"], ["-M"], ["-Mx"], ["-F"], ["-P"], ["-Px"],
                                         ["foo", "nosuch"], ["-M", "*/unix"], ["-F", "*/*/command"])]
CONSTANT = [["-a"], ["-A"], ["-l"], ["-T", "public-key-algorithms"], ["-T", "nosuch"]]

EDITS = [
    ["-e", "foo=2"], ["new = x = y  z", "new=4"], ["-e", "a=${"], ["a==b"], [" a = b "],
    ["foo ="], ["-X", "foo", "empty", "nosuch"], ["-X", "smtpd_recipient_restrictions"], ["-X", " foo "],
    ["-#", "foo", "relayhost", "smtpd_recipient_restrictions", "nosuch"], ["smtpd_recipient_restrictions=a,b"],
    ["-M", "smtp/inet=smtp inet n - y - - smtpd -o a=b"],
    ["-Me", "new/unix=new unix - - n - - smtp -o { a = b c } w {x   y} z"],
    ["-Me", "smtp/inet=foo inet n - y - - smtpd"], ["-Me", "*/inet=smtp inet n - n - - x"],
    ["-Me", "a/unix=a unix - - n - - smtp", "b/unix=b unix - - y - - smtp -v -oa=b"],
    ["-MX", "smtp/inet"], ["-MX", "*/inet"], ["-MX", "nosuch/inet"], ["-M#", "smtp/inet"],
    ["-M#", "*/unix"], ["-M#", "*/*"], ["-MX", "*/*"],
    ["-F", "smtp/inet/chroot=y"], ["-Fe", "*/inet/chroot=y", "*/*/wakeup=60"],
    ["-F", "smtp/inet/command=smtpd  -v  -o a=b"], ["-F", "smtp/inet/service=foo"],
    ["-F", "smtp/inet/type=unix", "smtp/inet/private=y"], ["-F", "nosuch/inet/chroot=y"],
    ["-F", "smtp/inet/chroot=y", "smtp/inet/chroot=n"],
    ["-P", "smtp/inet/foo=z"], ["-P", "*/inet/newp=1"], ["-PX", "smtp/inet/foo"], ["-PX", "*/*/a"],
    ["-PX", "smtp/inet/nosuch"], ["-P", "smtp/inet/a=9", "smtp/inet/new=1", "smtp/inet/new=2"],
    ["-Pe", "dovecot/unix/foo=1"], ["-P", "smtp/inet/a={b}"], ["-P", "*/*/x="],
    ["-P", "nosuch/inet/foo=1"],
]

BAD = [
    ["-e"], ["-X"], ["-#"], ["-M", "-e"], ["-e", "foo"], ["-e", " = x"], ["-e", "a b=c"], ["-e", "#a=c"],
    ["-e", "foo=a\nb"], ["-X", "foo\nb"], ["-X", ""], ["-X", "foo=1"], ["-o", "foo", "foo"],
    ["-o", "=x", "foo"], ["-C", "bogus"], ["-C", "user, bogus"], ["-b", "x", "y"], ["-z"],
    ["-M", "a/b/c"], ["-M", "/inet"], ["-M", ""], ["-F", "a/b/chroot/d"], ["-P", "a/b/c/d"],
    ["-F", "smtp/inet/nofield"], ["-Me", "smtp/inet=smtp inet n"], ["-Me", "smtp/inet"],
    ["-M#", "smtp"], ["-M", "a/b/c=x"], ["-M", "smtp/inet=smtp inet x - n - - smtp"],
    ["-M", "smtp/inet= smtp inet n - n - - smtpd\n -o x=y"], ["-M", "#x/inet=x inet n - n - - smtpd"],
    ["-F", "smtp/inet/chroot=y z"], ["-F", "smtp/inet/nofield=y"], ["-F", "smtp/inet=y"],
    ["-F", "smtp/inet/chroot/x=y"], ["-Fe", "smtp/inet/*=y"], ["-FX", "smtp/inet/chroot"],
    ["-P", "smtp/inet/foo=z w"], ["-PX", "*/inet/*"], ["-P", "smtp/inet/*=x"], ["-P#", "smtp/inet/foo"],
    ["-P", "smtp/inet/=1"], ["-PX", "smtp/inet/"], ["-P", "a/b/c/d=1"],
]
OPTIONS = [f"-{c}" for c in "aAbdefFhHlmMnopPtTxX#"]
WITH_ARGUMENT = {"-o": ["foo=bar"], "-T": ["run-version"]}

# What is said in words of our own.
OWN_WORDS = [
    (r"usage: \S*postconf .*", "usage"), (r"^postconf: (?:invalid|unknown) option.*\n?", ""),
    (r"(main\.cf)[,:] (line \d+): (overriding earlier entry: \S+?)(?: \(line \d+\))?$", r"\1: \2: \3"),
    (r"(main\.cf)[,:] (line \d+): (missing .*)", r"\1: \2: \3"),
    (r"(?:line \d+: )?(logical line must not start with whitespace).*", r"\1"),
    (r"fatal: (?:macro processing error|.*bad value.*)|error: .*missing '=' .*", "fatal"),
    (r"fatal: .*missing '=' after attribute name: \"a b\"$", "fatal"),
    (r".*(?:truncated macro reference|unreasonable macro call nesting).*\n?", ""),
    (r"postfix/bounce: ", "postconf: "),
]


def own(path):
    return path.removeprefix(ROOT)


def run(program, directory, args):
    prefix = ["chroot", ROOT] if ROOT and program != OURS else []
    seen = own(directory) if program != OURS else directory
    got = subprocess.run([*prefix, program, "-c", seen, *args], capture_output=True, text=True, timeout=120,
                         stdin=subprocess.DEVNULL, env={**os.environ, "MAIL_CONFIG": ""}, check=False)
    return got.returncode, got.stdout.replace(seen, "DIR"), shape(got.stderr.replace(seen, "DIR"))


def shape(text):
    """The lines of standard error in an order of their own, without what are just words."""
    text = re.sub(r"^\S*postconf: ", "postconf: ", text, flags=re.M)
    for pattern, replacement in OWN_WORDS:
        text = re.sub(pattern, replacement, text, flags=re.M)
    # Up to 3.7 there were no commas.
    text = re.sub(r"specify one of (.*)", lambda m: m.group(0).replace(",", ""), text)
    return sorted(set(line for line in text.splitlines() if line not in ("", "postconf: ")))


def write(directory, texts):
    os.makedirs(directory, exist_ok=True)
    for name, text in zip(("main.cf", "master.cf"), texts):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o640)
        # Postfix waits when a file is quite new.
        os.utime(path, (10**9, 10**9))


def state(directory):
    found = {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), encoding="utf-8") as f:
            found[name] = f.read()
    return found


def compare(case):
    """Both in a directory of their own: a name and what each of them did."""
    number, config, args, edits = case
    results = []
    for kind, program in (("peer", "/usr/sbin/postconf"), ("ours", OURS)):
        directory = os.path.join(TOP, f"{number}-{kind}")
        write(directory, CONFIGURATIONS[config])
        results.append((*run(program, directory, args), state(directory) if edits else {}))
        shutil.rmtree(directory)
    return f"{config}: postconf {' '.join(args)!r}", *results


def check_all(cases):
    with ThreadPoolExecutor(8) as pool:
        for name, theirs, ours in pool.map(compare, [(i, *case) for i, case in enumerate(cases)]):
            tap.ok(ours == theirs, name, "\n".join(
                f"{what}: theirs {a!r}\n{' ' * len(what)}  ours   {b!r}" for what, a, b in
                zip(("status", "output", "errors", "files"), theirs, ours) if a != b))


def is_of_release(config, args):
    """What the release beside us cannot do, or does in another way."""
    if VERSION >= (3, 11):
        return True
    # There is no -j and no -q yet, and an edit leaves a last line without its end.
    return not any(arg.startswith("-j") or arg == "-nq" for arg in args) and \
        config not in ("few", "comments")


def test_listings():
    cases = [("usual", args, False) for args in LISTINGS + JSON + CONSTANT]
    cases += [(config, args, False) for config in CONFIGURATIONS if config != "usual"
              for args in (["-n"], ["-nx"], ["-M"], ["-Mf"], ["-Mx"], ["-F"], ["-P"], ["-Px"], ["-x", "relayhost"])]
    # Two entries of one name and type share their overrides there.
    cases = [c for c in cases if not (c[0] == "twice" and c[1][0][1] in "P")]
    # "-Fh" there has no blank between a program and its first argument.
    cases = [c for c in cases if not (c[1] == ["-Fh"] and c[0] == "usual")]
    check_all([c for c in cases if is_of_release(*c[:2])])


def test_edits():
    cases = [(config, args, True) for args in EDITS for config in ("usual", "options", "few", "twice")]
    check_all([c for c in cases if is_of_release(*c[:2])])


def test_bad():
    check_all([("usual", args, False) for args in BAD])


def test_options():
    pairs = []
    for i, a in enumerate(OPTIONS):
        for b in OPTIONS[i + 1:]:
            # Earlier releases named one option more in these messages.
            old = VERSION < (3, 11) and a in ("-d", "-n") and b in ("-X", "-#")
            for more in ([], ["foo=1"])[:1 if old else 2]:
                args = [a, *WITH_ARGUMENT.get(a, []), b, *WITH_ARGUMENT.get(b, []), *more]
                # Templates and types are other ones, and all parameters are compared elsewhere.
                if not {a, b} & {"-b", "-t", "-m"} or not {a, b} & {"-q"}:
                    pairs.append(("few", args, False))
    # What ends well is compared by its exit status and errors alone.
    with ThreadPoolExecutor(16) as pool:
        different = []
        for name, theirs, ours in pool.map(compare, [(f"o{i}", *case) for i, case in enumerate(pairs)]):
            if (theirs[0], theirs[2]) != (ours[0], ours[2]):
                different.append((name, theirs[0], theirs[2], ours[0], ours[2]))
    tap.equal(different, [], f"{len(pairs)} pairs of options")


def test_all_names():
    """Which parameters there are, for services of every kind."""
    directory = os.path.join(TOP, "names")
    write(directory, (MAIN, MASTER + "relay unix - - n - - smtp\nlmtp unix - - n - - lmtp\n"
                      "lo unix - - n - - local\nvi unix - - n - - virtual\nerror unix - - n - - error\n"
                      "d unix - - n - - discard\nsp unix - - n - - spawn user=x argv=/x\n"))
    theirs, ours = [run(p, directory, ["-H"])[1].splitlines() for p in ("/usr/sbin/postconf", OURS)]
    if VERSION >= (3, 11):
        tap.equal(sorted(set(theirs) - set(ours) - {"tlsproxy_client_loglevel_parameter"}), [], "every name of the peer's is listed")
    extra = [n for n in ours if n not in theirs and not n.startswith("postcote_")]
    tap.ok(VERSION < (3, 11) or all(re.search("_tls_|^tls_|^socketmap_max|_starttls_timeout", n) for n in extra),
           "no other names are listed, but those of a later release", extra)
    both = [n for n in ours if n in theirs]
    tap.equal(both, [n for n in theirs if n in ours], "in the same order")
    services = [n for n in theirs if re.match("(lmtp|relay|lo|vi|error|d|sp|dovecot|policy)_", n)]
    tap.equal([n for n in services if n not in ours], [], f"{len(services)} names that services define")


peer_postfix.find()
VERSION = peer_postfix.version()
TOP = tempfile.mkdtemp(prefix="peer_postconf.", dir=ROOT + "/tmp" if ROOT else None)
os.chmod(TOP, 0o755)
try:
    tap.run(test_listings, test_edits, test_bad, test_options, test_all_names)
finally:
    shutil.rmtree(TOP)
