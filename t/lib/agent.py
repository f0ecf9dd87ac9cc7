# SPDX-License-Identifier: BSD-2-Clause
"""A delivery agent without the rest: a master that starts only the agent, and qmgr's side of the
connection to it (lib/deliver/delivery.h)."""

import os
import socket
import struct
import tempfile
import time

from instance import WAIT_S, wait_until


def _record(kind, attributes, fds=0):
    body = struct.pack("B", len(kind)) + kind.encode()
    for name, value in attributes:
        value = value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack("B", len(name)) + name.encode() + struct.pack(">I", len(value)) + value
    return struct.pack(">IB", len(body) + 1, fds) + body


def _parse(body):
    at = 1
    length = body[at]
    kind = body[at + 1:at + 1 + length].decode()
    at += 1 + length
    attributes = []
    while at < len(body):
        length = body[at]
        name = body[at + 1:at + 1 + length].decode()
        at += 1 + length
        size = struct.unpack(">I", body[at:at + 4])[0]
        attributes.append((name, body[at + 4:at + 4 + size].decode()))
        at += 4 + size
    return kind, attributes


def queue_file(lines):
    """A file with the content's records, and the offset of the first one."""
    def rec(kind, data):
        length, head = len(data), b""
        while length > 127:
            head += bytes([length & 127 | 128])
            length >>= 7
        return kind + head + bytes([length]) + data

    f = tempfile.TemporaryFile()
    f.write(rec(b"M", b""))
    offset = f.tell()
    for line in lines:
        f.write(rec(b"N", line))
    f.write(rec(b"X", b"") + rec(b"E", b""))
    f.flush()
    return f, offset


class Agent:
    """A connection to private/NAME."""

    def __init__(self, instance, name):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT_S)
        # The path may be too long for a socket's address.
        fd = os.open(instance.path("spool/private"), os.O_PATH)
        try:
            path = f"/proc/self/fd/{fd}/{name}"
            wait_until(lambda: os.path.exists(path), f"private/{name}")
            self.sock.connect(path)
        finally:
            os.close(fd)
        self.buffer = b""
        self.number = 0
        self.sock.sendall(_record("HELLO", [("version", 1), ("service", "qmgr")]))

    def close(self):
        self.sock.close()

    def _receive(self):
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + size:
                    body = self.buffer[4:4 + size]
                    self.buffer = self.buffer[4 + size:]
                    return _parse(body)
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the agent closed the connection")
            self.buffer += data

    def send(self, recipients, lines, sender="s@example.test", queue_id="4ABCDEF12",
             nexthop="example.test", more=False):
        """Asks for a delivery; recipients are addresses or (address, original)."""
        f, offset = queue_file(lines)
        now = int(time.time() * 1e6)
        self.number += 1
        attributes = [("number", self.number), ("id", queue_id), ("queue", "active"),
                      ("sender", sender), ("nexthop", nexthop), ("ret", 0), *[("more", 1)] * more,
                      ("sendopts", 0), ("size", 1), ("data_offset", offset), ("arrival", now),
                      ("ready", now)]
        for i, rcpt in enumerate(recipients):
            address, original = rcpt if isinstance(rcpt, tuple) else (rcpt, "")
            attributes += [("rcpt", i + 1), ("address", address)]
            if original:
                attributes.append(("original", original))
        record = _record("DELIVER", attributes, 1)
        with f:
            # All of it in one call: the descriptor comes with the record's first byte.
            sent = socket.send_fds(self.sock, [record], [f.fileno()])
            self.sock.sendall(record[sent:])
        return self.number

    def results(self, numbers):
        """{number: [(status, dsn, text) per recipient]} of deliveries, waited for to their end.
        status is "sent", "deferred" or "bounced"."""
        got = {number: {} for number in numbers}
        left = set(numbers)
        while left:
            kind, attributes = self._receive()
            if kind != "RESULT":
                continue
            number = int(attributes[0][1])
            item = {}
            for name, value in attributes:
                if name == "rcpt":
                    item = {}
                    got[number][int(value)] = item
                item[name] = value
            if ("end", "1") in attributes:
                left.discard(number)
        words = {"0": "sent", "1": "deferred", "2": "bounced"}
        return {number: [(words[i["status"]], i["dsn"], i["text"])
                         for _, i in sorted(items.items())] for number, items in got.items()}

    def wait_for(self, kind):
        """Waits for a record of that kind; the others are dropped."""
        while self._receive()[0] != kind:
            pass

    def deliver(self, recipients, lines=(b"Subject: x", b"", b"Hello."), **kwargs):
        number = self.send(recipients, lines, **kwargs)
        return self.results([number])[number]


def start_only(instance, line):
    """Starts the instance's Postfix master with a master.cf of this one line."""
    with open(instance.path("etc/postfix/master.cf"), "w", encoding="utf-8") as f:
        f.write(line + "\n")
    instance.own(instance.path("etc/postfix/master.cf"))
    result = instance.command("postfix", "start")
    if result.returncode != 0:
        raise RuntimeError(f"postfix start: {result.stdout}{result.stderr}\n{instance.log()}")
