# SPDX-License-Identifier: BSD-2-Clause
"""A real Dovecot 2.3 and ours, each over a dovecot.conf of its own in a directory of its own."""

import os
import shutil
import signal
import subprocess

from instance import stage, wait_until


def program(*files):
    """Real Dovecot's, when it and FILES are installed; ours is in the stage, not in /usr."""
    found = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    if not found or not all(os.path.exists(name) for name in files):
        return None
    result = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60,
                            check=False)
    is_real = result.stdout.startswith("2.3.") and "postcote" not in result.stdout.lower()
    return found if is_real else None


def programs():
    """It and its doveadm, by name, or None."""
    found = {"dovecot": program(), "doveadm": shutil.which("doveadm", path="/usr/sbin:/usr/bin")}
    return found if all(found.values()) else None


class Dovecot:
    """A running one.  CONFIG is formatted with "dir"; wait for the sockets NAMES in dir/run."""

    def __init__(self, directory, config, names, real):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o755)
        path = self.path("dovecot.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(config.format(dir=directory))
        argv = [program(), "-F", "-c", path] if real else \
            [os.path.join(stage(), "libexec/postcote/master"), "-i", "-D", path]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/",
                                        env=dict(os.environ, LC_ALL="C"))
        try:
            wait_until(lambda: all(os.path.exists(self.path("run", n)) for n in names), "sockets")
        except BaseException:
            self.close()
            raise

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def log(self):
        try:
            with open(self.path("log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
