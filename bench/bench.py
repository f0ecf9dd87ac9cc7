#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks of a mail server that a target.json describes (README.md).

  bench.py list
  bench.py run -t target.json [-o results.jsonl] [--reps N] [--quick] [--tools DIR]
               BENCH[:filter]...
  bench.py show results.jsonl...       medians
"""

import argparse
import resource
import sys
import time
import traceback

import bench_auth
import bench_host
import bench_imap
import bench_mailbox
import bench_pop3
import bench_queue
import bench_results
import bench_smtp
from bench_run import Run
from bench_target import Target

BENCHES = {
    "limits": bench_host.limits,
    "smtp-in": bench_smtp.smtp_in,
    "smtp-lmtp": bench_smtp.smtp_lmtp,
    "smtp-strace": bench_smtp.smtp_strace,
    "slow-sync": bench_smtp.slow_sync,
    "connscale": bench_smtp.connscale,
    "burst": bench_smtp.burst,
    "pop3": bench_pop3.pop3,
    "pop3-idle": bench_pop3.pop3_idle,
    "imap-box": bench_imap.imap_box,
    "imap-append": bench_imap.imap_append,
    "imap-session": bench_imap.imap_session,
    "imaptest": bench_imap.imaptest,
    "imap-idle": bench_imap.imap_idle,
    "notify": bench_imap.notify,
    "relay": bench_queue.relay,
    "drain": bench_queue.drain,
    "deferred": bench_queue.deferred,
    "auth": bench_host.auth,
    "auth-flood": bench_auth.flood,
    "table": bench_host.table,
    "startup": bench_host.startup,
}
FILES = 200000


def raise_file_limit():
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    except (ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run_all(run, wanted):
    """Returns the number of benchmarks that failed; the others are run."""
    failed = 0
    for item in wanted:
        name, _, run.filter = item.partition(":")
        try:
            BENCHES[name](run)
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            run.emit(name, "EXCEPTION", error=f"{type(error).__name__}: {error}"[:200])
            failed += 1
    return failed


def show(paths):
    for (target, bench, case), figures in bench_results.medians(bench_results.load(paths)).items():
        text = " ".join(f"{name}={value:g}" for name, value in figures.items())
        print(f"{target:20} {bench:12} {case:34} {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["list", "run", "show"])
    parser.add_argument("args", nargs="*")
    parser.add_argument("-t", "--target", default="/tmp/bench-ours/target.json")
    parser.add_argument("-o", "--out")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tools")
    args = parser.parse_intermixed_args()
    if args.command == "list":
        for name, bench in BENCHES.items():
            print(f"{name:13} {bench.__doc__}")
        return 0
    if args.command == "show":
        show(args.args)
        return 0
    unknown = [item for item in args.args if item.partition(":")[0] not in BENCHES]
    if unknown:
        parser.error(f"no such benchmark: {' '.join(unknown)}")
    raise_file_limit()
    out = open(args.out, "a", encoding="utf-8") if args.out else None
    run = Run(Target(args.target), args.tools, out, args.reps, args.quick)
    try:
        return 1 if run_all(run, args.args or list(BENCHES)) else 0
    finally:
        run.close()
        bench_mailbox.empty_trash()
        time.sleep(6)  # ext4 is slow until it has forgotten them


if __name__ == "__main__":
    sys.exit(main())
