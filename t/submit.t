#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Local submission: sendmail, postdrop, maildrop, pickup."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from whereabouts import records  # noqa: E402


def record(kind, data=b""):
    length, head = len(data), b""
    while True:
        head += bytes([(length & 0x7f) | (0x80 if length > 0x7f else 0)])
        length >>= 7
        if not length:
            return kind.encode() + head + data


ENVELOPE = record("S", b"alice@example.test") + record("R", b"bob@example.test")
CONTENT = record("M") + record("N", b"Subject: x") + record("N") + record("N", b"body")
GOOD = ENVELOPE + CONTENT + record("X") + record("E")


def maildrop(mail):
    return sorted(os.listdir(mail.path("spool/maildrop")))


def catches(pid, signo):
    """Whether the process has a handler for the signal."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        mask = next(line for line in f if line.startswith("SigCgt:"))
    return int(mask.split()[1], 16) >> (signo - 1) & 1


def by_subject(mail, user, subject):
    """The message with that subject, waited for."""
    want = re.compile(rb"^Subject: " + re.escape(subject.encode()) + rb"$", re.M)
    return instance.wait_until(
        lambda: next((m for m in mail.mails(user) if want.search(m)), None), f"mail {subject}")


def test_running(mail):
    def send(*args, **kwargs):
        return mail.command("sendmail", *args, **kwargs)

    done = send("bob@example.test", input="Subject: one\n\nbody\n.\nmore\n")
    tap.equal((done.returncode, done.stderr), (0, ""), "a message is taken")
    got = by_subject(mail, "bob", "one")
    tap.ok(got.endswith(b"\n\nbody\n"), "a lone dot ends it", got)
    tap.like(got.decode(), r"^Received: by mail\.example\.test \(Postfix, from userid \d+\)\n"
             r"\tid [0-9A-F]+; ", "Received: is the local form")
    for header in ("Message-Id", "Date", "From"):
        tap.like(got.decode(), rf"^{header}: ", f"missing {header} was added")
    send("-i", "bob@example.test", input="Subject: two\r\n\r\nbody\r\n.\r\nmore\r\n")
    got = by_subject(mail, "bob", "two")
    tap.ok(got.endswith(b"\n\nbody\n.\nmore\n"), "-i: it does not; CRLF became LF", got)
    send("-oi", "-oem", "-odb", "-f", "joe@example.test", "-F", "Joe (the) User", "bob",
         input="From someone Fri Nov 20\n>From other\nSubject: three\n\nend without newline")
    got = by_subject(mail, "bob", "three").decode()
    tap.like(got, r"^Return-Path: <joe@example\.test>$", "-f is the envelope's sender")
    tap.like(got, r'^From: "Joe \(the\) User" <joe@example\.test>$', "-F is a quoted name")
    tap.unlike(got, r"From someone|>From other", "mailbox separators are left out")
    tap.ok(got.endswith("\n\nend without newline\n"), "the last line is ended", got)
    send("-f", "joe", "bob@example.test", input="Subject: incomplete\n\nx\n")
    got = by_subject(mail, "bob", "incomplete").decode()
    tap.like(got, r"^Return-Path: <joe@(mail\.)?example\.test>$", "an incomplete sender is completed")
    tap.ok(mail.wait_for_log(r"postfix/pickup\[\d+\]: \w+: uid=\d+ from=<joe>$"),
           "and logged by pickup as it was submitted")
    send("-f", "", "bob@example.test", input="Subject: null\n\nx\n")
    tap.like(by_subject(mail, "bob", "null").decode(), "^Return-Path: <>$", "-f '' is the null sender")

    send("-t", "-i", input="To: Bob <bob@example.test>\nCc: \"a, b\" <alice@example.test>,\n"
         "  nobody: ;\nBcc: alice@example.test\nSubject: header\n\nTo: carol@example.test\n")
    got = by_subject(mail, "alice", "header").decode()
    tap.unlike(got, "^Bcc:", "-t: Bcc is dropped")
    tap.like(got, "^To: carol", "... and what is in the body is no recipient")
    by_subject(mail, "bob", "header")
    tap.equal(sum(b"Subject: header" in m for m in mail.mails("alice")), 1,
              "a recipient who is named twice gets one copy")
    send("-t", input="To: bob@example.test\nResent-To: alice@example.test\nResent-From: bob\n"
         "Subject: resent\n\nx\n")
    got = by_subject(mail, "alice", "resent").decode()
    tap.like(got, "^Resent-Message-Id: ", "a resent message gets Resent- headers")
    tap.ok(not any(b"Subject: resent" in m for m in mail.mails("bob")),
           "Resent-To counts instead of To")
    long = "x" * 5000 + "\r" + "y" * 3000
    send("bob@example.test", input=f"Subject: long\n\n{long}\n")
    got = by_subject(mail, "bob", "long").decode()
    tap.ok(got.endswith("\n\n" + long.replace("\r", " ") + "\n"), "a long line arrives as one")


def test_refused(mail):
    rows = (
        (["-bs", "bob"], "stand-alone mode requires no recipient"),
        (["-bv", "-t"], "-t option cannot be used with -bv"), (["-bz"], "unsupported: -bz"),
        (["-qR"], "specify: -qRsitename"), (["-qI"], "specify: -qIqueueid"),
        (["-n", "bob"], "-n option not supported"),
        (["-XVab", "bob"], "-V requires two characters from -=+"), (["-qSx"], "-qS is not implemented"),
        (["-Z"], "unknown option -Z"), (["-f"], "requires a value"),
        ([], "Recipient addresses must be specified"),
        (["-t", "bob"], "cannot handle command-line recipients with -t"),
        (["-t"], "No recipient addresses found in message header"),
        (["-B", "9BIT", "bob"], "-B option needs 8BITMIME or 7BIT"),
        (["bob", "-t"], "options come before the recipients"),
        (["bo b@@x"], "bad recipient address syntax"),
        (["-f", "a b c", "bob"], "bad sender address syntax"),
        (["-C", "/nonexistent", "bob"], "open /nonexistent/main.cf"),
    )
    instance.wait_until(lambda: not maildrop(mail), "maildrop is empty")
    for args, text in rows:
        done = mail.command("sendmail", *args, input="Subject: refused\n\nx\n")
        tap.equal((done.returncode, text in done.stderr, done.stderr.count("fatal:")),
                  (75, True, 1), f"sendmail {' '.join(args)}: {text}")
    tap.equal(maildrop(mail), [], "nothing of them is in maildrop")
    for args in (["-bh"], ["-bH"]):
        tap.equal(mail.command("sendmail", *args).returncode, 0, f"sendmail {args[0]} is nothing")
    done = mail.command("sendmail", "-bp")
    tap.like(done.stdout, "Mail queue is empty|Queue ID", "sendmail -bp lists the queue")
    tap.equal(mail.command("sendmail", "-q").returncode, 0, "sendmail -q flushes it")
    done = mail.command("sendmail", "-v", "-f", "alice", "bob", input="Subject: verbose\n\n")
    tap.equal(done.stdout, "Mail Delivery Status Report will be mailed to <alice>.\n", "-v says so")
    by_subject(mail, "bob", "verbose")
    tap.like(by_subject(mail, "alice", "Mail Delivery Status Report").decode(), "^Action: delivered$",
             "... and it is")


def test_ignored(mail):
    for args, text in ((["-N", "sometimes"], "bad -N option value: 'sometimes' -- ignored"),
                       (["-R", "half"], "bad -R option value -- ignored")):
        done = mail.command("sendmail", *args, "bob", input=f"Subject: ign{args[0]}\n\nx\n")
        tap.equal((done.returncode, done.stderr), (0, f"sendmail: warning: {text}\n"), text)
        by_subject(mail, "bob", f"ign{args[0]}")


def test_named_options(mail):
    """What -O asks for stands in the size record that postdrop is given, and in the queue file."""
    mail.stop()
    instance.wait_until(lambda: not mail.pids(), "stopped")
    for options, number in ((["smtputf8=yes"], b"1"), (["smtputf8=yes", "requiretls=yes"], b"33"),
                            (["requiretls=yes", "requiretls=no", "other=x"], None)):
        args = [a for o in options for a in ("-O", o)]
        done = mail.command("sendmail", *args, "bob", input="Subject: named\n\nx\n")
        tap.equal((done.returncode, done.stderr), (0, ""), f"-O {' '.join(options)}")
        path = mail.path("spool/maildrop", maildrop(mail)[0])
        with open(path, "rb") as f:
            sizes = [data.split()[-1] for kind, data in records(f.read()) if kind == b"C"]
        tap.equal(sizes, [number] if number else [], "in the submission")
        os.unlink(path)
    mail.start()
    done = mail.command("sendmail", "-O", "smtputf8=maybe", "bob", input="Subject: maybe\n\nx\n")
    tap.equal((done.returncode, done.stderr),
              (0, "sendmail: warning: bad -O option: 'smtputf8=maybe' -- ignored\n"), "a bad value")
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write("transport_maps = inline:{ {void.test=nothere:} }\n")
    mail.reload()

    def sendopts():
        done = mail.command("sendmail", "-O", "smtputf8=yes", "-O", "requiretls=yes",
                            "x@void.test", input="Subject: named\n\nx\n")
        line = mail.command("mailq").stdout.splitlines()[1:2] if done.returncode == 0 else []
        text = mail.command("postcat", "-eq", line[0].split()[0].rstrip("*")).stdout if line else ""
        return "message_size: " in text and text  # in maildrop it has none yet
    text = instance.wait_until(sendopts, "queued")
    tap.like(text, r"^message_size: .* 33$", "in the queue file")
    mail.command("postsuper", "-d", "ALL")


def test_smtp(mail):
    """sendmail -bs: a dialogue, and what of it arrives."""
    says = (
        ("HELO", "501 Syntax: HELO hostname"), ("HELO me", "250 mail.example.test"),
        ("DATA", "503 5.5.1 Error: need RCPT command"),
        ("RCPT TO:<bob@example.test>", "503 5.5.1 Error: need MAIL command"),
        ("MAIL FROM:<alice@example.test> SIZE=100 BODY=8BITMIME", "250 2.1.0 Ok"),
        ("mail from:<x@y>", "503 5.5.1 Error: nested MAIL command"),
        ("DATA", "554 5.5.1 Error: no valid recipients"),
        ("RCPT TO:<bob@example.test>", "250 2.1.5 Ok"),
        ("RCPT FROM:<x>", "501 5.5.4 Syntax: RCPT TO:<address>"),
        ("RCPT TO:<bo b>", "501 5.5.4 Syntax: RCPT TO:<address>"),
        ("VRFY bob", "252 2.0.0 bob"), ("FOO", "500 5.5.2 Error: command not recognized"),
        ("STARTTLS", "500 5.5.2 Error: command not recognized"),
        ("x" * 5000, "500 5.5.2 Error: line too long"),
        ("DATA", "354 End data with <CR><LF>.<CR><LF>"),
        ("Subject: from bs\r\n\r\n..dot\r\n" + "y" * 5000 + "\r\n.", None),
        ("RSET", "250 2.0.0 Ok"), ("NOOP", "250 2.0.0 Ok"),
        ("MAIL FROM:<> XVERP", "555 5.5.4 Unsupported option: XVERP"),
        ("MAIL FROM:<> SIZE=99999999999", "552 5.3.4 Message size exceeds fixed limit"),
        ("QUIT", "221 2.0.0 Bye"),
    )
    done = mail.command("sendmail", "-bs", input="".join(f"{s}\r\n" for s, _r in says))
    got = done.stdout.replace("\r\n", "\n").splitlines()
    tap.equal(got.pop(0), "220 mail.example.test ESMTP Postfix", "banner")
    queued = [line for line in got if line.startswith("250 2.0.0 Ok: queued as ")]
    tap.equal(len(queued), 1, "one message is queued")
    tap.equal([line for line in got if line not in queued], [r for _s, r in says if r],
              "the replies")
    text = by_subject(mail, "bob", "from bs")
    tap.ok(b"\n.dot\n" in text and b"y" * 5000 in text.replace(b"\n ", b"").replace(b"\n", b""),
           "it arrives", text)
    done = mail.command("sendmail", "-bs", input="EHLO x\nMAIL FROM:<a@b.c>\n"
                        "RCPT TO:<bob@example.test>\nDATA\nSubject: cut\n")
    tap.ok(done.returncode == 0 and "queued" not in done.stdout,
           "a message without its end is none", done.stdout)


def test_postdrop(mail):
    def drop(data, *args):
        return mail.command("postdrop", *args, input=data, text=False)

    done = drop(GOOD, "-r")
    tap.ok(done.returncode == 0 and re.fullmatch(rb"[0-9A-F]{6,}\n", done.stdout),
           "postdrop -r prints the id", done)
    rows = (
        ("nothing", b"", "too early"),
        ("no end", GOOD[:-2], "too early"),
        ("cut in a record", GOOD[:10], "damaged"),
        ("more behind the end", GOOD + b"E\0", "more behind"),
        ("no sender", record("R", b"bob") + CONTENT + b"X\0E\0", "no sender"),
        ("no recipient", record("S", b"alice") + CONTENT + b"X\0E\0", "no recipients"),
        ("LF in the sender", record("S", b"alice\nR") + GOOD[20:], "bad sender|control"),
        ("NUL in a recipient", record("S") + record("R", b"b\0c") + CONTENT + b"X\0E\0",
         "bad recipient|control"),
        ("CR in an attribute", record("A", b"a=b\rc") + GOOD, "control"),
        ("a recipient that is none", record("S") + record("R", b"<<>>") + CONTENT + b"X\0E\0",
         "bad recipient"),
        ("a warn time", record("W", b"1") + GOOD, "wrong type"),
        ("a done recipient", record("S") + record("D", b"bob") + CONTENT + b"X\0E\0", "wrong type"),
        ("a filter", record("S") + record("L", b"x:y") + CONTENT + b"X\0E\0", "wrong type"),
        ("a pointer", record("p", b"%15d" % 0) + GOOD, "wrong type"),
        ("type 0", b"\0\0" + GOOD, "damaged|wrong type"),
        ("a length without end", b"S" + b"\xff" * 10 + GOOD, "damaged"),
        ("a length of 2^63", b"S" + b"\x80" * 9 + b"\x01" + GOOD, "damaged"),
        ("content in the envelope", record("N", b"x") + GOOD, "wrong type"),
        ("more recipients than pickup takes",
         record("S") + 100001 * record("R", b"bob") + CONTENT + b"X\0E\0", "too many recipients"),
    )
    for name, data, text in rows:
        done = drop(data)
        tap.ok(done.returncode == 1 and re.search(text, done.stderr.decode()),
               f"postdrop refuses {name}", done)
    instance.wait_until(lambda: not maildrop(mail), "maildrop is empty")
    tap.ok(True, "and leaves nothing in maildrop")
    tap.equal(drop(GOOD, "-x").returncode, 1, "an unknown option is refused")

    env = dict(os.environ, MAIL_CONFIG=mail.path("etc/postfix"))
    program = os.path.join(instance.stage(), "sbin/postdrop")
    running = subprocess.Popen(mail.as_user([program]), stdin=subprocess.PIPE, env=env, cwd="/")
    running.stdin.write(ENVELOPE)
    running.stdin.flush()
    instance.wait_until(lambda: catches(running.pid, signal.SIGTERM), "postdrop is ready")
    running.send_signal(signal.SIGTERM)
    running.stdin.close()
    tap.equal((running.wait(60), maildrop(mail)), (1, []), "a signal leaves nothing")


def test_pickup(mail):
    """Whatever lies in maildrop: pickup takes it in, leaves it, or sets it aside."""
    def lay(name, data, mode=0o744):
        path = mail.path("spool/maildrop", name)
        with open(path + ".new", "wb") as f:
            f.write(data)
        os.chmod(path + ".new", mode)
        mail.own(path + ".new")
        os.rename(path + ".new", path)

    lay("ABCDEF01", GOOD.replace(b"Subject: x", b"Subject: p"))
    lay("ABCDEF02", GOOD[:-3])
    lay("ABCDEF03", GOOD, mode=0o600)
    lay("not-an-id", GOOD)
    lay("ABCDEF04", GOOD, mode=0o766)
    os.symlink("/etc/passwd", mail.path("spool/maildrop/ABCDEF05"))
    os.mkdir(mail.path("spool/maildrop/ABCDEF06"))
    mail.command("sendmail", "bob", input="Subject: wakes pickup\n\n")
    by_subject(mail, "bob", "p")
    mail.wait_for_log("maildrop/ABCDEF02: .*moved to corrupt")
    by_subject(mail, "bob", "wakes pickup")
    tap.ok(os.path.exists(mail.path("spool/corrupt/ABCDEF02")), "a damaged file is set aside")
    instance.wait_until(lambda: len(maildrop(mail)) <= 5, "pickup is done")
    tap.equal(maildrop(mail), ["ABCDEF03", "ABCDEF04", "ABCDEF05", "ABCDEF06", "not-an-id"],
              "what is not finished, or no file of postdrop's, stays")
    hops = "\n".join(["Received: x"] * 60) + "\nSubject: hops\n\nbody\n"
    mail.command("sendmail", "-f", "<>", "bob", input=hops)
    instance.wait_until(lambda: len(os.listdir(mail.path("spool/corrupt"))) == 2, "corrupt")
    tap.ok(True, "a message that is refused for good is kept in corrupt if nobody can be told")
    mail.command("sendmail", "-f", "alice", "bob", "nobody@example.net", input=hops)
    notice = by_subject(mail, "alice", "Undelivered Mail Returned to Sender")
    for want in (b"Final-Recipient: rfc822; bob@example.test\n", b"Status: 5.4.0\n",
                 b"Final-Recipient: rfc822; nobody@example.net\n", b"X-Postfix; too many hops\n",
                 b"\nSubject: hops\n\nbody\n"):
        tap.ok(want in notice, f"the notice says {want}", notice)
    queue_id = mail.wait_for_log(r"(\w+): sender non-delivery notification: \w+$")[1]
    mail.wait_for_log(rf"{queue_id}: to=<bob@example\.test>, relay=none, .*dsn=5\.4\.0, "
                      r"status=bounced \(too many hops\)")
    instance.wait_until(lambda: len(maildrop(mail)) == 5, "removed from maildrop")
    tap.equal(len(os.listdir(mail.path("spool/corrupt"))), 2, "then it is removed")
    set_bounce_service(mail, "nobody-there")
    mail.command("sendmail", "-f", "alice", "bob", input=hops.replace("hops", "later"))
    mail.wait_for_log(r"maildrop/\w+: the sender cannot be told now")
    tap.equal(len(maildrop(mail)), 6, "without the bounce service it stays in maildrop")
    set_bounce_service(mail, "bounce")
    instance.wait_until(lambda: any(b"\nSubject: later" in m for m in mail.mails("alice")), "notice")
    instance.wait_until(lambda: len(maildrop(mail)) == 5, "removed from maildrop")
    tap.ok(True, "and the sender is told when it is back")


def set_bounce_service(mail, name):
    """A reload replaces pickup, which then looks into maildrop."""
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="ascii") as f:
        f.write(f"bounce_service_name = {name}\n")
    before = mail.pids("pickup")
    mail.reload()
    instance.wait_until(lambda: mail.pids("pickup") and not set(mail.pids("pickup")) & set(before),
                        "the next pickup")


def test_down(mail):
    """The suite is down: mail is still taken, and delivered when it is up again."""
    mail.stop()
    instance.wait_until(lambda: not mail.pids(), "stop")
    for name in maildrop(mail):
        path = mail.path("spool/maildrop", name)
        (os.rmdir if os.path.isdir(path) else os.unlink)(path)
    done = mail.command("sendmail", "-N", "failure,delay", "-R", "hdrs", "-V", "env-1", "-B8BITMIME",
                        "bob@example.test", input="Subject: waits\n\nx\n")
    tap.equal((done.returncode, done.stderr), (0, ""), "submission while nothing runs")
    names = maildrop(mail)
    tap.equal(len(names), 1, "the file waits in maildrop")
    path = mail.path("spool/maildrop", names[0])
    tap.equal(oct(os.stat(path).st_mode & 0o777), "0o744", "its mode says that it is complete")
    with open(path, "rb") as f:
        found = list(records(f.read()))
    for want in ((b"n", b"12"), (b"i", b"env-1"), (b"A", b"ret_flags=2"), (b"A", b"encoding=8bit")):
        tap.ok(want in found, f"record {want[0].decode()} {want[1].decode()}", found)
    tap.equal([k for k, _ in found][-2:], [b"X", b"E"], "and it ends with X and E")
    mail.start()
    got = by_subject(mail, "bob", "waits")
    tap.ok(b"\n\nx\n" in got, "it is delivered when the suite runs")


def test_two_pickups(mail):
    """At a reload two processes look into maildrop: what one has at work the other leaves alone."""
    mail.stop()
    instance.wait_until(lambda: not mail.pids(), "stop")
    before = set(maildrop(mail))
    mail.command("sendmail", "bob", input="Subject: at work\n\n")
    name = (set(maildrop(mail)) - before).pop()
    with open(mail.path("spool/maildrop", name), "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        mail.start()
        for subject in ("look once", "look twice"):
            mail.command("sendmail", "bob", input=f"Subject: {subject}\n\n")
            by_subject(mail, "bob", subject)
        tap.ok(name in maildrop(mail), "what another process has at work is left")
    mail.command("sendmail", "bob", input="Subject: look again\n\n")
    by_subject(mail, "bob", "at work")
    tap.ok(True, "and taken when that has let go")


def test_limits(mail):
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="ascii") as f:
        f.write("message_size_limit = 2000\nmailbox_size_limit = 2000\n")
    done = mail.command("sendmail", "bob", input="Subject: big\n\n" + "x\n" * 1000)
    tap.ok(done.returncode == 75 and "message file too big" in done.stderr,
           "message_size_limit", done.stderr)
    done = mail.command("sendmail", "bob", input="Subject: nobig\n\n" + "x\n" * 600)
    tap.equal(done.returncode, 0, "just below it")
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="ascii") as f:
        f.write(f"authorized_submit_users = !{mail.user}, static:all\n")
    done = mail.command("sendmail", "bob", input="Subject: me\n\n")
    tap.ok(done.returncode == 75 and "is not allowed to submit mail" in done.stderr,
           "authorized_submit_users", done.stderr)


def test_set_gid():
    """A set-gid postdrop takes no configuration from whoever runs it."""
    if os.geteuid() != 0:
        tap.skip("needs root, to make a program set-gid", "set-gid postdrop")
        return
    base = tempfile.mkdtemp(prefix="postcote-t-")
    try:
        os.chmod(base, 0o755)
        program = os.path.join(base, "postdrop")
        shutil.copy(os.path.join(instance.stage(), "sbin/postdrop"), program)
        shutil.chown(program, "root", "mail")
        os.chmod(program, 0o2755)
        for how in (["-c", base], []):
            done = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                                   program, *how], input=GOOD, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env={"MAIL_CONFIG": base}, timeout=60)
            tap.ok(done.returncode == 1 and
                   re.search(rb"unauthorized configuration directory|open /\S*/postfix/main\.cf",
                             done.stderr),
                   f"another configuration is refused ({'-c' if how else 'MAIL_CONFIG'})", done)
    finally:
        shutil.rmtree(base)


with instance.Instance() as the_mail:
    tap.run(lambda: test_running(the_mail), lambda: test_refused(the_mail),
            lambda: test_ignored(the_mail), lambda: test_smtp(the_mail),
            lambda: test_named_options(the_mail),
            lambda: test_postdrop(the_mail), lambda: test_pickup(the_mail),
            lambda: test_down(the_mail), lambda: test_two_pickups(the_mail),
            lambda: test_limits(the_mail), test_set_gid)
