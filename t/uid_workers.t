#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Started by root: which rights the processes of virtual and pop3 have, whose the mailboxes are, and
that a user's process takes no other user's along."""

import os
import poplib
import pwd
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap
from agent import Agent
from instance import Instance, stage, wait_until

GID = 60010
UIDS = {"alice": 60011, "bob": 60012}


def configure(mail):
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write("""
mail_owner = daemon
setgid_group = games
virtual_mailbox_maps = inline:{ {alice@example.test=example.test/alice/},
 {bob@example.test=example.test/bob/}, {low@example.test=example.test/low/},
 {other@example.test=example.test/bob/} }
""")
        f.write(f"""virtual_uid_maps = inline:{{ {{alice@example.test={UIDS['alice']}}},
 {{bob@example.test={UIDS['bob']}}}, {{other@example.test={UIDS['alice']}}}, {{low@example.test=50}} }}
virtual_gid_maps = static:{GID}
virtual_minimum_uid = 100
""")
    with open(mail.path("etc/postfix/master.cf"), "w", encoding="utf-8") as f:
        f.write("virtual unix - n n - - virtual\n")
    path = mail.path("etc/dovecot/dovecot.conf")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, value in (("default_internal_user", "daemon"), ("default_internal_group", "daemon"),
                        ("default_login_user", "games")):
        text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.M)
    users = mail.path("etc/dovecot/users")
    text = re.sub(r"userdb \{[^}]*\}", f"userdb {{\n driver = passwd-file\n args = {users}\n}}", text)
    text = re.sub(r"^first_valid_uid = .*$", "first_valid_uid = 500", text, flags=re.M)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    with open(users, "w", encoding="utf-8") as f:
        for name, uid, more in (*((name, uid, "") for name, uid in UIDS.items()), ("low", 50, ""),
                                ("root", 0, ""), ("other", UIDS["alice"], "userdb_uid=0")):
            f.write(f"{name}@example.test:{{PLAIN}}{name}:{uid}:{GID}::/nonexistent::{more}\n")
    subprocess.run(["chown", "-R", "root:root", mail.dir], check=True)
    os.chmod(users, 0o644)
    os.makedirs(mail.path("mail/example.test"))
    os.chmod(mail.path("mail/example.test"), 0o1777)


def run(mail, *args):
    env = dict(os.environ, MAIL_CONFIG=mail.path("etc/postfix"), LC_ALL="C")
    return subprocess.run([os.path.join(stage(), "sbin", args[0]), *args[1:]], env=env, cwd="/",
                          capture_output=True, text=True, timeout=60, check=False)


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)


def uid_of(pid):
    return int(status(pid)["Uid"].split()[0])


def check_rights(mail, program, users):
    """USERS: every uid that a process of PROGRAM has, and no other."""
    pids = mail.pids(program)
    tap.equal(sorted({uid_of(pid) for pid in pids}), sorted(users), f"the users of {program}")
    for pid in pids:
        st = status(pid)
        uid = uid_of(pid)
        tap.equal(set(st["Uid"].split()), {str(uid)}, f"{program}, uid {uid}: no way back")
        tap.equal(st["NoNewPrivs"].strip(), "1", f"{program}, uid {uid}: no new privileges")
        if uid != 0:
            tap.equal(int(st["CapEff"], 16) | int(st["CapPrm"], 16), 0,
                      f"{program}, uid {uid}: no capability")
        if uid in UIDS.values():
            tap.equal(set(st["Gid"].split()), {str(GID)}, f"{program}, uid {uid}: its group")
            tap.ok(set(st["Groups"].split()) <= {str(GID)}, f"{program}, uid {uid}: no other group",
                   st["Groups"])
            tap.equal(st["Seccomp"].strip(), "2", f"{program}, uid {uid}: a filter")


def test_delivery(mail):
    agent = Agent(mail, "virtual")
    got = agent.deliver(["alice@example.test", "bob@example.test", "low@example.test"])
    tap.equal([result[0] for result in got], ["sent", "sent", "deferred"],
              "two users, and one below virtual_minimum_uid")
    for name, uid in UIDS.items():
        for path in [mail.path("mail/example.test", name)] + mail.mail_files(name):
            st = os.stat(path)
            tap.equal((st.st_uid, st.st_gid), (uid, GID), f"{name} owns {os.path.basename(path)}")
    got = agent.deliver(["other@example.test"])
    tap.equal(got[0][0], "deferred", "alice's process cannot write into bob's mailbox")
    check_rights(mail, "virtual", [0, pwd.getpwnam("daemon").pw_uid, *UIDS.values()])
    agent.close()


def test_pop3(mail):
    alice, bob = mail.pop3s("alice"), mail.pop3s("bob")
    tap.equal((alice.stat()[0], bob.stat()[0]), (1, 1), "both read their mail")
    check_rights(mail, "pop3", [0, pwd.getpwnam("daemon").pw_uid, *UIDS.values()])
    check_rights(mail, "pop3-login", [pwd.getpwnam("games").pw_uid])
    for pid in mail.pids("pop3"):
        if uid_of(pid) == UIDS["alice"]:
            os.kill(pid, signal.SIGKILL)
    try:
        alice.noop()
        tap.ok(False, "alice's session ends with her process")
    except (poplib.error_proto, OSError):
        tap.ok(True, "alice's session ends with her process")
    tap.equal(bob.stat()[0], 1, "bob's goes on")
    bob.quit()
    alice = mail.pop3s("alice")
    tap.equal(alice.stat()[0], 1, "alice can come again")
    alice.quit()
    # Who has uid 0 in the file is nobody to authd already; "other" is found, and then has it.
    for name, uid, answer in (("low", 50, "Internal login failure"),
                              ("other", 0, "Internal login failure"),
                              ("root", 0, r"\[AUTH\] Authentication failed")):
        try:
            mail.pop3s(name)
            tap.ok(False, f"{name} is refused")
        except (poplib.error_proto, OSError) as error:
            tap.like(str(error), answer, f"{name} is refused")
        mail.wait_for_log("User root@example.test has invalid UID '0'" if name == "root" else
                          rf"Mail access for users with uid {uid} not permitted \(see first_valid_uid"
                          rf" in config file, user {name}@example.test\)")
        tap.ok(True, "and the log says why")


if os.geteuid() != 0:
    tap.skip_all("needs root")
mail = Instance()
try:
    configure(mail)
    for result in (run(mail, "postfix", "start"),
                   run(mail, "dovecot", "-c", mail.path("etc/dovecot/dovecot.conf"))):
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
    wait_until(lambda: "starting up" in mail.log(), "dovecot")
    for test in (test_delivery, test_pop3):
        try:
            test(mail)
        except Exception as error:
            tap.ok(False, f"{test.__name__}: {error!r}")
            tap.note(mail.log()[-5000:])
finally:
    run(mail, "postfix", "stop")
    run(mail, "doveadm", "-c", mail.path("etc/dovecot/dovecot.conf"), "stop")
    mail.close()
tap.done()
