#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A spool that a real Postfix left is delivered (t/data/make-spool made them), and one of ours by a
real Postfix; its commands, and qshape, read our files as they read theirs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import tap                                            # noqa: E402
from instance import Instance, wait_until             # noqa: E402

DATA = os.path.join(instance.SRCDIR, "t/data")
BOXES = " ".join(f"{{{a}@{d}={d}/{a}/}}" for a, d in (
    ("alice", "example.test"), ("bob", "example.test"), ("x", "later.test"), ("y", "later.test")))
MAIN = {
    "virtual_mailbox_domains": "example.test, later.test",
    "virtual_mailbox_maps": f"inline:{{ {BOXES} }}",
    "virtual_alias_maps": "",
    "transport_retry_time": "1s",
}
QUEUES = ("maildrop", "incoming", "active", "deferred", "hold", "corrupt")


def queued(spool):
    """{id: queue}"""
    return {name: queue for queue in QUEUES
            for _d, _s, files in os.walk(os.path.join(spool, queue)) for name in files}


def subjects(maildir):
    found = []
    for part in ("new", "cur"):
        path = os.path.join(maildir, part)
        for name in os.listdir(path) if os.path.isdir(path) else ():
            with open(os.path.join(path, name), encoding="utf-8") as f:
                found.append(re.search(r"^Subject: (.*)", f.read(), re.M).group(1))
    return sorted(found)


def boxes(base):
    return {name: subjects(os.path.join(base, domain, name)) for name, domain in (
        ("bob", "example.test"), ("x", "later.test"), ("y", "later.test"))}


WAITING = {"bob": ["submitted"],
           "x": ["long one", "long two dsn", "short one", "short two dsn"],
           "y": ["long one", "short one"]}
HELD = {"bob": ["submitted"], "x": sorted(WAITING["x"] + ["long held", "short held"]),
        "y": WAITING["y"]}


def test_from_peer(version):
    with_spool = Instance(main=MAIN)
    try:
        with_spool.postcote("check")
        with tarfile.open(os.path.join(DATA, f"postfix-{version}-spool.tar.gz")) as tar:
            tar.extractall(with_spool.path("spool"))
        for dirpath, _dirs, files in os.walk(with_spool.path("spool/deferred")):
            for name in files:  # as it was when the peer was stopped: not due yet
                os.utime(os.path.join(dirpath, name), (time.time() + 3600,) * 2)
        with_spool.own(with_spool.path("spool"))
        before = queued(with_spool.path("spool"))
        tap.equal(sorted(before.values()), ["active", "deferred", "deferred", "hold", "hold",
                                            "incoming", "incoming", "maildrop"],
                  f"what Postfix {version} left")
        with_spool.start()
        listed = [json.loads(line) for line in
                  with_spool.command("postqueue", "-j").stdout.splitlines()]
        reasons = {r.get("delay_reason") for m in listed for r in m["recipients"]
                   if m["queue_name"] in ("deferred", "hold")}
        tap.equal(reasons, {"connect to 127.0.0.1[127.0.0.1]:1: Connection refused"},
                  "the reasons are known")
        for ident, queue in before.items():
            if ident != "0BADF11E0BAD" and queue in ("deferred", "hold"):
                text = with_spool.command("postcat", "-q", ident).stdout
                tap.like(text, r"^recipient: x@later.test$", f"postcat of {queue}/{ident}")
        with_spool.command("postqueue", "-f")
        base = with_spool.path("mail")
        wait_until(lambda: boxes(base) == WAITING or None, "delivered")
        tap.equal(boxes(base), WAITING, "all that waited is delivered, nothing twice")
        wait_until(lambda: sorted(queued(with_spool.path("spool")).values()) ==
                   ["corrupt", "hold", "hold"], "the others stay")
        tap.equal(queued(with_spool.path("spool"))["0BADF11E0BAD"], "corrupt", "what is damaged")
        with_spool.command("postsuper", "-H", "ALL")
        wait_until(lambda: boxes(base) == HELD, "released")
        wait_until(lambda: set(queued(with_spool.path("spool"))) == {"0BADF11E0BAD"}, "gone")
        tap.ok(True, "nothing is left")
    finally:
        with_spool.close()


def fill(mail, kind):
    for subject, recipients in ((f"{kind} one", ("bob@example.test", "x@later.test",
                                                 "y@later.test")),
                                (f"{kind} held", ("x@later.test",))):
        before = set(queued(mail.path("spool")))
        done = mail.command("sendmail", "-f", "alice@example.test", *recipients,
                            input=f"Subject: {subject}\n\nHello.\n")
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        ident = wait_until(lambda: [i for i, q in queued(mail.path("spool")).items()
                                    if q == "deferred" and i not in before], "deferred")[0]
        if "held" in subject:
            mail.command("postsuper", "-h", ident)


def compare(mail, peer, name, *args):
    """Ours and theirs on the same spool."""
    ours = mail.command(name, *args)
    theirs = subprocess.run([f"/usr/sbin/{name}", "-c", peer, *args], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    tap.equal((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout),
              f"{name} {' '.join(args)} as the peer's")


def listing(text):
    """postqueue's, message by message: whose order is the directory's with the peer."""
    if text.startswith("{"):
        objects = [json.loads(line) for line in text.splitlines()]
        for one in objects:
            one["recipients"] = sorted((r["address"], r.get("delay_reason")) for r in one["recipients"])
            one.setdefault("forced_expire", False)
        return sorted(map(str, map(sorted, (one.items() for one in objects))))
    head, *rest = re.split(r"\n(?=\S)", text)
    return [head] + sorted(part.strip("\n") for part in rest)


def compare_commands(mail, shared):
    """postqueue, mailq and postsuper of both, each on a copy of the spool of its own."""
    copies, outputs = [], []
    for side, sbin in (("ours", os.path.join(instance.stage(), "sbin")), ("theirs", "/usr/sbin")):
        base = mail.path(f"copy-{side}")
        shutil.copytree(mail.path("spool"), f"{base}/spool", ignore=shutil.ignore_patterns(
            "public", "private", "pid"))
        for name in ("public", "private", "pid"):
            os.mkdir(f"{base}/spool/{name}")
        os.mkdir(f"{base}/etc")
        with open(f"{shared}/main.cf", encoding="ascii") as f:
            text = f.read().replace(mail.path("spool"), f"{base}/spool")
        with open(f"{base}/etc/main.cf", "w", encoding="ascii") as f:
            f.write(text)
        shutil.copy(f"{shared}/master.cf", f"{base}/etc")
        subprocess.run(["chown", "-R", "postfix", base], check=True)
        subprocess.run(["chown", "root", f"{base}/spool"], check=True)
        copies.append((f"{base}/etc", f"{base}/spool", sbin))
    ids = sorted(i for i, q in queued(mail.path("spool")).items() if q in ("deferred", "hold"))
    held = sorted(i for i, q in queued(mail.path("spool")).items() if q == "hold")
    rest = [i for i in ids if i not in held]
    for name, *args in (
            ("postqueue", "-p"), ("postqueue", "-j"), ("sendmail", "-bp"),
            ("postsuper", "-h", rest[0]), ("postsuper", "-H", held[0]), ("postsuper", "-e", rest[1]),
            ("postqueue", "-p"), ("postqueue", "-j"), ("postsuper", "-h", "FFFFFFFF12"),
            ("postsuper", "-d", held[1]), ("postsuper", "-r", rest[1]),
            ("postsuper", "-d", rest[1]), ("postsuper", "-h", "ALL"),
            ("postqueue", "-p"), ("postqueue", "-j"), ("postsuper", "-d", "ALL", "hold"),
            ("postqueue", "-p"), ("postsuper", "-d", "ALL"), ("postqueue", "-p"),
            ("postqueue", "-j")):
        outputs = []
        for config, spool, sbin in copies:
            option = "-C" if name == "sendmail" else "-c"
            done = subprocess.run([f"{sbin}/{name}", option, config, *args], text=True, timeout=60,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
            said = [line for line in done.stderr.splitlines()
                    if "Mail system is down" not in line and "unused parameter" not in line]
            outputs.append((done.returncode, listing(done.stdout), said,
                            sorted(queued(spool).items())))
        tap.equal(outputs[0], outputs[1], f"{name} {' '.join(args)} on copies of our spool")


def test_to_peer():
    ours = Instance(main=dict(MAIN, transport_maps="inline:{ {later.test=nothere:} }",
                              minimal_backoff_time="1h", maximal_backoff_time="1h"))
    try:
        for kind in ("short", "long"):
            with open(ours.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
                f.write(f"enable_long_queue_ids = {'yes' if kind == 'long' else 'no'}\n")
            ours.start()
            fill(ours, kind)
            ours.stop()
            wait_until(lambda: not ours.pids(), "stopped")
        ours.command("sendmail", "-f", "alice@example.test", "bob@example.test",
                     input="Subject: submitted\n\nHello.\n")
        tap.equal(sorted(queued(ours.path("spool")).values()),
                  ["deferred", "deferred", "hold", "hold", "maildrop"], "what we left")
        peer = peer_postfix.PeerPostfix(MAIN)
        with open(peer.path("etc/master.cf"), "a", encoding="ascii") as f:
            f.write("pickup unix n - n 60 1 pickup\nshowq unix n - n - - showq\n")
        shared = peer.path("shared")
        os.mkdir(shared)
        with open(shared + "/main.cf", "w", encoding="ascii") as f:
            f.write(f"queue_directory = {ours.path('spool')}\ncompatibility_level = 3.6\n"
                    "myhostname = mail.example.test\nenable_long_queue_ids = yes\n")
        shutil.copy(peer.path("etc/master.cf"), shared)
        for ident, queue in queued(ours.path("spool")).items():
            if queue not in ("deferred", "hold"):
                continue
            for options in ("-q", "-qv", "-qdo", "-qbh", "-qb", "-qh", "-qe", "-qr"):
                compare(ours, shared, "postcat", options, ident)
        compare(ours, shared, "postcat", "-q", "FFFFFFFF12")
        compare_commands(ours, shared)
        qshape = shutil.which("qshape")
        if qshape:
            done = subprocess.run([qshape, "-c", shared, "deferred", "hold"], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            tap.like(done.stdout, r"^ *TOTAL +6 ", f"qshape counts our recipients {done.stderr}")
            tap.like(done.stdout, r"^ *later.test +6 ", "and their domains")
        else:
            tap.skip("it is not installed", "qshape")
        for queue in QUEUES + ("defer", "bounce"):
            shutil.copytree(ours.path("spool", queue), peer.path("spool", queue),
                            dirs_exist_ok=True)
            subprocess.run(["chown", "-R", "postfix", peer.path("spool", queue)], check=True)
        # It names files after their inodes, and wants to be started once more where any had
        # another name.
        renamed = peer.postfix("start")
        tap.like(renamed.stdout, r"Renamed to match inode number: 5 messages",
                 "the peer gives the files other names")
        peer.postfix("stop")
        with peer:
            etc = peer.path("etc")
            out = subprocess.run(["/usr/sbin/postqueue", "-c", etc, "-j"], text=True,
                                 stdout=subprocess.PIPE, timeout=60).stdout
            tap.like(out, r'"delay_reason": "mail transport unavailable"',
                     "the peer reads our reasons")
            subprocess.run(["/usr/sbin/postqueue", "-c", etc, "-f"], check=True, timeout=60)
            # It dies of SIGPIPE where pickup was quicker than it.
            wait_until(lambda: subprocess.run(["/usr/sbin/postkick", "-c", etc, "public", "pickup", "W"],
                                              timeout=60).returncode == 0, "a word to the peer's pickup")
            want = {"bob": ["submitted"], "x": ["long one", "short one"],
                    "y": ["long one", "short one"]}
            try:
                wait_until(lambda: boxes(peer.path("mail")) == want, "the peer delivers", 30)
            except TimeoutError:
                print(peer.log())
            tap.equal(boxes(peer.path("mail")), want, "the peer delivers what waited")
            subprocess.run(["/usr/sbin/postsuper", "-c", etc, "-H", "ALL"], check=True, timeout=60,
                           stderr=subprocess.DEVNULL)
            subprocess.run(["/usr/sbin/postqueue", "-c", etc, "-f"], check=True, timeout=60)
            want["x"] = ["long held", "long one", "short held", "short one"]
            wait_until(lambda: boxes(peer.path("mail")) == want, "the peer delivers", 30)
            tap.ok(True, "and what was held")
    except BaseException:
        print("# " + ours.log().replace("\n", "\n# "))
        raise
    finally:
        ours.close()


def main():
    versions = sorted(re.search(r"postfix-([\d.]+)-spool.tar.gz", name).group(1)
                      for name in os.listdir(DATA) if name.endswith("-spool.tar.gz"))
    tap.ok(len(versions) >= 2, f"spools of Postfix {' '.join(versions)}")
    for version in versions:
        test_from_peer(version)
    if os.geteuid() != 0 or not os.path.exists(peer_postfix.DAEMONS + "/smtpd"):
        tap.skip("no real Postfix, or not root", "our spool is delivered by a real Postfix")
    else:
        test_to_peer()
    tap.done()


main()
