# SPDX-License-Identifier: BSD-2-Clause
"""The target of a benchmark, and what its processes cost: CPU, memory, system calls."""

import collections
import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
SMTP, IMAP, BOTH = ("smtp",), ("imap",), ("smtp", "imap")
SYNC_CALLS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")

Process = collections.namedtuple("Process", "parent cpu name")


def _own_cpu(pid, ticks):
    """Seconds of CPU of the living threads: schedstat is exact, stat cut to a tick."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        nanoseconds = 0
        for task in tasks:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                nanoseconds += int(f.read().split()[0])
        return max(ticks / TICKS, nanoseconds / 1e9)
    except (OSError, ValueError, IndexError):
        return ticks / TICKS


def processes():
    """{pid: Process}; the CPU of a process is its own and that of its reaped children."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        name, fields = stat.split("(", 1)[1].rsplit(")", 1)
        fields = fields.split()
        ticks = [int(field) for field in fields[11:15]]
        cpu = _own_cpu(pid, ticks[0] + ticks[1]) + (ticks[2] + ticks[3]) / TICKS
        found[int(pid)] = Process(int(fields[1]), cpu, name)
    return found


def pss_kib(pid):
    """Proportional set size, or None of a process that is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


class Target:
    """What target.json describes."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.description = json.load(f)
        self.host = self.description["host"]
        self.ports = self.description["ports"]
        self.name = self.description["name"]
        self.commands = self.description.get("cmd", {})

    def __getitem__(self, key):
        return self.description[key]

    def get(self, key, default=None):
        return self.description.get(key, default)

    def maildir(self, name):
        return self["maildir"].replace("%n", name)

    def roots(self, roles):
        """Pids of the masters, also after they were started again."""
        pids = []
        for role in roles:
            pid = self["pids"].get(role)
            try:
                pid = int(pathlib.Path(self.commands.get(role + "_pidfile", "")).read_text(
                    encoding="ascii"))
            except (OSError, ValueError):
                pass
            if pid and pid not in pids:
                pids.append(pid)
        return pids

    def tree(self, roles=BOTH):
        """{pid: Process} of the masters and all below them."""
        everything = processes()
        children = collections.defaultdict(list)
        for pid, process in everything.items():
            children[process.parent].append(pid)
        todo, found = self.roots(roles), {}
        while todo:
            pid = todo.pop()
            if pid in everything and pid not in found:
                found[pid] = everything[pid]
                todo += children[pid]
        return found

    def cpu(self, roles=BOTH):
        return sum(process.cpu for process in self.tree(roles).values())

    def cpu_by_name(self, roles=BOTH):
        by_name = collections.Counter()
        for process in self.tree(roles).values():
            by_name[process.name] += process.cpu
        return by_name

    def memory(self, roles=BOTH):
        """Sum of PSS in KiB, and the number of processes."""
        sizes = [size for size in map(pss_kib, self.tree(roles)) if size is not None]
        return sum(sizes), len(sizes)

    def memory_of(self, name, roles=SMTP):
        pids = [pid for pid, process in self.tree(roles).items() if process.name == name]
        return sum(pss_kib(pid) or 0 for pid in pids)

    def run(self, key, timeout=300):
        """Runs the command of that name, where there is one; returns its exit status."""
        command = self.commands.get(key)
        if not command:
            return None
        with tempfile.TemporaryFile() as output:
            return subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=output, timeout=timeout).returncode


def kernel_memory():
    """KiB."""
    values = {}
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            name, value = line.split(":")
            values[name] = int(value.split()[0])
    return {"kernel": values["Slab"] + values["KernelStack"] + values["PageTables"],
            "available": values["MemAvailable"]}


def pressure_us():
    """Microseconds so far in which some task waited for a CPU."""
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as f:
            return int(f.readline().rsplit("=", 1)[1])
    except OSError:
        return 0


def context_switches():
    """Of the whole machine."""
    with open("/proc/stat", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("ctxt"))


class Meter:
    """CPU of the target's processes, context switches and pressure over a with block."""

    def __init__(self, target, roles):
        self.target, self.roles = target, roles

    def __enter__(self):
        self.by_name = self.target.cpu_by_name(self.roles)
        self.pressure, self.switches, self.wall = pressure_us(), context_switches(), time.time()
        return self

    def __exit__(self, *exc):
        self.wall = max(time.time() - self.wall, 1e-3)
        self.switches = context_switches() - self.switches
        self.psi = round((pressure_us() - self.pressure) / 1e6 / self.wall, 2)
        after = self.target.cpu_by_name(self.roles)
        self.cpu = sum(after.values()) - sum(self.by_name.values())
        spent = {name: round(after[name] - self.by_name[name], 2) for name in after}
        self.cpu_by = {name: cpu for name, cpu in spent.items() if cpu > 0.01}


def count_calls(target, roles, work, seconds_after=1.0):
    """Counter of the system calls of the target's processes during WORK(), which strace slows."""
    with tempfile.NamedTemporaryFile("r", prefix="bench-strace-") as summary:
        argv = ["strace", "-f", "-c", "-qq", "-o", summary.name]
        for pid in target.tree(roles):
            argv += ["-p", str(pid)]
        tracer = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1.5)
            work()
            time.sleep(seconds_after)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        finally:
            tracer.kill()
        calls = collections.Counter()
        for line in open(summary.name, encoding="ascii"):
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
                calls[fields[-1]] += int(fields[3])
        return calls


def call_figures(calls, messages):
    """What a row says about counted calls."""
    return {"syncs_per_msg": round(sum(calls[name] for name in SYNC_CALLS) / messages, 2),
            "syscalls_per_msg": round(sum(calls.values()) / messages, 1),
            "top": {name: round(count / messages, 2) for name, count in calls.most_common(30)}}
