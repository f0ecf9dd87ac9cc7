#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postsuper and postqueue on messages in every state, with the queue manager running and down."""

import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import tap                                            # noqa: E402
from instance import Instance, wait_until             # noqa: E402

MAIN = {
    "transport_maps": "inline:{ {later.test=retry:4.7.9 not yet} {void.test=nothere:} }",
    "minimal_backoff_time": "1h",
    "maximal_backoff_time": "1h",
    "transport_retry_time": "1s",
    "fast_flush_domains": "later.test, void.test",
    "hash_queue_names": "deferred, defer, hold",
    "virtual_alias_maps": "",
}
QUEUES = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")


def queued(mail):
    """{id: queue} of what lies in the spool."""
    found = {}
    for queue in QUEUES:
        for _dir, _dirs, files in os.walk(mail.path("spool", queue)):
            for name in files:
                found[name] = queue
    return found


def submit(mail, *recipients, sender="alice@example.test", body="Subject: x\n\nHello.\n"):
    """The queue id of a new message that waits in deferred."""
    before = set(queued(mail))
    result = mail.command("sendmail", "-f", sender, *recipients, input=body)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    return wait_until(lambda: [i for i, q in queued(mail).items()
                               if q == "deferred" and i not in before], "deferred")[0]


def postsuper(mail, *args, **kwargs):
    result = mail.command("postsuper", *args, **kwargs)
    return result.returncode, result.stderr


def shown(mail):
    """{id: object} of postqueue -j."""
    lines = mail.command("postqueue", "-j").stdout.splitlines()
    return {entry["queue_id"]: entry for entry in map(json.loads, lines)}


def log_has(mail, pattern, what):
    tap.ok(mail.wait_for_log(pattern), what)


def test_hold(mail, how):
    one, two = submit(mail, "a@later.test"), submit(mail, "b@later.test")
    restart = stop_if(mail, how)
    tap.equal(postsuper(mail, "-h", one), (0, f"postsuper: {one}: placed on hold\n"
                                           "postsuper: Placed on hold: 1 message\n"),
              f"-h, {how}")
    tap.equal(queued(mail).get(one), "hold", "it is in hold")
    tap.ok(os.path.exists(mail.path("spool/hold", one[0], one)), "in its hash directory")
    tap.equal(postsuper(mail, "-h", one), (0, "postsuper: Placed on hold: 0 messages\n"),
              "-h of a held one")
    tap.like(mail.command("postqueue", "-p").stdout, rf"^{one}! ", "mailq shows it")
    tap.equal(postsuper(mail, "-H", one, "deferred"),
              (0, "postsuper: Released from hold: 0 messages\n"), "-H in another queue")
    tap.equal(postsuper(mail, "-H", one), (0, f"postsuper: {one}: released from hold\n"
                                           "postsuper: Released from hold: 1 message\n"), "-H")
    tap.equal(queued(mail).get(one), "deferred", "it is in deferred")
    tap.equal(postsuper(mail, "-h", "ALL"), (0, "postsuper: Placed on hold: 2 messages\n"),
              "-h ALL tells the number only")
    tap.equal(postsuper(mail, "-H", "-", input=f"{one}!\n{two}\n\nbad.id\nABCDEF1\nx\n"),
              (0, f"postsuper: {one}: released from hold\n"
                  f"postsuper: {two}: released from hold\n"
                  "postsuper: warning: invalid mail queue id: \n"
                  "postsuper: warning: invalid mail queue id: bad.id\n"
                  "postsuper: Released from hold: 2 messages\n"), "-H - reads ids")
    tap.equal(postsuper(mail, "-d", "ALL", "hold"), (0, "postsuper: Deleted: 0 messages\n"),
              "-d ALL hold")
    tap.equal(postsuper(mail, "-d", "ALL"), (0, "postsuper: Deleted: 2 messages\n"), "-d ALL")
    tap.equal(queued(mail), {}, "nothing is left")
    restart()
    log_has(mail, rf"postfix/postsuper\[\d+\]: {one}: placed on hold$", "it is in the log, too")


def stop_if(mail, how):
    if how == "running":
        return lambda: None
    mail.stop()
    wait_until(lambda: not mail.pids(), "stopped")
    return mail.start


def test_expire(mail, how):
    one, two, three = (submit(mail, f"{n}@later.test") for n in "abc")
    restart = stop_if(mail, how)
    tap.equal(postsuper(mail, "-e", one), (0, f"postsuper: {one}: expired\n"
                                           "postsuper: Force-expired: 1 message\n"),
              f"-e, {how}")
    tap.equal(postsuper(mail, "-e", one), (0, "postsuper: Force-expired: 0 messages\n"),
              "-e once more")
    tap.equal(queued(mail).get(one), "deferred", "nothing happens to it before its next attempt")
    text = mail.command("postqueue", "-p").stdout
    tap.like(text, rf"^{one}# ", "mailq shows it")
    tap.equal(postsuper(mail, "-h", two, "-e", two, "-h", three)[1],
              f"postsuper: {two}: expired\npostsuper: {two}: placed on hold\n"
              f"postsuper: {three}: placed on hold\npostsuper: Force-expired: 1 message\n"
              "postsuper: Placed on hold: 2 messages\n", "-e and -h together")
    tap.like(mail.command("postqueue", "-p").stdout, rf"^{two}!# ", "both characters")
    tap.equal({i: e["forced_expire"] for i, e in shown(mail).items()},
              {one: True, two: True, three: False}, "forced_expire of -j")
    tap.equal(postsuper(mail, "-f", two, "-f", three)[1],
              f"postsuper: {two}: released from hold\npostsuper: {three}: expired\n"
              f"postsuper: {three}: released from hold\npostsuper: Force-expired: 1 message\n"
              "postsuper: Released from hold: 2 messages\n", "-f")
    restart()
    mail.command("postqueue", "-f")
    for ident in (one, two, three):
        log_has(mail, rf"postfix/qmgr\[\d+\]: {ident}: from=<alice@example.test>, "
                r"status=force-expired, returned to sender", "returned")
        log_has(mail, rf"{ident}: sender non-delivery notification: ", "with a notice")
    wait_until(lambda: not queued(mail), "gone")
    tap.ok(any(b"not yet" in m for m in mail.mails("alice")), "the notice says why it waited")


def test_requeue(mail, how):
    one = submit(mail, "a@later.test", "bob@example.test")
    first = mail.command("postcat", "-q", one).stdout
    done = len(mail.wait_for_mail("bob"))
    restart = stop_if(mail, how)
    tap.equal(postsuper(mail, "-r", one), (0, f"postsuper: {one}: requeued\n"
                                           "postsuper: Requeued: 1 message\n"), f"-r, {how}")
    if how == "down":
        tap.equal(queued(mail), {one: "maildrop"}, "it waits in maildrop")
        tap.equal(shown(mail)[one]["queue_name"], "maildrop", "mailq shows it")
    # What is rewritten has changed meanwhile.
    restart()
    new = mail.wait_for_log(rf"postfix/pickup\[\d+\]: (\w+): uid=\d+ from=<alice@example.test> "
                            rf"orig_id={one}$").group(1)
    wait_until(lambda: queued(mail) == {new: "deferred"}, "deferred once more")
    text = mail.command("postcat", "-q", new).stdout
    tap.equal(re.findall(r"^(?:done_)?recipient: (.*)", text, re.M), ["a@later.test"],
              "only who is not done gets it")
    tap.like(text, rf"^named_attribute: log_ident={one}$", "the first id is kept")
    arrived = re.search(r"^message_arrival_time: (.*)", first, re.M).group(1)
    tap.like(text, rf"^message_arrival_time: {re.escape(arrived)}$", "and the time")
    tap.equal(len(re.findall(r"^Received: ", text, re.M)), 2, "one more Received")
    tap.equal(len(mail.mails("bob")), done, "not delivered twice")
    tap.ok(not os.path.exists(mail.path("spool/defer", one[0], one)), "its old reasons are gone")
    postsuper(mail, "-d", "ALL")


def test_requeue_expands(mail):
    """Aliases that came meanwhile are expanded."""
    one = submit(mail, "later@later.test")
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.write("virtual_alias_maps = inline:{ {later@later.test=bob@example.test} }\n")
    mail.reload()
    before = len(mail.mails("bob"))

    def requeued():
        postsuper(mail, "-r", "ALL")
        return len(mail.mails("bob")) > before
    wait_until(requeued, "delivered to the alias")
    wait_until(lambda: not queued(mail), "gone")
    tap.ok(True, f"{one} went to its alias")


def test_structure(mail, how):
    one, two = submit(mail, "a@later.test"), submit(mail, "b@later.test")
    postsuper(mail, "-h", two)
    for depth, place in ((0, ""), (2, "{0}/{1}/"), (1, "{0}/")):
        with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
            f.write(f"hash_queue_names = {'deferred, defer, hold' if depth else ''}\n"
                    f"hash_queue_depth = {depth or 1}\n")
        mail.stop()
        wait_until(lambda: not mail.pids(), "stopped")
        if how == "running":
            mail.start()
        tap.equal(postsuper(mail, "-s"), (0, ""), f"-s at depth {depth}, {how}")
        for queue, ident in (("deferred", one), ("defer", one), ("hold", two), ("defer", two)):
            path = mail.path("spool", queue, place.format(*ident) + ident)
            tap.ok(os.path.exists(path), f"{path} is there")
        tap.equal(len(shown(mail)), 2, "mailq has both")
        if how != "running":
            mail.start()
    tap.equal(postsuper(mail, "-d", "ALL"), (0, "postsuper: Deleted: 2 messages\n"), "deleted")
    tap.ok(not any(files for _d, _s, files in os.walk(mail.path("spool/defer"))),
           "with their reasons")


def test_purge(mail):
    old, young = mail.path("spool/incoming/123456.99"), mail.path("spool/incoming/123457.99")
    whole = mail.path("spool/maildrop/ABCDEF123456")
    for path in (old, young, whole):
        with open(path, "w", encoding="ascii"):
            pass
        os.chmod(path, 0o700 if path == whole else 0o600)
        mail.own(path)
    weeks_ago = time.time() - 8 * 24 * 3600
    os.utime(old, (weeks_ago, weeks_ago))
    tap.equal(postsuper(mail, "-p"), (0, ""), "-p")
    tap.equal([os.path.exists(p) for p in (old, young)], [False, True],
              "what was not finished for a week goes")
    os.unlink(young)
    tap.equal(postsuper(mail), (0, ""), "without options: -s -p")
    mail.command("postkick", "public", "pickup", "W")
    wait_until(lambda: queued(mail) in ({}, {"ABCDEF123456": "corrupt"}), "no submission")
    postsuper(mail, "-d", "ABCDEF123456", "maildrop", "corrupt")
    tap.equal(queued(mail), {}, "-d in corrupt")


def test_arguments(mail):
    tap.equal(postsuper(mail, "-d", "ABCDEF12", "nosuch"),
              (1, "postsuper: fatal: invalid directory name: nosuch\n"), "an unknown queue")
    tap.like(postsuper(mail, "-Q")[1], r"fatal: usage: postsuper \[-c config_dir\] \[-d queue_id "
             r"\(delete\)\]", "an unknown option")
    tap.equal(postsuper(mail, "-d", "FFF.FF12"),
              (0, "postsuper: warning: invalid mail queue id: FFF.FF12\n"
                  "postsuper: Deleted: 0 messages\n"), "a bad id")


def test_flush(mail):
    later, void = submit(mail, "a@later.test"), submit(mail, "b@void.test")

    def attempts(ident):
        return len(re.findall(rf"{ident}: to=<.*status=deferred", mail.log()))
    tap.equal((attempts(later), attempts(void)), (1, 1), "one attempt each")
    result = mail.command("postqueue", "-s", "later.test")
    tap.equal((result.returncode, result.stderr), (0, ""), "postqueue -s")
    wait_until(lambda: attempts(later) == 2, "tried")
    # After a restart nobody has read the messages.
    mail.stop()
    wait_until(lambda: not mail.pids(), "stopped")
    mail.start()
    tap.equal(mail.command("postqueue", "-s", "VOID.test").returncode, 0, "-s after a restart")
    wait_until(lambda: attempts(void) == 2, "tried")
    tap.equal(attempts(later), 2, "other mail is not")
    for site, text in (("nowhere.test", 'Flush service is not configured for destination '
                                        '"nowhere.test"'),
                       ("not a site", 'Cannot flush mail queue - invalid destination: '
                                      '"not a site"')):
        result = mail.command("postqueue", "-s", site)
        tap.equal((result.returncode, result.stderr), (69, f"postqueue: fatal: {text}\n"), site)
    tap.equal(mail.command("postqueue", "-i", later).returncode, 0, "-i")
    wait_until(lambda: attempts(later) == 3, "tried")
    tap.equal(mail.command("postqueue", "-i", "zz").returncode, 0, "-i of no id that we make")
    result = mail.command("postqueue", "-i", "a.b")
    tap.equal((result.returncode, result.stderr), (69, 'postqueue: fatal: Cannot flush queue ID - '
                                                   'invalid name: "a.b"\n'), "-i of a bad one")
    postsuper(mail, "-d", "ALL")


def main():
    with Instance(main=MAIN) as mail:
        for how in ("running", "down"):
            test_hold(mail, how)
            test_expire(mail, how)
            test_requeue(mail, how)
        test_flush(mail)
        test_purge(mail)
        test_arguments(mail)
        for how in ("running", "down"):
            test_structure(mail, how)
        test_requeue_expands(mail)
    tap.done()


main()
