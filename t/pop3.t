#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""POP3: both halves with authd, and nothing of SMTP."""

import glob
import os
import poplib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap
from instance import DOMAIN, WAIT_S, Instance, wait_until

SESSION = r"session=<[A-Za-z0-9+/]+>$"


class Talk:
    """A client that says what a script says."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.file = self.sock.makefile("rb")

    def line(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the server closed the connection")
        return line.decode("latin-1").rstrip("\r\n")

    def say(self, *lines):
        self.sock.sendall("".join(line + "\r\n" for line in lines).encode("latin-1"))

    def ask(self, line):
        self.say(line)
        return self.line()

    def more(self):
        lines = []
        while True:
            line = self.line()
            if line == ".":
                return lines
            lines.append(line)

    def script(self, name, *pairs):
        for said, want in pairs:
            got = self.ask(said)
            tap.equal(got, want, f"{name}: {said[:40]!r}")

    def closed(self):
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.file.close()
        self.sock.close()


def launch(mail):
    os.makedirs(mail.path("spool/private"), exist_ok=True)
    mail.own(mail.path("spool"))
    result = mail.command("dovecot", "-c", mail.path("etc/dovecot/dovecot.conf"))
    if result.returncode != 0:
        raise RuntimeError(f"dovecot: {result.stdout}{result.stderr}\n{mail.log()}")


def start(mail):
    launch(mail)
    wait_for_ports(mail)


def wait_for_ports(mail):
    for port in (mail.pop3_port, mail.pop3s_port):
        wait_until(lambda p=port: listens(p), f"port {port}")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def maildir(mail, user, files):
    """USER's mailbox with these FILES, {"cur/name": bytes}, and nothing else."""
    base = mail.path("mail", DOMAIN, user)
    shutil.rmtree(base, ignore_errors=True)
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(base, part))
    for name, data in files.items():
        with open(os.path.join(base, name), "wb") as f:
            f.write(data)
    mail.own(mail.path("mail"))
    return base


def login(mail, user="alice"):
    talk = Talk(mail.pop3_port)
    talk.line()
    talk.ask(f"USER {user}@{DOMAIN}")
    reply = talk.ask(f"PASS {user}")
    if reply != "+OK Logged in.":
        raise RuntimeError(reply)
    return talk


THREE = {"new/1.h": b"Subject: a\n\n.dot\nbody\n",
         "new/2.h": b"Subject: b\r\n\r\nx\r\n",
         "cur/3.h:2,S": b"Subject: c\n\nno eol"}
CAPA = ["CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"]


def test_before_login(mail):
    talk = Talk(mail.pop3_port)
    tap.equal(talk.line(), "+OK Dovecot (Debian) ready.", "the greeting")
    talk.script("before login", ("CAPA", "+OK"))
    tap.equal(talk.more(), CAPA + ["STLS", "USER", "SASL PLAIN LOGIN"], "CAPA before login")
    talk.script("before login", ("PASS x", "-ERR No username given."), ("AUTH", "+OK"))
    tap.equal(talk.more(), ["PLAIN", "LOGIN"], "the mechanisms")
    talk.script("before login",
                ("AUTH FOO", "-ERR [AUTH] Unsupported authentication mechanism."),
                ("AUTH LOGIN", "+ VXNlcm5hbWU6"), ("dTE=", "+ UGFzc3dvcmQ6"),
                ("*", "-ERR Authentication aborted by client."),
                ("AUTH PLAIN", "+ "), ("*", "-ERR Authentication aborted by client."),
                ("user", "+OK"), ("STAT", "-ERR Unknown command."),
                ("QUIT", "+OK Logging out"))
    tap.ok(talk.closed(), "QUIT closes")
    talk.close()
    mail.wait_for_log(r"pop3-login: Info: Disconnected: Aborted login by logging out \(auth failed,"
                      r" 3 attempts in \d+ secs\): user=<[^>]*>, method=PLAIN, rip=127\.0\.0\.1, "
                      r"lip=127\.0\.0\.1, secured, " + SESSION)

    talk = Talk(mail.pop3_port)
    talk.line()
    talk.say("NOOP", "LIST", "X")
    tap.equal([talk.line() for _ in range(4)],
              ["-ERR Unknown command."] * 3 + ["-ERR Too many invalid bad commands."],
              "three bad commands")
    tap.ok(talk.closed(), "and no fourth")
    talk.close()
    mail.wait_for_log(r"Disconnected: Too many bad commands \(no auth attempts in \d+ secs\): "
                      r"user=<>, rip=")

    talk = Talk(mail.pop3_port)
    talk.line()
    tap.equal(talk.ask("USER " + "x" * 1100), "-ERR Unknown command.", "a line beyond 1,024 bytes")
    talk.say("x" * 9000)
    tap.equal(talk.line(), "-ERR Input buffer full, aborting", "a line beyond all limits")
    talk.close()


def test_wrong_password(mail):
    talk = Talk(mail.pop3_port)
    talk.line()
    talk.ask(f"USER alice@{DOMAIN}")
    tap.equal(talk.ask("PASS wrong"), "-ERR [AUTH] Authentication failed.", "a wrong password")
    talk.close()
    mail.wait_for_log(r"pop3-login: Info: Disconnected: Connection closed \(auth failed, 1 attempts "
                      rf"in \d+ secs\): user=<alice@{DOMAIN}>, method=PLAIN, rip=127\.0\.0\.1, "
                      r"lip=127\.0\.0\.1, secured, " + SESSION)


def test_commands(mail):
    base = maildir(mail, "alice", THREE)
    talk = login(mail)
    talk.script("session", ("STAT", "+OK 3 63"), ("stat x", "+OK 3 63"),
                ("LIST", "+OK 3 messages:"))
    tap.equal(talk.more(), ["1 26", "2 17", "3 20"], "LIST")
    talk.script("session", ("LIST 1", "+OK 1 26"), ("LIST  2", "+OK 2 17"),
                ("LIST 9", "-ERR There's no message 9."), ("LIST 0", "-ERR There's no message 0."),
                ("LIST x", "-ERR Invalid message number: x"),
                ("LIST -1", "-ERR Invalid message number: -1"),
                ("LIST 1 2", "-ERR Noise after message number:  2"),
                ("RETR", "-ERR Invalid message number: "),
                ("RETR 18446744073709551617", "-ERR Message number too large: 18446744073709551617"),
                ("FOO", "-ERR Unknown command: FOO"), ("", "-ERR Unknown command."),
                ("RETR 1", "+OK 26 octets"))
    tap.equal(talk.more(), ["Subject: a", "", "..dot", "body"], "RETR, with a dot doubled")
    talk.script("session", ("RETR 3", "+OK 20 octets"))
    tap.equal(talk.more(), ["Subject: c", "", "no eol"], "RETR of a message without a last line end")
    talk.script("session", ("TOP 1", "-ERR Noise after message number: "),
                ("TOP 1 -1", "-ERR Invalid size: -1"),
                ("TOP 1 99999999999999999999", "-ERR Size too large: 99999999999999999999"),
                ("TOP 1 5 x", "-ERR Noise after size:  x"), ("TOP 1 0", "+OK"))
    tap.equal(talk.more(), ["Subject: a", ""], "TOP with no line")
    talk.script("session", ("top 2 1", "+OK"))
    tap.equal(talk.more(), ["Subject: b", "", "x"], "TOP with a line")
    talk.script("session", ("UIDL", "+OK"))
    uidls = talk.more()
    validity = re.search(r"V(\d+)", open(base + "/dovecot-uidlist", encoding="ascii").read())
    tap.equal(uidls, [f"{i} {i:08x}{int(validity.group(1)):08x}" for i in (1, 2, 3)], "UIDL")
    talk.script("session", ("DELE 1", "+OK Marked to be deleted."),
                ("DELE 1", "-ERR Message is deleted."), ("RETR 1", "-ERR Message is deleted."),
                ("UIDL 1", "-ERR Message is deleted."), ("STAT", "+OK 2 37"),
                ("UIDL 2", "+OK " + uidls[1]), ("LAST", "-ERR Unknown command: LAST"),
                ("USER x", "-ERR Unknown command: USER"), ("NOOP", "+OK"), ("CAPA", "+OK"))
    tap.equal(talk.more(), CAPA, "CAPA after login")
    tap.equal(len(os.listdir(base + "/cur")), 3, "nothing is removed before QUIT")
    talk.script("session", ("RSET", "+OK"), ("STAT", "+OK 3 63"),
                ("DELE 2", "+OK Marked to be deleted."),
                ("QUIT", "+OK Logging out, messages deleted."))
    tap.ok(talk.closed(), "QUIT closes")
    talk.close()
    mail.wait_for_log(rf"pop3\(alice@{DOMAIN}\)<\d+><[^>]+>: Info: Disconnected: Logged out "
                      r"top=2/41, retr=2/79, del=1/3, size=63$")
    # RSET takes back what RETR did, too.
    tap.equal(sorted(os.listdir(base + "/cur")), ["1.h:2,", "3.h:2,S"], "files after QUIT")
    mail.wait_for_log(rf"pop3-login: Info: Login: user=<alice@{DOMAIN}>, method=PLAIN, "
                      r"rip=127\.0\.0\.1, lip=127\.0\.0\.1, mpid=\d+, secured, " + SESSION)


def test_no_quit(mail):
    base = maildir(mail, "alice", THREE)
    talk = login(mail)
    talk.ask("DELE 1")
    talk.ask("RETR 2")
    talk.more()
    talk.close()
    mail.wait_for_log(r"Disconnected: Connection closed top=0/0, retr=1/32, del=0/3, size=63$")
    tap.equal(sorted(os.listdir(base + "/cur")), ["1.h:2,", "2.h:2,S", "3.h:2,S"],
              "without QUIT nothing is removed, and what was read is seen")


def test_pipelining(mail):
    maildir(mail, "alice", THREE)
    talk = Talk(mail.pop3_port)
    talk.say(f"USER alice@{DOMAIN}", "PASS alice", "STAT", "RETR 2")
    talk.sock.sendall(b"UI")
    tap.equal([talk.line() for _ in range(5)],
              ["+OK Dovecot (Debian) ready.", "+OK", "+OK Logged in.", "+OK 3 63", "+OK 17 octets"],
              "commands that came with the login")
    talk.more()
    talk.sock.sendall(b"DL 2\r\nQUIT\r\n")
    tap.like(talk.line(), r"^\+OK 2 [0-9a-f]{16}$", "a line that began before the login ended")
    tap.equal(talk.line(), "+OK Logging out.", "QUIT")
    talk.close()


def test_bad_commands_after_login(mail):
    talk = login(mail)
    talk.say(*["FOO"] * 21)
    lines = [talk.line() for _ in range(22)]
    tap.equal(lines[-1], "-ERR Too many bad commands.", "more than twenty bad commands")
    tap.ok(talk.closed(), "end the session")
    talk.close()
    talk = login(mail)
    talk.say("NOOP " + "x" * 2100)
    tap.like(talk.line(), r"^-ERR .*too long", "a line beyond 2,048 bytes")
    talk.close()


def test_tls(mail):
    maildir(mail, "bob", THREE)
    pop = mail.pop3s("bob")
    tap.equal(pop.stat(), (3, 63), "a session on the TLS port")
    pop.dele(1)
    tap.equal(pop.quit(), b"+OK Logging out, messages deleted.", "QUIT over TLS")
    mail.wait_for_log(rf"Login: user=<bob@{DOMAIN}>, method=PLAIN, rip=127\.0\.0\.1, "
                      r"lip=127\.0\.0\.1, mpid=\d+, TLS, " + SESSION)
    pop = poplib.POP3("127.0.0.1", mail.pop3_port, timeout=WAIT_S)
    pop.user(f"alice@{DOMAIN}")
    pop.stls(context=mail.tls())
    tap.ok("STLS" not in pop.capa(), "no STLS in CAPA after STLS")
    try:
        pop.pass_("alice")
        tap.ok(False, "a USER from before TLS counts for nothing")
    except poplib.error_proto as error:
        tap.equal(error.args[0], b"-ERR No username given.",
                  "a USER from before TLS counts for nothing")
    pop.user(f"bob@{DOMAIN}")
    pop.pass_("bob")
    tap.equal(pop.stat()[0], 2, "a session after STLS")
    pop.quit()

    talk = Talk(mail.pop3_port)
    talk.line()
    talk.say("STLS", f"USER bob@{DOMAIN}", "PASS bob", "STAT")
    tap.equal(talk.line(), "+OK Begin TLS negotiation now.", "STLS")
    try:
        talk.sock.sendall(b"CAPA\r\n")
        rest = talk.file.read()
    except ConnectionError:
        rest = b""
    tap.ok(b"+OK" not in rest, "what came before TLS is not executed", rest)
    talk.close()

    talk = Talk(mail.pop3s_port)
    talk.say("CAPA")
    talk.closed()
    talk.close()
    mail.wait_for_log(r"Disconnected: Connection closed: SSL_accept\(\) failed: .* \(no auth "
                      r"attempts in \d+ secs\): user=<>, rip=127\.0\.0\.1, lip=127\.0\.0\.1, "
                      r"TLS handshaking: SSL_accept\(\) failed: ")


def test_large_message(mail):
    line = b".x" * 35
    maildir(mail, "bob", {"cur/big:2,": b"Subject: big\n\n" + (line + b"\n") * 50000})
    pop = mail.pop3s("bob")
    response, lines, _ = pop.retr(1)
    tap.equal(response, b"+OK 3600016 octets", "the size of a large message")
    tap.equal((len(lines), set(lines[2:])), (50002, {line}), "all of it comes through TLS")
    # One that does not read does not stop another one.
    slow = mail.pop3s("bob")
    slow._putcmd("RETR 1")
    other = mail.pop3s("bob")
    tap.equal(other.stat()[0], 1, "a session beside one that does not read")
    other.quit()
    slow.close()
    pop.quit()


def test_real_clients(mail):
    maildir(mail, "bob", THREE)
    curl = shutil.which("curl")
    if not curl:
        tap.skip("no curl", "curl reads a message")
    else:
        result = subprocess.run(
            [curl, "-s", "--cacert", mail.path("etc/ssl/cert.pem"), "-u", f"bob@{DOMAIN}:bob",
             f"pop3s://localhost:{mail.pop3s_port}/1"], stdout=subprocess.PIPE, timeout=60,
            check=False)
        tap.equal(result.stdout, b"Subject: a\r\n\r\n.dot\r\nbody\r\n", "curl reads a message")
    openssl = shutil.which("openssl")
    if not openssl:
        tap.skip("no openssl", "openssl s_client with -starttls pop3")
    else:
        result = subprocess.run(
            [openssl, "s_client", "-quiet", "-starttls", "pop3", "-connect",
             f"127.0.0.1:{mail.pop3_port}"],
            input=f"user bob@{DOMAIN}\r\npass bob\r\nstat\r\nquit\r\n".encode(),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False)
        tap.like(result.stdout.decode(), r"^\+OK 3 63\r?$",
                 "openssl s_client with -starttls pop3")


def test_two_sessions(mail):
    base = maildir(mail, "alice", THREE)
    one, two = login(mail), login(mail)
    one.ask("DELE 1")
    one.ask("QUIT")
    tap.equal(two.ask("RETR 1"), "-ERR Message 1 expunged.", "a message that another one removed")
    os.rename(base + "/cur/2.h:2,", base + "/cur/2.h:2,F")
    tap.equal(two.ask("RETR 2"), "+OK 17 octets", "a file that got another name")
    two.more()
    two.ask("DELE 1")
    tap.equal(two.ask("QUIT"), "+OK Logging out, messages deleted.", "it is gone: that will do")
    one.close()
    two.close()


def test_many_sessions(mail):
    maildir(mail, "alice", THREE)
    failed = []

    def run(i):
        try:
            pop = mail.pop3s("alice") if i % 2 else None
            if pop:
                if pop.stat() != (3, 63):
                    failed.append("stat")
                pop.quit()
            else:
                talk = login(mail)
                if talk.ask("STAT") != "+OK 3 63":
                    failed.append("stat")
                talk.close()
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tap.equal(failed, [], "thirty sessions at a time")


def test_forged_login(mail):
    """Who speaks to login/pop3 without a login of authd's gets nothing."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
    from agent import _record
    here, there = socket.socketpair()
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(WAIT_S)
    fd = os.open(mail.path("run/login"), os.O_PATH)
    sock.connect(f"/proc/self/fd/{fd}/pop3")
    os.close(fd)
    sock.sendall(_record("HELLO", [("version", 1), ("service", "pop3-login")]))
    record = _record("LOGIN", [("client_pid", mail.pids("pop3-login")[0]), ("auth_id", 1),
                               ("cookie", "0" * 32), ("session", "x"), ("user", f"alice@{DOMAIN}"),
                               ("uid", 0)], 1)
    socket.send_fds(sock, [record], [there.fileno()])
    there.close()
    data = b""
    while b"REFUSED" not in data and b"LOGGED_IN" not in data:
        piece = sock.recv(4096)
        if not piece:
            break
        data += piece
    tap.ok(b"REFUSED" in data, "a login that authd does not know is refused", data)
    here.settimeout(WAIT_S)
    tap.equal(here.recv(100), b"", "and its client hears nothing")
    sock.close()


def test_killed_halves(mail):
    maildir(mail, "alice", THREE)
    pop = mail.pop3s("alice")
    plain = login(mail)
    pop.dele(1)
    for pid in mail.pids("pop3-login"):
        os.kill(pid, signal.SIGKILL)
    mail.wait_for_log(r"Disconnected: Connection closed top=0/0, retr=0/0, del=0/3, size=63")
    tap.equal(plain.ask("STAT"), "+OK 3 63", "a plain session outlives its login half")
    plain.close()
    wait_until(lambda: listens(mail.pop3_port), "the next login half")
    talk = login(mail)
    mpid = re.findall(r"mpid=(\d+)", mail.log())[-1]
    os.kill(int(mpid), signal.SIGKILL)
    tap.ok(talk.closed(), "a killed mailbox process ends its sessions")
    talk.close()
    talk = login(mail)
    tap.equal(talk.ask("STAT"), "+OK 3 63", "the next session runs")
    tap.equal(talk.ask("QUIT"), "+OK Logging out.", "to its end")
    talk.close()


def test_reload(mail):
    maildir(mail, "alice", THREE)
    talk = login(mail)
    # Those that take clients: the one that has the session's mailbox stays.
    old = mail.pids("pop3-login") + mail.pids("authd")
    mail.command("doveadm", "-c", mail.path("etc/dovecot/dovecot.conf"), "reload")
    mail.wait_for_log(r"SIGHUP received - reloading configuration")
    wait_until(lambda: not set(old) & set(mail.pids()), "the old generation to end")
    login(mail).close()
    talk.script("a session over a reload", ("STAT", "+OK 3 63"), ("QUIT", "+OK Logging out."))
    talk.close()


def test_stop(mail):
    talk = login(mail)
    talk.ask("DELE 1")
    idle = Talk(mail.pop3_port)
    idle.line()
    stop = threading.Thread(
        target=lambda: mail.command("doveadm", "-c", mail.path("etc/dovecot/dovecot.conf"), "stop"))
    stop.start()
    tap.equal(talk.line(), "-ERR [SYS/TEMP] Server shutting down.", "a session at a stop")
    tap.equal(idle.line(), "-ERR Shutting down", "a client before login at a stop")
    talk.close()
    idle.close()
    stop.join()
    wait_until(lambda: not mail.pids(), "all processes to end")
    tap.ok(True, "no process is left")


def test_settings():
    """A second instance: plain text is refused, one session at a time, other formats."""
    mail = Instance(dovecot="""
pop3_enable_last = yes
pop3_lock_session = yes
pop3_no_flag_updates = yes
pop3_uidl_format = %v-%u
pop3_logout_format = read=%r deleted=%d of=%m
ssl = required
login_greeting = Here.
""")
    try:
        start(mail)
        base = maildir(mail, "alice", THREE)
        talk = Talk(mail.pop3_port)
        tap.equal(talk.line(), "+OK Here.", "login_greeting")
        talk.script("ssl = required", ("CAPA", "+OK"))
        # Client and server have one address: that is as good as TLS.
        tap.ok("USER" in talk.more(), "the same host may use plain text")
        talk.close()
        pop = mail.pop3s("alice")
        tap.like(pop.uidl(1).decode(), r"^\+OK 1 \d+-1$", "pop3_uidl_format")
        pop.retr(2)
        tap.equal(pop._shortcmd("LAST"), b"+OK 2", "LAST")
        pop.quit()
        mail.wait_for_log(r"Disconnected: Logged out read=1 deleted=0 of=3$")
        tap.ok(glob.glob(base + "/cur/2.h:2,"), "pop3_no_flag_updates")
        one = mail.pop3s("alice")
        try:
            mail.pop3s("alice")
            tap.ok(False, "pop3_lock_session")
        except poplib.error_proto as error:
            tap.equal(error.args[0], b"-ERR [IN-USE] Mailbox is locked by another POP3 session.",
                      "pop3_lock_session")
        # The answer to QUIT comes a moment before.
        lock = base + "/dovecot-pop3-session.lock"
        one.quit()
        wait_until(lambda: not os.path.exists(lock), "the lock is given back")
        mail.pop3s("alice").quit()
        wait_until(lambda: not os.path.exists(lock), "the lock is given back again")
    finally:
        mail.close()


def test_counted():
    """Processes that end after one session end with it, not before."""
    mail = Instance(dovecot="service pop3 {\n  service_count = 1\n}\n")
    try:
        start(mail)
        maildir(mail, "alice", THREE)
        first, second = login(mail), login(mail)
        pids = len(mail.pids("pop3"))
        for talk in (first, second):
            talk.script("a counted session", ("STAT", "+OK 3 63"))
        first.script("a counted session", ("QUIT", "+OK Logging out."))
        first.close()
        wait_until(lambda: len(mail.pids("pop3")) < pids, "its processes to end")
        tap.ok(True, "processes end after their session")
        stop = threading.Thread(target=lambda: mail.command(
            "doveadm", "-c", mail.path("etc/dovecot/dovecot.conf"), "stop"))
        stop.start()
        tap.equal(second.line(), "-ERR [SYS/TEMP] Server shutting down.", "the last session, at a stop")
        second.close()
        stop.join()
        wait_until(lambda: not mail.pids(), "all processes to end")
        tap.ok("is gone" not in mail.log(), "all in order")
    finally:
        mail.close()


def test_unsupported_location():
    mail = Instance(dovecot="mail_location = mbox:~/mail\n")
    try:
        start(mail)
        talk = Talk(mail.pop3_port)
        talk.line()
        talk.ask(f"USER alice@{DOMAIN}")
        tap.like(talk.ask("PASS alice"), r"^-ERR \[SYS/PERM\] ", "an unsupported mail_location")
        talk.close()
        mail.wait_for_log(r"pop3\(alice@.*: Error: mail_location: the format mbox is not supported")
        tap.ok(True, "and its reason in the log")
    finally:
        mail.close()


def test_no_auth_server():
    """Nobody to ask is a failure that passes, never a mechanism that does not exist."""
    mail = Instance()
    try:
        launch(mail)
        path = mail.path("run/login/login")
        wait_until(lambda: os.path.exists(path), "the socket")
        os.rename(path, path + ".away")
        # Only now: whoever connects has pop3-login connect to authd, and stay connected.
        wait_for_ports(mail)
        talk = Talk(mail.pop3_port)
        talk.line()
        talk.ask(f"USER alice@{DOMAIN}")
        tap.like(talk.ask("PASS alice"), r"^-ERR \[SYS/TEMP\] Temporary authentication failure\. \[\S+:[-\d]+ [:\d]+\]$",
                  "no authentication server")
        os.rename(path + ".away", path)
        tap.equal(talk.ask(f"USER alice@{DOMAIN}"), "+OK", "the client may try again")
        tap.equal(talk.ask("PASS alice"), "+OK Logged in.", "and is let in")
        talk.close()
    finally:
        mail.close()


mail = Instance(dovecot="mail_max_userip_connections = 100\n")
try:
    start(mail)
    for test in (test_before_login, test_wrong_password, test_commands, test_no_quit,
                 test_pipelining, test_bad_commands_after_login, test_tls, test_large_message,
                 test_real_clients, test_two_sessions, test_many_sessions, test_forged_login,
                 test_killed_halves, test_reload, test_stop):
        try:
            test(mail)
        except Exception as error:
            tap.ok(False, f"{test.__name__}: {error!r}")
            tap.note(mail.log()[-6000:])
finally:
    mail.close()
test_settings()
test_counted()
test_unsupported_location()
test_no_auth_server()
tap.done()
