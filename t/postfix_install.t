#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postfix set-permissions, on a host of its own."""

import grp
import os
import pwd
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hostroot import sh  # noqa: E402

SPOOL = "/var/spool/postfix"
QUEUE_FILE = SPOOL + "/deferred/A/A1"
SECRET = "/root/secret"
WRONG = f"""
chown nobody:nogroup /etc/postfix/main.cf {SPOOL} {SPOOL}/maildrop /usr/sbin/postdrop
chmod 666 /etc/postfix/main.cf; chmod 777 {SPOOL}/private; chmod 755 /usr/sbin/postqueue
rmdir {SPOOL}/saved
mkdir -p {SPOOL}/deferred/A; echo x >{QUEUE_FILE}; chown -R nobody {SPOOL}/deferred
echo x >{SPOOL}/maildrop/B; chown nobody {SPOOL}/maildrop/B
echo secret >{SECRET}; chmod 600 {SECRET}; ln -s {SECRET} {SPOOL}/deferred/link
ln -s /root {SPOOL}/hold/dir; mkdir -p {SPOOL}/public/x
"""


def shape(path):
    st = os.lstat(path)
    return (pwd.getpwuid(st.st_uid).pw_name, grp.getgrgid(st.st_gid).gr_name,
            oct(stat.S_IMODE(st.st_mode)))


def check_shapes(owner, group):
    for path, want in (("/etc/postfix/main.cf", ("root", None, "0o644")),
                       (SPOOL, ("root", "root", "0o755")),
                       (SPOOL + "/private", (owner, None, "0o700")),
                       (SPOOL + "/saved", (owner, None, "0o700")),
                       (SPOOL + "/maildrop", (owner, group, "0o730")),
                       (SPOOL + "/public", (owner, group, "0o710")),
                       (SPOOL + "/pid", ("root", None, "0o755")),
                       (QUEUE_FILE, (owner, None, "0o644")),
                       (SPOOL + "/maildrop/B", ("nobody", None, "0o644")),
                       ("/usr/sbin/postdrop", ("root", group, "0o2755")),
                       ("/usr/sbin/postqueue", ("root", group, "0o2755")),
                       ("/usr/sbin/postlog", ("root", group, "0o2755")),
                       (SECRET, ("root", "root", "0o600"))):
        got = shape(path)
        tap.equal((got[0], got[1] if want[1] else None, got[2]), want, f"{path} of {owner}")


def main():
    hostroot.enter()
    hostroot.install()
    sh("useradd -r other; groupadd -r otherdrop; postfix start; postfix stop")
    done = sh(WRONG)
    tap.equal(done.returncode, 0, f"all is made wrong {done.stdout}")
    done = sh("postfix check")
    tap.like(done.stdout, r"(?s)main\.cf.*maildrop", "postfix check finds it")
    done = sh("postfix set-permissions")
    tap.equal((done.returncode, done.stdout), (0, ""), "set-permissions")
    check_shapes("postfix", "postdrop")
    tap.equal(pwd.getpwuid(os.lstat(SPOOL + "/deferred/link").st_uid).pw_name, "postfix",
              "a link is given away as a link")
    done = sh("postfix set-permissions mail_owner=other setgid_group=otherdrop")
    tap.equal((done.returncode, done.stdout), (0, ""), "another owner and group")
    tap.like(open("/etc/postfix/main.cf", encoding="utf-8").read(),
             r"(?ms)^mail_owner = other$.*^setgid_group = otherdrop$", "are in main.cf")
    check_shapes("other", "otherdrop")
    tap.equal(pwd.getpwuid(os.stat("/root").st_uid).pw_name, "root", "no link was followed")
    done = sh("postfix set-permissions mail_owner=nosuch")
    tap.equal(done.returncode, 1, "no such owner")
    tap.like(done.stdout, 'there is no account "nosuch"', "is said")
    check_shapes("other", "otherdrop")
    done = sh("postfix set-permissions nonsense")
    tap.equal(done.returncode, 1, "an argument that is no setting")
    done = sh("setpriv --reuid=nobody --clear-groups postfix set-permissions")
    tap.equal(done.returncode, 1, "only for root")
    tap.done()


main()
