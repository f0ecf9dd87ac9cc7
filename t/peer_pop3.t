#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""POP3 beside a real Dovecot 2.3 under settings of the mailbox half: the same replies, the same log
lines, the same files afterwards."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import pop3_side  # noqa: E402
import tap  # noqa: E402
from instance import wait_until  # noqa: E402
from pop3_side import LIST_V, LOGIN, OURS, TLS, Pair, Side, Talk  # noqa: E402

pop3_side.need_peer()
HEAD = "a: b\n\n"
BOX = {"new/1.h": "X-UIDL: old-1\nSubject: a\n\n.dot\nbody\n", "new/2.h": "Subject: b\r\n\r\nx\r\n",
       "cur/3.h:2,S": "Subject: c\n\nno eol", "cur/4.h,S=14,W=17:2,": "Subject: d\n\ne\n",
       "cur/5.h,S=8:2,": HEAD + "x\n"}
TAKEN_OVER = LIST_V + (
    "1 O3 Pold-one :1.h\n2 Gabcdef0123456789abcdef0123456789 :2.h\n3 O1 :3.h\n"
    "4 W9 Pcourier :4.h\n5 O2 Pold-one :5.h\n6 :6.h\n")
SIX = {f"cur/{i}.h:2,": HEAD + "x" * i + "\n" for i in range(1, 7)}


def test_formats():
    for i, text in enumerate(("%f", "%g", "%v.%u", "%v-%u", "%u", "%08Xv%08Xu", "x%10ux", "%Mf")):
        with Pair(f"pop3_uidl_format = {text}", f"pop3_uidl_format = {text}\n") as pair:
            pair.put(SIX, TAKEN_OVER)
            pair.talk("recorded ones and others", LOGIN + ["UIDL", "UIDL 1", "LIST", "QUIT"])
            if i == 0:
                pair.put(BOX)
                pair.talk("a mailbox", LOGIN + ["UIDL", "DELE 1", "UIDL", "QUIT"])
                pair.same_lists()
    with Pair("pop3_uidl_format = %m", "pop3_uidl_format = %m\n") as pair:
        pair.put(BOX)
        pair.talk("which a Maildir has not", LOGIN + ["UIDL"])


def test_uidls():
    for name, extra in (("saved", "pop3_save_uidl = yes\n"),
                        ("X-UIDL", "pop3_reuse_xuidl = yes\n"),
                        ("X-UIDL, saved", "pop3_reuse_xuidl = yes\npop3_save_uidl = yes\n"),
                        ("renamed", "pop3_uidl_duplicates = rename\npop3_uidl_format = %v\n"),
                        ("renamed, saved, X-UIDL", "pop3_uidl_duplicates = rename\n"
                         "pop3_save_uidl = yes\npop3_reuse_xuidl = yes\n")):
        with Pair(name, extra) as pair:
            for box, uidlist in ((BOX, LIST_V), (SIX, TAKEN_OVER), (
                    {f"cur/{i}.h:2,": f"X-UIDL: same{i % 2}\n{HEAD}" for i in range(6)}, LIST_V)):
                pair.put(box, uidlist)
                pair.talk("first session", LOGIN + ["UIDL 3", "UIDL", "QUIT"])
                pair.same_lists()
                pair.talk("second session", LOGIN + ["UIDL", "DELE 1", "UIDL", "QUIT"])


def test_xuidl_is_no_uidl():
    """What no client could tell from the rest of the line is not used, unlike with the peer."""
    with Side(OURS, "pop3_reuse_xuidl = yes\n") as ours:
        ours.put("u0", {f"cur/{i}.h:2,": f"X-UIDL: {text}\n\n" for i, text in enumerate(
            ("two words", "", "fold\n ed", "\xe9", "ctl\x01", "y" * 300, "  trimmed  "))}, LIST_V)
        replies, _ = ours.talk(LOGIN + ["UIDL", "QUIT"])
        uidls = [line.split(" ", 1)[1] for line in replies[3].splitlines()[1:-1]]
        tap.equal([u for u in uidls if not re.fullmatch(r"[0-9a-f]{16}", u)], ["fold", "trimmed"],
                  "which X-UIDLs are used")


def test_deletion():
    for extra in ("", "pop3_deleted_flag = '$POP3Deleted'\n",
                  "pop3_deleted_flag = '$POP3Deleted'\npop3_delete_type = flag\n",
                  "pop3_deleted_flag = '$POP3Deleted'\npop3_delete_type = expunge\n",
                  "pop3_no_flag_updates = yes\n"):
        with Pair(extra.replace("\n", ", ") or "defaults", extra) as pair:
            pair.put(BOX)
            pair.talk("first", LOGIN + ["RETR 2", "DELE 1", "RETR 3", "RSET", "RETR 4", "DELE 2", "DELE 2",
                                        "RETR 2", "STAT", "LIST 2", "QUIT"])
            pair.same_files()
            pair.talk("second", LOGIN + ["LIST", "UIDL", "DELE 1", "QUIT"])
            pair.same_files()
            pair.talk("lost", LOGIN + ["RETR 1", "DELE 1"])
            pair.same_files()
            if "Deleted" in extra:
                for side in pair.sides:
                    side.put("u0", {f"cur/{i}.h:2,S{c}": HEAD for i, c in enumerate("abcd")}, LIST_V)
                    with open(side.path("mail/u0/dovecot-keywords"), "w", encoding="ascii") as f:
                        f.write("0 $Label\n1 other\n2 $pop3DELETED\n3 more\n")
                    side.own()
                pair.talk("a keyword that is there", LOGIN + ["UIDL", "DELE 1", "QUIT"])
                pair.same_files()


def test_sizes():
    for extra in ("", "pop3_fast_size_lookups = yes\n"):
        with Pair(extra.strip() or "sizes", extra) as pair:
            pair.put({"new/5.h,S=8": HEAD + "x\n", "new/6.h": HEAD + "x\n", "new/7.h,S=8,W=11": HEAD + "x\n"})
            for _ in range(2):
                pair.talk("sizes", LOGIN + ["STAT", "LIST", "LIST 1", "RETR 1", "TOP 3 0", "LIST", "QUIT"])
                pair.same_lists()


ODD = {f"cur/{i}.h:2,": text for i, text in enumerate(
    ("Subject: a\0b\n\nx\0y\n", "Subject: no end", "Subject: x\n", "", "\nbody only",
     "no header\nat all\n\nbody", "a:\n.\n..\n.x\n\n.\n..\n.", "a: b\r\n\r\nlone\rCR\r\r\n.\r\n", "\r\n", "\n\n\n"))}


def test_texts():
    for extra in ("", "pop3_client_workarounds = outlook-no-nuls\n", "pop3_client_workarounds = oe-ns-eoh\n",
                  "pop3_client_workarounds = outlook-no-nuls oe-ns-eoh\n"):
        with Pair(extra.strip() or "messages", extra) as pair:
            pair.put(ODD)
            steps = ["STAT", "LIST"]
            for i in range(1, len(ODD) + 1):
                steps += [f"RETR {i}"] + [f"TOP {i} {n}" for n in (0, 1, 2, 99)]
            pair.talk("odd messages", LOGIN + steps + ["QUIT"])
    with Side(OURS) as ours:
        # RFC 1939 3: this one, too; the peer sends it as the end.
        ours.put("u0", {"cur/1.h:2,": ".\n.x\n"}, LIST_V)
        tap.equal(ours.talk(LOGIN + ["RETR 1"])[0][-1], "+OK 7 octets\n..\n..x\n.", "a dot at the start")


def test_formats_of_lines():
    prefix = 'mail_log_prefix = "%s(%u,%n,%d)[%r %l %i %h %c] "\n'
    extra = prefix + (
        "pop3_logout_format = top=%t/%p, retr=%r/%b, del=%d/%m, size=%s uidl=%u in=%i out=%o "
        "%{input} %{output} %{uidl_change} delb=%{deleted_bytes} %{deleted_count} %{message_count} "
        "%{message_bytes} %{top_count} %{top_bytes} %{retr_count} %{retr_bytes}\n")
    with Pair("formats of log lines", extra) as pair:
        pair.put(BOX)
        pair.talk("no UIDL", LOGIN + ["RETR 1", "TOP 2 0", "QUIT"])
        pair.talk("UIDL", LOGIN + ["UIDL", "QUIT"], source="127.0.0.3")
        pair.talk("UIDL of one", [TLS] + LOGIN + ["UIDL 2", "QUIT"])
        pair.talk("a change", LOGIN + ["UIDL", "DELE 1", "QUIT"])
        pair.talk("no change", LOGIN + ["UIDL", "DELE 1"])
    with Pair("a prefix of the usual form", 'mail_log_prefix = "%s(%u): "\n') as pair:
        pair.put({})
        pair.talk("nothing", LOGIN + ["LIST", "UIDL", "STAT", "QUIT"])


def test_lock():
    extra = "pop3_lock_session = yes\n"
    with Pair("pop3_lock_session", extra) as pair:
        pair.put(BOX)
        first = [Talk(side) for side in pair.sides]
        for talk in first:
            talk.line()
            for command in LOGIN:
                talk.ask(command)
        tap.ok(all(wait_until(lambda s=side: os.path.exists(s.path("mail/u0/dovecot-pop3-session.lock")),
                              "the lock") for side in pair.sides), "the lock's file")
        replies = [side.talk(LOGIN)[0] for side in pair.sides]
        # Ours says it before "Logged in.", the peer behind it.
        tap.like(replies[0][-1], r"^-ERR \[IN-USE\] Mailbox is locked by another POP3 session\.$",
                 "a second session")
        for talk in first:
            tap.equal(talk.ask("QUIT"), "+OK Logging out.", "the first one goes on")
            talk.close()
        pair.talk("after it", LOGIN + ["STAT", "QUIT"])


only = sys.argv[1:]
if only:
    tap.run(*(globals()[name] for name in only))
tap.run(test_formats, test_uidls, test_xuidl_is_no_uidl, test_deletion, test_sizes, test_texts,
        test_formats_of_lines, test_lock)
