"""Disks that lose what was not synced: the twin of unsynced.c, which the agents run on.

After a kill -9 the files below an agent's folder are put back to what a power cut could have left:
all that was synced, and of the rest any part, its last write perhaps torn; names are undone from
the newest on.
"""

import collections
import dataclasses
import os
import pathlib

from lab.process import sanitizers_of

SECTOR = 512


@dataclasses.dataclass
class Change:
    """Of contents: `saved` is what it replaced at `offset`, of a file of `before` bytes."""

    number: int
    inode: int
    offset: int  # of a truncation: the new size
    before: int
    length: int | None  # None: a truncation
    saved: bytes


@dataclasses.dataclass
class NameChange:
    number: int
    folders: tuple
    kind: str
    paths: list


def read_log(path):
    """The changes that no sync covers, of contents and of names, oldest first."""
    contents, names, number = [], [], 0
    with open(path, "rb") as log:
        for line in log:
            if not line.endswith(b"\n"):
                break  # killed in mid-record: what it announces was not done
            kind, *words = line.decode().split()
            if kind in "WT":
                numbers = [int(word) for word in words]
                saved = log.read(numbers[-1])
                if len(saved) < numbers[-1]:
                    break
                contents.append(change_of(kind, number, numbers, saved))
            elif kind in "SF":
                inode, upto = int(words[0]), int(words[1])
                if kind == "S":
                    contents = [c for c in contents if c.inode != inode or c.number >= upto]
                else:
                    names = [n for n in names if inode not in n.folders or n.number >= upto]
            else:
                folders = 2 if kind == "R" else 1
                names.append(
                    NameChange(
                        number, tuple(int(w) for w in words[:folders]), kind, words[folders:]
                    )
                )
            number += 1
    return contents, names


def change_of(kind, number, numbers, saved):
    if kind == "W":
        inode, offset, before, length, _ = numbers
        return Change(number, inode, offset, before, length, saved)
    inode, before, size, _ = numbers
    return Change(number, inode, size, before, None, saved)


def undone(seen, changes):
    """The contents before these changes."""
    contents = bytearray(seen)
    for change in reversed(changes):
        contents[change.offset : change.offset + len(change.saved)] = change.saved
        del contents[change.before :]
        contents.extend(bytes(change.before - len(contents)))
    return contents


class UnsyncedDisk:
    """What one deployment's agents wrote; `lost` counts what they lost by it."""

    def __init__(self, program, library, folder, chance):
        self.program, self.library = program, library
        self.below, self.chance = pathlib.Path(folder) / "data-", chance
        self.log_folder = pathlib.Path(folder) / "unsynced"
        self.log_folder.mkdir()
        self.lost = collections.Counter()

    def environment(self):
        return {
            "LD_PRELOAD": ":".join([*sanitizers_of(self.program), str(self.library)]),
            "FARSHORE_UNSYNCED_BELOW": str(self.below),
            "FARSHORE_UNSYNCED_LOG": str(self.log_folder),
        }

    def cut_power(self, pid):
        """After the kill -9 of that agent."""
        log = self.log_folder / f"{pid}.log"
        if not log.exists():
            return
        contents, names = read_log(log)
        by_inode = collections.defaultdict(list)
        for change in contents:
            by_inode[change.inode].append(change)
        paths = self._paths()
        for inode, changes in by_inode.items():
            if inode in paths:
                self._cut_contents(paths[inode], changes)
        kept = self._how_many(len(names))
        for change in reversed(names[kept:]):
            self._undo_name(change)
            self.lost["names"] += 1
        for leftover in self.log_folder.glob(f"{pid}.*"):
            leftover.unlink()

    def _paths(self):
        """Where each file is now, also those that only the log's folder still names."""
        found = {}
        for top in [*self.below.parent.glob(f"{self.below.name}*"), self.log_folder]:
            for path in top.rglob("*"):
                if path.is_file():
                    found[path.stat().st_ino] = path
        return found

    def _how_many(self, count):
        """Of that many changes the first ones survive: all, none, or some."""
        return self.chance.choice((0, count, self.chance.randint(0, count)))

    def _cut_contents(self, path, changes):
        seen = path.read_bytes()
        contents = undone(seen, changes)
        if self.chance.random() < 0.25:
            kept = [change for change in changes if self.chance.random() < 0.5]
        else:
            kept = changes[: self._how_many(len(changes))]
        self.lost["writes"] += len(changes) - len(kept)
        torn = bool(kept) and self.chance.random() < 0.5
        for change in kept:
            if change.length is None:
                del contents[change.offset :]
                contents.extend(bytes(change.offset - len(contents)))
                continue
            end = change.offset + change.length
            if torn and change is kept[-1]:
                end = self.chance.randrange(change.offset, end) // SECTOR * SECTOR
                self.lost["torn"] += 1
            part = seen[change.offset : end] if end > change.offset else b""
            contents.extend(bytes(max(0, change.offset - len(contents)) if part else 0))
            contents[change.offset : change.offset + len(part)] = part
        path.write_bytes(contents)

    def _undo_name(self, change):
        if change.kind == "C":
            pathlib.Path(change.paths[0]).unlink(missing_ok=True)
            return
        path, kept = pathlib.Path(change.paths[-2]), pathlib.Path(change.paths[-1])
        if change.kind == "R" and path.exists():
            os.rename(path, change.paths[0])
        if kept.name != "-" and kept.exists():
            os.rename(kept, path)
