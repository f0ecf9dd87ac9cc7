# SPDX-License-Identifier: BSD-2-Clause
"""A spool full of deferred messages, made without any daemon: for what happens with many of them.

Files as a real Postfix writes them, so nothing but their content says whether they are whole."""

import os

SIXTEEN = "0123456789ABCDEF"


def _record(kind, text):
    data = text.encode()
    length, head = len(data), b""
    while length > 127:
        head += bytes([length & 127 | 128])
        length >>= 7
    return kind + head + bytes([length]) + data


def queue_file(recipients, arrival_s, sender="s@x.test", body=1000):
    """The bytes of a queue file."""
    line = "x" * 70
    content = b"".join(_record(b"N", text) for text in
                       ["Subject: many", ""] + [line] * max(1, body // len(line)))
    envelope = [_record(b"T", f"{arrival_s} 0"), _record(b"A", "rewrite_context=local"),
                _record(b"S", sender)]
    for address in recipients:
        envelope += [_record(b"A", f"dsn_orig_rcpt=rfc822;{address}"), _record(b"R", address)]
    rest = b"".join(envelope) + _record(b"M", "")
    head = len(_record(b"C", " " * 95))
    size = _record(b"C", "".join(f"{n:15d} " for n in (
        len(content), head + len(rest), len(recipients), 0, len(content), 0))[:-1])
    assert len(size) == head
    return size + rest + content + _record(b"X", "") + _record(b"E", "")


def defer_log(recipient, reason):
    """The text of a log with one entry."""
    return (f"\n<{recipient}>: {reason}\nrecipient={recipient}\noffset=0\n"
            f"status=4.4.1\naction=delayed\nreason={reason}\n\n")


def ident(number):
    """A short queue id, the same for the same number."""
    return "%05X4Z%06d" % (number * 7919 % 0xF4240, number)


def make_deferred(spool, count, due_s, arrival_s, recipient="x%d@hold.test", uid=-1, gid=-1,
                  reason=None):
    """COUNT messages in SPOOL/deferred, each with a file in SPOOL/defer when there is a REASON."""
    queues = ("deferred", "defer") if reason else ("deferred",)
    for queue in queues:
        for letter in SIXTEEN:
            path = os.path.join(spool, queue, letter)
            os.makedirs(path, mode=0o700, exist_ok=True)
            os.chown(path, uid, gid)
    ids = []
    for number in range(count):
        name = ident(number)
        to = recipient.replace("%d", str(number))
        path = os.path.join(spool, "deferred", name[0], name)
        with open(path, "wb") as f:
            f.write(queue_file([to], arrival_s))
            os.fchmod(f.fileno(), 0o700)
            os.fchown(f.fileno(), uid, gid)
        os.utime(path, (due_s, due_s))
        if reason:
            with open(os.path.join(spool, "defer", name[0], name), "w", encoding="utf-8") as f:
                f.write(defer_log(to, reason))
                os.fchmod(f.fileno(), 0o600)
                os.fchown(f.fileno(), uid, gid)
        ids.append(name)
    return ids
