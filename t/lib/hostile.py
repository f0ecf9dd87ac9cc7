# SPDX-License-Identifier: BSD-2-Clause
"""What every test with hostile input asks afterwards: the server still answers, no process died, and
its memory is as it was, but for so much."""

import os
import re

import instance
import tap
from smtp_dialogue import Dialogue

ENVELOPE = ("EHLO client.example.net", "MAIL FROM:<alice@example.test>",
            "RCPT TO:<bob@example.test>")
PAGE = os.sysconf("SC_PAGESIZE")
DIED = re.compile(r"^.*(panic:|fatal:|terminated by signal|killed by signal|exit status|"
                  r"process .* died|crash).*$", re.M)


class Hostile:
    def __init__(self, mail):
        self.mail = mail
        self.pids = set(mail.pids())

    def memory(self):
        """Bytes that the smtpd processes have of their own, in RAM."""
        total = 0
        for pid in self.mail.pids("smtpd"):
            with open(f"/proc/{pid}/statm", encoding="ascii") as f:
                _, resident, shared = map(int, f.read().split()[:3])
            total += (resident - shared) * PAGE
        return total

    def dialogue(self, steps=ENVELOPE, port=None, **kwargs):
        d = Dialogue(port or self.mail.smtp_port, **kwargs)
        for step in steps:
            d.ask(step)
        return d

    def row(self, name, test, growth=32 << 20):
        """Runs TEST(self), which may grow smtpd by GROWTH bytes, and looks what it did."""
        before = self.memory()
        try:
            test(self)
        except (OSError, TimeoutError, ValueError) as error:
            tap.ok(False, f"{name}: ended with an exception", repr(error))
        with Dialogue(self.mail.smtp_port) as d:
            tap.equal(d.ask("NOOP"), "250 2.0.0 Ok", f"{name}: the server still answers")
        grown = self.memory() - before
        within = f"{name}: memory stays within bounds"
        if os.environ.get("PC_SANITIZERS", "no") == "no":
            tap.ok(grown <= growth, within, f"{grown} bytes more")
        else:
            tap.skip("sanitizers keep what is freed for a while", within)
        gone = self.pids - set(self.mail.pids())
        found = DIED.search(self.mail.log())
        tap.ok(not gone and not found, f"{name}: no process died",
               f"gone: {gone}\n{found.group(0) if found else ''}")
        self.pids = set(self.mail.pids())

    def message(self, data, timeout=instance.WAIT_S):
        """The reply to a message with DATA as content (lines end with CRLF; dots are doubled here)."""
        with self.dialogue(timeout=timeout) as d:
            reply = d.ask("DATA")
            if not reply.startswith("354"):
                return reply
            d.send(data.replace(b"\r\n.", b"\r\n..") + (b"" if data.endswith(b"\r\n") else b"\r\n")
                   + b".\r\n")
            return "\n".join(d.reply())

    def arrived(self, mark):
        """The one message with MARK in it, in bob's mailbox."""
        return instance.wait_until(
            lambda: [m for m in self.mail.mails("bob") if mark in m], f"mail with {mark!r}")[0]
