#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A spool that is full: refusals that are worth another try, nothing lost, and no restart needed."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import instance  # noqa: E402
import tap  # noqa: E402
from smtp_dialogue import Dialogue  # noqa: E402

if os.geteuid() != 0:
    tap.skip_all("needs root, to mount a small file system")
if not os.environ.get("PC_DISK_FULL"):
    # A mount that no one else sees, and that is gone with us.
    hostroot.private_mounts_or_skip()
    os.environ["PC_DISK_FULL"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                          os.path.abspath(sys.argv[0])])


def fill(leave):
    """Leaves so many bytes of the spool's file system free."""
    fs = os.statvfs(the_mail.path("spool"))
    with open(the_mail.path("spool/filler"), "wb") as f:
        f.write(b"x" * max(0, fs.f_bavail * fs.f_frsize - leave))


def free():
    os.unlink(the_mail.path("spool/filler"))


def send(subject, port=None, size=100):
    """The replies to MAIL and to the end of DATA."""
    with Dialogue(port or the_mail.smtp_port) as d:
        d.ask("EHLO x")
        mail = d.ask("MAIL FROM:<alice@example.test>")
        if not mail.startswith("250"):
            return mail, None
        rcpt = d.ask("RCPT TO:<bob@example.test>")
        if not rcpt.startswith("250"):
            return mail, rcpt
        d.ask("DATA")
        return mail, d.ask(f"Subject: {subject}\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72) + ".")


def arrived(subject):
    mark = f"Subject: {subject}\n".encode()
    return [m for m in the_mail.mails("bob") if mark in m]


def test_little():
    fill(1000000)
    tap.equal(send("refused at MAIL"), ("452 4.3.1 Insufficient system storage", None),
              "less than one and a half messages are free")
    the_mail.wait_for_log("warning: not enough free space in mail queue: ")
    the_mail.wait_for_log("NOQUEUE: reject: MAIL from .*: 452 4.3.1 Insufficient system storage; ")
    free()
    tap.ok(send("after little")[1].startswith("250 "), "it goes on when there is space again")
    instance.wait_until(lambda: arrived("after little"), "mail")


def test_none():
    fill(0)
    mail, end = send("refused at the end", any_port, 200000)
    tap.ok(mail.startswith("250 ") and end.startswith("451 4.3.0 "), "no space at all: 451", (mail, end))
    done = the_mail.command("sendmail", "bob@example.test", input="Subject: local\n\n" + "x\n" * 50000)
    tap.equal(done.returncode, 75, "sendmail fails, too") or tap.note(done.stderr)
    tap.equal([len(os.listdir(the_mail.path("spool", q))) for q in ("incoming", "maildrop")], [0, 0],
              "nothing is left of them")
    running = the_mail.pids("smtpd")
    free()
    mail, end = send("after none", any_port, 200000)
    tap.ok(end.startswith("250 "), "it goes on when there is space again", end)
    instance.wait_until(lambda: arrived("after none"), "mail")
    tap.equal(the_mail.pids("smtpd"), running, "in the same processes")
    tap.ok(not arrived("refused at the end") and not arrived("local"), "what was refused did not arrive")


def files(queue):
    return [os.path.join(top, name) for top, _, names in os.walk(the_mail.path("spool", queue))
            for name in names]


def test_deferred():
    the_mail.command("sendmail", "x@hold.test", input="Subject: held up\n\n")
    log = instance.wait_until(lambda: files("defer"), "deferred")[0]
    message = instance.wait_until(lambda: files("deferred"), "deferred")[0]
    os.unlink(log)
    running = the_mail.pids("qmgr")
    os.kill(running[0], signal.SIGKILL)  # the next one does not know what the log said
    instance.wait_until(lambda: the_mail.pids("qmgr") not in ([], running), "the next qmgr")
    fill(0)

    def flush_until(condition, what):
        def try_it():
            the_mail.command("postqueue", "-f")
            return condition()
        instance.wait_until(try_it, what)
    flush_until(lambda: "defer log: No space left on device" in the_mail.log(), "no space")
    tap.equal(files("deferred"), [message], "a message that is deferred again stays without space")
    free()
    flush_until(lambda: files("defer") == [log] and os.path.getsize(log) > 0, "the log")
    with open(log, encoding="utf-8") as f:
        tap.like(f.read(), "reason=mail transport unavailable", "its reasons are written when there is")
    tap.equal(files("deferred"), [message], "and it is where it was")


any_port = instance.free_ports(1)[0]
the_mail = instance.Instance(
    main={"message_size_limit": "2000000", "virtual_mailbox_limit": "0", "mailbox_size_limit": "0",
          "transport_maps": "inline:{ {hold.test=nothere:} }"},
    master=f"127.0.0.1:{any_port} inet n - n - - smtpd -o message_size_limit=0\n")
os.makedirs(the_mail.path("spool"), exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", the_mail.path("spool")], check=True)
the_mail.own(the_mail.path("spool"))
try:
    with the_mail:
        instance.wait_until(lambda: instance._listens(any_port), "port")
        tap.run(test_little, test_none, test_deferred)
finally:
    subprocess.run(["umount", "-l", the_mail.path("spool")], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", the_mail.dir], check=False)
