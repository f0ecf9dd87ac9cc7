#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""maillog_file: postlogd, what commands write to it, postfix logrotate; upgrade-configuration."""

import gzip
import os
import re
import socket
import stat
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import tap                                            # noqa: E402
from instance import Instance  # noqa: E402

SERVICE = "postlog unix-dgram n - n - 1 postlogd\n"


def lines(mail):
    with open(mail.path("log/mail.log"), encoding="utf-8", errors="surrogateescape") as f:
        return f.read().splitlines()


def datagram(mail, data):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(mail.path("spool/public/postlog"))
        sock.send(data)


def test_service(mail):
    datagram(mail, b"Nov 20 16:00:37 vm postfix/postlog[7]: warning: hello you")
    tap.ok(mail.wait_for_log(r"^Nov 20 16:00:37 vm postfix/postlog\[7\]: warning: hello you$"),
           "a line as its sender made it")
    datagram(mail, b"Nov 20 16:00:38 vm x[8]: a\nNov 20 16:00:38 vm forged[1]: \x1b[1m\0z\n\0")
    tap.ok(mail.wait_for_log(r"^Nov 20 16:00:38 vm x\[8\]: a\?Nov 20 16:00:38 vm forged\[1\]: "
                             r"\?\[1m\?z$"), "no second line in one")
    datagram(mail, b"")
    datagram(mail, b"Nov 20 16:00:39 vm long[9]: " + b"x" * 60000)
    tap.ok(mail.wait_for_log(r"^Nov 20 16:00:39 vm long\[9\]: x{1900,1980}$"), "a long one is cut")
    many = 500
    for i in range(many):
        datagram(mail, b"Nov 20 16:00:40 vm many[%d]: end" % i)
    mail.wait_for_log(rf"many\[{many - 1}\]: end$")
    got = [m[1] for m in map(re.compile(r"many\[(\d+)\]: end$").search, lines(mail)) if m]
    tap.equal(got, [str(i) for i in range(many)], "none is lost, each is in its place")


def test_commands(mail):
    """Nobody can open the file; what they log goes through the service."""
    path = mail.path("log/mail.log")
    mode = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, 0o400)
    try:
        done = mail.command("postlog", "-t", "some/script", "-p", "warn", "by the service")
        tap.equal((done.returncode, done.stderr), (0, ""), "postlog")
        tap.ok(mail.wait_for_log(r" some/script\[\d+\]: warning: by the service$"), "its line")
        done = mail.command("sendmail", "-N", "bogus", "-f", "a@example.test", "nobody@example.test",
                            input="Subject: x\n\nx\n")
        tap.like(done.stderr, r"^sendmail: warning: .*bogus", "sendmail warns")
        tap.ok(mail.wait_for_log(r" postfix/sendmail\[\d+\]: warning: .*bogus"), "and logs it")
        done = mail.command("postdrop", input="x")
        tap.like(done.stderr, r"^postdrop: fatal: ", "postdrop refuses")
        tap.ok(mail.wait_for_log(r" postfix/postdrop\[\d+\]: fatal: "), "and logs it")
        done = mail.command("postmap", "lmdb:/nonexistent/x")
        tap.like(done.stderr, r"^postmap: fatal: ", "postmap fails")
        tap.ok(mail.wait_for_log(r" postfix/postmap\[\d+\]: fatal: .*/nonexistent/x"), "and logs it")
    finally:
        os.chmod(path, mode)


def write_lines(mail, stop, sent):
    """Until STOP, however long the rotation takes, and one more."""
    last = False
    while not last:
        last = stop.is_set()
        datagram(mail, b"Nov 20 16:00:41 vm during[%d]: end" % len(sent))
        sent.append(str(len(sent)))


def numbered(text):
    return re.findall(r"during\[(\d+)\]: end$", text, re.M)


def test_logrotate(mail):
    path = mail.path("log/mail.log")
    datagram(mail, b"Nov 20 16:00:40 vm before[1]: end")
    mail.wait_for_log(r"before\[1\]: end$")
    stop, sent = threading.Event(), []
    writer = threading.Thread(target=write_lines, args=(mail, stop, sent))
    writer.start()
    try:
        done = mail.command("postfix", "logrotate")
    finally:
        stop.set()
        writer.join()
    tap.equal((done.returncode, done.stderr), (0, ""), "logrotate")
    tap.ok(not os.path.exists(path + ".old"), "what was compressed is gone")
    with gzip.open(path + ".old.gz", "rt", encoding="utf-8", errors="surrogateescape") as f:
        old = f.read()
    tap.like(old, r"(?m)before\[1\]: end$", "the old lines are in the compressed file")
    tap.equal(stat.S_IMODE(os.stat(path).st_mode), 0o640, "the new file has maillog_file_permissions")
    mail.wait_for_log(rf"during\[{sent[-1]}\]: end$")
    with open(path, encoding="utf-8") as f:
        new = f.read()
    tap.ok(numbered(old) + numbered(new) == sent, f"none of {len(sent)} lines was lost in between")
    mail.send("after the rotation")
    mail.wait_for_mail("bob")
    tap.ok(any("postfix/virtual[" in line for line in lines(mail)), "daemons write to the new file")
    os.rename(path + ".old.gz", path + ".old")
    before = open(path + ".old", "rb").read()
    done = mail.command("postfix", "logrotate")
    tap.equal(done.returncode, 1, "a file of that name is in the way")
    tap.like(done.stderr, r"rotation failed: .*\.old: File exists", "and that is said")
    tap.equal(open(path + ".old", "rb").read(), before, "it is as it was")
    tap.ok(os.path.exists(path), "and so is the log's name")


def test_upgrade(mail):
    path = mail.path("etc/postfix/master.cf")
    with open(path, encoding="utf-8") as f:
        before = f.read()
    done = mail.command("postfix", "upgrade-configuration")
    added = re.findall(r"^Editing \S+/master.cf, adding missing entry for (\S+) service$",
                       done.stdout, re.M)
    tap.ok(done.returncode == 0 and "relay" in added and "postlog" not in added,
           f"upgrade-configuration adds what is missing alone: {added}")
    with open(path, encoding="utf-8") as f:
        after = f.read()
    tap.ok(after.startswith(before), "and leaves what is there")
    names = [line.split()[0] for line in after[len(before):].splitlines()]
    tap.equal(names, added, "one entry for each")
    done = mail.command("postfix", "upgrade-configuration")
    tap.equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "once")
    tap.equal(open(path, encoding="utf-8").read(), after, "no more is added")
    tap.equal(mail.command("postfix", "check").returncode, 0, "the result is sound")


def test_errors(mail):
    main_cf = mail.path("etc/postfix/main.cf")
    with open(main_cf, encoding="utf-8") as f:
        text = f.read()
    cases = (("maillog_file_permissions = 0666", "reload", r"maillog_file_permissions: 0666 is none"),
             ("maillog_file_rotate_suffix = a/b", "logrotate", r"makes a path"),
             ("maillog_file_rotate_suffix =", "logrotate", r"makes no suffix"),
             ("maillog_file =", "logrotate", r"maillog_file is empty"))
    for line, verb, message in cases:
        with open(main_cf, "w", encoding="utf-8") as f:
            f.write(f"{text}\n{line}\n")
        done = mail.command("postfix", verb)
        if verb == "reload":
            tap.ok(mail.wait_for_log(message), line)
        else:
            tap.ok(done.returncode == 1 and re.search(message, done.stderr), f"{line}: {done.stderr}")
    with open(main_cf, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    with Instance(main={"maillog_file_permissions": "0640", "maillog_file_rotate_suffix": "old"},
                  master=SERVICE) as mail:
        test_service(mail)
        test_commands(mail)
        test_logrotate(mail)
        test_upgrade(mail)
        test_errors(mail)
    tap.done()


main()
