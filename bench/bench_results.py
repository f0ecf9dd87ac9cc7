# SPDX-License-Identifier: BSD-2-Clause
"""Results: files of JSON lines, a row per run, and the medians of their figures."""

import json
import statistics


def load(paths):
    rows = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            rows += [json.loads(line) for line in f if line.strip()]
    return rows


def numbers(rows, name):
    """The values of a figure in ROWS."""
    values = [row.get(name) for row in rows]
    return [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]


def group(rows, *names):
    """{(values of NAMES): rows}, in the order of the file."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def medians(rows):
    """{(target, bench, case): {figure: median}}; n is the number of rows."""
    result = {}
    for key, members in group(rows, "target", "bench", "case").items():
        figures = {"n": len(members)}
        for name in dict.fromkeys(name for row in members for name in row):
            values = numbers(members, name)
            if values and name != "time":
                figures[name] = statistics.median(values)
        result[key] = figures
    return result
