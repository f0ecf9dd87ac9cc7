# SPDX-License-Identifier: BSD-2-Clause
"""The disks that a power cut may leave, made from a trace of the recorder.

    trace = Trace.load("trace", ignore=["*/index/lock.mdb"])
    for state in trace.states(sample=200):
        state.materialize({"/the/recorded/spool": "/new/empty/dir", ...})

The model
=========

A disk is a set of inodes (contents, mode, owner, a time that was set) and a set of names:
(directory, name) -> inode. A crash point lies after each record of the trace that changes a disk or
adds a mark. Two disks are kept up to date along the trace:

now     All calls have reached the disk.

A       Only what was synced has. A sync covers what stands in the trace *before its begin*, once
        its end is reached and it succeeded:
        - fsync and fdatasync of a file: its bytes and its size. fsync also: mode, owner, times.
          O_DSYNC and the like: the bytes of that one write.
        - fsync of a directory: its names, and the directory's own mode and owner. (fdatasync of a
          directory is not trusted with names.) That a file was synced says nothing about any of
          its names.
        - sync, syncfs (of the watched file system): everything.

A name that is durable of an inode that was never synced leads to an empty file with the mode that
it was created with. An inode without a durable name is gone: so ends O_TMPFILE without link, and
all that lies in a directory whose own name is not durable.

The disks at a crash point are A, the disk now ("disk B: all that was written"), and disks B that
are the disk now less exactly one of

    a directory operation   create, mkdir, symlink, link, unlink: as if it had not happened. The
                            name leads where the call before left it. rename has two halves, the
                            old name's end and the new name's begin, which are durable by fsync of
                            their own directories; so the disk has old name, new name, both, or
                            neither. (states(renames=...) chooses; a file system with one journal
                            makes a rename in one piece: "both" and "neither" are for the others.)
    a file's data           its bytes since the last sync: gone (the old size and bytes), zeros (the
                            new size, old bytes as far as there were any), torn (of the last write
                            the first half arrived).
    an inode's metadata     mode, owner and set times as of the last fsync.

Names in one directory are independent of each other but for that. What is superseded is not taken
back: that an unlinked name was once created has no influence on any disk.

A mark before a crash point is a promise that binds every disk of it. A disk that can arise at
several crash points is produced once, with the marks of the last of them, which are the most.

A sync that failed makes nothing durable, but a later one that succeeds does, which is more than
Linux promises: a program must not try again.

Not modelled: extended attributes, holes, access and change times; several losses at once except in
A; contents of files that were mapped writable (see Trace.load).
"""
import bisect
import os
import random
import stat
import sys

from replay import Mark, RENAMES, Replay, TraceError, read_records

__all__ = ["Mark", "RENAMES", "State", "Trace", "TraceError"]


class State:
    """One disk. marks: the promises it must keep; description: where it comes from."""

    def __init__(self, description, disk, n, marks, digest, roots, entries, nodes):
        self.description = description
        self.disk = disk
        self.n = n
        self.marks = marks
        self.digest = digest
        self.roots = roots
        self.entries = entries
        self.nodes = nodes
        self._children = None

    def __repr__(self):
        return f"<State {self.description}>"

    def children(self, ident):
        if self._children is None:
            self._children = {}
            for (directory, name), child in sorted(self.entries.items()):
                self._children.setdefault(directory, []).append((name, child))
        return self._children.get(ident, [])

    def _walk(self, ident, prefix, above):
        for name, child in self.children(ident):
            path = os.path.join(prefix, name)
            yield path, child
            if self.nodes[child].type == "d" and child not in above:
                yield from self._walk(child, path, above | {child})

    def files(self):
        """{recorded path: contents} of the regular files, without touching a disk."""
        found = {}
        for root, ident in self.roots.items():
            for path, child in self._walk(ident, root, {ident}):
                if self.nodes[child].type == "f":
                    found[path] = self.nodes[child].data
        return found

    def materialize(self, dir_map):
        """Writes the disk. dir_map: recorded directory -> a new or empty directory."""
        for root, ident in self.roots.items():
            self._materialize_root(ident, dir_map[root])

    def _materialize_root(self, root, target):
        os.makedirs(target, exist_ok=True)
        if os.listdir(target):
            raise TraceError(f"{target}: is not empty")
        dirs = [(target, self.nodes[root])]
        made = {}
        for path, ident in self._walk(root, target, {root}):
            node = self.nodes[ident]
            if ident in made and node.type != "d":
                os.link(made[ident], path, follow_symlinks=False)
                continue
            made[ident] = path
            make_inode(path, node)
            if node.type == "d":
                dirs.append((path, node))
            else:
                set_meta(path, node)
        # last, and deepest first: a directory may forbid writing, and writing sets its time
        for path, node in reversed(dirs):
            set_meta(path, node)


def make_inode(path, node):
    if node.type == "f":
        with open(path, "xb") as f:
            f.write(node.data)
    elif node.type == "d":
        os.mkdir(path, 0o700)
    elif node.type == "l":
        os.symlink(node.target, os.fsencode(path))
    elif node.type == "p":
        os.mkfifo(path)
    elif node.type == "s":
        os.mknod(path, stat.S_IFSOCK | 0o600)


def set_meta(path, node):
    if os.geteuid() == 0:
        os.chown(path, node.uid, node.gid, follow_symlinks=False)
    if node.type == "l":
        return
    os.chmod(path, node.mode)
    seconds, _, fraction = node.mtime.partition(".")
    mtime = int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9] or 0)
    os.utime(path, ns=(mtime, mtime))


class Trace:
    """A recording."""

    def __init__(self, records, ignore=()):
        self.records = records
        self.ignore = tuple(ignore)
        self._index = {}

    @classmethod
    def load(cls, path, ignore=(), partial=False):
        """Reads a trace.

        ignore: globs over full recorded paths. Files that match may be written through
        memory maps, and no disk B lacks something of theirs, or their names. Any other file that is mapped
        writable raises TraceError here. partial accepts a trace whose recorder was killed.
        """
        records = list(read_records(path))
        if not partial and (not records or records[-1].verb != "exit"):
            raise TraceError(f"{path}: the recording did not come to its end")
        trace = cls(records, ignore)
        replay = Replay(trace.ignore)
        for rec in records:
            replay.feed(rec)
        trace.marks = tuple(replay.marks)
        trace.roots = tuple(replay.roots)
        return trace

    def _points(self, labelled=None):
        """(replay, record, label) at each crash point; labels only for those numbers."""
        replay = Replay(self.ignore)
        for rec in self.records:
            label = replay.label(rec) if labelled and rec.n in labelled else None
            if replay.feed(rec):
                yield replay, rec, label

    def _scan(self, how):
        """{digest: (n of its last occurrence, place there, n of the first)}"""
        if how not in self._index:
            seen = {}
            for replay, rec, _ in self._points():
                for place, variant in enumerate(replay.variants(rec, how)):
                    self._note(seen, rec.n, place, variant)
            self._index[how] = seen
        return self._index[how]

    @staticmethod
    def _note(seen, n, place, variant):
        disk, changes, _ = variant
        digest = disk.digest_with(changes)
        last, _, first = seen.get(digest, (0, 0, n))
        if last != n:
            seen[digest] = (n, place, first)

    def count(self, renames=RENAMES, horizon=None):
        """How many different disks there are."""
        return len(self._scan((tuple(renames), horizon)))

    def _near_marks(self, seen):
        """Crash points at a mark, and the next one after it."""
        points = sorted({n for n, _, _ in seen.values()})
        near = set()
        for mark in self.marks:
            after = bisect.bisect_right(points, mark.n)
            near.add(mark.n)
            near.update(points[after:after + 1])
        return near

    def _choose(self, seen, sample, seed):
        everything = sorted((n, place) for n, place, _ in seen.values())
        if sample is None or sample >= len(everything):
            return set(everything)
        near_points = self._near_marks(seen)
        near = [e for e in everything if e[0] in near_points]
        if len(near) >= sample:
            return set(spread(near, sample, seed))
        rest = [e for e in everything if e[0] not in near_points]
        return set(near) | set(spread(rest, sample - len(near), seed))

    def states(self, sample=None, seed=0, renames=RENAMES, horizon=None):
        """Yields each different disk once, in the order of the crash points.

        sample: at most so many; those at marks and right after first, the others evenly spread
        over the recording. The same seed gives the same choice.
        renames: which of the disks "old", "both" and "neither" an unsynced rename makes.
        horizon: a directory operation that nobody ever syncs is taken back at every later
        crash point, so the number of disks grows with the square of such operations. With a
        horizon that is done only for so many records, and at every mark.
        """
        how = (tuple(renames), horizon)
        seen = self._scan(how)
        chosen = self._choose(seen, sample, seed)
        points = {n for n, _ in chosen}
        for replay, rec, label in self._points(points):
            if not label:
                continue
            for place, variant in enumerate(replay.variants(rec, how)):
                if (rec.n, place) in chosen:
                    yield self._state(replay, rec, label, seen, variant)

    def final(self):
        """The disk after the last record, all written: for tests of the recorder itself."""
        replay = Replay(self.ignore)
        for rec in self.records:
            replay.feed(rec)
        entries, nodes = replay.now.copy_with(())
        return State("at the end", "B", rec.n, tuple(replay.marks), replay.now.digest,
            dict(replay.roots), entries, nodes)

    def _state(self, replay, rec, label, seen, variant):
        disk, changes, describe = variant
        digest = disk.digest_with(changes)
        first = seen[digest][2]
        since = f" (the same disk since call {first})" if first != rec.n else ""
        entries, nodes = disk.copy_with(changes)
        return State(f"after {label}, {describe()}{since}", "A" if disk is replay.safe else "B",
            rec.n, tuple(replay.marks), digest, dict(replay.roots), entries, nodes)


def spread(items, count, seed):
    """count items at even distances."""
    if count >= len(items):
        return items
    shift = random.Random(seed).random()
    return [items[int((i + shift) * len(items) / count)] for i in range(count)]


def main(argv):
    """disks.py TRACE [GLOB ...]: lists the disks, ignoring files that match a glob."""
    if len(argv) < 2:
        sys.exit(main.__doc__)
    for state in Trace.load(argv[1], ignore=argv[2:]).states():
        print(f"{len(state.marks)} marks: {state.description}")


if __name__ == "__main__":
    main(sys.argv)
