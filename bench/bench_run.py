# SPDX-License-Identifier: BSD-2-Clause
"""What every benchmark is given: the target, how often and how much to run, where rows go, and the
load driver."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def find_tools(given):
    """The directory of ld, sink and limits: as given, or where `make bench-tools` puts them."""
    for path in ([given] if given else []) + [HERE.parent / "build/bench", HERE]:
        if (pathlib.Path(path) / "ld").exists():
            return pathlib.Path(path).resolve()
    raise SystemExit("the tools are not built: make bench-tools (or name --tools DIR)")


class Run:
    def __init__(self, target, tools, out=None, reps=3, is_quick=False):
        self.target, self.tools, self.out = target, find_tools(tools), out
        self.reps, self.is_quick = reps, is_quick
        self.filter = None
        self._users = {}

    def wants(self, case):
        return not self.filter or re.search(self.filter, case)

    def repeat(self, case, times=None):
        """A range over the repetitions of CASE: empty when the filter leaves it out."""
        return range(times or self.reps) if self.wants(case) else range(0)

    def emit(self, bench, case, **figures):
        row = dict(target=self.target.name, bench=bench, case=case, time=round(time.time()),
                   load=round(os.getloadavg()[0], 2), **figures)
        line = json.dumps(row)
        if self.out:
            self.out.write(line + "\n")
            self.out.flush()
        print(line, flush=True)

    def users(self, count, domain=None):
        """A file of the first COUNT users, perhaps in another domain."""
        key = (count, domain)
        if key not in self._users:
            text = pathlib.Path(self.target["users"]).read_text(encoding="ascii")
            text = "\n".join(text.splitlines()[:count]) + "\n"
            if domain:
                text = text.replace("@" + self.target["domain"], "@" + domain)
            with tempfile.NamedTemporaryFile("w", prefix="bench-users-", delete=False) as f:
                f.write(text)
            self._users[key] = f.name
        return self._users[key]

    def close(self):
        for path in self._users.values():
            os.unlink(path)

    def argv(self, script, port=None, unix=None, slots=1, sessions=1, size=1024, tls=False,
             users=None, first_user=0, idle=120, extra=(), **variables):
        """Of the load driver; VARIABLES are the script's."""
        to = ["-x", unix] if unix else ["-h", self.target.host, "-p", str(port)]
        argv = [str(self.tools / "ld"), *to, "-c", str(slots), "-n", str(sessions),
                "-s", str(size), "-t", str(idle), "-A", self.target["ca"],
                "-U", users or self.target["users"], "-k", str(first_user), *extra]
        if tls:
            argv.append("-T")
        for name, value in variables.items():
            argv += ["-v", f"{name}={value}"]
        return argv + [str(HERE / "scripts" / script)]

    def load(self, script, timeout=600, **options):
        """Runs the driver to its end; returns what it says."""
        done = subprocess.run(self.argv(script, **options), capture_output=True, text=True,
                              timeout=timeout)
        try:
            return Load(json.loads(done.stdout.strip().splitlines()[-1]))
        except (IndexError, ValueError):
            return Load({"elapsed": 0, "sessions": 0, "failed": options.get("sessions", 1),
                         "client_cpu": 0, "error": done.stderr[:300], "stats": {}, "rx": 0,
                         "held_all": 0})

    def hold(self, script, **options):
        """Starts the driver with a script that holds all its sessions."""
        return Held(self.argv(script, **options))


class Load(dict):
    """What the driver said."""

    def count(self, name):
        return self["stats"].get(name, {}).get("count", 0)

    def rate(self, name):
        return round(self["stats"].get(name, {}).get("rate", 0), 1)

    def ms(self, name, quantile):
        return round(self["stats"].get(name, {}).get(quantile, 0) * 1e3, 2)

    def per_second(self, count):
        return round(count / self["elapsed"], 1) if self["elapsed"] else 0

    def failures(self):
        return {"failed": self["failed"], "error": self["error"][:120]}


class Held:
    """Sessions that wait, all at once, until release()."""

    def __init__(self, argv):
        self.driver = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        line = self.driver.stdout.readline()
        self.count = int(line.split()[1]) if line.startswith("HELD") else 0
        self.first_line = line

    def go(self):
        """Lets the sessions go on."""
        try:
            self.driver.stdin.write("go\n")
            self.driver.stdin.flush()
        except OSError:
            pass

    def release(self):
        """Returns the Load."""
        self.go()
        return self.end()

    def end(self):
        """Waits for the sessions' end; returns the Load."""
        text = self.driver.stdout.read().strip() or self.first_line
        self.driver.stdin.close()
        self.driver.wait()
        return Load(json.loads(text.splitlines()[-1]))
