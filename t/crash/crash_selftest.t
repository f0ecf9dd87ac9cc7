#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Proves that recorder and replayer find what a power cut breaks, and nothing else."""
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import check_suite
import disks

T_DISK = check_suite.find_program("t_disk")
RECORDER = check_suite.find_program("recorder")

GOOD = ["rename_ok", "tmpfile_ok", "tmpfile_proc_dir_ok", "dsync_ok", "copy_ok", "pass_fd_ok",
    "threads_ok", "new_dir_ok", "shared_sync_ok", "jailed_ok", "daemon_ok", "killed_ok",
    "chroot_ok", "exec_ok"]
BAD = ["rename_bad", "rename_one_dir_bad", "tmpfile_bad", "half_synced_bad", "sync_first_bad",
    "say_first_bad", "copy_bad", "pass_fd_bad", "new_dir_bad", "shared_sync_bad", "jailed_bad"]

MANY = ["killed_ok", "exec_ok"]

tests = 0


def ok(good, name, why=""):
    global tests
    tests += 1
    print(f"{'ok' if good else 'not ok'} {tests} - {name}")
    if not good:
        for line in str(why).splitlines():
            print("#", line)
    sys.stdout.flush()
    return good


def prepare(name):
    """A fresh tmp/ and new/ that an unprivileged process may write too."""
    top = os.path.join(scratch, name)
    for path in (top, os.path.join(top, "tmp"), os.path.join(top, "new")):
        os.mkdir(path)
        os.chmod(path, 0o777)
    return top


def run(name, **options):
    top = prepare(name)
    trace = os.path.join(scratch, name + ".trace")
    options.setdefault("slow_sync_ms", 100 if name.startswith("shared_sync") else 0)
    return check_suite.record([T_DISK, name, top], [top], trace, timeout=120, **options), top


def token_in(path):
    """The id of a message that is complete."""
    with open(path, "rb") as f:
        data = f.read().decode("latin-1")
    head, _, rest = data.partition("\n\n")
    ident = head[len("Subject: token-"):]
    return ident if rest == "x" * 3000 + f"\nend-{ident}\n" else None


def find_messages(dirs, slot):
    found = set()
    for top in dirs.values():
        for base, _, names in os.walk(os.path.join(top, "new")):
            found.update(token_in(os.path.join(base, name)) for name in names)
    return found


def enumerate_disks(trace, name, **options):
    tokens = {mark.id: mark.id for mark in trace.marks}
    workdir = os.path.join(scratch, name + ".disks")
    return check_suite.run_enumeration(trace.states(**options), lambda dirs, slot: None,
        find_messages, tokens, workdir)


def test_good(name):
    trace, top = run(name)
    # killed processes leave hundreds of names unsynced: 10^5 disks
    result = enumerate_disks(trace, name, sample=300 if name in MANY else None)
    fine = trace.marks and result.checked and not result.failures
    ok(fine, f"{name}: nothing is lost ({result.checked} disks)", result.report())
    test_same(trace, top, name)


def test_bad(name):
    trace, _ = run(name)
    result = enumerate_disks(trace, name)
    ok(result.failures, f"{name}: the loss is found", result.report())
    described = all("after call" in f.description and "lost" in f.reason
        for f in result.failures)
    ok(described, f"{name}: and described", result.report())


def test_sample():
    trace, _ = run("threads_ok", slow_sync_ms=1)
    states = list(trace.states(sample=40))
    again = list(trace.states(sample=40))
    ok(len(states) == 40, "a sample has the size that was asked for", len(states))
    ok([s.digest for s in states] == [s.digest for s in again], "and is the same again")
    whole = list(trace.states())
    ok(len({s.digest for s in whole}) == len(whole) == trace.count(), "no disk comes twice")
    small, _ = run("rename_bad")
    marks = len(small.marks)
    near = [s for s in small.states(sample=5) if len(s.marks) == marks]
    ok(near, "disks right after a promise are in the smallest sample")


def test_sample_fresh():
    """The sample's own recordings, beside those of the cases."""
    global scratch
    outer, scratch = scratch, os.path.join(scratch, "sample")
    os.mkdir(scratch)
    os.chmod(scratch, 0o755)
    test_sample()
    scratch = outer


def describe(top):
    """What must be the same in two directories."""
    tree = {}
    for base, dirs, names in os.walk(top):
        for name in dirs + names:
            path = os.path.join(base, name)
            st = os.lstat(path)
            what = [stat.filemode(st.st_mode), st.st_uid, st.st_gid, None, None]
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what[3] = f.read()
                what[4] = st.st_nlink
            elif stat.S_ISLNK(st.st_mode):
                what[3] = os.readlink(path)
            if st.st_mtime == 1e9:
                what.append(st.st_mtime_ns)
            tree[os.path.relpath(path, top)] = what
    return tree


def test_same(trace, top, name):
    """The replayed disk after the last call is the real one."""
    copy = os.path.join(scratch, name + ".copy")
    trace.final().materialize({top: copy})
    want, got = describe(top), describe(copy)
    wrong = [f"{k}: want {want.get(k)} got {got.get(k)}"
        for k in sorted(want.keys() | got.keys()) if want.get(k) != got.get(k)]
    ok(not wrong, f"{name}: the replay ends as the recording did", "\n".join(wrong))


def test_calls():
    trace, top = run("calls")
    test_same(trace, top, "calls")
    synced = [s for s in trace.states() if s.disk == "A"][-1]
    ok(synced.digest == trace.final().digest, "sync makes everything durable")


def test_refused():
    try:
        run("mapped")
        ok(False, "a writable map is refused")
    except disks.TraceError as error:
        ok("mmap" in str(error), "a writable map is refused", error)
    path = os.path.join(scratch, "mapped.trace")
    trace = disks.Trace.load(path, ignore=["*/new/map"])
    ok(trace.count() > 3, "unless it is ignored by name")
    top = prepare("uring")
    done = subprocess.run([RECORDER, "-o", top + ".trace", "-w", top, "--", T_DISK,
        "uring", top], stderr=subprocess.PIPE)
    ok(done.returncode == 125 and b"io_uring" in done.stderr, "io_uring is refused",
        done.stderr)


def pids_with(word):
    """Processes that have the word in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if word.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def wait_for(condition):
    for _ in range(250):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_deadline():
    top = prepare("hang")
    done = subprocess.run([RECORDER, "-t", "1", "-o", top + ".trace", "-w", top,
        "--", T_DISK, "hang", top], stderr=subprocess.DEVNULL, timeout=60)
    ok(done.returncode == 124, "a deadline ends the recording", done.returncode)
    # the kernel kills them as the recorder ends; they may need a moment to be gone
    ok(wait_for(lambda: not pids_with(top)), "and nobody is left behind", pids_with(top))


def test_renames():
    """Which disks an unsynced rename makes is the caller's choice."""
    trace = disks.Trace.load(os.path.join(scratch, "rename_bad.trace"))
    old, new = (os.path.join(trace.roots[0], name) for name in ("tmp/A", "new/A"))

    def names(**options):
        return {tuple(sorted(s.files())) for s in trace.states(**options) if s.marks}

    ok(names() == {(old,), (new,), (new, old), ()}, "a rename leaves each of four disks",
        names())
    # () is disk A then: not even the first name was synced
    ok(names(renames=["old"]) == {(old,), (new,), ()}, "or only what a journal leaves",
        names(renames=["old"]))


class Suite:
    """Stands for a mail suite: what lies in tmp/ is its queue, which it delivers."""
    running = 0
    slots = set()

    def __init__(self, dirs, slot):
        for top in dirs.values():
            for name in os.listdir(os.path.join(top, "tmp")):
                os.rename(os.path.join(top, "tmp", name), os.path.join(top, "new", name))
        Suite.running += 1
        Suite.slots.add(slot)

    def stop(self):
        Suite.running -= 1


def test_driver():
    trace = disks.Trace.load(os.path.join(scratch, "copy_bad.trace"))
    tokens = {"A": "A"}
    workdir = os.path.join(scratch, "driver")
    result = check_suite.run_enumeration(trace.states(), Suite, find_messages, tokens, workdir,
        keep=True)
    ok(result.failures and len(os.listdir(workdir)) == len(result.failures),
        "the disks that fail are kept", result.report())
    ok(Suite.running == 0, "every suite is stopped", Suite.running)

    def refuse(dirs, slot):
        raise RuntimeError("does not start")

    result = check_suite.run_enumeration(trace.states(), refuse, find_messages, tokens,
        os.path.join(scratch, "refused"))
    ok(len(result.failures) == result.checked and "does not start" in result.report(),
        "a suite that does not start is a failure", result.report())
    try:
        check_suite.run_enumeration(trace.states(), Suite, find_messages, {},
            os.path.join(scratch, "unknown"))
        ok(False, "a promise without token is an error")
    except KeyError:
        ok(True, "a promise without token is an error")


def test_killed_recorder():
    top = prepare("left")
    recorder = subprocess.Popen([RECORDER, "-o", top + ".trace", "-w", top, "--",
        T_DISK, "hang", top])
    wait_for(lambda: len(pids_with(top)) >= 3)
    recorder.kill()
    recorder.wait()
    ok(wait_for(lambda: not pids_with(top)), "a killed recorder takes its tracees along")
    try:
        disks.Trace.load(top + ".trace")
        ok(False, "an incomplete trace is refused")
    except disks.TraceError:
        ok(True, "an incomplete trace is refused")


def test_signal():
    top = prepare("signal")
    started = os.path.join(top, "new", "started")
    recording = check_suite.Recording(["sh", "-c", f"trap 'exit 7' TERM; echo > {started}; "
        "while :; do sleep 0.05; done"], [top], top + ".trace", timeout=10)
    wait_for(lambda: os.path.exists(started))
    trace = recording.finish()
    ok(recording.process.returncode == 7, "SIGTERM reaches the command",
        recording.process.returncode)
    ok(trace.count() > 1, "and the trace is complete")


def test_failing_sync():
    """A sync that is made to fail is seen by the program, and makes nothing durable."""
    global scratch
    outer, scratch = scratch, os.path.join(scratch, "failing")
    os.mkdir(scratch)
    os.chmod(scratch, 0o755)
    try:
        run("rename_ok", fail_each=1)
        ok(False, "the program sees that a sync fails")
    except disks.TraceError as error:
        ok("status" in str(error), "the program sees that a sync fails", error)
    with open(os.path.join(scratch, "rename_ok.trace"), "rb") as f:
        trace = f.read()
    ok(b" ok=0" in trace and b" ok=1" not in trace and b"\nmark " not in trace,
       "the trace has it as failed, and nothing is promised")
    scratch = outer


def main():
    for name in GOOD:
        test_good(name)
    for name in BAD:
        test_bad(name)
    test_renames()
    test_calls()
    test_refused()
    test_sample_fresh()
    test_driver()
    test_deadline()
    test_killed_recorder()
    test_signal()
    test_failing_sync()
    print(f"1..{tests}")


scratch = tempfile.mkdtemp(prefix="crash.", dir=os.environ.get("TMPDIR"))
os.chmod(scratch, 0o755)
try:
    main()
finally:
    if not os.environ.get("CRASH_KEEP"):
        shutil.rmtree(scratch)
