# SPDX-License-Identifier: BSD-2-Clause
"""A real Postfix with a private configuration and queue on a port of its own, for comparisons.

It needs root and Debian's package; an installed Postcote is not taken for it.  PC_PEER_ROOT may name
the root of another release (made by debootstrap --include=postfix) whose Postfix is run instead.
"""

import os
import re
import shutil
import subprocess
import tempfile

import instance
import tap

DAEMONS = "/usr/lib/postfix/sbin"
ROOT = os.environ.get("PC_PEER_ROOT", "")


def find():
    """Skips the whole test where there is no real Postfix."""
    if os.geteuid() != 0:
        tap.skip_all("a real Postfix needs root")
    if not os.path.exists(f"{ROOT}{DAEMONS}/smtpd") or not os.path.exists(f"{ROOT}/usr/sbin/postfix"):
        tap.skip_all("no real Postfix is installed (package postfix)")


def version():
    """(3, 7) or so."""
    output = subprocess.run(_inside(["/usr/sbin/postconf", "-dh", "mail_version"]), check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    return tuple(int(part) for part in output.split(".")[:2])


def _meta_directory():
    """Where the package put its list of files."""
    usual = "/etc/postfix"
    return usual if os.path.exists(f"{ROOT}{usual}/postfix-files") else "/usr/share/postfix"


def _inside(argv):
    return ["chroot", ROOT, *argv] if ROOT else argv


def neutral(text):
    """A log line or a reply without the ids in it, which are others each time."""
    text = re.sub(r"queued as \w+", "queued as ID", text)
    return re.sub(r"\b[0-9A-F]{9,}(?=:)", "ID", text)


def smtpd_lines(log):
    """What smtpd wrote there."""
    return re.findall(r"postfix/smtpd\[\d+\]: (.*)", log)


class PeerPostfix:
    """Configured by MAIN, a dictionary of main.cf parameters.  path() is how we see its files, own()
    how it does."""

    def __init__(self, main):
        self.dir = tempfile.mkdtemp(prefix="postcote-peer-", dir=ROOT + "/tmp" if ROOT else None)
        os.chmod(self.dir, 0o755)
        self.smtp_port = instance.free_ports(1)[0]
        self.maildirs = self.path("mail")
        self.mail_log = self.path("mail.log")
        for name in ("etc", "spool", "data", "mail"):
            os.mkdir(self.path(name))
        for name in ("data", "mail"):
            shutil.chown(self.path(name), "postfix", "postfix")
        values = {
            "compatibility_level": "3.6", "queue_directory": self.own("spool"),
            "data_directory": self.own("data"), "command_directory": "/usr/sbin",
            "daemon_directory": DAEMONS, "mail_owner": "postfix", "setgid_group": "postdrop",
            "maillog_file": self.own("mail.log"), "maillog_file_prefixes": self.own(),
            "inet_interfaces": "127.0.0.1", "meta_directory": _meta_directory(),
            "shlib_directory": "/usr/lib/postfix", "alias_maps": "", "alias_database": "",
            "virtual_mailbox_base": self.own("mail"),
            "virtual_uid_maps": f"static:{shutil._get_uid('postfix')}",
            "virtual_gid_maps": f"static:{shutil._get_gid('postfix')}",
            "virtual_minimum_uid": "1", **main,
        }
        with open(self.path("etc/main.cf"), "w", encoding="ascii") as f:
            f.writelines(f"{name} = {value}\n" for name, value in values.items())
        with open(self.path("etc/master.cf"), "w", encoding="ascii") as f:
            f.write(f"127.0.0.1:{self.smtp_port} inet n - n - - smtpd\n"
                    "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n"
                    "rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n"
                    "defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n"
                    "verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n"
                    "smtp unix - - n - - smtp\nerror unix - - n - - error\n"
                    "retry unix - - n - - error\nvirtual unix - n n - - virtual\n"
                    "anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
                    "postlog unix-dgram n - n - 1 postlogd\n")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def own(self, *parts):
        return self.path(*parts).removeprefix(ROOT)

    def postfix(self, verb):
        return subprocess.run(_inside(["/usr/sbin/postfix", "-c", self.own("etc"), verb]),
                              timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        done = self.postfix("start")
        try:
            if done.returncode != 0:
                raise RuntimeError(f"postfix start: {done.stdout}")
            instance.wait_until(lambda: instance._listens(self.smtp_port), "the peer's port")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.postfix("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        try:
            with open(self.mail_log, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    postfix_log = log
