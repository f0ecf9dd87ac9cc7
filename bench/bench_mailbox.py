# SPDX-License-Identifier: BSD-2-Clause
"""Mailboxes of the target's users: making, filling, counting, emptying them."""

import glob
import os
import shutil
import tempfile
import time

WORDS = ("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda omicron sigma").split()
FIRST_TIME = 1700000000

_trash = None


def wipe(path):
    """Moves a mailbox aside.  It is deleted at the end: ext4's inode allocator is slow for seconds
    after mass deletions, and would tax the next run."""
    global _trash
    if not os.path.isdir(path):
        return
    if _trash is None:
        _trash = tempfile.mkdtemp(prefix=".bench-trash", dir=os.path.dirname(path.rstrip("/")))
    os.rename(path, f"{_trash}/{time.time_ns()}")


def empty_trash():
    if _trash is not None:
        shutil.rmtree(_trash, ignore_errors=True)


def make(target, path):
    uid, gid = target["mail_owner"]
    for folder in ("", "new", "cur", "tmp"):
        os.makedirs(os.path.join(path, folder), exist_ok=True)
        os.chown(os.path.join(path, folder), uid, gid)


def renew_users(target, count):
    """Empty mailboxes for u1 to uCOUNT."""
    for i in range(1, count + 1):
        path = target.maildir(f"u{i}")
        wipe(path)
        make(target, path)


def count_mails(target, count):
    """In the mailboxes of u1 to uCOUNT."""
    mails = 0
    for i in range(1, count + 1):
        for folder in ("new", "cur"):
            try:
                mails += len(os.listdir(os.path.join(target.maildir(f"u{i}"), folder)))
            except OSError:
                pass
    return mails


def _date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(seconds)) + " +0000"


def _header(i):
    word, other = WORDS[i % 13], WORDS[(i // 13) % 13]
    lines = [
        f"Return-Path: <s{i % 977}@example.com>",
        f"Received: from a.example.com (a.example.com [192.0.2.{i % 250}])",
        f"\tby mx.bench.test with ESMTP id {i:08x};",
        f"\t{_date(FIRST_TIME + i * 37)}",
        f"From: \"Sender {word}\" <s{i % 977}@example.com>",
        "To: u1@bench.test",
        f"Subject: {'Re: ' if i % 3 else ''}thread {i // 5} {word} {other}",
        f"Message-ID: <m{i}@example.com>",
        f"Date: {_date(FIRST_TIME + (i * 7919) % 30000000)}",
        "MIME-Version: 1.0",
    ]
    if i % 5:
        lines += [f"In-Reply-To: <m{i - 1}@example.com>",
                  f"References: <m{i - i % 5}@example.com> <m{i - 1}@example.com>"]
    return "\n".join(lines) + "\n"


def message(i, size, is_multipart):
    """Message number I, as bytes with LF; one in a hundred has a needle in its body."""
    header = _header(i)
    line = " ".join(WORDS)[:70] + "\n"
    body = line * max(1, (size - len(header) - 400) // len(line))
    mark = "needle-haystack\n" if i % 100 == 0 else ""
    if not is_multipart:
        text = f"{header}Content-Type: text/plain; charset=utf-8\n\n{mark}{body}"
        return text.encode()
    half, boundary = len(body) // 2, f"=_b{i}"
    return (f"{header}Content-Type: multipart/alternative; boundary=\"{boundary}\"\n\n"
            f"--{boundary}\nContent-Type: text/plain; charset=utf-8\n\n{mark}{body[:half]}\n"
            f"--{boundary}\nContent-Type: text/html; charset=utf-8\n"
            f"Content-Transfer-Encoding: quoted-printable\n\n<p>{body[half:]}</p>\n"
            f"--{boundary}--\n").encode()


def fill(target, path, count, size=4096):
    """A mailbox of COUNT messages in cur/, half of them seen, no sizes in the names."""
    wipe(path)
    make(target, path)
    uid, gid = target["mail_owner"]
    for i in range(count):
        when = FIRST_TIME + i
        name = f"{path}/cur/{when}.M{i}P1.bench:2,{'S' if i % 2 else ''}"
        with open(name, "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            os.fchown(f.fileno(), uid, gid)
            f.write(message(i, size, i % 3 == 0))
        os.utime(name, (when, when))


def drop_index(path):
    for pattern in ("dovecot*", ".bench-index*", "*.index*", ".index*", "*.idx", "*.cache"):
        for name in glob.glob(os.path.join(path, pattern)):
            os.unlink(name)
