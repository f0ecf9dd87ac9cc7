#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Our clients of the auth protocols against a real Dovecot 2.3, and its doveadm against authd."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import peer_dovecot  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position
from instance import stage, wait_until  # pylint: disable=wrong-import-position

CONFIG = """
base_dir = {dir}/{name}
state_dir = {dir}/{name}-state
log_path = {dir}/{name}.log
protocols =
ssl = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:/mail/%d/%n
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid=5000 gid=5000 home=/mail/%d/%n
}}
"""

# What is asked of both, with doveadm: arguments and exit code.
QUESTIONS = [
    (["user", "alice@a.test"], 0),
    (["user", "-f", "home", "alice@a.test"], 0),
    (["user", "nobody@a.test"], 67),
    (["user", "alice@a.test", "bob@a.test"], 0),
    (["user", "*"], 75),
    (["auth", "test", "alice@a.test", "alice"], 0),
    (["auth", "test", "alice@a.test", "wrong"], 77),
    (["auth", "test", "nobody@a.test", "wrong"], 77),
    (["pw", "-t", "{PLAIN}a", "-p", "a"], 0),
    (["pw", "-t", "{PLAIN}a", "-p", "b"], 75),
    (["pw", "-s", "NONSENSE", "-p", "b"], 75),
    (["user"], 64),
]


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def ask(program, config, args):
    return subprocess.run([program, "-c", config, *args], capture_output=True, text=True,
                          timeout=60, check=False, env=dict(os.environ, LC_ALL="C"))


def settle(text):
    """Without blank lines, whose place depends on the peer's buffers."""
    return [line for line in text.splitlines() if line.strip()]


def compare(where, programs, config):
    ours, theirs = os.path.join(stage(), "sbin/doveadm"), programs["doveadm"]
    for args, code in QUESTIONS:
        name = f"{where}: doveadm {' '.join(args)}"
        mine, other = ask(ours, config, args), ask(theirs, config, args)
        tap.equal((mine.returncode, other.returncode), (code, code), name + ": exit code")
        tap.equal(settle(mine.stdout), settle(other.stdout), name + ": output")


def test_real_server(programs, directory):
    config = os.path.join(directory, "real.conf")
    write(config, CONFIG.format(dir=directory, name="real"))
    subprocess.run([programs["dovecot"], "-c", config], check=True, timeout=60)
    try:
        wait_until(lambda: os.path.exists(directory + "/real/auth-userdb"), "dovecot")
        compare("Dovecot", programs, config)
    finally:
        subprocess.run([programs["doveadm"], "-c", config, "stop"], check=False, timeout=60)


def test_authd(programs, directory):
    config = os.path.join(directory, "ours.conf")
    write(config, CONFIG.format(dir=directory, name="ours"))
    with subprocess.Popen([os.path.join(stage(), "libexec/postcote/master"), "-i", "-D", config],
                          stdin=subprocess.DEVNULL, cwd="/") as master:
        try:
            wait_until(lambda: os.path.exists(directory + "/ours/auth-userdb"), "authd")
            compare("authd", programs, config)
        finally:
            master.terminate()
            master.wait(30)


def run_all():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    programs = peer_dovecot.programs()
    if not programs:
        tap.skip_all("no Dovecot 2.3 is installed (dovecot-core)")
    directory = tempfile.mkdtemp(prefix="postcote-peer-")
    os.chmod(directory, 0o755)
    write(directory + "/users", "alice@a.test:{PLAIN}alice::::::\nbob@a.test:{PLAIN}bob::::::\n")
    try:
        test_real_server(programs, directory)
        test_authd(programs, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tap.done()


run_all()
