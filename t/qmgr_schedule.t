#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""When qmgr hands what over: concurrency and its feedback, dead destinations, rate delays, preemption.
The agents are scripted, so what runs at a time and in which order is seen, not measured."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import tap                                            # noqa: E402
from instance import wait_until                       # noqa: E402
from queue_instance import Queue                      # noqa: E402
from scripted_agent import ScriptedAgent              # noqa: E402

# One transport per question; "-" lets default_process_limit deliveries run.
TRANSPORTS = ("up", "gentle", "free", "two", "slow", "trickle", "user", "mix", "off", "late",
              "flat", "sturdy", "tight")
SERVICES = "".join(f"{name} unix - - n - {'3' if name == 'mix' else '-'} scripted\n"
                   for name in TRANSPORTS) + \
    "nothing unix - - n - - error\ngone unix - - n - - scripted\nsay unix - - n - - error\n"
MAIN = {
    "transport_maps": "inline:{ {err.test=error:5.1.2 gone away} {err4.test=error:4.2.2 four} "
                      "{ret5.test=retry:5.2.2 five} {ret.test=retry:not yet} "
                      "{sink.test=discard:2.1.0 swallowed} {sink5.test=discard:5.0.0 odd} "
                      "{say.test=say:5.7.7 by another name} {gone.test=gone:x} " +
                      " ".join("{%s.test=%s:%s.hop}" % (n, n, n) for n in TRANSPORTS) +
                      " {mix2.test=mix:mix2.hop} {trickle2.test=trickle:trickle2.hop} "
                      "{late2.test=late:late2.hop} }",
    "minimal_backoff_time": "1000s", "maximal_backoff_time": "1000s",
    "transport_retry_time": "1000s", "postcote_deliver_time_limit_ms": "0",
    "destination_concurrency_feedback_debug": "yes",
    "default_destination_recipient_limit": "2",
    "gentle_destination_concurrency_positive_feedback": "1/concurrency",
    "gentle_initial_destination_concurrency": "2",
    "sturdy_initial_destination_concurrency": "2",
    "sturdy_destination_concurrency_failed_cohort_limit": "3",
    "free_destination_concurrency_limit": "0",
    "two_destination_concurrency_limit": "2",
    "slow_destination_rate_delay": "1s",
    "slow_destination_concurrency_failed_cohort_limit": "10",
    "trickle_transport_rate_delay": "1s",
    "user_destination_recipient_limit": "1", "user_destination_concurrency_limit": "1",
    "recipient_delimiter": "+",
    "mix_destination_concurrency_limit": "100",
    "mix_destination_recipient_limit": "2",
    "defer_transports": "off, other",
    "late_destination_concurrency_negative_feedback": "7",
    "flat_delivery_slot_cost": "0", "flat_destination_concurrency_limit": "1",
    "tight_recipient_limit": "15", "tight_extra_recipient_limit": "5",
    "tight_recipient_refill_limit": "8", "tight_recipient_refill_delay": "1s",
    "default_process_limit": "60",
    "qmgr_clog_warn_time": "1000s", "qmgr_message_active_limit": "100",
}


def rcpts(count, domain, local="u"):
    return [f"{local}{i}@{domain}" for i in range(count)]


def deferred(q, address):
    return re.search(rf"to=<{re.escape(address)}>.*status=deferred \((.*)\)", q.log())


def wait_deferred(q, address):
    return wait_until(lambda: deferred(q, address), f"{address} deferred")[1]


def test_window(q, a):
    """Initially 5; each success adds one, up to 20."""
    up = a["up"]
    q.inject("s@x.test", *rcpts(120, "up.test"))
    seen = []
    for _ in range(5):
        batch = up.settled(1)
        seen.append(len(batch))
        for d in batch:
            d.answer()
    tap.equal(seen[:4], [5, 10, 20, 20], "concurrency 5, 10, 20, 20: doubled by a cohort")
    tap.equal({len(d.recipients) for d in up.seen}, {2}, "two recipients in each delivery")
    wait_until(lambda: len(up.seen) == 60 and not up.waiting, "all delivered")
    tap.ok(all(d.more for d in up.seen[:50]), "there is more for that destination")
    tap.like(q.log(), r"up: default_destination_concurrency_positive_feedback feedback type 0 value "
             r"at 5: 1\n", "the feedback is logged")
    tap.like(q.log(), r"qmgr_queue_unthrottle: feedback 1\n.*qmgr_queue_unthrottle: queue up.hop: "
             r"limit 20 window 6 success 0 failure 0 fail_cohorts 0\n", "and each change")

    gentle = a["gentle"]
    q.inject("s@x.test", *rcpts(60, "gentle.test"))
    seen = []
    for _ in range(4):
        batch = gentle.settled(1)
        seen.append(len(batch))
        for d in batch:
            d.answer()
    tap.equal(seen, [2, 3, 4, 5], "1/concurrency: one more with each cohort")
    gentle.answer_all(30)

    two = a["two"]
    q.inject("s@x.test", *rcpts(12, "two.test"))
    for _ in range(3):
        tap.equal(len(two.settled(2)), 2, "a limit of 2")
        for d in list(two.waiting):
            d.answer()
    free = a["free"]
    q.inject("s@x.test", *rcpts(300, "free.test"))
    most = 0
    for _ in range(6):
        batch = free.settled(1)
        most = max(most, len(batch))
        for d in batch:
            d.answer()
    tap.equal(most, 60, "a limit of 0 is none, but for the transport's")


def test_dead(q, a):
    """As the peer counts: windows 5, 3, 2, and dead."""
    late = a["late"]
    ident, _ = q.inject("s@x.test", *rcpts(40, "late.test"))
    tap.like(q.log(), r"warning: late_destination_concurrency_negative_feedback: ignoring malformed "
             r"or unreasonable feedback: 7\n", "a feedback that makes no sense")
    running = late.settled(5)
    tap.equal(len(running), 5, "five run")
    reason = "connect to late.hop[192.0.2.1]:25: Connection refused"
    running[0].answer(site=reason)
    wait_until(lambda: "queue late.hop: limit 20 window 3 success 0 failure 1 fail_cohorts 0.2\n"
               in q.log(), "the first failure: window 3")
    running[1].answer(site=reason)
    wait_until(lambda: "late.hop: limit 20 window 2 success 0 failure 1 fail_cohorts 0.533333\n"
               in q.log(), "the second: window 2")
    tap.equal(len(late.settled(3)), 3, "three run on, and no new one")
    running[2].answer(site=reason)
    tap.equal(wait_deferred(q, "u39@late.test"), "delivery temporarily suspended: " + reason,
              "the third: the rest is deferred at once")
    tap.like(q.log(), r"late.hop: limit 20 window 0 success 0 failure 1 fail_cohorts 1.03333\n",
             "dead, as the peer tells it")
    q.inject("s@x.test", "new@late.test")
    tap.equal(wait_deferred(q, "new@late.test"), "delivery temporarily suspended: " + reason,
              "new mail is not tried")
    q.inject("s@x.test", "other@late2.test")
    wait_until(lambda: len(late.waiting) == 3, "another destination is not affected")
    for d in list(late.waiting):
        d.answer()
    wait_until(lambda: "qmgr_queue_unthrottle: queue late.hop: limit 20 window 5 success 0 failure 0 "
               "fail_cohorts 0\n" in q.log(), "a success makes it live again")
    q.inject("s@x.test", "newer@late.test")
    late.wait(1)[0].answer()
    wait_until(lambda: q.files().get(ident) == "deferred", "what was deferred waits")
    late.auto = lambda d: d.answer()
    q.command("postqueue", "-f")
    wait_until(lambda: ident not in q.files(), "and goes by a flush")
    tap.ok(sum("u39@late.test" in d.recipients for d in late.seen) == 1, "once")


def test_flush_of_dead(q, a):
    sturdy = a["sturdy"]
    ident, _ = q.inject("s@x.test", *rcpts(20, "sturdy.test", "f"))
    count = 0
    while not deferred(q, "f19@sturdy.test"):
        for d in list(sturdy.waiting):
            d.answer(site="no route")
            count += 1
        time.sleep(0.01)
    tap.equal(count, 4, "three cohorts: half of one, and three of one")
    sturdy.auto = lambda d: d.answer()
    q.command("postqueue", "-f")
    wait_until(lambda: ident not in q.files(), "delivered after a flush")


def test_rate(q, a):
    """One at a time, and a pause after the end of each."""
    slow = a["slow"]
    q.inject("s@x.test", *rcpts(4, "slow.test"))
    tap.equal(len(slow.settled(1)), 1, "a rate delay: one at a time")
    ended = time.monotonic()
    slow.waiting[0].answer()
    second = slow.wait(1)[0]
    tap.ok(second.at - ended >= 0.95, "the next one not before the delay is over",
           f"{second.at - ended}")
    second.answer(site="refused")
    wait_until(lambda: "queue slow.hop: limit 1 window 1" in q.log(), "it is not dead at once")

    trickle = a["trickle"]
    q.inject("s@x.test", "u@trickle.test", "u@trickle2.test")
    tap.equal(len(trickle.settled(1)), 1, "a transport's: one at a time, whatever the destination")
    ended = time.monotonic()
    trickle.waiting[0].answer()
    second = trickle.wait(1)[0]
    tap.ok(second.at - ended >= 0.95, "and a pause")
    tap.equal({d.nexthop for d in trickle.seen}, {"trickle.hop", "trickle2.hop"}, "for both")
    second.answer()


def test_recipient(q, a):
    user = a["user"]
    q.inject("s@x.test", "anna@user.test", "anna+list@user.test", "berta@user.test")
    q.inject("s@x.test", "anna@user.test")
    tap.equal(sorted(d.recipients for d in user.settled(2)),
              [["anna@user.test"], ["berta@user.test"]],
              "a recipient limit of 1: the concurrency is each recipient's")
    user.answer_all(4)
    tap.equal({d.nexthop for d in user.seen}, {"user.hop"}, "the agent gets the next hop")


def test_preemption(q, a):
    """A mailing to two destinations, three deliveries at a time; small mail comes."""
    mix = a["mix"]
    big, _ = q.inject("s@x.test", *rcpts(120, "mix.test"), *rcpts(120, "mix2.test"))
    first = mix.settled(3)
    tap.equal({d.id for d in first}, {big}, "the mailing runs")
    small = [q.inject("s@x.test", f"small{i}@mix2.test")[0] for i in range(30)]
    middle, _ = q.inject("s@x.test", *rcpts(40, "mix.test", "m"))
    mix.answer_all(120 + 30 + 20)
    order = [d.id for d in mix.seen]
    ends = [i for i, ident in enumerate(order) if ident == big]
    tap.ok(order.index(small[0]) < 15, "the first small one passes soon", order.index(small[0]))
    passed = sum(1 for ident in order[:ends[-1]] if ident != big)
    tap.ok(20 <= passed <= 120 // 4, "a fifth to a quarter passes the mailing", passed)
    tap.ok(all(order.index(one) < order.index(other) for one, other in zip(small, small[1:])),
           "the small ones among themselves come in their order")
    tap.ok(order.count(middle) == 20, "nothing is lost")

    flat = a["flat"]
    big, _ = q.inject("s@x.test", *rcpts(60, "flat.test"))
    flat.wait(1)
    small, _ = q.inject("s@x.test", "small@flat.test")
    flat.answer_all(31)
    tap.equal([d.id for d in flat.seen][-1], small, "a slot cost of 0: nobody passes")


def test_deferred_transport(q, a):
    ident, _ = q.inject("s@x.test", "u@off.test")
    tap.equal(wait_deferred(q, "u@off.test"), "deferred transport", "defer_transports")
    tap.like(q.log(), r"postfix/error\[\d+\]: \w+: to=<u@off.test>, relay=none, .*dsn=4.3.2, ",
             "as the peer tells it")
    a["off"].auto = lambda d: d.answer()
    q.command("postqueue", "-i", ident)
    wait_until(lambda: ident not in q.files(), "delivered by a flush")
    q.inject("s@x.test", "v@off.test")
    tap.equal(wait_deferred(q, "v@off.test"), "deferred transport", "and only by that")
    q.inject("s@x.test", "u@gone.test")
    tap.equal(wait_deferred(q, "u@gone.test"), "mail transport unavailable", "no agent")
    tap.like(q.log(), r"warning: connect to transport private/gone: ", "and a warning")


def test_folded(q, _):
    ident, _ = q.inject("", "u@err.test", "u@err4.test", "u@ret5.test", "u@ret.test", "u@sink.test",
                        "u@sink5.test", "u@say.test")
    wait_until(lambda: q.files().get(ident) == "deferred", "deferred")
    for program, name, dsn, status, text in (
            ("error", "err", "5.1.2", "bounced", "gone away"),
            ("error", "err4", "5.0.0", "bounced", "four"),
            ("error", "ret5", "4.0.0", "deferred", "five"),
            ("error", "ret", "4.0.0", "deferred", "not yet"),
            ("discard", "sink", "2.1.0", "sent", "swallowed"),
            ("discard", "sink5", "2.0.0", "sent", "odd"),
            ("error", "say", "5.7.7", "bounced", "by another name")):
        tap.like(q.log(), rf"postfix/{program}\[\d+\]: {ident}: to=<u@{name}.test>, relay=none, .*"
                 rf"dsn={dsn}, status={status} \({text}\)\n", f"{name}: {text}")
    for who, dsn in (("bounce_append", "4.2.2"), ("defer_append", "5.2.2"), ("sent", "5.0.0")):
        tap.like(q.log(), rf'warning: {who}: ignoring dsn code "{dsn}"', "a code of another class")


def test_reload(q, a):
    """New values count at once, for what waits too."""
    two = a["two"]
    q.inject("s@x.test", *rcpts(12, "two.test", "r"))
    tap.equal(len(two.settled(2)), 2, "two")
    q.command("postconf", "-e", "two_destination_concurrency_limit=4")
    q.command("postfix", "reload")
    wait_until(lambda: "reload" in q.log(), "reload")
    for d in list(two.waiting):
        d.answer()
    tap.equal(len(two.settled(4)), 4, "four after a reload")
    two.answer_all(12)


def test_memory(q, a):
    """Which messages are taken up while there are too many recipients in memory."""
    tight = a["tight"]
    large, _ = q.inject("s@x.test", *rcpts(60, "tight.test", "a"))
    tap.equal({d.id for d in tight.settled(5)}, {large}, "one that is larger than all room")
    back, _ = q.inject("s@x.test", *rcpts(11, "tight.test", "b"))
    small, _ = q.inject("s@x.test", *rcpts(10, "tight.test", "c"))
    wait_until(lambda: f"{small}: from=" in q.log(), "a small one is taken up at once")
    tap.ok(f"{back}: from=" not in q.log(), "one that is not small has to wait")
    tight.answer_all(30 + 6 + 5)
    wait_until(lambda: q.is_removed(back), "until there is room")
    tap.equal(sorted(r for d in tight.seen for r in d.recipients if d.id == back),
              sorted(rcpts(11, "tight.test", "b")), "nothing is lost")


def test_clog(q, a):
    """A fifth of the active queue for one destination."""
    up = a["up"]
    up.auto = None
    q.inject("s@x.test", *rcpts(80, "up.test", "c"))
    wait_until(lambda: "mail for up.hop is using up" in q.log(), "the warning")
    tap.like(q.log(), r"warning: mail for up.hop is using up \d+ of \d+ active queue entries\n"
             r"(.*\n)*.*warning: please avoid flushing the whole queue when you have\n"
             r".*warning: lots of deferred mail, that is bad for performance\n"
             r".*warning: to turn off these warnings specify: qmgr_clog_warn_time = 0\n",
             "and its advice")
    up.answer_all(100)
    tap.equal(q.log().count("mail for up.hop is using up"), 1, "once in its time")


def main():
    with Queue(services=SERVICES, agent=False, **MAIN) as q:
        agents = {name: ScriptedAgent(q, name) for name in TRANSPORTS}
        try:
            tap.run(*[lambda test=test: test(q, agents) for test in (
                test_window, test_dead, test_flush_of_dead, test_rate, test_recipient,
                test_preemption, test_deferred_transport, test_folded, test_reload, test_memory, test_clog)])
        finally:
            for agent in agents.values():
                agent.close()


main()
