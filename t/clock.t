#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The wall clock jumps by a year, forth and back, while the suite runs: sessions go on, mail is taken
and delivered, what was deferred is tried again or expires, and nothing dies or spins."""

import os
import shlex
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import instance  # noqa: E402
import tap  # noqa: E402
from hostile import ENVELOPE, Hostile  # noqa: E402

YEAR = 365 * 86400
JUMPS = (("a year forth", YEAR), ("a year back", -YEAR), ("an hour forth, as in spring", 3600),
         ("an hour back, as in autumn", -3600), ("to 1970, as without a battery", 1000 - int(time.time())),
         ("to the time it is", 0))

if os.environ.get("PC_SANITIZERS", "no") != "no":
    tap.skip_all("a sanitizer wants to be loaded first")


def ticks(mail):
    total = 0
    for pid in mail.pids():
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            total += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    return total


def test_jumps(h):
    idle = h.dialogue(ENVELOPE)
    for number, (name, seconds) in enumerate(JUMPS):
        before = ticks(h.mail)
        set_clock(seconds)
        tap.like(h.message(f"Subject: jump {number}\r\n\r\nx\r\n".encode()), "^250 ", f"{name}: mail is taken")
        h.arrived(f"\nSubject: jump {number}\n".encode())
        tap.ok(True, f"{name}: and delivered")
        tap.equal(idle.ask("NOOP"), "250 2.0.0 Ok", f"{name}: a session goes on")
        tap.ok(ticks(h.mail) - before < 300, f"{name}: nothing spins", ticks(h.mail) - before)
    idle.ask("DATA")
    tap.like(idle.ask("Subject: idle\r\n\r\nx\r\n."), "^250 ", "a transaction from before the jumps ends well")
    h.arrived(b"\nSubject: idle\n")


def test_deferred(h):
    """What was to be tried next in a year's time is tried when somebody asks for it."""
    box = h.mail.path("mail/example.test/bob")
    for name, seconds, flush in (("back", -YEAR, True), ("forth", 4 * 86400, False)):
        set_clock(0)
        os.rename(box, box + ".away")
        with open(box, "w", encoding="ascii"):
            pass
        reply = h.message(f"Subject: deferred {name}\r\n\r\nx\r\n".encode())
        queue_id = reply.split()[-1]
        h.mail.wait_for_log(rf"{queue_id}: to=.* status=deferred")
        os.unlink(box)
        os.rename(box + ".away", box)
        set_clock(seconds)
        if flush:
            h.mail.command("postqueue", "-f")
        else:
            h.mail.command("postqueue", "-i", queue_id)
        h.arrived(f"\nSubject: deferred {name}\n".encode())
        tap.ok(True, f"deferred, and the clock goes {name}: it is delivered")
    set_clock(0)


def set_clock(seconds):
    with open(CLOCK, "r+b") as f:
        f.write(struct.pack("=q", seconds))


with tempfile.TemporaryDirectory(prefix="postcote-t-") as made:
    os.chmod(made, 0o755)
    CLOCK, shim = f"{made}/clock", f"{made}/shim.so"
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1",
                    "-o", shim, os.path.join(HERE, "clock_shim.c"), "-ldl"], check=True)
    with open(CLOCK, "wb") as file:
        file.write(bytes(8))
    os.chmod(CLOCK, 0o644)
    with instance.Instance(main={
            "import_environment": f"MAIL_CONFIG TZ LD_PRELOAD={shim} PC_TEST_CLOCK={CLOCK}",
            "minimal_backoff_time": "1000s"}) as the_mail:
        the_hostile = Hostile(the_mail)
        the_hostile.row("clock jumps", test_jumps)
        the_hostile.row("clock jumps with deferred mail", test_deferred)
tap.done()
