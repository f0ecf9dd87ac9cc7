# SPDX-License-Identifier: BSD-2-Clause
"""A delivery agent for qmgr that does nothing by itself: the test sees each delivery that is handed
over (lib/deliver/delivery.h), and says what becomes of it."""

import array
import os
import socket
import threading
import time

from agent import _parse, _record
from instance import wait_until

STATUS = {"sent": (0, "2.0.0"), "deferred": (1, "4.2.0"), "bounced": (2, "5.1.1")}


class Delivery:
    def __init__(self, agent, attributes):
        self.agent = agent
        self.at = time.monotonic()
        plain = dict(attributes)
        self.number, self.id = int(plain["number"]), plain["id"]
        self.nexthop, self.more = plain["nexthop"], plain.get("more") == "1"
        self.recipients = [value for name, value in attributes if name == "address"]

    def answer(self, status="sent", text="ok", site=None):
        """Ends it: the same for all recipients; SITE is why the next hop could not be reached."""
        code, dsn = STATUS["deferred" if site else status]
        attributes = [("number", self.number)]
        if site:
            attributes += [("site_dsn", "4.4.1"), ("site_text", site)]
            dsn, text = "4.4.1", site
        for i in range(len(self.recipients)):
            attributes += [("rcpt", i), ("status", code), ("dsn", dsn), ("text", text),
                           ("ended", int(time.time() * 1e6))]
        self.agent.end(self, attributes + [("end", 1)])


class ScriptedAgent:
    """Listens at private/NAME of the instance.  Deliveries gather in waiting; AUTO, a function of a
    delivery, may answer at once."""

    def __init__(self, instance, name, auto=None):
        self.waiting, self.seen = [], []
        self.auto = auto
        self.lock = threading.RLock()
        self.path = instance.path("spool/private", name)
        self.listener = socket.socket(socket.AF_UNIX)
        fd = os.open(os.path.dirname(self.path), os.O_PATH)
        try:
            self.listener.bind(f"/proc/self/fd/{fd}/{name}")
        finally:
            os.close(fd)
        os.chmod(self.path, 0o666)
        self.listener.listen(5)
        self.sock = None
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
        if self.sock:
            self.sock.close()

    def _serve(self):
        while True:
            try:
                self.sock, _ = self.listener.accept()
            except OSError:
                return
            self.sock.sendall(_record("HELLO", [("version", 1), ("service", "scripted")]))
            try:
                self._read()
            except OSError:
                pass

    def _read(self):
        buffer = b""
        while True:
            fds = array.array("i")
            data, ancillary, _flags, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(64))
            for _level, _kind, carried in ancillary:
                fds.frombytes(carried[:len(carried) - len(carried) % fds.itemsize])
            for fd in fds:
                os.close(fd)
            if not data:
                return
            buffer += data
            while len(buffer) >= 4:
                size = int.from_bytes(buffer[:4], "big")
                if len(buffer) < 4 + size:
                    break
                self._take(*_parse(buffer[4:4 + size]))
                buffer = buffer[4 + size:]

    def _take(self, kind, attributes):
        if kind != "DELIVER":
            return
        delivery = Delivery(self, attributes)
        with self.lock:
            self.waiting.append(delivery)
            self.seen.append(delivery)
        if self.auto:
            self.auto(delivery)

    def end(self, delivery, attributes):
        with self.lock:
            if delivery not in self.waiting:
                return
            self.waiting.remove(delivery)
            self.sock.sendall(_record("RESULT", attributes))

    def answer_all(self, total):
        """From now on each delivery is answered at once; waits until there were TOTAL."""
        self.auto = lambda delivery: delivery.answer()
        for delivery in list(self.waiting):
            delivery.answer()
        wait_until(lambda: len(self.seen) >= total and not self.waiting, f"{total} deliveries")

    def wait(self, count):
        """Waits until COUNT deliveries wait for an answer; they are returned."""
        wait_until(lambda: len(self.waiting) >= count, f"{count} deliveries at the agent")
        return list(self.waiting)

    def settled(self, count):
        """As wait, and no more come: qmgr has nothing else to do for some time."""
        self.wait(count)
        quiet = time.monotonic()
        last = len(self.seen)
        while time.monotonic() - quiet < 0.15:
            time.sleep(0.02)
            if len(self.seen) != last:
                last, quiet = len(self.seen), time.monotonic()
        return list(self.waiting)
