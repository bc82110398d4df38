"""An observed disk: a test can make every call that changes it fail, and build the states that a
power cut may leave.

What a cut may do (SQLite's crash tests, ALICE): a file keeps what was flushed. Of later writes it
keeps nothing, all, a part that ends at a sector, or zeros. Changes of names survive in their order,
up to the last one whose folder was flushed, and possibly further.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

SECTOR_BYTES = 512
CHANGING = ("write", "ftruncate", "fsync", "fdatasync", "rename", "replace", "unlink", "link")
CALLS = ("open", "mkdir", "rmdir", *CHANGING)


class Unsynced(Enum):
    """What became of the bytes that were not flushed, and of the names."""

    DROPPED = "dropped"
    KEPT = "kept"
    TORN = "torn"
    ZEROED = "zeroed"
    NAMES_ONLY = "names only"


@dataclass
class Inode:
    """`synced`: the content at its last flush."""

    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""

    def after_cut(self, unsynced: Unsynced) -> bytes:
        data, kept = bytes(self.data), len(self.synced)
        if unsynced in (Unsynced.DROPPED, Unsynced.NAMES_ONLY) or len(data) < kept:
            return self.synced if unsynced is not Unsynced.KEPT else data
        if unsynced is Unsynced.TORN:
            end = kept + (len(data) - kept) // 2
            return data[: max(kept, end - end % SECTOR_BYTES)]
        if unsynced is Unsynced.ZEROED:
            return data[:kept] + bytes(len(data) - kept)
        return data


@dataclass
class NameChange:
    """A step in the tree of names; `folders` are those whose flush makes it last."""

    apply: Callable[[dict[str, Inode | None]], None]
    folders: tuple[str, ...]


class DiskCalls:
    """`events` holds the calls and the test's notes, in order."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.events: list[Callable[[Machine], None]] = []
        self.notes: list[tuple[int, Any]] = []
        self.calls = 0
        self.fail_at: int | None = None
        self.fail_for_ever = False
        self.error = errno.EIO
        self._fds: dict[int, str] = {}

    def note(self, what: Any) -> None:
        """Something that holds from here on, such as an acknowledgement."""
        self.notes.append((len(self.events), what))

    @contextmanager
    def watched(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        with patch.context() as context:
            for name in CALLS:
                context.setattr(os, name, self._wrap(name, getattr(os, name)))
            yield

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **options: Any) -> Any:
            target = self._fds.get(first) if isinstance(first, int) else os.fspath(first)
            if not isinstance(target, str) or not target.startswith(self.root):
                return real(first, *rest, **options)
            self.calls += 1
            if self.fail_at is not None and (
                self.calls == self.fail_at or (self.fail_for_ever and self.calls > self.fail_at)
            ):
                raise OSError(self.error, os.strerror(self.error))
            is_new = name == "open" and rest[0] & os.O_CREAT and not os.path.lexists(target)
            is_emptied = name == "open" and bool(rest[0] & os.O_TRUNC)
            result = real(first, *rest, **options)
            if name == "open":
                self._fds[result] = target
                if is_new:
                    self._record_names("create", target)
                elif is_emptied:
                    self.events.append(lambda m: m.truncate(target, 0))
            else:
                self._record(name, target, rest, result)
            return result

        return call

    def _record(self, name: str, target: str, rest: tuple[Any, ...], result: Any) -> None:
        match name:
            case "write":
                data = bytes(rest[0][:result])
                self.events.append(lambda m: m.write(target, data))
            case "ftruncate":
                self.events.append(lambda m: m.truncate(target, rest[0]))
            case "fsync" | "fdatasync":
                self.events.append(lambda m: m.sync(target))
            case "unlink" | "rmdir" | "mkdir":
                self._record_names(name, target)
            case "rename" | "replace" | "link":
                other = os.fspath(rest[0])
                self._record_names("rename" if name == "replace" else name, target, other)

    def _record_names(self, kind: str, target: str, other: str = "") -> None:
        folders = tuple(os.path.dirname(path) for path in (target, other) if path)
        self.events.append(lambda m: m.names(kind, target, other, folders))


class Machine:
    """What a machine has in memory and on its disk after some of the events."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._now: dict[str, Inode | None] = {root: None}  # None is a folder
        self._changes: list[NameChange] = []
        self._lasting = 0

    def write(self, path: str, data: bytes) -> None:
        self._file(path).data.extend(data)

    def truncate(self, path: str, size: int) -> None:
        del self._file(path).data[size:]

    def sync(self, path: str) -> None:
        inode = self._now.get(path)
        if inode is not None:
            inode.synced = bytes(inode.data)
            return
        for number, change in enumerate(self._changes, 1):
            if path in change.folders:
                self._lasting = max(self._lasting, number)

    def names(self, kind: str, target: str, other: str, folders: tuple[str, ...]) -> None:
        inode = Inode()

        def apply(tree: dict[str, Inode | None]) -> None:
            match kind:
                case "create":
                    tree[target] = inode
                case "mkdir":
                    tree[target] = None
                case "unlink":
                    tree.pop(target)
                case "rmdir":  # shutil.rmtree empties it through a descriptor, unseen
                    for path in [p for p in tree if p == target or p.startswith(target + "/")]:
                        del tree[path]
                case "link":
                    tree[other] = tree[target]
                case "rename":
                    for path in [p for p in tree if p == target or p.startswith(target + "/")]:
                        tree[other + path[len(target) :]] = tree.pop(path)

        apply(self._now)
        self._changes.append(NameChange(apply, folders))

    def cut_power(self, unsynced: Unsynced, into: Path) -> None:
        """Builds what is found after the cut, with `into` in place of the root."""
        tree: dict[str, Inode | None] = {self._root: None}
        count = self._lasting if unsynced is Unsynced.DROPPED else len(self._changes)
        for change in self._changes[:count]:
            change.apply(tree)
        for path, inode in sorted(tree.items()):
            found = into / os.path.relpath(path, self._root)
            if inode is None:
                found.mkdir(mode=0o700, exist_ok=True)
            else:
                found.write_bytes(inode.after_cut(unsynced))
                found.chmod(0o600)

    def _file(self, path: str) -> Inode:
        inode = self._now[path]
        assert inode is not None
        return inode
