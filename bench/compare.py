#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs benchmarks on two targets in turn and prints what B is better by.

  compare.py A.json B.json [--rounds 3] [--quick] [--tools DIR] [-o DIR] BENCH[:filter]...
  compare.py --results A.jsonl B.jsonl

The order is A B, B A, A B ..., so that the machine's drift hits both alike.  A ratio above 1 is in
favour of B.  Figures are medians; "spread" is the larger of both (max - min) / median: a ratio
nearer to 1 than that says nothing.  --start and --stop ('A=command') let targets that share ports,
or that have to be fresh, take turns.
"""

import argparse
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

import bench_results

HERE = pathlib.Path(__file__).resolve().parent
MORE_IS_BETTER = """per_s accept_per_s sessions_per_s retr_per_s commands_per_s setup_per_s
    per_s_incl_scan inject_per_s held accepted delivered""".split()
LESS_IS_BETTER = """cpu_per_1000 cpu_ms_per_conn cpu_ms_per_session cpu_ms_per_auth cpu_ms_per_cmd
    cpu_ms_per_setup p50_ms p99_ms pss_kib_per_conn pss_kib_per_session kernel_kib_per_conn
    kernel_kib_per_session avail_kib_per_conn avail_kib_per_session select_s command_s total_s
    cpu_s seconds bytes syncs_per_msg syscalls_per_msg ctxt_per_msg first_banner_s
    reload_banner_s idle_pss_kib qmgr_pss_kib qmgr_pss_kib_peak tree_pss_kib banner_p50_ms
    banner_p99_ms notify_p50_ms max_ms cpu_first_20s""".split()


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def print_figures(key, rows):
    """ROWS: those of A and those of B."""
    for name in MORE_IS_BETTER + LESS_IS_BETTER:
        values = [bench_results.numbers(side, name) for side in rows]
        if not all(values):
            continue
        a, b = map(statistics.median, values)
        if a <= 0 or b <= 0:
            continue
        ratio = b / a if name in MORE_IS_BETTER else a / b
        print(f"{key[0]:12} {key[1]:34} {name:22} {a:12.4g} {b:12.4g} {ratio:10.2f}x "
              f"{max(map(spread, values)):6.0%}")


def print_failures(key, rows):
    """Returns whether there were any."""
    failed = sum(row.get("failed") or 0 for row in rows)
    lost = sum(row["accepted"] - row["delivered"] for row in rows
               if row.get("accepted") is not None and row.get("delivered") is not None)
    if not failed and not lost and not any(row["case"] == "EXCEPTION" for row in rows):
        return False
    error = next((row["error"] for row in rows if row.get("error")), "")
    print(f"  !! {rows[0]['target']}: {' '.join(key)}: {failed} failed sessions, "
          f"{lost} messages accepted and not delivered ({error})")
    return True


def report(files):
    a, b = (bench_results.group(bench_results.load([path]), "bench", "case") for path in files)
    print(f"{'benchmark':12} {'case':34} {'figure':22} {'A':>12} {'B':>12} {'B better by':>11} "
          f"{'spread':>7}")
    bad = 0
    for key in dict.fromkeys([*a, *b]):
        if key in a and key in b:
            print_figures(key, (a[key], b[key]))
        for side in (a, b):
            bad += key in side and print_failures(key, side[key])
    if bad:
        print(f"\n{bad} case(s) with failures: their ratios do not count")


def run_hooks(hooks, side):
    for hook in hooks:
        name, command = hook.split("=", 1)
        if name == side:
            subprocess.run(shlex.split(command), check=True, stdout=subprocess.DEVNULL)


def run_turn(args, bench, i, out):
    run_hooks(args.start, "AB"[i])
    argv = [sys.executable, str(HERE / "bench.py"), "run", "-t", args.targets[i], "-o", out,
            "--reps", "1", bench]
    argv += ["--quick"] if args.quick else []
    argv += ["--tools", args.tools] if args.tools else []
    subprocess.run(argv, stdout=subprocess.DEVNULL)  # a failure is a row, too
    run_hooks(args.stop, "AB"[i])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs=2)
    parser.add_argument("bench", nargs="*", default=["smtp-in", "pop3"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tools")
    parser.add_argument("-o", "--out")
    parser.add_argument("--results", action="store_true")
    parser.add_argument("--start", action="append", default=[])
    parser.add_argument("--stop", action="append", default=[])
    args = parser.parse_intermixed_args()
    if args.results:
        report(args.targets)
        return
    directory = args.out or tempfile.mkdtemp(prefix="bench-compare-")
    os.makedirs(directory, exist_ok=True)
    files = [f"{directory}/A.jsonl", f"{directory}/B.jsonl"]
    for number in range(args.rounds):
        for bench in args.bench:
            for i in (0, 1) if number % 2 == 0 else (1, 0):
                run_turn(args, bench, i, files[i])
    report(files)
    print(f"\nresults in {directory}")


if __name__ == "__main__":
    main()
