#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A private instance of Postcote, with root's walls, as a target of the benchmarks.

  ours.py start  --stage DIR [--dir DIR] [--base 31000] [--name NAME]
                 [--only postfix|dovecot]
  ours.py stop   [--dir DIR]
  ours.py config --stage DIR ...       only write the configuration

The programs are those that `make stage` put below the stage directory; they are copied.  Missing
accounts (postfix, postdrop, dovecot, dovenull) are made.  The configuration is the peers', without
the parts that have no daemon yet.
"""

import argparse
import grp
import pwd
import shutil

import bench_config as config

# Daemons of the peers' master.cf that are not there yet.
ABSENT = {"local", "proxymap", "proxywrite", "verify"}
PROTOCOLS = ["pop3"]


def make_accounts():
    groups = {entry.gr_name for entry in grp.getgrall()}
    users = {entry.pw_name for entry in pwd.getpwall()}
    if "postdrop" not in groups:
        config.run("groupadd", "--system", "postdrop")
    for user in ("postfix", "dovecot", "dovenull"):
        if user not in users:
            config.run("useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                       "/nonexistent", "--shell", "/usr/sbin/nologin", user)


def master_cf(at):
    """The peers' master.cf without the services in ABSENT."""
    kept, keep = [], True
    for line in config.master_cf(at).splitlines():
        if not line.startswith(" "):
            keep = line.split()[0] not in ABSENT
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"


def write(at, stage):
    make_accounts()
    at.prepare(pwd.getpwnam("postfix").pw_uid)
    shutil.rmtree(at.dir / "usr", ignore_errors=True)
    shutil.copytree(stage, at.dir / "usr", symlinks=True)
    (at.postfix / "main.cf").write_text(config.main_cf(at, ""), encoding="ascii")
    (at.postfix / "master.cf").write_text(master_cf(at), encoding="ascii")
    at.dovecot_conf.write_text(config.dovecot_conf(at, PROTOCOLS, "hp"), encoding="ascii")
    at.write_tables()


def commands(at):
    sbin = at.dir / "usr/sbin"
    postfix = f"{sbin}/postfix -c {at.postfix}"
    dovecot = f"{sbin}/dovecot -c {at.dovecot_conf}"
    return {"smtp_start": f"{postfix} start", "smtp_stop": f"{postfix} stop",
            "smtp_reload": f"{postfix} reload", "flush": f"{sbin}/postqueue -c {at.postfix} -f",
            "purge": f"{sbin}/postsuper -c {at.postfix} -d ALL",
            "postmap": f"{sbin}/postmap -c {at.postfix}",
            "imap_start": dovecot, "imap_stop": f"{dovecot} stop",
            "imap_reload": f"{dovecot} reload"}


def start(at, name, only):
    command, pids = commands(at), {}
    if only != "postfix":
        config.run(*command["imap_start"].split())
        config.wait_for_banner(at.ports["pop3"])
        pids["imap"] = config.read_pid(at.dovecot_pid)
    if only != "dovecot":
        config.run(*command["smtp_start"].split())
        config.wait_for_banner(at.ports["smtp"])
        pids["smtp"] = config.read_pid(at.postfix_pid)
    at.write_target(name, pids, command, absent=("imap", "imaps"))


def stop(at):
    command = commands(at)
    config.run(*command["smtp_stop"].split(), check=False)
    config.run(*command["imap_stop"].split(), check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["start", "stop", "config"])
    parser.add_argument("--stage")
    parser.add_argument("--dir", default="/tmp/bench-ours")
    parser.add_argument("--base", type=int, default=31000)
    parser.add_argument("--name", default="postcote")
    parser.add_argument("--only", choices=["postfix", "dovecot"])
    args = parser.parse_args()
    at = config.Layout(args.dir, args.base)
    if args.command == "stop":
        stop(at)
        return
    if not args.stage:
        parser.error("--stage is needed: the directory that make stage wrote")
    write(at, args.stage)
    if args.command == "start":
        start(at, args.name, args.only)


if __name__ == "__main__":
    main()
