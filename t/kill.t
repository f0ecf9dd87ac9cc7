#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Processes die in the middle of work: nothing that was acknowledged is lost, the other sessions go
on, and the suite recovers by itself. So it is with one that hangs, and with a reload."""

import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import load as load_module
import tap
from instance import DOMAIN, Instance, wait_until
from load import Load
from whereabouts import message

mail = None  # the instance


def children(pid):
    """Pids of PID's children."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                parts = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(parts[1]) == pid and parts[0] != "Z":
            found.append(int(name))
    return found


def birth(pid):
    """When it was started; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            parts = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if parts[0] == "Z" else parts[19]


def virtual(depth):
    """virtual's front (0), its parent (1), the worker (2)."""
    masters = set(mail.master_pids().values())
    pids = [pid for pid in mail.pids("virtual")
            if any(pid in children(master) for master in masters)]
    for _ in range(depth):
        pids = [child for pid in pids for child in children(pid)]
    return pids


def kill(find, what):
    """Kills the first process that FIND tells of."""
    pid = wait_until(find, f"a process to kill: {what}")[0]
    os.kill(pid, signal.SIGKILL)
    return pid


def send_one(name, user="bob"):
    """A new message is accepted and delivered."""
    before = len(mail.mail_files(user))
    load_module.send(mail, f"token-after-{name}", user)
    load_module.trigger(mail, b"FA")
    mail.wait_for_mail(user, before + 1)


def under_load(name, victim, may_cut=False):
    """VICTIM() lists the processes of which one is killed, twice, while mail comes in."""
    with Load(mail, clients=3, name=name) as load:
        load.progress()
        first = kill(victim, name)
        load.progress()
        wait_until(lambda: any(pid != first for pid in victim()), f"another {name}")
        kill(victim, name)
        load.progress()
    cut = load.total("cut")
    if not may_cut:
        tap.ok(not cut, f"{name} is killed: no client notices", cut)
    try:
        load.all_delivered()
        tap.ok(True, f"{name}: all of {len(load.accepted())} acknowledged deliveries were made")
    except (RuntimeError, TimeoutError) as error:
        tap.ok(False, f"{name}: nothing is lost", f"{error}\n{mail.log()[-6000:]}")
    send_one(name)
    tap.ok(True, f"{name}: and a new message is delivered")


def test_qmgr():
    under_load("qmgr", lambda: mail.pids("qmgr"))


def test_virtual_front():
    under_load("virtual", lambda: virtual(0))


def test_virtual_parent():
    under_load("virtual-parent", lambda: virtual(1))


def test_virtual_worker():
    under_load("virtual-worker", lambda: virtual(2))


def test_bounce():
    under_load("bounce", lambda: mail.pids("bounce"))


def test_smtpd():
    under_load("smtpd", lambda: mail.pids("smtpd"), may_cut=True)


def test_other_sessions():
    """The two ports have processes of their own."""
    here, there = mail.smtp(), mail.submission()
    here.ehlo()
    there.ehlo()
    there.mail(f"alice@{DOMAIN}")
    pids = [int(pid) for pid in re.findall(r"postfix/smtpd\[(\d+)\]: connect from", mail.log())]
    os.kill(pids[-1], signal.SIGKILL)
    try:
        here.noop()
        tap.ok(False, "the session in a killed smtpd ends")
    except (OSError, load_module.smtplib.SMTPException):
        tap.ok(True, "the session in a killed smtpd ends")
    there.rcpt(f"bob@{DOMAIN}")
    tap.equal(there.data(message("token-other-0"))[0], 250, "one in another process goes on")
    there.quit()
    here.close()


def logs_in():
    try:
        mail.submission().quit()
        return True
    except OSError:
        return False


def test_authd():
    with Load(mail, clients=2, name="authd") as load:
        load.progress()
        kill(lambda: mail.pids("authd"), "authd")
        wait_until(logs_in, "somebody logs in after authd was killed")
        load.progress()
    tap.ok(not load.total("cut"), "authd is killed: sessions without login do not notice",
           load.total("cut"))
    smtp = mail.submission()
    before = len(mail.mail_files("bob"))
    load_module.send(mail, "token-authenticated-0", smtp=smtp)
    mail.wait_for_mail("bob", before + 1)
    tap.ok(True, "authd: and users log in again")
    smtp.quit()
    load.all_delivered()


def reads_mail():
    try:
        pop = mail.pop3s("bob")
        count = len(pop.list()[1])
        pop.quit()
        return count
    except (OSError, EOFError, load_module.smtplib.SMTPException):
        return 0
    except Exception as error:  # poplib.error_proto
        return 0 if type(error).__name__ == "error_proto" else 1 / 0


def test_pop3():
    for program in ("pop3", "pop3-login"):
        have = wait_until(reads_mail, "bob's mail can be read")
        pop = mail.pop3s("bob")
        kill(lambda p=program: mail.pids(p), program)
        try:
            pop.stat()
            pop.close()
        except Exception:  # whichever half it was in
            pass
        tap.ok(wait_until(lambda h=have: reads_mail() >= h, "bob's mail can be read again"),
               f"{program} is killed in a session: all mail is still there")


def test_stopped_qmgr():
    with Load(mail, clients=3, name="hang") as load:
        load.progress()
        pid = mail.pids("qmgr")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            load.progress(10)
        finally:
            os.kill(pid, signal.SIGCONT)
        load.progress()
    tap.ok(not load.total("cut") and not load.total("refused"),
           "qmgr hangs: its clients spool, and no session notices",
           load.total("cut") + load.total("refused"))
    load.all_delivered()
    tap.ok(True, "and when it goes on all is delivered")


def test_reload():
    busy, idle, between = mail.smtp(), mail.smtp(), mail.smtp()
    busy.ehlo()
    between.ehlo()
    between.mail(f"alice@{DOMAIN}")
    idle.ehlo()
    busy.mail(f"alice@{DOMAIN}")
    busy.rcpt(f"bob@{DOMAIN}")
    busy.docmd("DATA")
    with Load(mail, clients=3, name="reload") as load:
        load.progress()
        for _ in range(3):
            result = mail.reload()
            if not tap.equal(result.returncode, 0, "reload"):
                tap.note(result.stdout + result.stderr)
            load.progress()
    tap.ok(not load.total("cut") and not load.total("refused"),
           "a reload: no transaction is cut", load.total("cut") + load.total("refused"))
    tap.equal(idle.getreply()[0], 421, "an idle session is told 421")
    text = message("token-busy-0").replace("\r\n.", "\r\n..")
    busy.send(text.encode() + b".\r\n")
    reply = busy.getreply()
    tap.equal(reply[0], 250, "one in the middle of a message goes on to its end")
    between.rcpt(f"bob@{DOMAIN}")
    reply = between.data(message("token-between-0"))
    tap.equal(reply[0], 250, "and so does one between two commands of a transaction")
    tap.equal(between.getreply()[0], 421, "which is told 421 then")
    between.close()
    for token in ("token-busy-0", "token-between-0"):
        load.clients[0].accepted.append((token, ("bob",)))
    load.all_delivered()
    busy.close()
    idle.close()


def test_stop_at_once():
    """A stop that comes before the daemons are ready."""
    mail.stop()
    wait_until(lambda: not mail.pids(), "the suite stops")
    for _ in range(5):
        mail.command("postfix", "start")
        mail.command("postfix", "stop")
        wait_until(lambda: "postfix" not in mail.master_pids(), "the suite stops")
    tap.unlike(mail.log(), "hangs, killing it", "a stop right after a start is heard by all")
    mail.start()


def test_master():
    old = mail.master_pids()["postfix"]
    family = {pid: birth(pid) for pid in mail.pids("smtpd") + mail.pids("qmgr")
              + mail.pids("virtual") + mail.pids("bounce")}

    def is_same(pid):
        return birth(pid) == family[pid]

    with Load(mail, clients=3, name="master") as load:
        load.progress()
        os.kill(old, signal.SIGKILL)
        time.sleep(0.5)
        wait_until(lambda: mail.command("postfix", "start").returncode == 0, "a new start")
        load.progress()
    tap.ok(mail.master_pids()["postfix"] != old, "master is killed: a new start takes over")
    load.all_delivered()
    tap.ok(True, f"all of {len(load.accepted())} acknowledged deliveries were made")

    wait_until(lambda: not [pid for pid in family if is_same(pid)],
               "the processes of the dead master end")


def main():
    global mail
    mail = Instance(main=load_module.MAIN, prefix="postcote-kill-")
    load_module.prepare(mail)
    mail.own(mail.dir)
    with mail:
        tap.run(test_qmgr, test_virtual_front, test_virtual_parent, test_virtual_worker,
                test_bounce, test_smtpd, test_other_sessions, test_authd, test_pop3,
                test_stopped_qmgr, test_reload, test_stop_at_once, test_master)


main()
