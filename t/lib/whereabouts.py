# SPDX-License-Identifier: BSD-2-Clause
"""Where a message is, for each of its recipients: what "nothing is lost" means in the tests.

    message(token)                  the text to send
    found = whereabouts(spool, mail, domain)
    found.lost([(token, "bob"), ...])
    found.damaged

A recipient has its message when the message lies whole in the recipient's mailbox; when the spool
has it whole and the recipient is still to be served; or when a whole notice about this recipient
lies in either. The spool is read with this file's own parser of queue files (postfix.md 6.3), not
with the code under test.
"""

import glob
import os
import re

QUEUES = ("maildrop", "incoming", "active", "deferred", "hold")
TOKEN = re.compile(rb"^Subject: (token-[0-9a-z-]+)\r?$", re.M)
FINAL = re.compile(rb"^Final-Recipient: rfc822; *([^@\s]+)@", re.M | re.I)


def message(token, sender="alice", to="bob", size=500, domain="example.test"):
    """A message that shows whether it is whole."""
    filler = "".join(f"line {i:06d} of {token}\r\n" for i in range(size // 24 + 1))
    return (f"From: {sender}@{domain}\r\nTo: {to}@{domain}\r\nSubject: {token}\r\n\r\n"
            f"{filler}end-{token}\r\n")


class Damaged(Exception):
    pass


def records(data):
    """(type, bytes) of a queue file; raises Damaged."""
    at = 0
    while at < len(data):
        kind = data[at:at + 1]
        at += 1
        size = shift = 0
        while True:
            if at >= len(data) or shift > 28:
                raise Damaged("cut in a record's length")
            byte = data[at]
            at += 1
            size |= (byte & 0x7f) << shift
            shift += 7
            if not byte & 0x80:
                break
        if at + size > len(data):
            raise Damaged("cut in a record")
        yield kind, data[at:at + size]
        at += size
        if kind == b"E":
            return
    raise Damaged("no end record")


def parse_queue_file(data):
    """(recipients still to be served, the content)."""
    recipients, content, line = [], [], b""
    in_content = False
    for kind, text in records(data):
        if kind == b"R":
            recipients.append(text.decode(errors="replace"))
        elif kind == b"M":
            in_content = True
        elif kind == b"X":
            in_content = False
        elif kind in b"NL" and in_content:
            line += text
            if kind == b"N":
                content.append(line)
                line = b""
    return recipients, b"\n".join(content) + b"\n"


class Found:
    """places: {(token, recipient's local part): {"mailbox", "spool", "notice"}}."""

    def __init__(self):
        self.places = {}
        self.damaged = []

    def add(self, token, recipient, place):
        self.places.setdefault((token, recipient), set()).add(place)

    def content(self, where, text, recipients, place):
        """A message with these recipients; a notice serves those that it tells of."""
        token = TOKEN.search(text)
        token = token.group(1).decode() if token else None
        if b"Content-Type: multipart/report" in text:
            boundary = re.search(rb'boundary="([^"]+)"', text)
            if not boundary or b"--" + boundary.group(1) + b"--" not in text:
                self.damaged.append(f"{where}: a notice without its end")
            elif token:
                for recipient in FINAL.findall(text):
                    self.add(token, recipient.decode(), "notice")
        elif b"Subject: Postfix SMTP server: errors from " in text:  # to the postmaster
            if not text.rstrip().endswith(b"see the local mail logfile"):
                self.damaged.append(f"{where}: a transcript without its end")
        elif not token or not text.rstrip().endswith(b"end-" + token.encode()):
            self.damaged.append(f"{where}: not whole ({len(text)} bytes)")
        else:
            for recipient in recipients:
                self.add(token, recipient.split("@")[0], place)

    def lost(self, wanted):
        """Those of (token, recipient) that are nowhere."""
        return sorted(set(wanted) - set(self.places))


def _read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def queue_files(spool, queues=QUEUES):
    """Paths of the named queue files."""
    return [path for queue in queues
            for path in glob.glob(f"{spool}/{queue}/**", recursive=True) if os.path.isfile(path)]


def mailbox_files(mail, domain="example.test"):
    """(user, path) of the messages in all Maildirs."""
    return [(path.split("/")[-3], path) for part in ("new", "cur")
            for path in glob.glob(f"{mail}/{domain}/*/{part}/*")]


def whereabouts(spool, mail, domain="example.test"):
    """Looks at the spool first: what leaves it meanwhile is in a mailbox then."""
    found = Found()
    for path in queue_files(spool):
        data = _read(path)
        if data is None:
            continue
        try:
            recipients, content = parse_queue_file(data)
        except Damaged as why:
            # A name that was never promised may lie there until somebody looks at it.
            found.damaged.append(f"{path}: {why}")
            continue
        found.content(path, content, recipients, "spool")
    for user, path in mailbox_files(mail, domain):
        data = _read(path)
        if data is not None:
            found.content(path, data, [user], "mailbox")
    return found
