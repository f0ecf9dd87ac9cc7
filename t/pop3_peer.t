#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One Maildir in the hands of a real Dovecot 2.3 and of ours, in turn and at once: the same UIDLs, sizes
and messages."""

import os
import poplib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_dovecot
import tap
from instance import WAIT_S, Instance, free_ports, wait_until

CONFIG = """
base_dir = {dir}/peer
state_dir = {dir}/peer-state
log_path = {dir}/peer.log
protocols = pop3
listen = 127.0.0.1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{dir}/mail/%n
passdb {{
  driver = static
  args = password=pw
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%n
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Pair:
    def __init__(self, program, directory):
        self.dir = directory
        self.theirs = free_ports(1)[0]
        config = os.path.join(directory, "peer.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=directory, port=self.theirs))
        self.mail = Instance(dovecot=f"mail_location = maildir:{directory}/mail/%n\n")
        with open(self.mail.path("etc/dovecot/users"), "a", encoding="utf-8") as f:
            f.write("".join(f"u{i}:{{PLAIN}}pw::::::\n" for i in range(4)))
        os.makedirs(self.mail.path("spool/private"))
        self.mail.own(self.mail.dir)
        os.makedirs(os.path.join(directory, "mail"))
        self.own()
        # A peer that is installed as the deployment is: with its own programs.
        self.process = subprocess.Popen([program, "-F", "-c", config], stdin=subprocess.DEVNULL)
        result = self.mail.command("dovecot", "-c", self.mail.path("etc/dovecot/dovecot.conf"))
        if result.returncode != 0:
            raise RuntimeError(f"dovecot: {result.stderr}")
        for port in (self.theirs, self.mail.pop3_port):
            wait_until(lambda p=port: self.greets(p), f"port {port}")

    @staticmethod
    def greets(port):
        try:
            poplib.POP3("127.0.0.1", port, timeout=WAIT_S).close()
            return True
        except (OSError, poplib.error_proto):
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.mail.close()

    def own(self):
        # Sessions that are under way rename files meanwhile.
        subprocess.run(["chown", "-R", "nobody:nogroup", os.path.join(self.dir, "mail")],
                       check=False, stderr=subprocess.DEVNULL)

    def put(self, user, name, text):
        base = os.path.join(self.dir, "mail", user)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(base, part), exist_ok=True)
        path = os.path.join(base, "tmp", os.path.basename(name))
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        self.own()
        os.rename(path, os.path.join(base, name))

    def login(self, port, user):
        pop = poplib.POP3("127.0.0.1", port, timeout=WAIT_S)
        pop.user(user)
        pop.pass_("pw")
        return pop

    def look(self, port, user, delete=()):
        """UIDLs, sizes and messages; DELETE are numbers that are removed."""
        pop = self.login(port, user)
        seen = (pop.uidl()[1], pop.list()[1],
                [pop.retr(i + 1)[1] for i in range(pop.stat()[0])])
        for number in delete:
            pop.dele(number)
        pop.quit()
        return seen

    def both(self, user, first, what):
        second = self.theirs if first == self.mail.pop3_port else self.mail.pop3_port
        a = self.look(first, user)
        b = self.look(second, user)
        tap.equal(b, a, what)
        return a

    def uidlist(self, user):
        with open(os.path.join(self.dir, "mail", user, "dovecot-uidlist"), encoding="utf-8") as f:
            return f.read()


def test_in_turn(pair):
    ours, theirs = pair.mail.pop3_port, pair.theirs
    pair.put("u0", "new/1.h", "Subject: 1\n\n.a\n")
    pair.put("u0", "new/2.h,S=14", "Subject: 2\n\nb\n")
    pair.put("u0", "cur/3.h:2,F", "Subject: 3\r\n\r\nc\r\n")
    pair.both("u0", theirs, "a mailbox that Dovecot made")
    pair.put("u0", "new/4.h", "Subject: 4\n\nd")
    pair.put("u0", "new/5.h", "Subject: 5\n\ne\n")
    five = pair.both("u0", ours, "UIDs that we gave")
    pair.look(ours, "u0", delete=(1, 4))
    pair.put("u0", "new/6.h", "Subject: 6\n\nx")
    after = pair.both("u0", theirs, "after we removed messages, and Dovecot gave UIDs")
    uidls = [line.split()[1] for line in five[0]]
    tap.equal([line.split()[1] for line in after[0]][:3], [uidls[1], uidls[2], uidls[4]],
              "the UIDLs of those that stayed")
    pair.look(theirs, "u0", delete=(1, 2, 3))
    pair.both("u0", ours, "after Dovecot removed messages")


def test_ours_first(pair):
    pair.put("u1", "new/1.h", "Subject: 1\n\n.a\n")
    first = pair.both("u1", pair.mail.pop3_port, "a mailbox that we made")
    guid = pair.uidlist("u1").split(" G")[1][:32]
    pair.put("u1", "new/2.h", "Subject: 2\n\nb\n")
    pair.both("u1", pair.theirs, "a message more")
    tap.ok(f" G{guid}" in pair.uidlist("u1"), "the mailbox's GUID stays")
    tap.equal(pair.look(pair.mail.pop3_port, "u1")[0][0], first[0][0], "and so does the UIDL")


def test_at_once(pair):
    for i in range(30):
        pair.put("u2", f"new/{100 + i}.h", f"Subject: {i}\n\nx\n")
    seen, failed = [], []

    def run(port):
        try:
            for _ in range(5):
                seen.append(pair.look(port, "u2")[0])
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=run, args=(port,))
               for port in (pair.theirs, pair.mail.pop3_port) * 2]
    for thread in threads:
        thread.start()
    for i in range(20):
        pair.put("u2", f"new/{200 + i}.h", f"Subject: {i}\n\nx\n")
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    tap.equal(failed, [], "sessions of both at once")
    last = pair.both("u2", pair.theirs, "what both see in the end")
    known = {line.split()[1] for line in last[0]}
    tap.equal(len(known), 50, "every message has a UIDL")
    tap.ok(all(line.split()[1] in known for uidls in seen for line in uidls),
           "no UIDL that anybody was shown has changed")
    with open(os.path.join(pair.dir, "peer.log"), encoding="utf-8") as f:
        bad = [line for line in f if "Error" in line or "Warning" in line]
    tap.equal(bad, [], "Dovecot has nothing to complain of")


def run_all():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    program = peer_dovecot.program("/usr/lib/dovecot/pop3")
    if not program:
        tap.skip_all("no Dovecot 2.3 with POP3 is installed (dovecot-pop3d)")
    directory = tempfile.mkdtemp(prefix="postcote-peer-")
    os.chmod(directory, 0o755)
    try:
        pair = Pair(program, directory)
        try:
            for test in (test_in_turn, test_ours_first, test_at_once):
                test(pair)
        finally:
            pair.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tap.done()


run_all()
