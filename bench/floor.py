#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The least work that still stores every message before its 250, as a target for smtp-in and
smtp-strace: a yardstick to judge ratios by, not a server.

  floor.py start --peers DIR [--dir DIR] [--port 30199] [--group 0|1] [--tools DIR]
  floor.py stop  [--dir DIR]

Runs sink with -m (see sink.c for --group).  Accounts and certificates are those that peers.py made
in its DIR.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess

import bench_config as config
from bench_run import find_tools


def start(directory, args):
    peers = json.loads((pathlib.Path(args.peers) / "target.json").read_text(encoding="utf-8"))
    (directory / "mail").mkdir(parents=True, exist_ok=True)
    argv = [str(find_tools(args.tools) / "sink"), "-p", str(args.port), "-C", peers["cert"],
            "-K", peers["key"], "-m", str(directory / "mail"), "-g", args.group]
    sink = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            start_new_session=True)
    config.wait_for_banner(args.port)
    (directory / "pid").write_text(str(sink.pid), encoding="ascii")
    target = {key: peers[key] for key in ("host", "domain", "users", "ca", "cert", "key")}
    target.update(name=f"floor-g{args.group}", maildir=f"{directory}/mail/%n", mail_owner=[0, 0],
                  ports={"smtp": args.port, "smtp_scale": args.port}, pids={"smtp": sink.pid})
    (directory / "target.json").write_text(json.dumps(target, indent=1), encoding="utf-8")
    print(directory / "target.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["start", "stop"])
    parser.add_argument("--dir", default="/tmp/bench-floor")
    parser.add_argument("--peers", default="/tmp/bench-peers")
    parser.add_argument("--port", type=int, default=30199)
    parser.add_argument("--group", choices=["0", "1"], default="0")
    parser.add_argument("--tools")
    args = parser.parse_args()
    directory = pathlib.Path(args.dir).resolve()
    if args.command == "start":
        start(directory, args)
        return
    pid = config.read_pid(directory / "pid")
    comm = pathlib.Path(f"/proc/{pid}/comm")
    if pid and comm.exists() and comm.read_text(encoding="ascii").strip() == "sink":
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
