#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""PAM, accounts of the host and checkpassword: our answers and log lines beside a real Dovecot's."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import hostroot  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position
import worker_host  # pylint: disable=wrong-import-position

CHECKPASSWORD = """#!/bin/sh
cat <&3 | tr '\\0' '|' >/tmp/checkpassword-input
case "$SERVICE" in
exit*) exit ${SERVICE#exit} ;;
lf) printf 'a=b\\nc=d' >&4; exit 0 ;;
nul) printf 'a=b\\0c=d' >&4; exit 0 ;;
signal) kill -9 $$ ;;
bare) printf 'foo=bar\\tuserdb_mail=xx\\t' >&4; exit 0 ;;
esac
read line </tmp/checkpassword-input
case "$AUTHORIZED,$line" in
,*'|secret||'|1,*'|||') ;;
*) exit 1 ;;
esac
export USER=al HOME=/home/al userdb_uid=1234 userdb_mail=maildir:/x extra_x='sp ace'
export EXTRA='userdb_uid userdb_mail extra_x'
[ "$AUTHORIZED" ] && export AUTHORIZED=2
exec "$@"
"""


def pam(args=""):
    return "passdb {\n driver = pam\n args = %s\n}\nuserdb {\n driver = passwd\n}\n" % args


def passdb(driver, args=""):
    return "passdb {\n driver = %s\n args = %s\n}\nuserdb {\n driver = passwd\n}\n" % (driver, args)


USERS = [("alice", "secret"), ("alice", "wrong"), ("alice", ""), ("nosuch", "x"),
         ("locked", "secret"), ("expired", "secret"), ("stale", "secret"),
         ("must-change", "secret"), ("nopassword", "x"), ("root", "secret"), ("daemon", "x"),
         ("inpasswd", "Hello world!")]
ALICE = [("alice", "secret"), ("alice", "wrong")]
SERVICES = [("alice", "secret", "pop3"), ("alice", "secret", "POP3"), ("alice", "secret", "none")]
CHECKS = [("alice", "secret"), ("alice", "wrong")] + [
    ("alice", "secret", service) for service in
    "exit0 exit1 exit2 exit3 exit4 exit111 lf nul signal bare".split()]
CHECK = "passdb {\n driver = checkpassword\n args = /tmp/check\n}\n" \
        "userdb {\n driver = checkpassword\n args = /tmp/check\n}\n"

# Name, databases, who logs in, doveadm's arguments or user and service of a userdb lookup.
CASES = [
    ("pam", pam(), USERS, [["user", "alice"], ["user", "nosuch"], ["auth", "test", "alice", "secret"],
                           ["auth", "test", "alice", "wrong"]]),
    ("pam, no such service", pam("nofile"), ALICE, []),
    ("pam, denied", pam("failure_show_msg=yes denied"), ALICE, []),
    ("pam, no account", pam("noaccount"), ALICE, []),
    ("pam, no session", pam("session=yes setcred=yes nosession"), ALICE, []),
    ("pam, session that is not asked for", pam("nosession"), ALICE, []),
    ("pam, the protocol's service", pam("*"), SERVICES, []),
    ("pam, two requests for a process", pam("max_requests=2 %Ls"), SERVICES[:1] * 5, []),
    ("passwd", passdb("passwd"), USERS, [["user", "inpasswd"]]),
    ("shadow", passdb("shadow"), USERS,
     [["user", "alice"], ["PASS", "alice"], ["PASS", "locked"], ["PASS", "nosuch"]]),
    ("checkpassword", CHECK, CHECKS,
     [["user", "alice"]] + [("alice", "exit" + n) for n in "0123"] +
     [["PASS", "alice"]] + [["PASS", "alice", "exit" + n] for n in "0123"]),
]


def same_who(who, text):
    """The peer computes hashes of accounts in its worker, we in authd, whose threads have turns."""
    if any(text.endswith(end) for end in ("Password mismatch", "unknown user")) and "pam(" not in text:
        return "authd"
    return who


def without_prefix(text):
    return text.split("auth-worker<N>: ", 1)[-1]


def settle(lines):
    result = []
    for who, level, text in lines:
        short = without_prefix(text)
        if same_who(who, short) == "authd":
            result.append(("authd", level, short))
        else:
            result.append((who, level, text))
    return result


def run_side(which, case):
    _, databases, logins, commands = case
    with worker_host.Server(which, databases) as server:
        answers = [(login, server.ask(*login)) for login in logins]
        outputs = []
        for command in commands:
            if isinstance(command, tuple):
                outputs.append((command, 0, server.user(*command)))
                continue
            if command[0] == "PASS":
                outputs.append((command, 0, server.user(*command[1:], word="PASS", path="auth-master")))
                continue
            done = server.doveadm(*command)
            outputs.append((command, done.returncode,
                            [line for line in done.stdout.splitlines() if line.strip()
                             and "Error: " not in line and line != "field\tvalue"]))
    # The peer's lines are there when its process for them has ended.
    return answers, outputs, settle(server.database_lines())


def test_case(case):
    ours, peers = run_side("ours", case), run_side("peer", case)
    for mine, theirs in zip(ours[0], peers[0]):
        tap.equal(mine, theirs, f"{case[0]}: login of {mine[0]}")
    for mine, theirs in zip(ours[1], peers[1]):
        tap.equal(mine, theirs, f"{case[0]}: doveadm {' '.join(mine[0])}")
    tap.equal(ours[2], peers[2], f"{case[0]}: log")


def run_reply(program, env):
    read, write = os.pipe()
    os.set_inheritable(write, True)

    def descriptors():
        os.dup2(write, 4)

    done = subprocess.run([program], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          preexec_fn=descriptors, close_fds=False, check=False, timeout=60)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        return done.returncode, f.read(), done.stdout


def test_reply():
    own = {"ORIG_UID": str(os.getuid())}
    cases = [
        {}, own, {**own, "USER": "u"}, {**own, "USER": "u", "HOME": "/h"},
        {**own, "USER": "a\tb"}, {**own, "HOME": "a\tb"}, {**own, "USER": "a\nb\x01c"},
        {**own, "USER": "u", "EXTRA": "x userdb_uid none", "x": "1 2", "userdb_uid": "7"},
        {**own, "USER": "u", "EXTRA": "userdb_gid", "userdb_gid": "7"},
        {**own, "USER": "u", "EXTRA": "UserDB_Quota", "UserDB_Quota": "a\tb"},
        {**own, "USER": "u", "AUTHORIZED": "1"}, {**own, "USER": "u", "AUTHORIZED": "2"},
        {"ORIG_UID": "4711", "USER": "u"}, {"ORIG_UID": "x", "USER": "u"},
        {"ORIG_UID": "4711", "USER": "u", "INSECURE_SETUID": "1"},
        {"USER": "u", "INSECURE_SETUID": ""},
    ]
    ours = os.path.join(os.environ["PC_STAGE"], "libexec/postcote/checkpassword-reply")
    for env in cases:
        tap.equal(run_reply(ours, env), run_reply("/usr/lib/dovecot/checkpassword-reply", env),
                  f"checkpassword-reply with {env}")


def run_all():
    if not os.path.exists("/usr/lib/dovecot/checkpassword-reply"):
        tap.skip_all("no Dovecot 2.3 is installed (dovecot-core)")
    hostroot.enter()
    worker_host.prepare()
    worker_host.write("/tmp/check", CHECKPASSWORD, 0o755)
    os.close(os.open("/tmp/checkpassword-input", os.O_CREAT | os.O_WRONLY))
    os.chmod("/tmp/checkpassword-input", 0o666)
    tap.run(*[lambda case=case: test_case(case) for case in CASES], test_reply)


run_all()
