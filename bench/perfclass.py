#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where CPU goes, by system call and library.

  perf record -e cpu-clock -F 499 -a -g -o FILE -- sleep 8
  perf script -i FILE -F comm,pid,ip,sym,dso | perfclass.py [COMMAND...]

Prints the share of samples of the commands (of all, without any) by class: system calls, page
faults, interrupts, and user code by shared object."""

import collections
import re
import sys

GROUPS = [
    ("processes and memory", r"sys (execve|clone\w*|v?fork|exit\w*|wait4|m(un)?map|mprotect|brk|"
                             r"arch_prctl)$|page fault|ret_from_fork"),
    ("syncs", r"sys f(data)?sync$"),
    ("files", r"sys (openat|unlink\w*|rename\w*|link\w*|newfstat\w*|statx|mkdir\w*|f?chmod\w*|"
              r"f?chown\w*|access|utime\w*|getdents\w*|creat)$"),
    ("reading and writing", r"sys (p?read\w*|p?write\w*|sendto|recvfrom|sendmsg|recvmsg|accept4?|"
                            r"connect|socket\w*|shutdown|close|[sg]etsockopt|bind|listen)$"),
    ("waiting", r"sys (ppoll|poll|epoll\w*|select)$"),
    ("threads", r"sys futex"),
    ("other system calls", r"sys |syscall"),
    ("interrupts", r"interrupt|kernel other"),
    ("TLS and digests", r"user lib(ssl|crypto|crypt)"),
    ("libc and loader", r"user (libc|ld-)"),
    ("own code", r"user "),
]
SYSTEM_CALL = re.compile(r"__(?:x64|se|do|ia32)_sys_(\w+)")
FRAME = re.compile(r"\s+[0-9a-f]+ (.*?) \((.*)\)$")


def samples(lines):
    """(command, [(symbol, object)]) for each sample, the innermost frame first."""
    command, stack = None, []
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if command and stack:
                yield command, stack
            command, stack = None, []
        elif command is None:
            command = line.rsplit(None, 1)[0].strip()
        else:
            frame = FRAME.match(line)
            if frame:
                stack.append((frame.group(1).split("+")[0], frame.group(2)))
    if command and stack:
        yield command, stack


def classify(stack):
    names = [symbol for symbol, _ in stack]
    for name in names:
        call = SYSTEM_CALL.match(name)
        if call:
            return "sys " + call.group(1)
    for pattern, what in (("exc_page_fault", "page fault"), ("ret_from_fork", "ret_from_fork"),
                          ("sysvec|irq|common_interrupt", "interrupt"),
                          ("syscall", "syscall entry/exit")):
        if any(re.search(pattern, name) for name in names):
            return what
    if "kernel" in stack[0][1] or stack[0][1] == "[unknown]":
        return "kernel other"
    return "user " + stack[0][1].rsplit("/", 1)[-1]


def main():
    commands = set(sys.argv[1:])
    classes, by_command = collections.Counter(), collections.Counter()
    for command, stack in samples(sys.stdin):
        if not commands or command in commands:
            classes[classify(stack)] += 1
            by_command[command] += 1
    total = sum(classes.values())
    if total == 0:
        sys.exit("no samples")
    print("samples", total, " ".join(f"{name}={count / total:.0%}"
                                     for name, count in by_command.most_common(10)))
    groups = collections.Counter()
    for name, count in classes.items():
        groups[next(group for group, pattern in GROUPS if re.match(pattern, name))] += count
    for group, _ in GROUPS:
        if groups[group]:
            print(f"  {groups[group] / total:6.1%} {group}")
    print("  top:", ", ".join(f"{name} {count / total:.1%}"
                              for name, count in classes.most_common(22)))


if __name__ == "__main__":
    main()
