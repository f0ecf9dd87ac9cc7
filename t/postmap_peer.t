#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postmap -q on tables that are not compiled, beside the postmap of a real Postfix: the same files,
also broken ones, the same keys; answers, warnings and exit codes are compared."""

import difflib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("PC_BUILDDIR", os.path.join(HERE, "..", "build"))
OURS = os.path.join(os.path.abspath(BUILD), "postmap")
PEER = os.environ.get("PC_PEER_POSTMAP", "/usr/sbin/postmap")

PATTERNS = r"""# a comment
/^a(.)$/ <$1>
/^b(.)$/ $2
!/^[a-z]/ neg $1
no-delim
/unclosed
/bad(/ x
/x/q y
/novalue/
if /^c/
/d/ cd
# inside
endif
endif
if /^e/ extra text
/f/ ef
else
endif foo
if !/^g/
/h/ nog
/(i)(j)?/ $(1)-${2}-$$-$x
/k/ $k
/l/m y $
   cont
/(o)/ $1a
if /bad(/
/p/ inbadif
endif
/aa/ibogus x
1x1 y
!!/q/ double
/A B/i caseful
/two/ two
  lines
	and three
/0/ $0
/(g)/ ${1?x}
/(h)/ ${1
/(j)/ $(1
/k/ $-
/m/ $$
/\/n/ slash
;o\;; semi
"p" quote
/(r)/ $4294967296
/(r)/ $1_
if /s/ # comment
/st/ ST
ENDIF
if/t/
endif/x/ foo
ifx /a/ b
! /never u/ spaceneg
!
if
if !
if u
/v/ a	b
/^w (.*)$/im $1
/x y/ xy
/^x(y)?(z)$/ [$1][$2]
/(1)(2)(3)(4)(5)(6)(7)(8)(9)(0)(a)/ $11
if /never/
/x/ never
"""
PATTERN_KEYS = """a ab aB bc Z c cd d ef gh h ij i k l o p aa q unclosed novalue two 0 g j m /n o; r s st t u
v x y xz xyz 1234567890a b% é É never x@y.z""".split() + ["A B", "a b", "w  x", "x y", "never u"]

PCRE_ONLY = r"""/^b.c$/ dot
/^e f$/x ext
/gg/A anch
/h$/E dend
/i+(i*)/U ung<$1>
/\\k/ plain
/l(?<n>m)/ named$1
/^(o)|(p)$/ <$1><$2>
/(?i:z)y/i part
/\d{3}/ digits
/(?=look)l/ ahead
/q/smxAEUX all
/bad[/ x
/bad(?<x/ x
"""
PCRE_KEYS = "bxc ef xgg gg h iii \\k lm o p Zy ZY zY 123 look q".split()

REGEXP_ONLY = r"""/a/!/b/ notb
!/z/!/y/ notz
/c/!/bad(/ notb
/d/x dx
/e/!/f/i x
/(f)+/ $1
/g\{2\}/x basic
"""
REGEXP_KEYS = "a ab b z zy d e ef F fff gg hz".split()

NETWORKS = r"""1.2.3.4 a
1.2.3.0/24 b
10.0.0.1/8 hostbits
300.1.1.1 bad
foo bad
::1 six
2001:db8::/32 net6
[::2] brack
[2001:db9::]/32 brack2
2001:db8::1/33 hb
4.4.4.4
if 5.0.0.0/8
5.1.1.1 ifd
else
endif
endif
endif foo
if !8.0.0.0/8
9.9.9.9 nine
2001:ffff::/32 not here
if 9.0.0.0/8 extra
endif
1.2.3.4/33 x
1.2.3.4/ x
/24 x
1.2/16 x
0/0 z
!!1.1.1.1 twice
! 128.0.0.0/1 neg
!
if
if !
1.1.1.1/24 x
[1.1.1.1] b
[::5]/128 c
[::5 d
::6] e
[::7]x d
1.1.1.1/0 f
[]/3 x
[1.2]/16 x
[::1]/8 x
[::1]/999 x
[x] y
[::1]/z k
[x]y k
::ffff:10.0.0.1 mapped
3.3.3.3   a b
   c
if 2000::/3
2a00::/16 deep
if 2a01::/16
2a01:1::/32 deeper
"""
NETWORK_KEYS = """1.2.3.4 1.2.3.9 10.1.1.1 10.0.0.1 ::1 ::2 2001:db8::5 2001:0db8:0::5 2001:DB8::5 2001:db9::1
5.1.1.1 5.1.1.2 7.1.1.1 9.9.9.9 foo 1.2.3 01.2.3.4 ::ffff:1.2.3.4 ::ffff:10.0.0.1 [::1] 4.4.4.4 ::5 ::6 ::7
1.1.1.1 3.3.3.3 8.8.8.8 200.1.1.1 2a00::1 2a01:1::9 2001:ffff::1 256.1.1.1 :: 0.0.0.0""".split()

# Whole tables, and what is asked of them.
SPECS = [(spec, keys.split()) for spec, keys in (
    ("static:x", "a"), ("static:{x y}", "a"), ("static:{x", "a"), ("static:{{a} b}", "a"), ("static:", "a"),
    ("fail:x", "a"), ("fail:", "a"), ("environ:x", "PATH path"), ("environ:", "PATH"),
    ("unix:passwd.byname", "root ROOT nobody-at-all"), ("unix:group.byname", "root bin none-at-all"),
    ("unix:shadow.byname", "root"), ("unix:", "root"),
    ("inline:{a=b}", "a A b"), ("inline:{}", "a"), ("inline:{a}", "a"), ("inline:a=b", "a"),
    ("inline:{a=b", "a"), ("inline:{{a = b, c} , d=e}", "a d"), ("inline:{a=}", "a"),
    ("pipemap:{inline:{a=b},inline:{b=c}}", "a b c"), ("pipemap:{inline:{a=b}}", "a b"),
    ("pipemap:{inline:{a=B} inline:{b=c}}", "a A"), ("pipemap:{}", "a"), ("pipemap:inline:{a=b}", "a"),
    ("pipemap:{inline:{a=b},fail:x}", "z"), ("pipemap:{inline:{a=b},fail:x}", "a"),
    ("pipemap:{inline:{a=b} static:{}}", "a"), ("pipemap:{pcre:{{/(a)/ $1$1}} inline:{aa=yes}}", "a A b"),
    ("pipemap:{static:A regexp:{{/a/i found} {/A/i FOUND}}}", "x"), ("pipemap:{inline:{a=b", "a"),
    ("pipemap:{inline:{a=1.2.3.4}, cidr:{{1.0.0.0/8 one}}}", "a b"),
    ("unionmap:{inline:{a=b},inline:{a=c}, inline:{b=d}}", "a b z"), ("unionmap:{inline:{a=b},fail:x}", "z"),
    ("unionmap:{fail:x,inline:{a=b}}", "a"), ("unionmap:{}", "a"), ("unionmap:static:x", "a"),
    ("unionmap:{static:{x,y},static:z}", "a"), ("unionmap:{static:a}x", "a"),
    ("unionmap:{pipemap:{inline:{a=b} inline:{b=c}} static:d}", "a"),
    ("randmap:{x}", "a"), ("randmap:{x,x, x}", "a"), ("randmap:{}", "a"), ("randmap:x", "a"),
    ("randmap:{{x y}}", "a"),
    ("cidr:{{1.1.1.1 foo bar}, {2.2.2.2 = x}, { if 3.0.0.0/8 } {endif}}", "1.1.1.1 2.2.2.2 3.3.3.3"),
    ("cidr:{1.1.1.1 foo}", "1.1.1.1"), ("cidr:{{1.1.1.1 foo}", "1.1.1.1"), ("cidr:{}", "1.1.1.1"),
    ("cidr:{{1.1.1.1 foo} {bad} {2.2.2.2}}", "1.1.1.1"),
    ("pcre:{{/^f(o)/ x$1} {!/x/ neg}}", "foo bar x"), ("pcre:{{/a{2}/ braces}}", "aa a"),
    ("regexp:{/^f(o)/ x$1}", "foo"), ("regexp:{{/^f(o)/ x$1}{/bar/ y} }", "foo"),
    ("regexp:{ {/f(/ x} {/x/ y}, {/bar/ z} {}}", "foo bar x"),
    ("cidr:/nonexistent", "a"), ("pcre:/nonexistent", "a"), ("regexp:/nonexistent", "a"),
)]


def query(program, spec, keys, *options):
    done = subprocess.run([program, *options, "-c", DIR, "-q", "-", spec], cwd=DIR, text=True, timeout=60,
                          input="".join(key + "\n" for key in keys), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV)
    return done.returncode, done.stdout


def compare(spec, keys, name=None, options=()):
    got, want = query(OURS, spec, keys, *options), query(PEER, spec, keys, *options)
    lines = list(difflib.unified_diff(want[1].splitlines(), got[1].splitlines(), "Postfix", "ours", n=1,
                                      lineterm=""))
    tap.ok(got == want, name or spec, "\n".join([f"exit codes: {got[0]} and {want[0]}"] + lines))


def write(name, text):
    with open(os.path.join(DIR, name), "w", encoding="utf-8") as f:
        f.write(text)


def test_files():
    for name, text, types, keys in (
            ("patterns", PATTERNS, ("regexp", "pcre"), PATTERN_KEYS),
            ("pcre", PCRE_ONLY, ("pcre",), PCRE_KEYS),
            ("regexp", REGEXP_ONLY, ("regexp",), REGEXP_KEYS),
            ("networks", NETWORKS, ("cidr",), NETWORK_KEYS)):
        write(name, text)
        for table in types:
            compare(f"{table}:{name}", keys)


def test_specs():
    for spec, keys in SPECS:
        compare(spec, keys)
    compare("environ:x", ["PATH", "LANG", "NOT_THERE"], "environ, the case kept", ["-f"])


def random_networks(rng):
    """Rules about few networks, so that they overlap, some of them broken."""
    networks = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "[2001:db8::1]",
                "::/0", "10.1.2.0/23", "10.1.3.0/24", "1.2.3", "10.0.0.0/99", "x"]
    lines = []
    for number in range(rng.randrange(1, 14)):
        network = rng.choice(["", "", "", "!", "!!", "! "]) + rng.choice(networks)
        lines.append(rng.choice([f"{network} r{number}"] * 5 + [f"if {network}", f"if {network}",
                                 "endif", "endif", "endif", f"IF {network}", "Endif", network]))
    return "\n".join(lines) + "\n"


def random_patterns(rng):
    pieces = ["a", "b", "c", "(a)", "(b)?", "[ab]", "^", "$", ".", "x*", "(", "a|b", "\\."]
    lines = []
    for number in range(rng.randrange(1, 12)):
        pattern = rng.choice(["", "", "", "!"]) + "/" + "".join(
            rng.choice(pieces) for _ in range(rng.randrange(1, 4))) + "/" + rng.choice(["", "", "i", "m", "ii"])
        lines.append(rng.choice([f"{pattern} r{number}", f"{pattern} <$1> $$", f"{pattern} ${{1}}-$(2)",
                                 f"{pattern} r{number}", f"if {pattern}", "endif", pattern]))
    return "\n".join(lines) + "\n"


def test_random():
    rng = random.Random(20261120)
    for i in range(25):
        text = random_networks(rng)
        write("random", text)
        keys = ["10.1.2.3", "10.1.3.4", "10.9.9.9", "11.0.0.1", "2001:db8::1", "2001:db8::2", "3000::1", "x"]
        compare("cidr:random", keys, f"networks {i}: {text!r}")
        text = random_patterns(rng)
        write("random", text)
        keys = ["".join(word) for n in (1, 2, 3) for word in itertools.product("abX", repeat=n)]
        for table in ("regexp", "pcre"):
            compare(table + ":random", keys, f"{table} {i}: {text!r}")


if not os.path.exists(PEER):
    tap.skip_all("no Postfix is installed")
if "PC_PEER_POSTMAP" not in os.environ and not (shutil.which("dpkg-query") and subprocess.run(
        ["dpkg-query", "-S", PEER], capture_output=True, text=True, check=False).stdout.startswith("postfix:")):
    tap.skip_all(PEER + " is not Postfix's")
DIR = tempfile.mkdtemp(prefix="postmap_peer.t.")
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
try:
    write("main.cf", "compatibility_level = 3.6\nmyhostname = mail.example.test\nimport_environment = PATH LANG\n")
    write("master.cf", "")
    if query(PEER, "pcre:{{/a/ b}}", ["a"]) != (0, "a\tb\n"):
        tap.skip_all("the Postfix here has no pcre (package postfix-pcre)")
    tap.run(test_files, test_specs, test_random)
finally:
    shutil.rmtree(DIR, ignore_errors=True)
