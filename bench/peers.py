#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A private instance of the installed Postfix and Dovecot as a target of the benchmarks.

  peers.py start  [--dir DIR] [--base 30000] [--mode hp] [--name NAME] [--only postfix|dovecot]
  peers.py stop   [--dir DIR]
  peers.py config [--dir DIR] ...      only write the configuration

Modes of Dovecot: hs   a login process per connection and a mailbox process per session, as shipped
                  hp   shared login processes, reused mailbox processes
                  hib  hp with imap_hibernate_timeout=5s
Nothing outside of DIR is touched, and only the recorded masters are signalled.
"""

import argparse
import os
import pathlib
import pwd
import signal
import time

import bench_config as config

PROGRAMS = """\
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
"""


def dovecot_extra(at, mode):
    """What only the peer needs: limits of services that Postcote has not, LMTP, its state."""
    text = f"state_dir = {at.dir}/dovecot-state\ninstance_name = bench-{at.dir.name}\n"
    text += f"maildir_very_dirty_syncs = {'no' if mode == 'hs' else 'yes'}\n"
    for service in ("anvil", "stats"):
        text += f"service {service} {{\n  client_limit = 30000\n}}\n"
    return text + f"""\
service lmtp {{
  process_min_avail = {0 if mode == 'hs' else 2}
  unix_listener {at.dir}/lmtp {{
    mode = 0666
  }}
}}
"""


def write(at, mode):
    at.prepare(pwd.getpwnam("postfix").pw_uid)
    (at.dir / "dovecot-state").mkdir(exist_ok=True)
    (at.postfix / "main.cf").write_text(config.main_cf(at, PROGRAMS),
                                        encoding="ascii")
    (at.postfix / "master.cf").write_text(config.master_cf(at), encoding="ascii")
    at.dovecot_conf.write_text(config.dovecot_conf(at, ["imap", "pop3", "lmtp"], mode)
                               + dovecot_extra(at, mode), encoding="ascii")
    at.write_tables()
    for table in ("vmailbox", "transport"):
        config.run("postmap", "-c", at.postfix, f"hash:{at.postfix}/{table}")


def start(at, args):
    pids = {}
    if args.only != "postfix":
        config.run("dovecot", "-c", at.dovecot_conf)
        config.wait_for_banner(at.ports["imap"])
        pids["imap"] = config.read_pid(at.dovecot_pid)
    if args.only != "dovecot":
        config.run("postfix", "-c", at.postfix, "start")
        config.wait_for_banner(at.ports["smtp"])
        pids["smtp"] = config.read_pid(at.postfix_pid)
    postfix = f"postfix -c {at.postfix}"
    at.write_target(args.name or f"postfix+dovecot-{args.mode}", pids, {
        "smtp_start": f"{postfix} start", "smtp_stop": f"{postfix} stop",
        "smtp_reload": f"{postfix} reload", "flush": f"postqueue -c {at.postfix} -f",
        "purge": f"postsuper -c {at.postfix} -d ALL", "postmap": f"postmap -c {at.postfix}",
        "imap_start": f"dovecot -c {at.dovecot_conf}",
        "imap_reload": f"doveadm -c {at.dovecot_conf} reload"})


def stop(at):
    for path in (at.postfix_pid, at.dovecot_pid):
        pid = config.read_pid(path)
        comm = pathlib.Path(f"/proc/{pid}/comm")
        if pid == 0 or not comm.exists() or comm.read_text().strip() not in ("master", "dovecot"):
            continue
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while config.is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["start", "stop", "config"])
    parser.add_argument("--dir", default="/tmp/bench-peers")
    parser.add_argument("--base", type=int, default=30000)
    parser.add_argument("--mode", choices=["hs", "hp", "hib"], default="hp")
    parser.add_argument("--name")
    parser.add_argument("--only", choices=["postfix", "dovecot"])
    args = parser.parse_args()
    at = config.Layout(args.dir, args.base)
    if args.command == "stop":
        stop(at)
        return
    write(at, args.mode)
    if args.command == "start":
        start(at, args)


if __name__ == "__main__":
    main()
