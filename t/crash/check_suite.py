# SPDX-License-Identifier: BSD-2-Clause
"""Starts a mail suite on every disk that a power cut may leave, and looks for the mail.

    recording = Recording(["master", ...], ["/run/spool", "/run/mail"], "trace")
    ... send mail ...
    trace = recording.finish()
    result = run_enumeration(trace.states(), start_suite, find_messages, tokens, workdir)
    assert not result.failures, result.report()

start_suite(dirs, slot) starts the suite on the directories and returns when it has settled: when it
has delivered, deferred or thrown away what it found. dirs maps each recorded directory to the one
with the disk; slot is the number of the worker (for ports and the like). It returns None or an
object whose stop() ends the suite; if it raises, that is a failure of this disk.

find_messages(dirs, slot) returns the tokens of all messages that are in a mailbox or in the spool.
It is called while the suite runs.

tokens maps the queue id of a mark to what identifies the message (a word in its Subject or
Message-ID), or to a list of such (a message for each of its recipients). A promise without token is
an error of the caller.
"""
import os
import shutil
import subprocess
import threading
from collections import namedtuple

import disks

HERE = os.path.dirname(os.path.abspath(__file__))


def find_program(name):
    """A program of ours: beside this file, or in the build directory that the tests run in."""
    built = os.path.join(os.environ.get("PC_BUILDDIR", os.getcwd()), "t/crash", name)
    for path in (os.path.join(HERE, name), built):
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{name} is not built")


Failure = namedtuple("Failure", "description reason digest")


class Recording:
    """A command that runs under the recorder, for drivers that talk to it meanwhile.

    It has begun when the constructor returns; when the command has started is the caller's to find
    out. The watched directories are as they are found then, and count as synced.
    """

    def __init__(self, command, watch, trace_path, timeout=120, regex=None, slow_sync_ms=0,
            fail_each=0, **popen):
        self.trace_path = trace_path
        args = [find_program("recorder"), "-t", str(timeout), "-o", trace_path]
        args += ["-m", regex] if regex else []
        args += ["-s", str(slow_sync_ms)] if slow_sync_ms else []
        args += ["-f", str(fail_each)] if fail_each else []
        for directory in watch:
            args += ["-w", directory]
        env = dict(popen.pop("env", os.environ))
        # the leak checker cannot work under a tracer
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.process = subprocess.Popen(args + ["--"] + list(command), env=env, **popen)

    def finish(self, ignore=(), terminate=True):
        """Ends the command (SIGTERM), waits until all its processes are gone; the Trace."""
        if terminate:
            self.process.terminate()
        status = self.process.wait()
        if status in (124, 125) or status < 0:
            raise disks.TraceError(f"the recorder failed, status {status}")
        return disks.Trace.load(self.trace_path, ignore=ignore)


def record(command, watch, trace_path, ignore=(), **options):
    """Records a command that ends by itself, with status 0; options as for Recording."""
    recording = Recording(command, watch, trace_path, **options)
    trace = recording.finish(ignore, terminate=False)
    if recording.process.returncode:
        raise disks.TraceError(f"{command[0]}: status {recording.process.returncode}")
    return trace


def remove_tree(top):
    """Also directories that their owner may not write."""
    for base, names, _ in os.walk(top):
        for name in names:
            path = os.path.join(base, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(top)


class Result:
    """What run_enumeration found: checked disks, failures."""

    def __init__(self):
        self.checked = 0
        self.failures = []

    def report(self, limit=10):
        lines = [f"{len(self.failures)} of {self.checked} disks fail"]
        for failure in self.failures[:limit]:
            lines.append(f"{failure.reason}: {failure.description}")
        return "\n".join(lines)


class Enumeration:
    """States shared out among the workers."""

    def __init__(self, states, start_suite, find_messages, tokens, workdir, keep):
        self.states = iter(states)
        self.start_suite = start_suite
        self.find_messages = find_messages
        self.tokens = tokens
        self.workdir = workdir
        self.keep = keep
        self.lock = threading.Lock()
        self.result = Result()
        self.broken = None  # what ended the enumeration, other than a bad disk

    def next(self):
        with self.lock:
            if self.broken:
                return None, 0
            state = next(self.states, None)
            self.result.checked += state is not None
            return state, self.result.checked

    def fail(self, state, reason):
        with self.lock:
            failure = Failure(state.description, reason, f"{state.digest:032x}")
            self.result.failures.append(failure)

    def work(self, slot):
        try:
            while True:
                state, number = self.next()
                if state is None:
                    return
                self.check(state, number, slot)
        except Exception as error:
            with self.lock:
                self.broken = self.broken or error

    def check(self, state, number, slot):
        base = os.path.join(self.workdir, f"disk.{number}")
        dirs = {root: os.path.join(base, f"{i}.{os.path.basename(root)}")
            for i, root in enumerate(state.roots)}
        wanted = set()
        for mark in state.marks:
            tokens = self.tokens[mark.id]
            wanted.update([tokens] if isinstance(tokens, str) else tokens)
        os.makedirs(base)
        os.chmod(base, 0o755)
        state.materialize(dirs)
        bad = self.try_disk(dirs, wanted, slot)
        if bad:
            self.fail(state, bad)
        if not (bad and self.keep):
            remove_tree(base)

    def try_disk(self, dirs, wanted, slot):
        """Why the disk fails, or None."""
        suite = None
        try:
            suite = self.start_suite(dirs, slot)
            lost = wanted - set(self.find_messages(dirs, slot))
            return f"lost {', '.join(sorted(lost))}" if lost else None
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            if suite is not None:
                suite.stop()


def run_enumeration(states, start_suite, find_messages, tokens, workdir, workers=2, keep=False):
    """Checks each state; returns a Result. keep leaves the disks that fail under workdir."""
    run = Enumeration(states, start_suite, find_messages, tokens, workdir, keep)
    os.makedirs(workdir, exist_ok=True)
    threads = [threading.Thread(target=run.work, args=(slot,)) for slot in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if run.broken:
        raise run.broken
    run.result.failures.sort()
    return run.result
