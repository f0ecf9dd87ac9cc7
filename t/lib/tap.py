# SPDX-License-Identifier: BSD-2-Clause
"""The Test Anything Protocol for black-box tests: ok(), equal(), like(), skip_all(), done()."""

import re
import sys
import traceback

_count = 0
_failed = 0


def ok(passed, name, detail=""):
    """Prints one test line; the detail is shown when it failed."""
    global _count, _failed
    _count += 1
    if not passed:
        _failed += 1
    print(f"{'ok' if passed else 'not ok'} {_count} - {name}", flush=True)
    if not passed and detail != "":
        note(detail)
    return bool(passed)


def equal(got, want, name):
    return ok(got == want, name, f"got:  {got!r}\nwant: {want!r}")


def like(text, pattern, name):
    return ok(re.search(pattern, text, re.M), name, f"no match for /{pattern}/ in:\n{text}")


def unlike(text, pattern, name):
    return ok(not re.search(pattern, text, re.M), name, f"/{pattern}/ matches in:\n{text}")


def note(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def skip(reason, name):
    """One test that cannot run here, with the reason."""
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {reason}", flush=True)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def done():
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed else 0)


def run(*tests):
    """Runs each function; an exception fails that test and the next one still runs."""
    for test in tests:
        try:
            test()
        except Exception:
            ok(False, f"{test.__name__} ended with an exception", traceback.format_exc())
    done()
