#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postmap and postalias, and the same beside the postmap of a real Postfix.

The peer is $PC_PEER_POSTMAP, or /usr/sbin/postmap when a package named postfix owns it; it needs
the lmdb type (package postfix-lmdb).
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("PC_BUILDDIR", os.path.join(HERE, "..", "build"))
DIR = tempfile.mkdtemp(prefix="postmap.t.")
OURS = os.path.join(os.path.abspath(BUILD), "postmap")
ALIAS = os.path.join(os.path.abspath(BUILD), "postalias")

SOURCE = """\
# comment
Alice@Example.com   one two  
  three
# in the middle
\tfour
bob\tx
"a b"@c\tq
novalue
key: colon
@dom ok
x# y#z
"""


def run(program, *args, stdin="", env=None):
    got = subprocess.run([program, *args], input=stdin, capture_output=True, text=True, cwd=DIR,
                         errors="surrogateescape", timeout=60, check=False, env={**os.environ, **(env or {})})
    return got.returncode, got.stdout, got.stderr


def ours(*args, stdin=""):
    return run(OURS, *args, stdin=stdin, env={"MAIL_CONFIG": DIR})


def write(name, text):
    with open(os.path.join(DIR, name), "w", encoding="latin-1") as f:
        f.write(text)


def test_build_and_query():
    write("t1", SOURCE)
    code, out, err = ours("hash:t1")
    tap.equal((code, out), (0, ""), "builds")
    tap.equal(err, "postmap: warning: t1, line 8: expected format: key whitespace value\n"
              'postmap: warning: t1, line 9: record is in "key: value" format; '
              "is this an alias file?\n", "what is wrong with lines, with their numbers")
    tap.equal(ours("-q", "ALICE@example.com", "hash:t1"), (0, "one two    three\tfour\n", ""),
              "finds, whatever the case")
    tap.equal(ours("-q", "nobody", "lmdb:t1"), (1, "", ""), "1 and silence when there is none")
    tap.equal(ours("-q", "-", "btree:t1", stdin="nobody\nBob\n@dom\n"),
              (0, "Bob\tx\n@dom\tok\n", ""), "keys from standard input")
    tap.equal(ours("-q", "-", "hash:t1", stdin="nobody\n")[0], 1, "1 when none of them is there")
    tap.equal(ours("-s", "hash:t1")[1], '"a b"@c\tq\n@dom\tok\nalice@example.com\tone two    three'
              "\tfour\nbob\tx\nkey:\tcolon\nx#\ty#z\n", "lists")
    tap.equal(sorted(f for f in os.listdir(DIR) if f.startswith("t1")), ["t1", "t1.lmdb"],
              "leaves nothing else behind")


def test_default_type():
    write("t2", "a 1\n")
    tap.equal(ours(os.path.join(DIR, "t2")), (0, "", ""), "builds without a type")
    tap.ok(os.path.exists(os.path.join(DIR, "t2.lmdb")), "default_database_type is used")
    tap.equal(ours("-q", "a", "t2"), (0, "1\n", ""), "asks without a type")


def test_changes():
    write("t3", "b one\nb two\n")
    code, _, err = ours("hash:t3")
    tap.equal((code, err), (0, 'postmap: warning: hash:t3: duplicate entry: "b" (line 2)\n'),
              "a duplicate key only warns")
    tap.equal(ours("-q", "b", "hash:t3")[1], "one\n", "the first entry stays")
    tap.equal(ours("-i", "hash:t3", stdin="C three\nd four\n"), (0, "", ""), "adds")
    tap.equal(ours("-w", "-i", "hash:t3", stdin="c five\n"), (0, "", ""), "-w keeps, silently")
    tap.equal(ours("-q", "c", "hash:t3")[1], "three\n", "kept")
    tap.equal(ours("-r", "-i", "hash:t3", stdin="c five\n"), (0, "", ""), "-r replaces")
    tap.equal(ours("-s", "hash:t3")[1], "b\tone\nc\tfive\nd\tfour\n", "the result")
    tap.equal(ours("-d", "C", "hash:t3"), (0, "", ""), "removes")
    tap.equal(ours("-d", "nobody", "hash:t3"), (1, "", ""), "1 when there was none")
    tap.equal(ours("-d", "-", "hash:t3", stdin="nobody\nb\n"), (0, "", ""), "removes many")
    tap.equal(ours("-s", "hash:t3")[1], "d\tfour\n", "what is left")


def test_keys():
    write("t4", "MiXed a\n")
    tap.equal(ours("-f", "hash:t4"), (0, "", ""), "-f builds")
    tap.equal(ours("-f", "-q", "MiXed", "hash:t4"), (0, "a\n", ""), "-f keeps the case")
    tap.equal(ours("-q", "mixed", "hash:t4")[0], 1, "and only that is found")
    write("t5", "a \xfc\nb c\n")
    code, _, err = ours("hash:t5")
    tap.like(err, "^postmap: warning: t5, line 1: non-UTF-8 input", "what is no UTF-8 is left out")
    tap.equal((code, ours("-s", "hash:t5")[1]), (0, "b\tc\n"), "and the rest is not")
    tap.equal(ours("-u", "hash:t5"), (0, "", ""), "-u takes it")
    write("file", "content\n")
    write("t6", "k " + os.path.join(DIR, "file") + "\n")
    tap.equal(ours("-F", "hash:t6"), (0, "", ""), "-F builds")
    tap.equal(ours("-q", "k", "hash:t6")[1], "Y29udGVudAo=\n", "-F stores the file in base64")
    tap.equal(ours("-F", "-q", "k", "hash:t6")[1], "content\n\n", "and shows it")
    write("t6", "k /nonexistent/file\n")
    tap.equal(ours("-F", "hash:t6")[0], 1, "a file that is not there is fatal")


def test_mode():
    write("t7", "a b\n")
    os.chmod(os.path.join(DIR, "t7"), 0o640)
    ours("hash:t7")
    mode = stat.S_IMODE(os.stat(os.path.join(DIR, "t7.lmdb")).st_mode)
    tap.equal(oct(mode), "0o640", "the source's permissions")
    ours("-p", "hash:t7")
    mode = stat.S_IMODE(os.stat(os.path.join(DIR, "t7.lmdb")).st_mode)
    tap.equal(oct(mode), "0o644", "-p: the default's")


def test_errors():
    write("t8", "a b\n")
    for args, want in (
            (("hash:/nonexistent/x",), "fatal: open /nonexistent/x: No such file or directory"),
            (("-q", "a", "hash:/nonexistent/x"),
             "fatal: open database /nonexistent/x.lmdb: No such file or directory"),
            (("-q", "a", "foo:t8"), "fatal: unsupported dictionary type: foo"),
            (("texthash:t8",), "fatal: no 'map create' support for this type: texthash"),
            (("cidr:t8",), "fatal: no 'map create' support for this type: cidr"),
            (("static:t0",), "fatal: open t0: No such file or directory"),
            (("-i", "pcre:t8"), "fatal: pcre:t8 map requires O_RDONLY access mode"),
            (("-d", "a", "regexp:t8"), "fatal: regexp:t8 map requires O_RDONLY access mode"),
            (("-d", "a", "static:x"), "fatal: table static:x: delete operation is not supported"),
            (("-i", "environ:x"), "fatal: table environ:x: update operation is not supported"),
            (("-s", "pcre:{}"), "fatal: table pcre:{}: sequence operation is not supported"),
            (("-q", "a", "fail:x"), "fatal: table fail:x: query error: Application error"),
            (("-s", "static:x"), "fatal: table static:x: sequence operation is not supported"),
            (("-s", "-q", "a", "hash:t8"), "fatal: specify only one of -s -q or -d"),
            ((), "fatal: usage: postmap ["),
            (("-Z", "x"), "fatal: usage: postmap ["),
    ):
        code, out, err = ours(*args)
        tap.equal((code, out), (1, ""), "1: " + " ".join(args))
        tap.ok(err.startswith("postmap: " + want), "says why", err)


def test_other_types():
    tap.equal(ours("-q", "a", "inline:{b=c}", "static:foo"), (0, "foo\n", ""), "several tables")
    write("re", "/^a(.)$/ <$1>\n")
    tap.equal(ours("-q", "ab", "regexp:re"), (0, "<b>\n", ""), "regexp")


def test_aliases():
    write("aliases", 'root: joe,\n  jane\n"odd name": x\n')
    env = {"MAIL_CONFIG": DIR}
    tap.equal(run(ALIAS, "hash:aliases", env=env), (0, "", ""), "postalias builds")
    tap.equal(run(ALIAS, "-q", "Root", "hash:aliases", env=env), (0, "joe,  jane\n", ""), "and asks")
    tap.equal(run(ALIAS, "-s", "hash:aliases", env=env)[1], "odd name:\tx\nroot:\tjoe,  jane\n",
              "and lists")


MESSAGE = """From: a@b
Subject: x
 folded
	more
Content-Type: multipart/mixed; boundary="B"

preamble
--B
Content-Type: text/plain
X-Part: one

body one
--B
Content-Type: message/rfc822

From: inner
Subject: in

inner body
Not: header
--B--
epilogue: end
"""
MAIN_HEADER = ["From: a@b", "Subject: x\n folded\n\tmore",
               'Content-Type: multipart/mixed; boundary="B"']
PART = ["Content-Type: text/plain", "X-Part: one"]
MESSAGE_PART = ["Content-Type: message/rfc822"]
INNER = ["From: inner", "Subject: in"]
# what -b -h and -m make keys of
MESSAGE_KEYS = (
    ("-h", MAIN_HEADER),
    ("-b", ["", *MESSAGE.split("\n\n", 1)[1].splitlines()]),
    ("-hm", MAIN_HEADER + PART + MESSAGE_PART + INNER),
    ("-bm", ["", "preamble", "--B", "", "body one", "--B", "", "", "inner body", "Not: header",
             "--B--", "epilogue: end"]),
    ("-bhm", MAIN_HEADER + ["", "preamble", "--B"] + PART + ["", "body one", "--B"] + MESSAGE_PART
     + [""] + INNER + ["", "inner body", "Not: header", "--B--", "epilogue: end"]))


def test_messages():
    write("all", "/^(.*)$/ <$1>\n")
    for option, keys in MESSAGE_KEYS:
        code, out, err = ours(option, "-q", "-", "regexp:all", stdin=MESSAGE)
        tap.equal((code, out, err), (0, "".join(f"{k}\t<{k}>\n" for k in keys), ""), option)
    tap.equal(ours("-h", "-q", "-", "regexp:all", stdin="no header\n"), (1, "", ""), "no header")
    tap.equal(ours("-h", "-q", "-", "regexp:all", stdin=""), (1, "", ""), "nothing at all")
    wrong = 'postmap: fatal: specify -b -h or -m only with "-q -"\n'
    for args in (("-h", "-q", "a"), ("-b", "-s"), ("-m", "-d", "-"), ("-b",)):
        tap.equal(ours(*args, "regexp:all"), (1, "", wrong), " ".join(args))
    tap.equal(ours("-m", "-q", "-", "regexp:all", stdin="x\n"),
              (0, "x\t<x>\n", "postmap: warning: ignoring -m option without -b or -h\n"), "-m alone")


def test_json():
    write("j", "a 1\nb two \"words\"\n")
    ours("lmdb:j")
    tap.equal(sorted(ours("-j", "-s", "lmdb:j")[1].splitlines()),
              ['{"a": "1"}', '{"b": "two \\"words\\""}'], "-j -s")
    tap.equal(ours("-j", "-q", "a", "lmdb:j"), (0, '{"a": "1"}\n', ""), "-j -q")
    tap.equal(ours("-j", "-q", "-", "lmdb:j", stdin="zz\nb\n"),
              (0, '{"b": "two \\"words\\""}\n', ""), "-j -q -")
    tap.equal(ours("-j", "-q", "zz", "lmdb:j"), (1, "", ""), "not found")
    for args in ((), ("-i",), ("-d", "a")):
        tap.equal(ours("-j", *args, "lmdb:j"),
                  (1, "", "postmap: fatal: option -j requires -q or -s\n"), " ".join(("-j", *args)))


def test_character_sets():
    write("any", "/^(.*)$/ <$1>\n")
    write("bad", "/^a/ \xff\xfe\n")
    why = "malformed UTF-8 or invalid codepoint\n"
    key = f'postmap: warning: regexp:any: non-UTF-8 key "?": {why}'
    tap.equal(ours("-q", "\udcff", "regexp:any"), (1, "", key), "a key that is no UTF-8")
    tap.equal(ours("-u", "-q", "\udcff", "regexp:any"), (0, "<\udcff>\n", ""), "-u")
    tap.equal(ours("-b", "-q", "-", "regexp:any", stdin="\n\udcff\n"),
              (0, "\t<>\n\udcff\t<\udcff>\n", ""), "mail may be in any character set")
    tap.equal(ours("-bU", "-q", "-", "regexp:any", stdin="\n\udcff\n"), (0, "\t<>\n", key), "-U")
    tap.equal(ours("-q", "a", "regexp:bad"),
              (1, "", f'postmap: warning: regexp:bad: key "a": non-UTF-8 value "??": {why}'
               "postmap: fatal: table regexp:bad: query error\n"), "a value that is no UTF-8")


def find_peer():
    peer = os.environ.get("PC_PEER_POSTMAP", "/usr/sbin/postmap")
    if not os.path.exists(peer):
        return None, "no Postfix is installed"
    if "PC_PEER_POSTMAP" not in os.environ:
        owner = subprocess.run(["dpkg-query", "-S", peer], capture_output=True, text=True,
                               timeout=60, check=False).stdout if shutil.which("dpkg-query") else ""
        if not owner.startswith("postfix:"):
            return None, peer + " is not Postfix's"
    write("probe", "a b\n")
    code, _, err = run(peer, "lmdb:probe")
    return (peer, "") if code == 0 else (None, "Postfix has no lmdb: " + err.strip())


def same_message_keys(peer):
    write("all", "/^(.*)$/ <$1>\n")
    for option, _ in MESSAGE_KEYS:
        for text in (MESSAGE, "x\n" + MESSAGE, " " + MESSAGE, MESSAGE[:-1], MESSAGE[:60],
                     MESSAGE.replace("--B--", ""), "\n", "a: b", "From x\na: b\n\nc\n"):
            tap.equal(ours(option, "-q", "-", "regexp:all", stdin=text),
                      run(peer, option, "-q", "-", "regexp:all", stdin=text),
                      f"the same: {option} {text[:20]!r} ({len(text)})")


def test_peer():
    peer, reason = find_peer()
    if not peer:
        tap.skip(reason, "beside Postfix's postmap")
        return
    many = "".join(f"User{i * 7919 % 10007}@example.com value {i}\n" for i in range(3000))
    for name, text in (("p1", SOURCE), ("p2", many), ("p3", "# nothing\n"),
                       ("p4", "a b\na c\n  d\n\n\n#\n  e\nz\ty \t \n")):
        write(name, text)
        write(name + "p", text)
        ours("lmdb:" + name)
        run(peer, "lmdb:" + name + "p")
        tap.equal(ours("-s", "lmdb:" + name), run(peer, "-s", "lmdb:" + name + "p"),
                  f"{name}: the same entries")
        tap.equal(run(peer, "-s", "lmdb:" + name), ours("-s", "lmdb:" + name + "p"),
                  f"{name}: each reads the other's")
    for args, stdin in ((("-q", "bob"), ""), (("-q", "x"), ""), (("-q", "-"), "bob\nx\n@dom\n"),
                        (("-q", "-"), "x\n"), (("-d", "x"), ""), (("-d", "bob"), ""),
                        (("-i",), "new 1\n@dom 2\n"), (("-ir",), "@dom 3\n"), (("-s",), "")):
        tap.equal(ours(*args, "lmdb:p1", stdin=stdin)[:2],
                  run(peer, *args, "lmdb:p1p", stdin=stdin)[:2], "the same: " + " ".join(args))
    same_message_keys(peer)


write("main.cf", "compatibility_level = 3.6\nmyhostname = mail.example.test\n"
      "default_database_type = hash\n")
write("master.cf", "")
try:
    tap.run(test_build_and_query, test_default_type, test_changes, test_keys, test_mode,
            test_errors, test_other_types, test_aliases, test_messages,
            test_json, test_character_sets, test_peer)
finally:
    shutil.rmtree(DIR, ignore_errors=True)
