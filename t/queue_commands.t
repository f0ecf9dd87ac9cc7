#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postkick, postlog, postlock, and what postcat says about files that are none."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import tap                                            # noqa: E402
from instance import Instance             # noqa: E402

MAIN = {"deliver_lock_attempts": "2", "deliver_lock_delay": "1s"}


def said(mail, *args, **kwargs):
    done = mail.command(*args, **kwargs)
    return done.returncode, done.stderr


def test_postkick(mail):
    tap.equal(said(mail, "postkick", "public", "qmgr", "IDA"), (0, ""), "postkick")
    tap.equal(said(mail, "postkick", "public", "pickup", "W"), (0, ""), "of pickup")
    tap.equal(said(mail, "postkick", "public", "nosuch", "W"), (1,
              "postkick: warning: unable to look up public/nosuch: No such file or directory\n"
              "postkick: warning: Cannot contact class public service nosuch - perhaps the mail "
              "system is down\n"), "of nobody")
    tap.equal(said(mail, "postkick", "a"), (1, "postkick: fatal: usage: postkick [-c config_dir] "
                                            "[-v] class service request\n"), "usage")


def test_postlog(mail):
    tap.equal(said(mail, "postlog", "-t", "foo", "-p", "warn", "hello", "world"), (0, ""),
              "postlog with words")
    tap.ok(mail.wait_for_log(r" foo\[\d+\]: warning: hello world$"), "tag and severity")
    tap.equal(said(mail, "postlog", "-p", "error", input="line1\nline2"), (0, ""), "lines")
    tap.ok(mail.wait_for_log(r"postfix/postlog\[\d+\]: error: line1\n.*error: line2$"), "both")
    for name, text in (("info", "x1"), ("fatal", "fatal: x1"), ("panic", "panic: x1"),
                       ("warning", "warning: x1")):
        tap.equal(said(mail, "postlog", "-i", "-p", name, "x1")[0], 0, name)
        tap.ok(mail.wait_for_log(rf"postfix/postlog\[\d+\]: (error: )?{text}$"), text)
    tap.equal(said(mail, "postlog", "-p", "bogus", "x"),
              (1, 'postlog: fatal: bad severity: "bogus"\n'), "an unknown severity")
    said(mail, "postlog", "a\rb\x1b[1mc")
    tap.ok(mail.wait_for_log(r"postlog\[\d+\]: a\?b\?\[1mc$"), "no control characters in the log")


def test_postlock(mail):
    box = mail.path("box")
    for command, status in ((["true"], 0), (["false"], 1), (["sh", "-c", "exit 7"], 7),
                            (["sh", "-c", "kill -9 $$"], 1),
                            (["sh", "-c", f"test -e {box}.lock"], 0)):
        tap.equal(said(mail, "postlock", box, *command), (status, ""), " ".join(command))
    tap.ok(not os.path.exists(box + ".lock"), "the lock file is gone")
    tap.equal(said(mail, "postlock", box, "/nonexistent"), (1, "postlock: fatal: execvp "
              "/nonexistent: No such file or directory\n"), "no such command")
    tap.equal(said(mail, "postlock", "/nonex/box", "true"), (75, "postlock: fatal: open file "
              "/nonex/box: unable to create lock file /nonex/box.lock: No such file or "
              "directory\n"), "no such directory")
    for style in ("dotlock", "fcntl", "flock", "flock, dotlock"):
        program = os.path.join(instance.stage(), "sbin/postlock")
        status, text = said(mail, "postlock", "-l", style, box, program, "-l", style, box, "true")
        tap.equal(status, 75, f"{style}: a second one does not get it")
        tap.like(text, r"^postlock: fatal: open file .*: unable to ", "and says so")
    with open(box + ".lock", "w", encoding="ascii"):
        pass
    mail.own(box + ".lock")
    old = time.time() - 1000
    os.utime(box + ".lock", (old, old))
    tap.equal(said(mail, "postlock", box, "true"), (0, ""), "a stale lock file is removed")
    tap.equal(said(mail, "postlock", "-l", "bogus", box, "true")[0], 75, "an unknown style")
    tap.equal(said(mail, "postlock")[0], 75, "usage")


def test_postcat(mail):
    with open(os.path.join(instance.SRCDIR, "t/data/postfix-3.7-queue-file"), "rb") as f:
        whole = f.read()
    path = mail.path("cut")
    bad = []
    for size in range(len(whole)):
        with open(path, "wb") as f:
            f.write(whole[:size])
        if size % 40 and size < len(whole) - 40:
            continue
        for options in ("-beh", "-b", "-r"):
            done = mail.command("postcat", options, path)
            if done.returncode not in (0, 1) or "anitizer" in done.stderr:
                bad.append((size, options, done.returncode, done.stderr))
    tap.equal(bad, [], "truncated queue files")
    tap.equal(said(mail, "postcat", "/etc/passwd"), (0, "postcat: warning: /etc/passwd: input is "
                                                     "not a valid queue file\n"), "no queue file")
    tap.equal(said(mail, "postcat", "-q", "a.b"), (1, "postcat: fatal: bad mail queue ID: a.b\n"),
              "a bad id")
    tap.like(mail.command("postcat", "-f", "-e", path).stdout, rf"^{path}: message_size: ",
             "-f tells the file")


def main():
    with Instance(main=MAIN) as mail:
        test_postkick(mail)
        test_postlog(mail)
        test_postlock(mail)
        test_postcat(mail)
    tap.done()


main()
