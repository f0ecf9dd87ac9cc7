#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who may do what: each running process's rights, descriptors and root; attacks from inside of each
kind of process, with Landlock and without; hostile local users of sockets and commands."""

import base64
import grp
import os
import poplib
import pwd
import re
import shutil
import smtplib
import socket
import stat
import struct
import subprocess
import sys
from random import Random

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import hostroot  # noqa: E402
import tap  # noqa: E402
from hostroot import sh  # noqa: E402
import smtp_server  # noqa: E402
from instance import wait_until  # noqa: E402

SPOOL = "/var/spool/postfix"
BASE = "/run/dovecot"
LOG = "/var/log/maillog"
PROGRAMS = ("smtpd", "smtp", "qmgr", "virtual", "pickup", "postlogd", "bounce", "authd", "pop3",
            "pop3-login")

MAIN_CF = """
myhostname = mail.example.test
mydestination =
inet_interfaces = 127.0.0.1
virtual_mailbox_domains = example.test
virtual_mailbox_base = /var/mail/vhosts
virtual_mailbox_maps = hash:/etc/postfix/vusers
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_security_level = may
smtpd_tls_key_file = /etc/walls/server.key
smtpd_tls_cert_file = /etc/walls/server.crt
maillog_file = /var/log/maillog
relay_domains = inline:{{relayed.test=x}}
transport_maps = inline:{{relayed.test=smtp:[127.0.0.1]:2525}}
smtp_tls_CAfile = /etc/walls/server.crt
smtp_tls_security_level = may
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:/etc/postfix/relays
"""

DOVECOT_CONF = """
protocols = pop3
listen = 127.0.0.1
log_path = /var/log/maillog
ssl = yes
ssl_cert = </etc/walls/server.crt
ssl_key = </etc/walls/server.key
auth_debug = yes
auth_verbose = yes
mail_location = maildir:/var/mail/vhosts/%d/%n
doveadm_password = hidden-doveadm
passdb {
  driver = passwd-file
  args = scheme=PLAIN /etc/dovecot/vusers
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/var/mail/vhosts/%d/%n
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
"""


def write(path, text, mode=0o644, owner=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, *owner)


def must(command):
    done = sh(command)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}")
    return done.stdout


def log_text():
    with open(LOG, encoding="utf-8", errors="replace") as f:
        return f.read()


def libexec():
    return os.path.dirname(must("find /usr/libexec /usr/lib -name qmgr -path '*postcote*'").split()[0])


def set_up():
    hostroot.install()
    must("mkdir -p /etc/walls; cd /etc/walls; openssl req -x509 -newkey rsa:2048 -nodes -days 30"
         " -subj /CN=mail.example.test -keyout server.key -out server.crt 2>/dev/null;"
         " chmod 600 server.key")
    must("groupadd -g 5000 vmail; useradd -M -g vmail -u 5000 vmail; useradd -M -u 5001 bob;"
         " useradd -M -u 5002 stranger")
    shutil.rmtree("/etc/dovecot", ignore_errors=True)
    write("/etc/dovecot/dovecot.conf", DOVECOT_CONF)
    dovecot = pwd.getpwnam("dovecot")
    write("/etc/dovecot/vusers", "alice@example.test:{PLAIN}secret-of-alice::::::\n", 0o640,
          (0, dovecot.pw_gid))
    write("/etc/postfix/vusers", "alice@example.test example.test/alice/\n")
    with open("/etc/postfix/main.cf", "a", encoding="utf-8") as f:
        f.write(MAIN_CF)
    write("/etc/postfix/relays", "[127.0.0.1]:2525 us:secret-of-relay\n", 0o600)
    must("postmap /etc/postfix/vusers /etc/postfix/relays")
    must("mkdir -p /var/mail/vhosts && chown vmail:vmail /var/mail/vhosts")
    write("/var/mail/vhosts/other.test/bob/new/1", "for bob\n", 0o600, (5001, 5001))
    write("/var/mail/vhosts/example.test/carol/1", "for carol\n", 0o600)
    must("chown -R vmail:vmail /var/mail/vhosts/example.test; chmod 777 /tmp")
    # The mail of a user that lies on another disk.
    must("mkdir -p /srv/disk2/alice && chown vmail:vmail /srv/disk2/alice &&"
         " ln -s /srv/disk2/alice /var/mail/vhosts/example.test/alice")


def put_decoys():
    owner = pwd.getpwnam("postfix")
    for path in (SPOOL + "/hold/0WALLS1", SPOOL + "/incoming/0WALLS2"):
        write(path, "other people's mail\n", 0o600, (owner.pw_uid, owner.pw_gid))


def start():
    must("dovecot")
    must("postfix start")
    wait_until(lambda: ":25 " in sh("ss -tln").stdout, "SMTP")
    wait_until(lambda: ":110 " in sh("ss -tln").stdout, "POP3")


def stop():
    must("postfix stop; doveadm stop; true")
    wait_until(lambda: not sh("ss -tlnp | grep -E 'master|dovecot'").stdout, "the ports are closed")



def exchange():
    """A mail in over SMTP, also for another host, one by sendmail, and a look at the mailbox over
    POP3."""
    relayed = len(RELAY.messages)
    with smtplib.SMTP("127.0.0.1", 25, timeout=20) as smtp:
        smtp.sendmail("x@example.test", ["alice@example.test", "r@relayed.test"],
                      "Subject: hello\n\nhello\n")
    RELAY.wait(lambda relay: len(relay.messages) > relayed)
    subprocess.run(["sendmail", "alice@example.test"], input=b"hello\n", check=True, timeout=20)
    pop = poplib.POP3("127.0.0.1", 110, timeout=20)
    pop.stls()
    pop.user("alice@example.test")
    pop.pass_("secret-of-alice")
    count = pop.stat()[0]
    pop.quit()
    return count


def program_of(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe").replace(" (deleted)", ""))
    except OSError:
        return ""


def daemons():
    """[(pid, program)] of all processes of ours, masters left out."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if program_of(pid) in PROGRAMS:
            found.append((int(pid), program_of(pid)))
    return found


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)


# ---- attacks from inside ----

# What an attempt may do, by program and user; all others must fail, and these must not, or the
# attempts prove nothing.
EVERYWHERE = {"find-outside"}
PARENT = {"read-shadow", "read-key", "read-passwords", "read-held", "write-held", "rename-held",
          "rename-incoming", "read-mail-of-others", "read-mail-of-one", "make-in-etc",
          "make-in-tmp", "find-outside", "signal-parent", "become-root"}
QUEUE = {"read-held", "write-held", "rename-held", "rename-incoming"}
MAY = {
    ("smtpd", "postfix"): EVERYWHERE | {"network"},
    ("smtp", "postfix"): EVERYWHERE | {"network"},
    ("qmgr", "postfix"): EVERYWHERE | QUEUE,
    ("pickup", "postfix"): EVERYWHERE,
    ("postlogd", "postfix"): EVERYWHERE,
    ("bounce", "postfix"): EVERYWHERE,
    ("virtual", "postfix"): EVERYWHERE,
    ("virtual", "root"): PARENT,
    ("virtual", "vmail"): EVERYWHERE | {"read-mail-of-one"},
    ("authd", "dovecot"): EVERYWHERE | {"read-passwords"},
    ("pop3", "dovecot"): EVERYWHERE,
    ("pop3", "root"): PARENT,
    ("pop3", "vmail"): EVERYWHERE | {"read-mail-of-one"},
    ("pop3-login", "dovenull"): set(),
}
# What only Landlock forbids.
ADDED = {
    ("pop3", "dovecot"): {"make-in-tmp", "read-passwords"},
    ("pop3-login", "dovenull"): set(),
}


def attacks_in(log):
    """{(program, user): {attempt: result}}, and the values of landlock= that were seen."""
    found, landlock = {}, set()
    for m in re.finditer(r"(?:postfix/)?([a-z0-9-]+)(?:\[\d+\])?: (?:Info: )?"
                         r"attack uid=(\d+) landlock=(\d) (\S+): (\S+)$", log, re.M):
        program = "authd" if m[1] == "auth" else m[1]
        key = (program, pwd.getpwuid(int(m[2])).pw_name)
        found.setdefault(key, {})[m[4]] = m[5]
        landlock.add(m[3])
    return found, landlock


def check_attacks(may, what):
    found, _ = attacks_in(log_text())
    tap.equal(sorted(found), sorted(may), f"{what}: processes of each kind were tried")
    for key, allowed in sorted(may.items()):
        done = {name for name, said in found.get(key, {}).items() if said == "done"}
        tap.equal(sorted(done), sorted(allowed), f"{what}: what {key[0]} can do as {key[1]}")


def run_attacks():
    if os.path.exists(LOG):
        os.unlink(LOG)
    for name in os.listdir("/tmp"):
        if name.startswith("made-by-"):
            os.unlink("/tmp/" + name)
    put_decoys()
    start()
    tap.ok(exchange() >= 1, "mail flows behind the walls")
    stop()


def swap_programs(probes):
    for program in PROGRAMS:
        source = (os.path.join(os.environ["PC_BUILDDIR"], "t", "walls_" + program) if probes
                  else os.path.join(PLACE, program + ".real"))
        target = os.path.join(PLACE, program)
        if probes:
            os.rename(target, target + ".real")
            shutil.copy(source, target)
        else:
            os.rename(source, target)


def test_attacks():
    swap_programs(True)
    run_attacks()
    _, landlock = attacks_in(log_text())
    if landlock == {"1"}:
        check_attacks(MAY, "Landlock")
    else:
        tap.note("this kernel has no Landlock: attacks are tried without")
    write("/etc/postcote-no-landlock", "")
    run_attacks()
    tap.equal(attacks_in(log_text())[1], {"0"}, "without Landlock")
    may = {key: allowed | ADDED.get(key, {"make-in-tmp"} | (QUEUE if key[1] == "postfix" else set()))
           for key, allowed in MAY.items()}
    check_attacks(may, "no Landlock")
    os.unlink("/etc/postcote-no-landlock")
    swap_programs(False)


# ---- the processes as they run ----

USERS = {"smtpd": {"postfix"}, "smtp": {"postfix"}, "qmgr": {"postfix"}, "pickup": {"postfix"},
         "postlogd": {"postfix"}, "bounce": {"postfix"},
         "virtual": {"postfix", "root", "vmail"}, "authd": {"dovecot"}, "pop3-login": {"dovenull"},
         "pop3": {"dovecot", "root", "vmail"}}
ANYWHERE = r"(/dev/null|/var/log/maillog|socket:|pipe:|anon_inode:\[(eventpoll|eventfd|signalfd|timerfd)\])"
PROC = r"|/proc(/\d+)?(/fd)?"
SPOOL_DIR = rf"|{SPOOL}/[a-z]+(/[0-9A-F])?"
FILES = {
    "smtp": PROC + r"|/etc/postfix.*|/etc|anon_inode:inotify|inotify|/dev/urandom|(/etc/postfix/)?\S+\.lmdb",
    "smtpd": PROC + rf"|{SPOOL}/incoming|/etc/postfix.*|/etc|{SPOOL}|(/etc/postfix/)?\S+\.lmdb",
    "qmgr": PROC + SPOOL_DIR + r"|/etc/postfix.*|anon_inode:inotify|inotify",
    "pickup": PROC + rf"|{SPOOL}/(incoming|maildrop|corrupt)|/etc/postfix.*",
    "postlogd": PROC,
    "bounce": PROC + rf"|{SPOOL}/incoming|/etc/postfix.*",
    "virtual": PROC + r"|/etc/postfix.*",
    "authd": PROC,
    "pop3": PROC + r"|anon_inode:inotify|inotify",
    "pop3-login": "",
}
# What workers keep open are mailboxes of their user's, alice's being on another disk.
MAILBOXES = r"|/var/mail/vhosts/example.test.*|/srv/disk2/alice/(new|tmp)"


def check_process(pid, program):
    st = status(pid)
    uids, gids = st["Uid"].split(), st["Gid"].split()
    user = pwd.getpwuid(int(uids[0])).pw_name
    name = f"{program} as {user}"
    tap.ok(len(set(uids)) == 1 and len(set(gids)) == 1, f"{name}: no second uid or gid", st)
    tap.ok(set(st["Groups"].split()) <= ({gids[0]}), f"{name}: no supplementary groups", st["Groups"])
    tap.equal((st["NoNewPrivs"].strip(), st["Seccomp"].strip()), ("1", "2"),
              f"{name}: no new privileges, seccomp")
    if user == "root":
        tap.equal(int(st["CapPrm"], 16) & ~0xe2, 0, f"{name}: few capabilities")
        tap.equal(int(st["CapBnd"], 16) & ~0xe2, 0, f"{name}: and no way to others")
    else:
        tap.equal(int(st["CapPrm"], 16) | int(st["CapEff"], 16), 0, f"{name}: no capabilities")
        # The kernel gives the files there to root when a process is not dumpable.
        tap.equal(os.stat(f"/proc/{pid}/fd").st_uid, 0, f"{name}: not dumpable")
    with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
        tap.like(f.read(), r"^Max core file size +0 +0 ", f"{name}: no core files")
    root = os.readlink(f"/proc/{pid}/root")
    tap.equal(root, BASE + "/login" if program == "pop3-login" else "/", f"{name}: its root directory")
    files = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            files.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    # The parent of workers reads there who ran in one that died.
    more = {"root": r"|/memfd:postcote-running", "vmail": MAILBOXES}.get(user, "")
    odd = [f for f in files if not re.match(rf"({ANYWHERE}{FILES[program]}{more})", f)]
    tap.equal(odd, [], f"{name}: descriptors")
    listening = sh(f"ss -Hlnp 2>/dev/null | grep 'pid={pid},'").stdout
    if user in ("root", "vmail"):
        tap.equal(listening, "", f"{name}: no listening socket")
    return user


def test_processes():
    os.unlink(LOG)
    start()
    exchange()
    seen = {}
    for pid, program in daemons():
        seen.setdefault(program, set()).add(check_process(pid, program))
    tap.equal(seen, USERS, "every program runs under its users")


def test_secrets():
    log = log_text()
    for secret in ("secret-of-alice", "hidden-doveadm", "PRIVATE KEY",
                   # The initial response of PLAIN.
                   "AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQtb2YtYWxpY2U="):
        tap.ok(secret not in log, f"the log does not have {secret}")
    for path, want in (("/etc/walls/server.key", 0o600), (SPOOL + "/public", 0o710),
                       (SPOOL + "/private", 0o700), (SPOOL + "/maildrop", 0o730),
                       (SPOOL + "/incoming", 0o700), (SPOOL + "/hold", 0o700),
                       (BASE + "/login", 0o750)):
        tap.equal(oct(stat.S_IMODE(os.stat(path).st_mode)), oct(want), f"mode of {path}")
    for pid, program in daemons():
        memory = memory_of(pid)
        tap.ok(b"hidden-doveadm" not in memory, f"{program} does not know doveadm_password")
        if program == "authd":
            tap.ok(b"secret-of-alice" in memory, "the test finds what a process knows")
        elif program != "pop3-login": # where users type it
            tap.ok(b"secret-of-alice" not in memory, f"{program} does not know a user's password")
        if program not in ("smtpd", "pop3-login"):
            tap.ok(KEY_LINE.encode() not in memory, f"{program} does not know a TLS key")


def uid_of(pid):
    return int(status(pid)["Uid"].split()[0])


def memory_of(pid):
    """All that root can read of a process's writable memory."""
    data = b""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if not m:
                    continue
                begin, end = int(m[1], 16), int(m[2], 16)
                try:
                    mem.seek(begin)
                    data += mem.read(min(end - begin, 16 << 20))
                except (OSError, ValueError, OverflowError):
                    pass
    except OSError:
        pass
    return data


# ---- local strangers ----

def as_user(user, command, **kwargs):
    entry = pwd.getpwnam(user)
    return sh(f"setpriv --reuid={entry.pw_uid} --regid={entry.pw_gid} --clear-groups -- {command}",
              **kwargs)


def test_sockets_are_closed():
    for path in ("public/qmgr", "public/showq", "public/pickup", "private/virtual", "private/bounce",
                 "private/auth"):
        said = as_user("stranger", f"python3 -c 'import socket; "
                                   f"socket.socket(socket.AF_UNIX).connect(\"{SPOOL}/{path}\")'").stdout
        tap.like(said, "PermissionError", f"a stranger does not reach {path}")
    for path in ("login/login", "login/pop3", "auth-master"):
        if not os.path.exists(f"{BASE}/{path}"):
            continue
        said = as_user("stranger", f"python3 -c 'import socket; "
                                   f"socket.socket(socket.AF_UNIX).connect(\"{BASE}/{path}\")'").stdout
        tap.like(said, "PermissionError", f"a stranger does not reach {path}")


def record(kind, attributes, fds=0):
    body = struct.pack("B", len(kind)) + kind.encode()
    for name, value in attributes:
        body += struct.pack("B", len(name)) + name.encode()
        body += struct.pack(">I", len(str(value))) + str(value).encode()
    return struct.pack(">IB", len(body) + 1, fds) + body


HELLO = record("HELLO", [("version", 1), ("service", "smtpd")])


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(path)
    return sock


def alive():
    return {(pid, program) for pid, program in daemons() if uid_of(pid) not in (5000,)}


# Idle ones hold theirs until the end of the test.
GARBAGE = (
    ("nothing", b""),
    ("zeros", bytes(100)),
    ("text", b"GET / HTTP/1.0\r\n\r\n"),
    ("a length of 1 GB", struct.pack(">IB", 1 << 30, 0) + b"x" * 1000),
    ("a length of 4 GB", b"\xff\xff\xff\xff\xff" * 100),
    ("half a record", HELLO + record("OFFER", [("id", "4ABCDE12345")])[:-4]),
    ("no descriptor with an offer", HELLO + record(
        "OFFER", [("id", "4ABCDE12345"), ("seen", 0), ("size", 5), ("rcpts", 1), ("flags", 0)])),
    ("an id that is a path", HELLO + record(
        "OFFER", [("id", "../../etc/x"), ("seen", 0), ("size", 5), ("rcpts", 1), ("flags", 0)], 1)),
    ("a record nobody knows", HELLO + record("NONSENSE", [("a", "b")])),
    ("a line of 1 MB", b"A" * (1 << 20)),
    ("many lines", b"AUTH\t1\tPLAIN\n" * 10000),
    ("NUL in lines", b"VERSION\t1\t1\nCPID\t\0\nUSER\t1\t\0\0\n"),
)
SOCKETS = (SPOOL + "/public/qmgr", SPOOL + "/public/showq", SPOOL + "/public/pickup",
           SPOOL + "/private/virtual", SPOOL + "/private/bounce", SPOOL + "/private/auth",
           BASE + "/login/pop3", BASE + "/login/login", BASE + "/auth-userdb", BASE + "/auth-master")


def test_garbage():
    before = alive()
    for path in SOCKETS:
        held = []
        for _, text in GARBAGE:
            for end in (False, True):
                sock = connect(path)
                held.append(sock)
                sock.setblocking(False)
                try:
                    sock.send(text)
                    if end:
                        sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass # refused in the middle of it
        tap.ok(exchange() >= 1, f"mail flows while {path} is held by garbage")
        for sock in held:
            sock.close()
    tap.equal(before - alive(), set(), "no process died")
    tap.unlike(log_text(), r"a daemon wrote|killed by signal|assertion", "and none complained of itself")


def offer(fd, queue_id="4ABCDE12346"):
    """What qmgr says to an offer of a descriptor: records until it closes or is silent."""
    sock = connect(SPOOL + "/public/qmgr")
    sock.settimeout(3)
    sock.sendall(HELLO)
    text = record("OFFER", [("id", queue_id), ("seen", 0), ("size", 100), ("rcpts", 1), ("flags", 0)], 1)
    socket.send_fds(sock, [text], [fd])
    said = b""
    try:
        while data := sock.recv(4096):
            said += data
            if b"SPOOL" in said or b"DONE" in said:
                break
    except (TimeoutError, ConnectionError):
        pass
    sock.close()
    return said


def test_strange_descriptors():
    """A smtpd that was taken over has the mail owner's uid; this is root, who may offer, too."""
    os.mkfifo("/tmp/fifo")
    with open("/tmp/file", "w+b") as f:
        f.write(b"no queue file")
    before = alive()
    pair = socket.socketpair()
    cases = (("a FIFO", os.open("/tmp/fifo", os.O_RDONLY | os.O_NONBLOCK)),
             ("a directory", os.open("/tmp", os.O_RDONLY)),
             ("/dev/zero", os.open("/dev/zero", os.O_RDONLY)),
             ("a socket", pair[0].fileno()),
             ("an O_PATH descriptor", os.open("/tmp/file", os.O_PATH)),
             ("a file that can be written by it", os.open("/tmp/file", os.O_RDWR)))
    for name, fd in cases:
        said = offer(fd)
        tap.ok(b"SPOOL" not in said and b"DONE" not in said, f"{name} is not taken", said)
    said = offer(os.open("/tmp/file", os.O_RDONLY))
    tap.ok(b"DONE" not in said, "a file that is no queue file is not acknowledged", said)
    tap.ok(exchange() >= 1, "mail flows")
    tap.equal(before - alive(), set(), "no process died")


def changing_file(content):
    """A file beside the queues: a descriptor that writes, and one that reads."""
    fd = os.open(SPOOL + "/saved/changing", os.O_CREAT | os.O_RDWR, 0o700)
    os.write(fd, content)
    owner = pwd.getpwnam("postfix")
    os.fchown(fd, owner.pw_uid, owner.pw_gid)
    return fd, os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)


def spoil(fd, size, random, begin=0):
    """Whatever a process can do to a file that it can write to."""
    for _ in range(20):
        what = random.randrange(4)
        if what == 0:
            os.ftruncate(fd, random.randrange(begin, 2 * size))
        elif what == 1:
            os.pwrite(fd, random.randbytes(random.randrange(1, 60)), random.randrange(begin, size))
        elif what == 2:
            os.ftruncate(fd, 1 << 40)
        else:
            os.pwrite(fd, b"R\x12alice@example.test", random.randrange(begin, size))


def test_file_changes_after_offer():
    """A smtpd that was taken over keeps a descriptor that can write to what it offered.  That costs
    its own message, and nobody else's."""
    random = Random(7)
    must("postfix stop; postconf -e 'virtual_uid_maps = static:0'; postfix start")
    subprocess.run(["sendmail", "-f", "x@example.test", "alice@example.test"], input=b"of others\n",
                   check=True, timeout=20)
    place = wait_until(lambda: sh(f"find {SPOOL}/deferred -type f").stdout.split(), "a deferred mail")[0]
    with open(place, "rb") as f:
        content = f.read()
    must("postfix stop; postconf -e 'virtual_uid_maps = static:5000'; postfix start")
    subprocess.run(["sendmail", "-f", "x@example.test", "nobody@elsewhere.test"], input=b"of others\n",
                   check=True, timeout=20)
    before = alive()
    files = []
    for i in range(30):
        queue_id = f"4ABCD{i:06X}"
        writable, readable = changing_file(content)
        files.append(writable)
        sock = connect(SPOOL + "/public/qmgr")
        sock.sendall(HELLO)
        socket.send_fds(sock, [record("OFFER", [
            ("id", queue_id), ("seen", 0), ("size", len(content)), ("rcpts", 1),
            ("flags", i % 2)], 1)], [readable])
        if i % 3 == 0:
            spoil(writable, len(content), random)
        os.rename(SPOOL + "/saved/changing", f"{SPOOL}/incoming/{queue_id}")
        sock.sendall(record("SPOOLING", [("id", queue_id)]) + record("SPOOLED", [("id", queue_id)]))
        # Often the envelope stays as it is, and an agent meets what has become of the content.
        spoil(writable, len(content), random, content.index(b"of others") - 20 if i % 2 else 0)
        os.close(readable)
        sock.close()
    must("postqueue -f")
    tap.ok(exchange() >= 1, "mail flows")
    for fd in files:
        spoil(fd, len(content), random)
        os.ftruncate(fd, 0)
        os.close(fd)
    tap.ok(exchange() >= 1, "and goes on to")
    met = set(re.findall(r"4ABCD[0-9A-F]{6}", log_text()))
    tap.ok(len(met) >= 10, "the changed files were looked at", sorted(met))
    tap.equal(before - alive(), set(), "no process died of files that change")
    tap.unlike(log_text(), r"a daemon wrote|killed by signal|assertion", "and none complained of itself")
    must("postsuper -d ALL")


def log_in(name="alice@example.test", password="secret-of-alice"):
    """What a login half knows after a login: its connection, pid, the login's number and cookie."""
    sock = connect(BASE + "/login/login")
    plain = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
    sock.sendall(f"VERSION\t1\t2\nCPID\t777\nAUTH\t1\tPLAIN\tservice=pop3\tsecured\tresp={plain}\n"
                 .encode())
    said = b""
    while not re.search(rb"^(OK|FAIL)\t.*\n", said, re.M):
        said += sock.recv(4096) or b"FAIL\tclosed\n"
    return sock, re.search(rb"COOKIE\t(\w+)", said)[1].decode(), b"\nOK\t1" in said


def hand_over(fd, cookie, auth_id=1, extra=()):
    sock = connect(BASE + "/login/pop3")
    text = record("HELLO", [("version", 1), ("service", "pop3-login")]) + record(
        "LOGIN", [("client_pid", 777), ("auth_id", auth_id), ("cookie", cookie), ("session", "x"),
                  *extra], 1)
    hello = len(record("HELLO", [("version", 1), ("service", "pop3-login")]))
    sock.sendall(text[:hello])
    socket.send_fds(sock, [text[hello:]], [fd])
    said = b""
    try:
        while b"LOGGED_IN" not in said and b"REFUSED" not in said:
            data = sock.recv(4096)
            if not data:
                break
            said += data
    except (TimeoutError, ConnectionError):
        pass
    sock.close()
    return "in" if b"LOGGED_IN" in said else "refused"


def test_hostile_login_half():
    """What a pop3-login that was taken over can tell the mailbox half."""
    before = alive()
    ours, theirs = socket.socketpair()
    tap.equal(hand_over(theirs.fileno(), "0" * 32), "refused", "no login: no mailbox")
    auth, cookie, good = log_in()
    tap.ok(good, "a real login")
    tap.equal(hand_over(theirs.fileno(), "0" * 32), "refused", "a wrong cookie")
    tap.equal(hand_over(theirs.fileno(), cookie, 2), "refused", "another number")
    tap.equal(hand_over(theirs.fileno(), cookie, 1, [("user", "root"), ("home", "/root"),
                                                     ("mail", "maildir:/root"), ("uid", 0)]),
              "in", "a login whose record names another user as well")
    ours.settimeout(10)
    tap.like(ours.recv(1000).decode(), r"^\+OK Logged in", "is the user's who logged in")
    tap.equal(hand_over(theirs.fileno(), cookie), "refused", "the same login a second time")
    auth.close()
    listening = socket.socket()
    listening.listen()
    with open("/tmp/file", "w+b") as f:
        for name, fd in (("a file", f.fileno()), ("/dev/null", os.open("/dev/null", os.O_RDWR)),
                         ("a FIFO", os.open("/tmp/fifo", os.O_RDWR)),
                         ("a directory", os.open("/tmp", os.O_RDONLY)),
                         ("an O_PATH descriptor", os.open("/etc/shadow", os.O_PATH)),
                         ("a listening socket", listening.fileno())):
            auth, cookie, _ = log_in()
            tap.equal(hand_over(fd, cookie), "refused", f"{name} is no client")
            auth.close()
    tap.ok(exchange() >= 1, "mail flows")
    tap.equal(before - alive(), set(), "no process died")
    tap.unlike(log_text(), r"a daemon wrote|killed by signal|assertion", "and none complained of itself")


CONTROL = """
import socket, struct, sys
def record(kind, *attributes):
    body = struct.pack("B", len(kind)) + kind.encode()
    for name, value in attributes:
        body += struct.pack("B", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
    return struct.pack(">IB", len(body) + 1, 0) + body
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect("/var/spool/postfix/public/qmgr")
s.sendall(record("HELLO", ("version", "1"), ("service", "smtpd")) + record("CONTROL", ("op", sys.argv[1]), ("all", "1")))
said = b""
while b"CONTROLLED" not in said:
    said += s.recv(4096) or exit("closed")
print("answered")
"""


def test_queue_belongs_to_root():
    """Daemons that strangers talk to have the mail owner's uid: that alone deletes no mail."""
    must("postfix stop; postconf -e 'virtual_uid_maps = static:0'; postfix start")
    subprocess.run(["sendmail", "-f", "x@example.test", "alice@example.test"], input=b"stays\n",
                   check=True, timeout=20)
    wait_until(lambda: "alice@example.test" in sh("postqueue -p").stdout, "the deferred mail")
    for op in ("delete", "hold"):
        said = as_user("postfix", f"{sys.executable} -c '{CONTROL}' {op}")
        tap.equal((said.returncode, said.stdout.strip()), (0, "answered"), f"a request to {op} all")
    queue = sh("postqueue -p").stdout
    tap.like(queue, r"(?m)^[0-9A-F]+ ", "the message is still there, and not held")
    tap.like(log_text(), "not permitted to change the queue", "and somebody tried")
    must("postsuper -d ALL")
    tap.like(sh("postqueue -p").stdout, "Mail queue is empty", "root may")
    must("postfix stop; postconf -e 'virtual_uid_maps = static:5000'; postfix start")


def test_links_of_the_mail_owner():
    """Who has the mail owner's uid can put links where root writes at the next start."""
    stop()
    victim = "/var/lib/precious"
    for link in (os.link, os.symlink):
        write(victim, "precious\n", 0o644)
        os.unlink("/var/lib/postfix/master.lock")
        link(victim, "/var/lib/postfix/master.lock")
        said = sh("postfix start; sleep 0.5; postfix status")
        tap.ok(said.returncode != 0, f"no start over a {link.__name__}", said.stdout)
        with open(victim, encoding="utf-8") as f:
            tap.equal(f.read(), "precious\n", "and nothing is written there")
    os.unlink("/var/lib/postfix/master.lock")
    shutil.rmtree("/var/spool/postfix/private")
    os.mkdir("/var/spool/postfix/private", 0o700)
    shutil.chown("/var/spool/postfix/private", "postfix")
    os.symlink(victim, "/var/spool/postfix/private/virtual")
    sh("postfix start; sleep 0.5; postfix stop")
    tap.equal(oct(stat.S_IMODE(os.stat(victim).st_mode)), "0o644", "a socket's mode goes nowhere else")
    if os.path.lexists("/var/spool/postfix/private/virtual"):
        os.unlink("/var/spool/postfix/private/virtual")
    start()
    tap.ok(exchange() >= 1, "mail flows again")


def test_set_gid_commands():
    for program in ("postdrop", "postqueue"):
        path = must(f"command -v {program}").strip()
        st = os.stat(path)
        tap.equal((oct(stat.S_IMODE(st.st_mode)), grp.getgrgid(st.st_gid).gr_name),
                  ("0o2755", "postdrop"), f"{program} is set-gid")
    write("/tmp/cf/main.cf", "queue_directory = /tmp/spool\n")
    for variable, argument in (("MAIL_CONFIG=/tmp/cf", ""), ("", "-c /tmp/cf")):
        for command in (f"postqueue {argument} -p", f"postdrop {argument} </dev/null"):
            said = as_user("stranger", f"env {variable} sh -c '{command}'")
            tap.ok(said.returncode != 0, f"a stranger chooses no configuration: {variable} {command}")
            tap.like(said.stdout, "not permitted|unauthorized", "and is told so")
    # Descriptors 0 to 2 closed: nothing of ours must get these numbers.
    said = as_user("stranger", "sh -c 'exec <&- >&- 2>&-; postqueue -p; postqueue -f; postdrop'")
    tap.ok(said.returncode >= 0, "set-gid commands without descriptors 0 to 2")
    tap.equal(sh("postqueue -p").stdout.strip(), "Mail queue is empty", "and qmgr is well")
    for text in (b"hello\0world\n", b"a\rb\n", b"x" * 100000 + b"\n"):
        subprocess.run(["sendmail", "-f", "a\nb@example.test", "alice@example.test\nRcpt: x"], input=text,
                       capture_output=True, timeout=20, check=False)
    tap.ok(exchange() >= 1, "mail flows after odd submissions")


def test_postmap_as_root():
    """In somebody else's directory postmap has that user's rights only."""
    must("mkdir -p /home/stranger; chown stranger /home/stranger")
    write("/home/stranger/table", "a b\n", 0o644, (5002, 5002))
    victim = "/etc/walls/victim"
    write(victim, "precious\n")
    os.symlink(victim, "/home/stranger/table.lmdb")
    said = sh("postmap lmdb:/home/stranger/table")
    with open(victim, encoding="utf-8") as f:
        tap.equal(f.read(), "precious\n", "postmap as root follows no user's link")
    tap.equal(os.stat(victim).st_uid, 0, "and gives nothing away") or tap.note(said.stdout)
    st = os.lstat("/home/stranger/table.lmdb")
    tap.ok(stat.S_ISLNK(st.st_mode) or st.st_uid == 5002, "the table belongs to its owner", st)


def test_check_says_walls():
    said = sh("postfix -v check").stdout + sh("postfix check -v").stdout
    tap.like(said, r"walls: .*Landlock", "postfix check -v tells of Landlock")
    tap.like(said, r"walls: .*smtpd", "and of each program")
    stop()


hostroot.enter()
missing = [p for p in PROGRAMS
           if not os.path.exists(os.path.join(os.environ["PC_BUILDDIR"], "t", "walls_" + p))]
if missing:
    tap.skip_all("not built: " + " ".join("t/walls_" + p for p in missing))
set_up()
RELAY = smtp_server.Server(port=2525)
PLACE = libexec()
with open("/etc/walls/server.key", encoding="utf-8") as key:
    KEY_LINE = key.read().splitlines()[5]
# The directories have their owners now.
start()
stop()
tap.run(test_attacks, test_processes, test_secrets, test_sockets_are_closed, test_garbage,
        test_strange_descriptors, test_hostile_login_half,
        test_file_changes_after_offer, test_queue_belongs_to_root, test_links_of_the_mail_owner, test_set_gid_commands,
        test_postmap_as_root, test_check_says_walls)
