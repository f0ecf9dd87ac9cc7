#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""tables.py [--figures NAME,...] results.jsonl...    medians as Markdown, a table per benchmark

With more than one target each figure has a column per target."""

import argparse

import bench_results

SKIPPED = set("""n load accepted delivered rc threads size ops accepts roundtrips rx messages
    client_cpu_per_1000 psi failed""".split())


def number(value):
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def tables(medians):
    """{bench: {case: {target: figures}}}"""
    result = {}
    for (target, bench, case), figures in medians.items():
        result.setdefault(bench, {}).setdefault(case, {})[target] = figures
    return result


def print_table(bench, cases, wanted):
    targets = list(dict.fromkeys(target for row in cases.values() for target in row))
    names = dict.fromkeys(name for row in cases.values() for figures in row.values()
                          for name in figures)
    names = [name for name in names if (name in wanted if wanted else name not in SKIPPED)]
    columns = [(name, target) for name in names for target in targets
               if any(row.get(target, {}).get(name) for row in cases.values())]
    print(f"\n**{bench}**\n")
    print("| case | " + " | ".join(f"{name} {target}" for name, target in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for case, row in cases.items():
        values = (number(row.get(target, {}).get(name)) for name, target in columns)
        print(f"| {case} | " + " | ".join(values) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", default="")
    parser.add_argument("results", nargs="+")
    args = parser.parse_args()
    wanted = [name for name in args.figures.split(",") if name]
    medians = bench_results.medians(bench_results.load(args.results))
    for bench, cases in tables(medians).items():
        print_table(bench, cases, wanted)


if __name__ == "__main__":
    main()
