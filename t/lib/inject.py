# SPDX-License-Identifier: BSD-2-Clause
"""System calls of running processes that fail, or during which the process dies, by strace(1)."""

import os
import shutil
import subprocess

import tap


def find():
    """Skips the whole test where that cannot be done."""
    if os.geteuid() != 0:
        tap.skip_all("needs root, to trace processes that are not dumpable")
    if not shutil.which("strace"):
        tap.skip_all("no strace")


class Inject:
    """While the block runs, in each thread of PIDS, what HOW says (strace's -e inject=) happens to the
    calls that are named in CALLS, separated by commas; afterwards, hits counts them."""

    def __init__(self, pids, calls, how, output):
        self.output = output
        self.count = len(pids)
        self.command = ["strace", "-f", "-o", output, "-e", f"trace={calls}",
                        "-e", f"inject={calls}:{how}"]
        for pid in pids:
            self.command += ["-p", str(pid)]
        self.hits = 0
        self.said = ""

    def __enter__(self):
        self.strace = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(self.count):  # "strace: Process 1 attached with 2 threads"
            line = self.strace.stderr.readline()
            while line and "attached" not in line and "No such process" not in line:
                line = self.strace.stderr.readline()
        return self

    def __exit__(self, *exc):
        self.strace.terminate()
        try:
            self.said = self.strace.communicate(timeout=1)[1]
        except subprocess.TimeoutExpired:  # it may hang on a thread that died with its process
            self.strace.kill()
            self.said = self.strace.communicate()[1]
        with open(self.output, encoding="ascii", errors="replace") as f:
            text = f.read()
        self.hits = text.count("(INJECTED)") + text.count("killed by SIGKILL")
