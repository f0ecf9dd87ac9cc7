#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""qmgr between an intake, an agent and a bounce service of the test's own (t/queue_tool.c)."""

import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from queue_instance import Queue                      # noqa: E402


def test_direct(q):
    ident, said = q.inject("a@x.test", "ok1@y.test")
    tap.equal(said, "SPOOLED", "a destination that is not known yet: SPOOL")
    wait_until(lambda: q.is_removed(ident), "removed")
    tap.like(q.log(), rf"{ident}: from=<a@x.test>, size=\d+, nrcpt=1 \(queue active\)",
             "queue active is logged")
    ident, said = q.inject("a@x.test", "ok2@y.test", "ok3@y.test")
    tap.equal(said, "DONE", "a fast destination: delivered without a name")
    tap.ok(q.is_removed(ident), "removed is logged before the answer", q.log())
    ident, said = q.inject("a@x.test", "ok@y.test", options=["-h"])
    tap.equal(said, "SPOOLED", "hold never waits")
    wait_until(lambda: q.files().get(ident) == "hold", "in hold")
    ident, _ = q.inject("a@x.test", "ok@y.test", options=["-h", "-x", "link"])
    wait_until(lambda: q.files().get(ident) == "hold", "in hold, of an intake that is gone")
    ident, said = q.inject("a@x.test", "slow@y.test", options=["-w", "50"])
    tap.equal(said, "SPOOLED", "too slow: spooled while delivery runs")
    wait_until(lambda: q.is_removed(ident), "removed")
    tap.equal([l for l in q.lines("test") if l.startswith(ident)],
              [f"{ident} delivered slow@y.test"], "delivered once")


def test_failures(q):
    ident, said = q.inject("a@x.test", "ok@y.test", "defer@y.test", "bounce@y.test")
    tap.equal(said, "SPOOLED", "a failure is never DONE")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    tap.ok(os.path.exists(q.path("spool/deferred", ident[0], ident)), "in its hash directory")
    wait_until(lambda: any(l.startswith(ident) for l in q.lines("bounce")), "notice")
    with open(q.path("spool/defer", ident[0], ident), encoding="utf-8") as f:
        tap.like(f.read(), r"<defer@y.test>: mailbox full\nrecipient=defer@y.test\noffset=\d+\n"
                 r"status=4.2.2\naction=delayed\nreason=mailbox full\n\n", "defer log")

    def attempts():
        return [l for l in q.lines("test") if l.startswith(ident)]
    wait_until(lambda: attempts().count(f"{ident} failed defer@y.test") > 1, "the second attempt")
    mine = attempts()
    tap.equal(mine.count(f"{ident} delivered ok@y.test"), 1, "the done one is not tried again")
    tap.equal(mine.count(f"{ident} failed bounce@y.test"), 1, "nor is the bounced one")

    ident, said = q.inject("a@x.test", "once@y.test")
    wait_until(lambda: q.is_removed(ident), "retried")
    tap.ok(not os.path.exists(q.path("spool/defer", ident[0], ident)), "its defer log is gone")
    ident, said = q.inject("", "bounce@y.test")
    wait_until(lambda: q.is_removed(ident), "removed")
    tap.ok(not any(l.startswith(ident) for l in q.lines("bounce")), "no notice to nobody")
    long = [f"bounce{'x' * 960}{number}@y.test" for number in range(1000)]
    ident, said = q.inject("a@x.test", *long)
    wait_until(lambda: q.is_removed(ident), "removed: more than one record of failed recipients")
    ident, said = q.inject("no-notice@x.test", "bounce@y.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "kept until the notice is made")
    tap.ok(not q.is_removed(ident), "not removed without its notice")


def test_folded(q):
    ident, _ = q.inject("a@x.test", "u@err.test", "u@sink.test", "u@later.test", "u@void.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    log = q.log()
    tap.like(log, rf"postfix/error\[\d+\]: {ident}: to=<u@err.test>, relay=none, delay=[\d.]+, "
             r"delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=5.1.2, status=bounced \(gone away\)",
             "error")
    tap.like(log, rf"postfix/discard\[\d+\]: {ident}: to=<u@sink.test>, .*, status=sent ",
             "discard")
    tap.like(log, rf"{ident}: to=<u@later.test>, .*dsn=4.7.9, status=deferred \(not yet\)",
             "retry")
    tap.like(log, rf"{ident}: to=<u@void.test>, .*dsn=4.3.0, status=deferred "
             r"\(mail transport unavailable\)", "no such transport")


def test_overrides(q):
    """Filter and redirect records stand over what the recipients' addresses say."""
    ident, _ = q.inject("a@x.test", "u@err.test", "u@sink.test", options=["-F", "discard:x"])
    wait_until(lambda: q.is_removed(ident), "removed")
    tap.equal(len(re.findall(rf"{ident}: to=<u@\w+.test>, relay=none, .*status=sent", q.log())), 2,
              "a filter takes what its recipients' domain would refuse")
    ident, _ = q.inject("a@x.test", "u@sink.test", options=["-F", "nothere:"])
    tap.like(q.wait_for_log(rf"{ident}: to=.*").group(), r"to=<u@sink.test>, .*dsn=4.3.0, "
             r"status=deferred \(mail transport unavailable\)", "a filter that is not there")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    ident, _ = q.inject("a@x.test", "u@err.test", "v@err.test", "ok@y.test",
                        options=["-R", "u@later.test"])
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    tap.equal(re.findall(rf"{ident}: to=<([^>]*)>", q.log()), ["u@later.test"],
              "one delivery for all recipients")
    q.command("postsuper", "-d", ident)
    ident, _ = q.inject("a@x.test", "u@err.test", "v@err.test", options=["-R", "to@sink.test"])
    wait_until(lambda: q.is_removed(ident), "removed")
    tap.equal(re.findall(rf"{ident}: to=<([^>]*)>, .*status=sent", q.log()), ["to@sink.test"],
              "a redirect that is delivered is the message's end")


def test_offer(q):
    ident, said = q.inject("a@x.test", "ok@y.test", options=["-x", "abandon"])
    tap.equal(said, "REFUSED", "given up")
    ident, _ = q.inject("a@x.test", "slow@y.test", options=["-x", "offer"])
    time.sleep(1)
    tap.ok(ident not in q.files(), "intake died after its offer: there is nothing")
    ident, _ = q.inject("a@x.test", "slow@y.test", options=["-x", "link", "-w", "10"])
    wait_until(lambda: ident not in q.files(), "what was linked is delivered")
    tap.ok(f"{ident} delivered slow@y.test" in q.lines("test"), "delivered")


def test_crashes(q):
    ids = []
    for _ in range(5):
        ident, child = q.inject("a@x.test", "slow@y.test", "ok@y.test",
                                options=["-w", "20"], wait=False)
        ids.append((ident, child))
    time.sleep(0.2)
    os.kill(q.qmgr_pid(), signal.SIGKILL)
    for ident, child in ids:
        tap.equal(child.communicate(timeout=60)[0].strip(), "SPOOLED", f"{ident} is acknowledged")
    ident, said = q.inject("a@x.test", "ok@y.test")
    tap.ok(said in ("SPOOLED", "DONE"), "mail is taken while qmgr comes back", said)
    ids.append((ident, None))
    wait_until(lambda: not any(i in q.files() for i, _ in ids), "all are delivered")
    done = q.lines("test")
    tap.ok(all(f"{i} delivered ok@y.test" in done for i, _ in ids), "nothing is lost", done)

    ident, _ = q.inject("a@x.test", "never@y.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "the agent died: deferred")
    tap.like(q.log(), rf"{ident}: to=<never@y.test>.*status=deferred \(mail transport unavailable\)",
             "and says so")
    q.command("postsuper", "-d", ident)
    q.serve("agent", "test")
    ident, _ = q.inject("a@x.test", "ok@y.test")
    wait_until(lambda: q.is_removed(ident), "the next agent delivers")


def test_deadly(q):
    agent = [q.serve("agent", "test")]

    def agent_is_up():
        if agent[0].poll() is not None:
            agent[0] = q.serve("agent", "test")
        return True
    start = len(q.lines("test"))
    deadly, _ = q.inject("a@x.test", "never-again@y.test")
    wait_until(lambda: agent_is_up() and f"{deadly}: transport test died twice" in q.log(),
               "the second death")
    suspect_at = len(q.lines("test"))
    others = []

    def is_held():
        agent_is_up()
        if sum(child.poll() is None for _, child in others) < 3 and len(others) < 60:
            others.append(q.inject("a@x.test", "slow-other@y.test", wait=False))
        return q.files().get(deadly) == "hold"
    wait_until(is_held, "held", 60)
    tap.like(q.log(), rf"warning: {deadly}: transport test died 3 times with nothing else: it is "
             "held", "and the log says so")
    agent_is_up()
    for _, child in others:
        child.communicate(timeout=30)
    wait_until(lambda: agent_is_up() and all(q.is_removed(i) for i, _ in others),
               "all others are delivered", 60)
    running, taken_along = set(), set()
    for at, line in enumerate(q.lines("test")[start:], start):
        ident, what, _ = line.split(" ", 2)
        if what == "begins":
            running.add(ident)
        elif what == "delivered":
            running.discard(ident)
        elif what == "dies":
            if at >= suspect_at:
                taken_along |= running
            running.clear()
    tap.equal(taken_along, set(), "it took no other delivery along once it was suspect")
    tap.equal(sum(line.startswith(f"{deadly} dies") for line in q.lines("test")), 5,
              "two deaths, and three alone")
    q.command("postsuper", "-d", deadly)


def test_found(q):
    ident, said = q.inject("a@x.test", "later@defer.test", "defer@y.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    q.stop()
    wait_until(lambda: not q.pids(), "stopped")
    hidden = q.path("spool/deferred", ident[0], ident)
    shown = q.path("spool/incoming", ident)
    os.rename(hidden, shown)
    damaged = q.path("spool/incoming", "00000BAD0001")
    with open(shown, "rb") as f:
        data = bytearray(f.read())
    data[-30] ^= 0x55
    with open(damaged, "wb") as f:
        f.write(data)
    os.chmod(damaged, 0o700)
    q.own(damaged)
    # A move that was interrupted: both names are one file.
    os.makedirs(os.path.dirname(hidden), exist_ok=True)
    os.link(shown, hidden)
    q.command("postfix", "start")
    wait_until(lambda: q.files().get("00000BAD0001") == "corrupt", "a damaged file is set aside")
    wait_until(lambda: not os.path.exists(shown), "an interrupted move is finished")
    tap.ok(os.path.exists(hidden), "the later name counts")


def test_reload(q):
    pid = q.qmgr_pid()
    q.inject("a@x.test", "ok@y.test")
    with open(q.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write("transport_maps = inline:{ {new.test=error:5.1.2 says the new map} }\n")
    q.command("postfix", "reload")
    wait_until(lambda: "reload -- version" in q.log(), "reload")

    def says_new():
        ident, _ = q.inject("", "u@new.test")
        wait_until(lambda: q.is_removed(ident), "removed")
        return "says the new map" in q.log()
    wait_until(says_new, "the new table is used")
    tap.equal(q.qmgr_pid(), pid, "new values are taken in place")
    tap.equal(q.inject("a@x.test", "ok@y.test")[1], "DONE", "and it knows what it knew")


def test_commands(q):
    tap.equal(q.command("postqueue", "-x").returncode, 69, "wrong usage is 69")
    ident, _ = q.inject("a@x.test", "defer@y.test", "defer2@y.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    held, _ = q.inject("", "ok@y.test", options=["-h"])
    wait_until(lambda: q.files().get(held) == "hold", "held")
    for up in (True, False):
        how = "qmgr runs" if up else "qmgr is down"
        text = q.command("mailq").stdout
        tap.like(text, r"\A-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n",
                 f"mailq, {how}: head")
        tap.like(text, rf"^{ident}[ *] +23 \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d  a@x.test\n"
                 r" {64}\(mailbox full\)\n {41}defer@y.test\n {41}defer2@y.test\n\n",
                 f"mailq, {how}: a deferred message, its reason once")
        tap.like(text, rf"^{held}! +23 .*  MAILER-DAEMON\n {{41}}ok@y.test\n\n",
                 f"mailq, {how}: a held one")
        tap.like(text, r"\n\n-- \d+ Kbytes in \d+ Requests\.\n\Z", f"mailq, {how}: total")
        objects = [json.loads(l) for l in q.command("postqueue", "-j").stdout.splitlines()]
        mine = [o for o in objects if o["queue_id"] == ident][0]
        tap.equal(mine["recipients"], [{"orig_address": "", "address": a,
                                        "delay_reason": "mailbox full"}
                                       for a in ("defer@y.test", "defer2@y.test")],
                  f"postqueue -j, {how}")
        tap.like(q.command("postcat", "-q", ident).stdout, rf"""(?sx)
                 \A\*\*\*\ ENVELOPE\ RECORDS\ deferred/{ident[0]}/{ident}\ \*\*\*\n
                 message_size:\ +23\ .*\nmessage_arrival_time:\ \w+\ .*\nsender:\ a@x.test\n
                 original_recipient:\ defer@y.test\nrecipient:\ defer@y.test\n.*
                 \*\*\*\ MESSAGE\ CONTENTS\ .*\nSubject:\ test\n\nbody\n\*\*\*\ HEADER\ EXTRACTED
                 .*\*\*\*\ MESSAGE\ FILE\ END\ .*\*\*\*\n\Z""", f"postcat, {how}")
        tap.equal(q.command("postcat", "-bhq", ident).stdout, "Subject: test\n\nbody\n",
                  f"postcat -bh, {how}")
        if up:
            q.stop()
            wait_until(lambda: not q.pids(), "stopped")
    result = q.command("postsuper", "-H", held)
    tap.equal(result.stderr, f"postsuper: {held}: released from hold\n"
              "postsuper: Released from hold: 1 message\n", "postsuper -H, qmgr is down")
    result = q.command("postsuper", "-h", held)
    tap.equal(q.files().get(held), "hold", "postsuper -h, qmgr is down")
    tap.equal(q.command("postqueue", "-f").returncode, 69, "no flush when qmgr is down")
    q.command("postfix", "start")
    wait_until(lambda: q.command("postqueue", "-f").returncode == 0, "flush")
    result = q.command("postsuper", "-H", held)
    tap.equal(result.stderr, f"postsuper: {held}: released from hold\n"
              "postsuper: Released from hold: 1 message\n", "postsuper -H")
    wait_until(lambda: q.is_removed(held), "released and delivered")
    result = q.command("postsuper", "-h", ident)
    tap.like(result.stderr, rf"^postsuper: {ident}: placed on hold$", "postsuper -h")
    wait_until(lambda: q.files().get(ident) == "hold", "held")
    result = q.command("postsuper", "-d", ident)
    tap.equal((result.returncode, result.stderr), (0, f"postsuper: {ident}: removed\n"
              "postsuper: Deleted: 1 message\n"), "postsuper -d of a held one")
    ident, _ = q.inject("a@x.test", "defer@y.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    result = q.command("postsuper", "-d", ident)
    tap.like(result.stderr, rf"^postsuper: {ident}: removed$", "postsuper -d")
    wait_until(lambda: ident not in q.files(), "deleted")
    result = q.command("postsuper", "-d", "ABCDEF123456")
    tap.equal((result.returncode, result.stderr), (0, "postsuper: Deleted: 0 messages\n"),
              "an unknown id is no error")
    q.command("postsuper", "-d", "ALL")
    wait_until(lambda: set(q.files().values()) <= {"corrupt"}, "postsuper -d ALL")
    tap.equal(q.command("mailq").stdout, "Mail queue is empty\n", "the empty queue")


def running(q, name):
    """A message with one recipient that an agent is busy with, and one that is deferred."""
    ident, said = q.inject("a@x.test", f"slow-{name}@y.test", "defer@y.test", options=["-w", "50"])
    tap.equal(said, "SPOOLED", f"{name}: it runs")
    return ident


def in_maildrop(q, ident):
    """Those of the message's recipients that are still to be served; None: it is not there."""
    try:
        with open(q.path("spool/maildrop", ident), "rb") as f:
            return [a.decode() for a in re.findall(rb"R.((?:slow|defer)[-\w]*@y.test)", f.read())]
    except FileNotFoundError:
        return None


def test_commands_while_running(q):
    """What postsuper says holds when the agents have come back."""
    ident = running(q, "hold")
    tap.equal(q.command("postsuper", "-h", ident).stderr, f"postsuper: {ident}: placed on hold\n"
              "postsuper: Placed on hold: 1 message\n", "-h of a message that runs")
    wait_until(lambda: q.files().get(ident) == "hold", "held")
    tap.equal(q.command("postsuper", "-r", ident).stderr, f"postsuper: {ident}: requeued\n"
              "postsuper: Requeued: 1 message\n", "-r of a held one")
    tap.equal(in_maildrop(q, ident), ["defer@y.test"], "who has it does not get it again")
    tap.ok(ident not in q.files(), "it is in maildrop only")

    ident = running(q, "requeue")
    tap.like(q.command("postsuper", "-r", ident).stderr, f"{ident}: requeued", "-r")
    tap.equal(q.command("postsuper", "-d", ident, "-r", ident, "-h", ident).stderr,
              "postsuper: Requeued: 0 messages\npostsuper: Deleted: 0 messages\n"
              "postsuper: Placed on hold: 0 messages\n", "nothing else after that")
    wait_until(lambda: in_maildrop(q, ident) is not None and ident not in q.files(), "requeued")
    tap.ok(not os.path.exists(q.path("spool/defer", ident[0], ident)), "without its reasons")

    ident = running(q, "delete")
    tap.like(q.command("postsuper", "-d", ident).stderr, f"{ident}: removed", "-d")
    wait_until(lambda: ident not in q.files(), "deleted")
    tap.ok(not os.path.exists(q.path("spool/defer", ident[0], ident)), "with its reasons")
    tap.equal(len(re.findall(rf"{ident}: removed", q.log())), 1, "removed is logged once")

    ident = running(q, "release")
    q.command("postsuper", "-h", ident)
    tap.like(q.command("postsuper", "-H", ident).stderr, f"{ident}: released from hold", "-H")
    wait_until(lambda: f"{ident} delivered slow-release@y.test" in q.lines("test"), "delivered")
    wait_until(lambda: q.files().get(ident) == "deferred", "it waits as before")
    q.command("postsuper", "-d", ident)

    ident = running(q, "expire")
    tap.like(q.command("postsuper", "-e", ident).stderr, f"{ident}: expired", "-e")
    q.wait_for_log(rf"{ident}: from=<a@x.test>, status=force-expired, returned to sender")
    wait_until(lambda: q.is_removed(ident), "returned")
    tap.ok(any(l.startswith(ident) for l in q.lines("bounce")), "its sender gets a notice")

    held, _ = q.inject("a@x.test", "ok@y.test", options=["-h"])
    wait_until(lambda: q.files().get(held) == "hold", "held")
    q.command("postsuper", "-f", held)
    q.wait_for_log(rf"{held}: to=<ok@y.test>, relay=none, .*dsn=4.7.0, status=deferred "
                   r"\(message is administratively expired\)")
    wait_until(lambda: q.is_removed(held), "returned")
    tap.ok(f"{held} delivered ok@y.test" not in q.lines("test"), "and is not delivered any more")
    tap.equal(q.command("postsuper", "-d", "ALL", "maildrop").stderr,
              "postsuper: Deleted: 2 messages\n", "-d ALL maildrop")


def test_stored():
    """What only waits for a shared sync leaves its place to others, up to a limit."""
    with Queue(test_destination_concurrency_limit="2") as q:
        def begun():
            return len([l for l in q.lines("test") if " begins " in l])
        children = [q.inject("a@x.test", f"stored{i}@y.test", options=["-w", "50"], wait=False)
                    for i in range(11)]
        idents = [ident for ident, _ in children]
        tap.equal([child.communicate(timeout=60)[0].strip() for _, child in children],
                  ["SPOOLED"] * 11, "nobody waits for them")
        wait_until(lambda: begun() >= 8, "four times the limit run")
        time.sleep(0.3)
        tap.equal(begun(), 8, "and no more")
        with open(q.path("log/test.txt.go"), "w", encoding="ascii"):
            pass
        wait_until(lambda: all(q.is_removed(ident) for ident in idents), "all are delivered")
        tap.equal(begun(), 11, "each once")


def main():
    with Queue() as q:
        tap.run(lambda: test_direct(q), lambda: test_failures(q), lambda: test_folded(q),
                lambda: test_overrides(q), lambda: test_offer(q),
                lambda: test_commands_while_running(q), lambda: test_reload(q),
                lambda: test_crashes(q), lambda: test_deadly(q), lambda: test_found(q),
                lambda: test_commands(q), test_stored)


main()
