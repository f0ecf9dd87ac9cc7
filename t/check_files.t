#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postfix check: silent where all is well; all that is wrong at once, with its place and the nearest
right spelling; owners and modes of files, in the peer's words."""

import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402

BUILD = os.environ.get("PC_BUILDDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build"))
POSTFIX = os.path.join(BUILD, "postfix")
OWNER, GROUP = "nobody", "daemon"
SPOOL = {"active": 0o700, "bounce": 0o700, "corrupt": 0o700, "defer": 0o700, "deferred": 0o700,
         "flush": 0o700, "hold": 0o700, "incoming": 0o700, "private": 0o700, "saved": 0o700,
         "trace": 0o700, "maildrop": 0o730, "public": 0o710}


class Host:
    """The files of a mail system, as an installation leaves them."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="check_files.t.")
        os.chmod(self.dir, 0o755)
        for name in ("etc", "spool", "data", "bin", "spool/pid"):
            os.mkdir(self.path(name), 0o755)
        uid, gid = pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid
        for name, mode in SPOOL.items():
            os.mkdir(self.path("spool", name))
            os.chown(self.path("spool", name), uid, gid if mode != 0o700 else 0)
            os.chmod(self.path("spool", name), mode)
        os.chmod(self.path("data"), 0o700)
        os.chown(self.path("data"), uid, 0)
        for name in ("postqueue", "postdrop", "postlog"):
            with open(self.path("bin", name), "w", encoding="ascii"):
                pass
            os.chown(self.path("bin", name), 0, gid)
            os.chmod(self.path("bin", name), 0o2755)
        self.write("", "smtp inet n - n - - smtpd\n")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, main, master):
        with open(self.path("etc/main.cf"), "w", encoding="utf-8") as f:
            f.write(f"compatibility_level = 3.11\nqueue_directory = {self.path('spool')}\n"
                    f"data_directory = {self.path('data')}\ncommand_directory = {self.path('bin')}\n"
                    f"mail_owner = {OWNER}\nsetgid_group = {GROUP}\nmyhostname = mail.example.test\n"
                    f"alias_maps =\nmaillog_file = {self.path('log')}\nmaillog_file_prefixes = {self.dir}\n"
                    + main)
        with open(self.path("etc/master.cf"), "w", encoding="utf-8") as f:
            f.write(master)

    def check(self):
        """The exit status and what was told, without the command's name and our directory."""
        got = subprocess.run([POSTFIX, "-c", self.path("etc"), "check"], capture_output=True, text=True,
                             timeout=60, stdin=subprocess.DEVNULL, check=False)
        lines = [re.sub(r"^postfix/postfix-script: ", "", line).replace(self.dir, "DIR")
                 for line in got.stderr.splitlines()]
        return got.returncode, sorted(lines)


def test_sound():
    tap.equal(HOST.check(), (0, []), "silent and 0 where all is well")


def test_all_at_once():
    text, table = HOST.path("etc/table"), HOST.path("etc/table.lmdb")
    for path in (text, table):
        with open(path, "w", encoding="ascii") as f:
            f.write("a b\n")
    subprocess.run([os.path.join(BUILD, "postmap"), "-c", HOST.path("etc"), f"lmdb:{text}"], check=True,
                   timeout=60)
    os.utime(table, (10**9, 10**9))
    HOST.write("""\
smtpd_timout = 3s
smtpd_timeout = 3x
smtpd_hard_error_limit = 0
message_size_limit = big
disable_vrfy_command = perhaps
smtpd_client_restrictions = permit_mynetwork, permit, reject
canonical_maps = lmdb:$config_directory/table
relocated_maps = lmdb:$config_directory/gone
default_transport = relai
""", """\
smtp inet n - n - - smtpd
  -o smtpd_tls_secruity_level=may
  -o smtpd_error_sleep_time=soon
2525 inett n - n - - smtpd
2526 inet n - n - - smtpdd
short unix n
relay unix - - n - - smtp
""")
    status, lines = HOST.check()
    tap.equal(status, 1, "wrong values are errors")
    for want in (
            r"warning: DIR/etc/main.cf: line 11: smtpd_timout: .*did you mean smtpd_timeout\?",
            r"error: DIR/etc/main.cf: line 12: smtpd_timeout: bad time value: 3x \(want",
            r"error: DIR/etc/main.cf: line 13: smtpd_hard_error_limit: bad value: 0 \(the least is 1\)",
            r"error: DIR/etc/main.cf: line 14: message_size_limit: bad numerical value: big",
            r"error: DIR/etc/main.cf: line 15: disable_vrfy_command: bad boolean value: perhaps \(want yes",
            r"warning: DIR/etc/main.cf: line 16: .*unknown restriction \"permit_mynetwork\" \(did you mean "
            r"permit_mynetworks\?\)",
            r"warning: DIR/etc/main.cf: line 16: .*\"reject\" is never reached, it stands behind \"permit\"",
            r"warning: DIR/etc/main.cf: line 17: canonical_maps: database DIR/etc/table.lmdb is older than "
            r"source file DIR/etc/table",
            r"warning: DIR/etc/main.cf: line 18: relocated_maps: .*gone.*No such file",
            r"warning: DIR/etc/main.cf: line 19: default_transport: there is no service relai in master.cf "
            r"\(did you mean relay\?\)",
            r"warning: DIR/etc/master.cf: line 1: smtpd_tls_secruity_level: .*did you mean "
            r"smtpd_tls_security_level\?",
            r"error: DIR/etc/master.cf: line 1: smtpd_error_sleep_time: bad time value: soon",
            r"error: DIR/etc/master.cf: line 4: service type \"inett\" is unknown .*did you mean inet\?",
            r"warning: DIR/etc/master.cf: line 5: service 2526: program smtpdd is unknown \(did you mean "
            r"smtpd\?\)",
            r"error: DIR/etc/master.cf: line 6: 3 of 8 columns"):
        tap.like("\n".join(lines), "^" + want, want)
    HOST.write("", "smtp inet n - n - - smtpd\n")
    os.unlink(text)
    os.unlink(table)


def test_files():
    if os.geteuid() != 0:
        tap.skip("owners are looked at by root", "owners and modes")
        return
    changes = [
        ("etc/main.cf", 0o666, None, "group or other writable: DIR/etc/main.cf"),
        ("etc/master.cf", None, (1, 0), "not owned by root: DIR/etc/master.cf"),
        ("etc", 0o775, None, "group or other writable: DIR/etc"),
        ("spool", 0o777, None, "group or other writable: DIR/spool"),
        ("spool", None, (1, 0), "not owned by root: DIR/spool"),
        ("spool/active", None, (1, 0), f"not owned by {OWNER}: DIR/spool/active"),
        ("spool/public", None, (-1, 0), f"not owned by group {GROUP}: DIR/spool/public"),
        ("spool/maildrop", 0o777, None, "mode 0777 instead of 0730: DIR/spool/maildrop"),
        ("data", None, (0, 0), f"not owned by {OWNER}: DIR/data"),
        ("data", 0o770, None, "group or other writable: DIR/data"),
        ("bin/postdrop", 0o755, None, "not set-gid or not owner+group+world executable: DIR/bin/postdrop"),
        ("bin/postqueue", None, (-1, 0), f"not owned by group {GROUP}: DIR/bin/postqueue"),
    ]
    for name, mode, owner, want in changes:
        path = HOST.path(name)
        before = os.stat(path)
        if mode is not None:
            os.chmod(path, mode)
        if owner is not None:
            os.chown(path, *owner)
        # Giving a program away takes its set-gid bit.
        if name.startswith("bin") and mode is None:
            os.chmod(path, before.st_mode & 0o7777)
        tap.equal(HOST.check(), (0, ["warning: " + want]), want)
        os.chown(path, before.st_uid, before.st_gid)
        os.chmod(path, before.st_mode & 0o7777)
    os.mkdir(HOST.path("etc/sub"))
    with open(HOST.path("etc/sub/map"), "w", encoding="ascii"):
        pass
    os.chmod(HOST.path("etc/sub/map"), 0o646)
    os.symlink("map", HOST.path("etc/sub/link"))
    with open(HOST.path("spool/corrupt/A1"), "w", encoding="ascii"):
        pass
    tap.equal(HOST.check()[1], ["warning: damaged message: DIR/spool/corrupt/A1",
                                "warning: group or other writable: DIR/etc/sub/map"],
              "below the directory, and what is damaged")
    shutil.rmtree(HOST.path("etc/sub"))
    os.unlink(HOST.path("spool/corrupt/A1"))
    tap.equal(HOST.check(), (0, []), "all is well again")


if os.geteuid() != 0:
    tap.skip_all("the files of a mail system belong to root and to mail_owner")
HOST = Host()
try:
    tap.run(test_sound, test_all_at_once, test_files)
finally:
    shutil.rmtree(HOST.dir)
