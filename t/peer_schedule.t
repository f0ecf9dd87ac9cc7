#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Our scheduler and a real Postfix's, seen by the server that both deliver to: how many messages come at
a time while the window opens, what a server that cannot be reached costs, and in which order a mailing
and small mail come."""

import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_postfix                                   # noqa: E402
import tap                                            # noqa: E402
from instance import Instance, free_ports, wait_until # noqa: E402

SERVICES = "smtp unix - - n - - smtp\none unix - - n - - smtp\nflat unix - - n - - smtp\n"


class Gate:
    """An SMTP server that answers a message's end only when it is let go."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.waiting, self.order, self.open = [], [], False
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock, sock.makefile("rb") as lines:
                sock.sendall(b"220 gate.test ESMTP\r\n")
                sender = ""
                for line in lines:
                    verb = line[:4].upper()
                    if verb == b"MAIL":
                        sender = re.search(rb"<(.*?)>", line)[1].decode()
                    if verb == b"DATA":
                        sock.sendall(b"354 go\r\n")
                        for text in lines:
                            if text == b".\r\n":
                                break
                        self._hold(sender)
                    sock.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                    if verb == b"QUIT":
                        return
        except OSError:
            pass

    def _hold(self, sender):
        go = threading.Event()
        with self.lock:
            self.order.append(sender.split("@")[0])
            if self.open:
                return
            self.waiting.append(go)
        go.wait(60)

    def let_go(self):
        """Those that wait go on; returns how many."""
        with self.lock:
            going, self.waiting = self.waiting, []
        for go in going:
            go.set()
        return len(going)

    def settled(self, count):
        """How many wait, once at least COUNT do and for some time no more come."""
        wait_until(lambda: len(self.waiting) >= count, f"{count} messages at the gate")
        last = -1
        while last != len(self.waiting):
            last = len(self.waiting)
            threading.Event().wait(0.4)
        return last

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def config(gates, dead):
    maps = {"wide": f"smtp:[127.0.0.1]:{gates['wide'].port}",
            "one": f"one:[127.0.0.1]:{gates['one'].port}",
            "flat": f"flat:[127.0.0.1]:{gates['flat'].port}", "dead": f"smtp:[127.0.0.1]:{dead}"}
    return {
        "transport_maps": "inline:{ " + " ".join("{%s.test=%s}" % m for m in maps.items()) + " }",
        "relay_domains": "wide.test one.test flat.test dead.test", "mydestination": "",
        "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "default_destination_recipient_limit": "2",
        "one_destination_concurrency_limit": "1", "flat_destination_concurrency_limit": "1",
        "flat_delivery_slot_cost": "0",
        "destination_concurrency_feedback_debug": "yes",
        "smtp_connection_cache_on_demand": "no", "minimal_backoff_time": "1000s",
    }


class Side:
    def __init__(self, mail, gates, port):
        self.mail, self.gates, self.port = mail, gates, port
        self.active = 0

    def send(self, sender, recipients):
        import smtplib
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as smtp:
            smtp.sendmail(sender + "@x.test", recipients, b"Subject: x\r\n\r\nx\r\n")
        self.active += 1
        wait_until(lambda: self.mail.postfix_log().count("(queue active)") >= self.active,
                   "in the active queue")

    def window(self):
        gate = self.gates["wide"]
        self.send("big", [f"u{i}@wide.test" for i in range(280)])
        seen = []
        while sum(seen) < 140:
            seen.append(gate.settled(1))
            gate.let_go()
        return seen

    def order(self, name, big=100, small=30, middle=(8,)):
        """A mailing of BIG messages first; what comes while its first one is held."""
        gate = self.gates[name]
        gate.open = False
        gate.order.clear()
        self.send("B", [f"u{i}@{name}.test" for i in range(2 * big)])
        gate.settled(1)
        for _ in range(small):
            self.send("s", [f"s@{name}.test"])
        for count in middle:
            self.send("m", [f"m{i}@{name}.test" for i in range(2 * count)])
        total = big + small + sum(middle)
        gate.open = True
        gate.let_go()
        wait_until(lambda: len(gate.order) == total, "all messages")
        return "".join(gate.order)

    def dead(self):
        self.send("d", [f"u{i}@dead.test" for i in range(40)])
        wait_until(lambda: len(re.findall(r"to=<u\d+@dead.test>.*status=deferred",
                                          self.mail.postfix_log())) == 40, "deferred")
        text = self.mail.postfix_log()
        windows = re.findall(r"qmgr_queue_throttle: queue \S+: limit (\d+) window (\d+) "
                             r"success (\S+) failure (\S+) fail_cohorts (\S+)", text)
        suspended = len(re.findall(r"@dead.test>, .*status=deferred \(delivery temporarily suspended: "
                                   r"connect to 127.0.0.1\[127.0.0.1\]:\d+: Connection refused\)", text))
        return windows, suspended


def main():
    peer_postfix.find()
    dead = free_ports(1)[0]
    gates = [{name: Gate() for name in ("wide", "one", "flat")} for _ in range(2)]
    theirs = peer_postfix.PeerPostfix({**config(gates[1], dead)})
    with open(theirs.path("etc/master.cf"), "a", encoding="ascii") as f:
        f.write("".join(SERVICES.splitlines(True)[1:]))
    with Instance(config(gates[0], dead), SERVICES) as ours, theirs:
        own, their = Side(ours, gates[0], ours.smtp_port), Side(theirs, gates[1], theirs.smtp_port)
        got, want = own.window(), their.window()
        tap.note(f"the window: {got}, the peer's {want}")
        tap.equal([got[0], max(got)], [want[0], max(want)], "how the window opens")
        got, want = own.dead(), their.dead()
        tap.equal(got[0], want[0], "a server that is not there: the window's way down")
        tap.equal(got[1], want[1], "how many recipients it costs")
        tap.equal(own.order("flat"), their.order("flat"), "the order without preemption")
        for small, middle in ((30, ()), (0, (8,)), (0, (20,)), (0, (21,)), (5, (40,))):
            tap.equal(own.order("one", 100, small, middle), their.order("one", 100, small, middle),
                      f"a mailing, {small} small ones, larger ones {middle}")
        tap.equal(own.order("one", 14, 3, ()), their.order("one", 14, 3, ()), "too small to be passed")
        tap.equal(own.order("one", 16, 6, ()), their.order("one", 16, 6, ()), "large enough")
    for side in gates:
        for gate in side.values():
            gate.close()
    tap.done()


main()
