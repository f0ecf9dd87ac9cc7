#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The model of disks.py, as a table: what was called, and every disk that may then be found."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from disks import State, Trace
from replay import RENAMES, Record, Replay

META = {"mode": "600", "uid": "0", "gid": "0", "mtime": "1.0"}

# Directories w and w/d (ids 1 and 2) and the file w/old (3, "o") are there from the start. Calls:
#   create DIR NAME ID    mkdir DIR NAME ID     tmpfile ID    link DIR NAME ID
#   unlink DIR NAME       rename DIR NAME DIR NAME ID         swap DIR NAME DIR NAME ID ID
#   write ID OFFSET TEXT  dsync ID OFFSET TEXT  trunc ID SIZE chmod ID MODE
#   begin S ID WHAT       end S    fail S       sync ID       data ID    syncfs
# Disks: "name=contents ..." sorted, names relative to w; the first one is A, the second all of B.
CASES = [
    ("a file without any sync", "create 1 f 4; write 4 0 abcd",
        ["old=o", "f=abcd old=o", "f= old=o", "f=0000 old=o", "f=ab old=o"]),
    ("a synced file without a name", "create 1 f 4; write 4 0 abcd; sync 4",
        ["old=o", "f=abcd old=o"]),
    ("a name without contents", "create 1 f 4; sync 1; write 4 0 abcd",
        ["f= old=o", "f=abcd old=o", "f=0000 old=o", "f=ab old=o"]),
    ("all synced", "create 1 f 4; write 4 0 abcd; sync 4; sync 1",
        ["f=abcd old=o", "f=abcd old=o"]),
    ("fdatasync is enough for contents", "create 1 f 4; write 4 0 abcd; data 4; sync 1",
        ["f=abcd old=o", "f=abcd old=o"]),
    ("fdatasync of a directory is not", "create 1 f 4; write 4 0 abcd; sync 4; data 1",
        ["old=o", "f=abcd old=o"]),
    ("syncfs", "create 1 f 4; write 4 0 abcd; syncfs", ["f=abcd old=o", "f=abcd old=o"]),
    ("a sync that failed", "create 1 f 4; write 4 0 ab; sync 4; begin 1 1 file; fail 1",
        ["old=o", "f=ab old=o"]),
    ("a sync that has not returned", "create 1 f 4; write 4 0 ab; sync 4; begin 1 1 file",
        ["old=o", "f=ab old=o"]),
    ("a name made during a sync",
        "create 1 f 4; sync 4; begin 1 1 file; create 1 g 5; end 1",
        ["f= old=o", "f= g= old=o"]),
    ("bytes written during a sync",
        "create 1 f 4; sync 1; write 4 0 ab; begin 1 4 file; write 4 2 cd; end 1",
        ["f=ab old=o", "f=abcd old=o", "f=ab00 old=o", "f=abc old=o"]),
    ("syncs that overlap, the later one back first",
        "create 1 f 4; sync 1; begin 1 4 file; write 4 0 ab; begin 2 4 file; end 2; end 1",
        ["f=ab old=o", "f=ab old=o"]),
    ("syncs that overlap, only the first one back",
        "create 1 f 4; sync 1; begin 1 4 file; write 4 0 ab; begin 2 4 file; end 1",
        ["f= old=o", "f=ab old=o", "f=00 old=o", "f=a old=o"]),
    ("O_DSYNC makes its own bytes durable",
        "create 1 f 4; sync 1; write 4 0 ab; dsync 4 2 cd",
        ["f=00cd old=o", "f=abcd old=o"]),
    ("O_DSYNC over bytes that are synced later",
        "create 1 f 4; sync 1; write 4 0 ab; begin 1 4 file; dsync 4 0 X; end 1",
        ["f=Xb old=o", "f=Xb old=o"]),
    ("O_TMPFILE without link", "tmpfile 4; write 4 0 ab; sync 4", ["old=o", "old=o"]),
    ("O_TMPFILE, linked", "tmpfile 4; write 4 0 ab; sync 4; link 1 f 4",
        ["old=o", "f=ab old=o"]),
    ("O_TMPFILE, linked and synced", "tmpfile 4; write 4 0 ab; sync 4; link 1 f 4; sync 1",
        ["f=ab old=o", "f=ab old=o"]),
    ("an unlink", "unlink 1 old", ["old=o", ""]),
    ("an unlink, synced", "unlink 1 old; sync 1", ["", ""]),
    ("a name that came and went", "create 1 f 4; unlink 1 f", ["old=o", "old=o", "f= old=o"]),
    ("a rename across directories", "rename 1 old 2 new 3",
        ["old=o", "d/new=o", "d/new=o old=o", ""]),
    ("and the old name's directory synced", "rename 1 old 2 new 3; sync 1",
        ["", "d/new=o"]),
    ("and the new name's directory synced", "rename 1 old 2 new 3; sync 2",
        ["d/new=o old=o", "d/new=o"]),
    ("and both synced", "rename 1 old 2 new 3; sync 1; sync 2", ["d/new=o", "d/new=o"]),
    ("a rename in one directory", "rename 1 old 1 new 3", ["old=o", "new=o", "new=o old=o", ""]),
    ("a rename over another file",
        "create 1 f 4; write 4 0 n; sync 4; sync 1; rename 1 f 1 old 4",
        ["f=n old=o", "old=n", "f=n old=n", "old=o"]),
    ("two renames of one file", "rename 1 old 2 a 3; sync 1; sync 2; rename 2 a 2 b 3",
        ["d/a=o", "d/b=o", "d/a=o d/b=o", ""]),
    ("a rename that another one followed", "rename 1 old 2 a 3; rename 2 a 2 b 3",
        ["old=o", "d/b=o", "d/b=o old=o", "d/a=o", "d/a=o d/b=o", ""]),
    ("link, sync, unlink never loses", "link 2 new 3; sync 2; unlink 1 old",
        ["d/new=o old=o", "d/new=o"]),
    ("an exchange", "create 2 f 4; write 4 0 n; sync 4; sync 2; swap 1 old 2 f 3 4",
        ["d/f=n old=o", "d/f=o old=n", "d/f=o old=o", "d/f=n old=n"]),
    ("a new directory", "mkdir 1 e 4; create 4 f 5; sync 5; sync 4", ["old=o", "e/f= old=o"]),
    ("a new directory, synced in its parent", "mkdir 1 e 4; create 4 f 5; sync 5; sync 4; sync 1",
        ["e/f= old=o", "e/f= old=o"]),
    ("a file cut short", "trunc 3 0", ["old=o", "old="]),
    ("a file made longer", "trunc 3 3", ["old=o", "old=o00"]),
    ("overwritten bytes", "write 3 0 XY", ["old=o", "old=XY", "old=o0", "old=X"]),
    ("a mode", "chmod 3 700", ["old=o", "old=o(700)"]),
    ("a mode, synced", "chmod 3 700; sync 3", ["old=o(700)", "old=o(700)"]),
    ("a mode, only its bytes synced", "chmod 3 700; data 3", ["old=o", "old=o(700)"]),
]


def record(n, verb, data=None, **keys):
    keys = {key: str(value) for key, value in keys.items()}
    keys.update(n=str(n), t=f"{n}.0", who="test[1]")
    keys.setdefault("call", verb)
    return Record(verb, keys, data)


def sync(n, number, ident, what):
    return [record(n, "begin", s=number, id=ident, what=what),
        record(n + 1, "end", s=number, ok=1)]


def parse_call(n, verb, args):
    if verb in ("create", "mkdir"):
        kind = "d" if verb == "mkdir" else "f"
        return [record(n, "create", dir=args[0], name=args[1], id=args[2], type=kind, **META)]
    if verb == "tmpfile":
        return [record(n, verb, id=args[0], **META)]
    if verb in ("link", "unlink"):
        return [record(n, verb, dir=args[0], name=args[1], id=(args + [0])[2])]
    if verb in ("rename", "swap"):
        more = {"xchg": 1, "victim": args[5]} if verb == "swap" else {}
        return [record(n, "rename", odir=args[0], oname=args[1], ndir=args[2], nname=args[3],
            id=args[4], **more)]
    if verb in ("write", "dsync"):
        return [record(n, "write", args[2].encode(), id=args[0], off=args[1],
            sync=int(verb == "dsync"))]
    if verb == "trunc":
        return [record(n, verb, id=args[0], size=args[1])]
    if verb == "chmod":
        return [record(n, "meta", id=args[0], **{**META, "mode": args[1]})]
    return parse_sync(n, verb, args)


def parse_sync(n, verb, args):
    if verb == "begin":
        return [record(n, verb, s=args[0], id=args[1], what=args[2])]
    if verb in ("end", "fail"):
        return [record(n, "end", s=args[0], ok=int(verb == "end"))]
    if verb == "syncfs":
        return sync(n, 100 + n, 0, "all")
    return sync(n, 100 + n, args[0], "data" if verb == "data" else "file")


def parse(script):
    dir_meta = {**META, "mode": "700"}
    records = [record(0, "watch", id=1, path="/w"), record(0, "node", id=1, type="d", **dir_meta),
        record(0, "node", id=2, type="d", **dir_meta), record(0, "entry", dir=1, name="d", id=2),
        record(0, "node", b"o", id=3, type="f", **META),
        record(0, "entry", dir=1, name="old", id=3)]
    for i, call in enumerate(script.split(";")):
        verb, *args = call.split()
        records += parse_call(1 + 2 * i, verb, args)
    return records


def show(replay, variant):
    disk, changes, _ = variant
    entries, nodes = disk.copy_with(changes)
    state = State("", "", 0, (), 0, dict(replay.roots), entries, nodes)
    words = []
    for path, ident in state._walk(1, "", {1}):
        node = nodes[ident]
        if node.type == "f":
            mode = "" if node.mode == 0o600 else f"({node.mode:o})"
            words.append(f"{path}={node.data.decode()}{mode}".replace("\0", "0"))
    return " ".join(sorted(words))


def check(script, want):
    """None, or what is wrong."""
    replay = Replay()
    records = parse(script)
    for rec in records:
        replay.feed(rec)
    got = [show(replay, v) for v in replay.variants(records[-1], (RENAMES, None))]
    if got[:2] != want[:2] or set(got) != set(want):
        return f"want {want}\ngot {got}"
    whole = Trace(records)
    whole.marks = ()
    digests = [state.digest for state in whole.states()]
    return None if len(set(digests)) == len(digests) else "a disk comes twice"


def main():
    for number, (name, script, want) in enumerate(CASES, 1):
        wrong = check(script, want)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in (wrong or "").splitlines():
            print("#", line)
    print(f"1..{len(CASES)}")


main()
