# SPDX-License-Identifier: BSD-2-Clause
"""Reads a trace, and keeps the disk that is all written and the disk that is all synced along it.

The model is described in disks.py.
"""
import fnmatch
import hashlib
import os
from collections import namedtuple
from urllib.parse import unquote_to_bytes

Mark = namedtuple("Mark", "n id text who")
Mark.__doc__ = "A reply that promised a message's safety: n is its place, id the queue id."

RENAMES = ("old", "both", "neither")
SETS_TIME = ("utimensat", "utime", "utimes", "futimesat")
MOD = 1 << 128


class TraceError(Exception):
    """The trace is damaged, incomplete or holds what cannot be replayed."""


# ---- reading ----

class Record:
    """One line of the trace: verb, keys as attributes by get(), data."""
    __slots__ = ("verb", "keys", "data", "n")

    def __init__(self, verb, keys, data):
        self.verb = verb
        self.keys = keys
        self.data = data
        self.n = int(keys.get("n", 0))

    def num(self, key, default=None):
        value = self.keys.get(key)
        return default if value is None else int(value)

    def raw(self, key):
        return unquote_to_bytes(self.keys[key])

    def text(self, key):
        return os.fsdecode(self.raw(key)) if key in self.keys else None


def read_records(path):
    with open(path, "rb") as f:
        if f.readline() != b"postcote-trace 1\n":
            raise TraceError(f"{path}: not a trace")
        for line in f:
            verb, *pairs = line.decode("ascii").split()
            keys = dict(pair.split("=", 1) for pair in pairs)
            data = None
            if "len" in keys:
                size = int(keys["len"])
                data = f.read(size)
                if len(data) != size or f.read(1) != b"\n":
                    raise TraceError(f"{path}: is cut short")
            yield Record(verb, keys, data)


# ---- inodes and disks ----

class Node:
    """An inode's state; never changed, only replaced."""
    __slots__ = ("type", "mode", "uid", "gid", "mtime", "set_time", "data", "target", "_key")

    def __init__(self, type, mode, uid, gid, mtime, set_time=False, data=b"", target=None):
        self.type = type
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.set_time = set_time
        self.data = data
        self.target = target
        self._key = None

    @classmethod
    def of(cls, rec, type):
        target = rec.raw("target") if "target" in rec.keys else None
        return cls(type, int(rec.keys["mode"], 8), rec.num("uid"), rec.num("gid"),
            rec.keys["mtime"], data=rec.data or b"", target=target)

    def with_data(self, data, mtime=None):
        if mtime is None:
            return Node(self.type, self.mode, self.uid, self.gid, self.mtime,
                self.set_time, data, self.target)
        return Node(self.type, self.mode, self.uid, self.gid, mtime, False, data,
            self.target)

    def with_meta(self, meta):
        return Node(self.type, *meta, self.data, self.target)

    @property
    def meta(self):
        return (self.mode, self.uid, self.gid, self.mtime, self.set_time)

    @property
    def key(self):
        """A digest of all that tells one disk from another; times count only if set."""
        if self._key is None:
            what = (self.type, self.mode, self.uid, self.gid,
                self.mtime if self.set_time else "", self.target)
            h = hashlib.blake2b(repr(what).encode(), digest_size=16)
            h.update(self.data)
            self._key = h.digest()
        return self._key


class Disk:
    """Names and inodes, with a digest that is kept along: the sum of a hash per name."""

    def __init__(self):
        self.entries = {}
        self.names = {}
        self.nodes = {}
        self.digest = 0

    def term(self, key, ident, node):
        inode = ident if node.type == "d" else 0
        text = repr((key, inode)).encode()
        h = hashlib.blake2b(text, digest_size=16, key=node.key)
        return int.from_bytes(h.digest(), "little")

    def set_entry(self, key, ident):
        old = self.entries.get(key)
        if old == ident:
            return
        if old is not None:
            self.digest -= self.term(key, old, self.nodes[old])
            self.names[old].discard(key)
            del self.entries[key]
        if ident is not None:
            self.digest += self.term(key, ident, self.nodes[ident])
            self.names.setdefault(ident, set()).add(key)
            self.entries[key] = ident
        self.digest %= MOD

    def set_node(self, ident, node):
        old = self.nodes.get(ident)
        self.nodes[ident] = node
        for key in self.names.get(ident, ()):
            self.digest += self.term(key, ident, node) - self.term(key, ident, old)
        self.digest %= MOD

    def digest_with(self, changes):
        """The digest after changes: ("entry", key, id or None) or ("node", id, node)."""
        digest = self.digest
        for what, where, value in changes:
            if what == "node":
                for key in self.names.get(where, ()):
                    digest += self.term(key, where, value)
                    digest -= self.term(key, where, self.nodes[where])
                continue
            old = self.entries.get(where)
            if old is not None:
                digest -= self.term(where, old, self.nodes[old])
            if value is not None:
                digest += self.term(where, value, self.nodes[value])
        return digest % MOD

    def copy_with(self, changes):
        """Plain dicts of entries and of the inodes that they name."""
        entries = dict(self.entries)
        nodes = {}
        for what, where, value in changes:
            if what == "node":
                nodes[where] = value
            elif value is None:
                entries.pop(where, None)
            else:
                entries[where] = value
        for ident in entries.values():
            nodes.setdefault(ident, self.nodes[ident])
        return entries, nodes


# ---- one file's bytes ----

def apply(data, change):
    """change: (n, "write", offset, bytes, durable) or (n, "trunc", size, None, False)."""
    _, verb, at, new, _ = change
    if verb == "trunc":
        return data[:at].ljust(at, b"\0")
    return data[:at].ljust(at, b"\0") + new + data[at + len(new):]


class Contents:
    """The synced bytes of a file and the changes since."""

    def __init__(self, data=b""):
        self.base = data
        self.log = []

    def add(self, change):
        self.log.append(change)
        if change[4]:
            self.base = apply(self.base, change)
        if all(c[4] for c in self.log):
            self.log = []

        self.forget_durable()

    def sync(self, upto):
        while self.log and self.log[0][0] <= upto:
            self.base = apply(self.base, self.log.pop(0))
        for change in self.log:
            if change[4]:  # had its effect before, which older bytes must not hide
                self.base = apply(self.base, change)
        self.forget_durable()

    def forget_durable(self):
        if all(change[4] for change in self.log):
            self.log = []

    def variants(self, now):
        """(name, bytes) of what a power cut may leave instead of now."""
        yield "data since the last sync gone", self.base
        yield "data since the last sync zeros", self.base[:len(now)].ljust(len(now), b"\0")
        if self.log[-1][1] == "write":
            n, _, at, new, _ = self.log[-1]
            data = self.base
            for change in self.log[:-1]:
                data = apply(data, change)
            half = (n, "write", at, new[:len(new) // 2], False)
            yield "last write torn", apply(data, half)


# ---- replaying ----

class Pending:
    """A directory operation of which a part is not durable. halves: {name's key: new id}."""
    __slots__ = ("rec", "halves", "old", "label")

    def __init__(self, rec, halves, old, label):
        self.rec = rec
        self.halves = halves
        self.old = old  # key of a rename's old name
        self.label = label


class Replay:
    """The disk now and disk A, driven through the trace record by record."""

    def __init__(self, ignore=()):
        self.ignore = ignore
        self.roots = {}  # recorded path -> id
        self.labels = {}  # id of a root -> short name
        self.now = Disk()
        self.safe = Disk()
        self.contents = {}  # id -> Contents, regular files only
        self.metas = {}  # id -> [(n, meta)] since the last fsync
        self.dirty = {}  # directory -> {name: [(n, id)]}, not durable
        self.pending = {}  # n -> Pending
        self.unsynced = {}  # ids with data or metadata that are not durable
        self.syncs = {}
        self.marks = []

    # paths, for people and for ignore

    def path(self, ident, full=False):
        parts = []
        for _ in range(100):
            if ident in self.labels:
                root = self.labels[ident]
                if full:
                    root = next(p for p, i in self.roots.items() if i == ident)
                return os.path.join(root, *reversed(parts))
            keys = self.now.names.get(ident)
            if not keys:
                return os.path.join(f"<inode {ident}>", *reversed(parts))
            ident, name = min(keys)
            parts.append(name)
        return "<loop>"

    def name_path(self, key):
        return os.path.join(self.path(key[0]), key[1])

    def ignored(self, ident):
        if not self.ignore:
            return False
        keys = self.now.names.get(ident, ())
        paths = [os.path.join(self.path(d, True), name) for d, name in keys]
        return any(fnmatch.fnmatch(p, g) for p in paths for g in self.ignore)

    def ignored_name(self, key):
        path = os.path.join(self.path(key[0], True), key[1])
        return any(fnmatch.fnmatch(path, g) for g in self.ignore)

    # records

    def feed(self, rec):
        """Takes one record; true if it makes a crash point."""
        return getattr(self, "on_" + rec.verb)(rec) is not False

    def on_watch(self, rec):
        path = rec.text("path")
        ident = rec.num("id")
        self.roots[path] = ident
        short = os.path.basename(path) or path
        self.labels[ident] = path if short in self.labels.values() else short
        return False

    def on_node(self, rec):
        ident = rec.num("id")
        node = Node.of(rec, rec.keys["type"])
        self.new_inode(ident, node)
        if ident in self.labels:
            # the watched directories have a name that is not in a directory
            self.now.set_entry((0, str(ident)), ident)
            self.safe.set_entry((0, str(ident)), ident)
        return False

    def on_entry(self, rec):
        key = (rec.num("dir"), rec.text("name"))
        self.settle(key, None)
        self.now.set_entry(key, rec.num("id"))
        self.safe.set_entry(key, rec.num("id"))
        return False

    def on_start(self, rec):
        return False

    def new_inode(self, ident, node):
        self.now.set_node(ident, node)
        self.safe.set_node(ident, node)
        if node.type == "f":
            self.contents[ident] = Contents(node.data)

    def on_create(self, rec):
        self.new_inode(rec.num("id"), Node.of(rec, rec.keys["type"]))
        self.on_link(rec)

    def on_tmpfile(self, rec):
        self.new_inode(rec.num("id"), Node.of(rec, "f"))

    def on_link(self, rec):
        self.change_names(rec, {(rec.num("dir"), rec.text("name")): rec.num("id")})

    def on_unlink(self, rec):
        self.change_names(rec, {(rec.num("dir"), rec.text("name")): None})

    def on_rename(self, rec):
        old = (rec.num("odir"), rec.text("oname"))
        new = (rec.num("ndir"), rec.text("nname"))
        back = rec.num("victim") if rec.num("xchg") else None
        self.change_names(rec, {old: back, new: rec.num("id")}, old)

    def change_names(self, rec, halves, old=None):
        label = self.label(rec)
        for (directory, name), ident in halves.items():
            history = self.dirty.setdefault(directory, {}).setdefault(name, [])
            if history:
                self.drop_half(history[-1][0], (directory, name))
            history.append((rec.n, ident))
            self.now.set_entry((directory, name), ident)
        self.pending[rec.n] = Pending(rec, dict(halves), old, label)

    def drop_half(self, n, key):
        op = self.pending.get(n)
        if op:
            op.halves.pop(key, None)
            if not op.halves:
                del self.pending[n]

    def on_write(self, rec):
        durable = rec.num("sync") == 1
        self.change_data(rec, (rec.n, "write", rec.num("off"), rec.data, durable))

    def on_trunc(self, rec):
        self.change_data(rec, (rec.n, "trunc", rec.num("size"), None, False))

    def change_data(self, rec, change):
        ident = rec.num("id")
        node = self.now.nodes[ident]
        data = apply(node.data, change)
        if change[1] == "trunc" and data == node.data:
            return False
        contents = self.contents[ident]
        contents.add(change)
        written = node.with_data(data, rec.keys["t"])
        self.now.set_node(ident, written)
        if node.set_time:  # the time that was set is gone, which fsync makes durable too
            self.metas.setdefault(ident, []).append((rec.n, written.meta))
        if change[4]:
            safe = self.safe.nodes[ident]
            self.safe.set_node(ident, safe.with_data(contents.base))
        self.unsynced[ident] = True
        return True

    def on_meta(self, rec):
        ident = rec.num("id")
        node = self.now.nodes[ident]
        set_time = rec.keys["call"] in SETS_TIME or node.set_time
        meta = (int(rec.keys["mode"], 8), rec.num("uid"), rec.num("gid"),
            rec.keys["mtime"], set_time)
        self.metas.setdefault(ident, []).append((rec.n, meta))
        self.now.set_node(ident, node.with_meta(meta))
        self.unsynced[ident] = True

    def on_begin(self, rec):
        self.syncs[rec.num("s")] = (rec.n, rec.num("id"), rec.keys["what"])
        return False

    def on_end(self, rec):
        began, ident, what = self.syncs.pop(rec.num("s"))
        if not rec.num("ok"):
            return False
        if what == "all":
            for each in set(self.unsynced) | set(self.dirty):
                self.sync_inode(each, began, "file")
        else:
            self.sync_inode(ident, began, what)
        return True

    def sync_inode(self, ident, upto, what):
        node = self.safe.nodes[ident]
        if ident in self.contents:
            self.contents[ident].sync(upto)
            node = node.with_data(self.contents[ident].base)
        if what == "file":
            history = self.metas.get(ident, [])
            while history and history[0][0] <= upto:
                node = node.with_meta(history.pop(0)[1])
            for name in list(self.dirty.get(ident, ())):
                self.settle((ident, name), upto)
        self.safe.set_node(ident, node)
        if not self.metas.get(ident) and not self.has_log(ident):
            self.unsynced.pop(ident, None)

    def has_log(self, ident):
        return ident in self.contents and bool(self.contents[ident].log)

    def settle(self, key, upto):
        """Makes a name durable as it was at record upto (None: forgets its history)."""
        names = self.dirty.get(key[0], {})
        history = names.get(key[1], [])
        while history and (upto is None or history[0][0] <= upto):
            n, ident = history.pop(0)
            self.drop_half(n, key)
            if upto is not None:
                self.safe.set_entry(key, ident)
        if not history:
            names.pop(key[1], None)

    def on_unsafe(self, rec):
        ident = rec.num("id")
        if not self.ignored(ident):
            raise TraceError(f"{rec.text('who')}: {rec.text('what')} of "
                f"{self.path(ident)} bypasses the recorder; ignore it explicitly "
                "if it may be lost")
        return False

    def on_mark(self, rec):
        text = rec.text("text")
        self.marks.append(Mark(rec.n, rec.text("id") or text, text, rec.text("who")))

    def on_exit(self, rec):
        return False

    # what people read

    def label(self, rec):
        """What a record did, in paths of before it happened."""
        def at(directory, name):
            return self.name_path((rec.num(directory), rec.text(name)))

        verb = rec.text("call")
        if rec.verb == "rename":
            what = f"{at('odir', 'oname')} -> {at('ndir', 'nname')}"
        elif rec.verb == "link":
            what = f"{self.path(rec.num('id'))} -> {at('dir', 'name')}"
        elif rec.verb in ("create", "unlink"):
            what = at("dir", "name")
        elif rec.verb == "mark":
            what = f"'{rec.text('text')}'"
        elif rec.verb == "end":
            ident = self.syncs.get(rec.num("s"), (0, 0))[1]
            what = self.path(ident) if ident else "all"
        elif rec.verb == "write":
            what = f"{self.path(rec.num('id'))} {len(rec.data)} bytes " \
                f"at {rec.num('off')}"
        elif rec.num("id"):
            what = self.path(rec.num("id"))
        else:
            what = ""
        return f"call {rec.n} ({verb} {what} by {rec.text('who')})"

    # the disks of a crash point

    def variants(self, rec, how):
        """(disk, changes to it, function that describes them) after a record"""
        renames, horizon = how
        oldest = rec.n - horizon if horizon and rec.verb != "mark" else 0
        yield self.safe, (), lambda: "disk A: only what was synced"
        yield self.now, (), lambda: "disk B: all that was written"
        for op in list(self.pending.values()):
            if op.rec.n >= oldest:
                yield from self.operation_variants(op, renames)
        for ident in list(self.unsynced):
            if self.now.names.get(ident) and not self.ignored(ident):
                yield from self.inode_variants(ident)

    def before(self, key):
        """Where a name led before its last change."""
        history = self.dirty[key[0]][key[1]]
        return history[-2][1] if len(history) > 1 else self.safe.entries.get(key)

    def undo(self, op, keys, text):
        changes = tuple(("entry", key, self.before(key)) for key in keys)
        return self.now, changes, lambda: f"disk B: without {text}{op.label}"

    def operation_variants(self, op, renames):
        keys = list(op.halves)
        if self.ignore and all(self.ignored_name(key) for key in keys):
            return
        if op.old is None:
            yield self.undo(op, keys, "")
            return
        new = [key for key in keys if key != op.old]
        if len(keys) == 2 and "old" in renames:
            yield self.undo(op, keys, "(old name only) ")
        if op.old in keys and "both" in renames:
            yield self.undo(op, [op.old], "the end of the old name (both) of ")
        if new and (len(keys) == 1 or "neither" in renames):
            yield self.undo(op, new, "the new name (neither) of ")

    def inode_variants(self, ident):
        node = self.now.nodes[ident]

        def without(other, text):
            label = f"disk B: {self.path(ident)}: {text}"
            return self.now, (("node", ident, other),), lambda: label

        if self.has_log(ident):
            for text, data in self.contents[ident].variants(node.data):
                yield without(node.with_data(data), text)
        if self.metas.get(ident):
            old = self.safe.nodes[ident].meta
            yield without(node.with_meta(old), "mode and owner as last synced")
