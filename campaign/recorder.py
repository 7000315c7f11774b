"""Every change of a database's files, in the order in which SQLite makes them.

Why it is so: what a power loss leaves depends on what was written since each file's last sync, and on nothing else. A
VFS in Python sees exactly that; it becomes the process's default, so that the product runs unchanged. The shared-memory
file is left out: it is rebuilt after a power loss. Directories are synced as SQLite's unix VFS does it: after the first
sync of a journal or log that was opened to be created, and with a deletion that asks for it. `os.fsync` is heard too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

NAME = "recorder"
_BESIDE_THE_DATABASE = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


class Create(NamedTuple):
    """A new, empty file got a name. `file` numbers files, which may outlive their names."""

    file: int
    name: str


class Write(NamedTuple):
    """Bytes were written."""

    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file got another length."""

    file: int
    size: int


class Sync(NamedTuple):
    """What had been written to a file is on the disk from now on."""

    file: int


class Delete(NamedTuple):
    """A name was removed."""

    name: str


class SyncDirectory(NamedTuple):
    """Which names there are is on the disk from now on."""


Event = Create | Write | Truncate | Sync | Delete | SyncDirectory


class Recorder(apsw.VFS):
    """Records what happens to files in `directory`, whose content when recording began is `base`.

    Base files have the numbers 0, 1, … in the order of their names. `between`, if set, is called after every event.
    """

    def __init__(self, directory: Path, seed: bytes) -> None:
        self.directory = directory
        self.base = read_files(directory)
        self.events: list[Event] = []
        self.between: Callable[[Event], None] | None = None
        self._seed = seed
        self._numbers = {name: number for number, name in enumerate(sorted(self.base))}
        self._sizes = {number: len(self.base[name]) for name, number in self._numbers.items()}
        super().__init__(NAME, "unix", makedefault=True)

    def note(self, event: Event) -> None:
        """Something has happened."""
        if isinstance(event, Write):
            self._sizes[event.file] = max(self._sizes[event.file], event.offset + len(event.data))
        elif isinstance(event, Truncate):
            self._sizes[event.file] = event.size
        elif isinstance(event, Create):
            self._numbers[event.name], self._sizes[event.file] = event.file, 0
        elif isinstance(event, Delete):
            del self._numbers[event.name]
        self.events.append(event)
        if self.between is not None:
            self.between(event)

    def number_of(self, name: str) -> int:
        """The number of the file that a name leads to; a file that nobody has seen yet is created just now."""
        path = self.directory / name
        number = self._numbers.get(name)
        if number is not None and path.stat().st_size != self._sizes[number]:  # replaced, past SQLite
            self.note(Delete(name))
            number = None
        if number is None:
            number = len(self._sizes)
            self.note(Create(number, name))
        return number

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:
        """Open a file; one of ours is watched."""
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        if name is None or path.parent != self.directory:
            return apsw.VFSFile("unix", name, flags)
        return _File(self, path.name, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file."""
        super().xDelete(filename, syncdir)
        path = Path(filename)
        if path.parent == self.directory and path.name in self._numbers:
            self.note(Delete(path.name))
            if syncdir:
                self.note(SyncDirectory())

    def xRandomness(self, numbytes: int) -> bytes:
        """What SQLite's chance begins with: the same for the same seed."""
        return (self._seed * numbytes)[:numbytes]


class _File(apsw.VFSFile):
    """One open file that is watched."""

    def __init__(self, recorder: Recorder, name: str, path: Any, flags: list[int]) -> None:
        super().__init__("unix", path, flags)
        self._recorder = recorder
        self._number = recorder.number_of(name)
        self._syncs_directory = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _BESIDE_THE_DATABASE)

    def xWrite(self, data: Any, offset: int) -> None:
        """Write."""
        super().xWrite(data, offset)
        self._recorder.note(Write(self._number, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        """Shorten or lengthen."""
        super().xTruncate(newsize)
        self._recorder.note(Truncate(self._number, newsize))

    def xSync(self, flags: int) -> None:
        """Wait until it is on the disk."""
        super().xSync(flags)
        self._recorder.note(Sync(self._number))
        if self._syncs_directory:
            self._syncs_directory = False
            self._recorder.note(SyncDirectory())


@contextmanager
def recording(directory: Path, seed: int) -> Iterator[Recorder]:
    """Record what this process does to the files in a directory. Close every connection before the block ends."""
    recorder = Recorder(directory, seed.to_bytes(8, "big", signed=True))
    fsync = os.fsync

    def fsync_and_note(fd: Any) -> None:
        fsync(fd)
        _note_sync(recorder, Path(os.readlink(f"/proc/self/fd/{fd if isinstance(fd, int) else fd.fileno()}")))

    try:
        os.fsync = fsync_and_note
        apsw.randomness(0)  # begin chance anew
        yield recorder
    finally:
        os.fsync = fsync
        recorder.unregister()
        apsw.randomness(0)


def read_files(directory: Path) -> dict[str, bytes]:
    """The files in a directory that outlive a power loss, by name."""
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file() and not path.name.endswith("-shm")
    }


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make these files the only ones in a directory; its own directories stay."""
    for path in directory.iterdir():
        if path.is_file():
            path.unlink()
    for name, data in files.items():
        (directory / name).write_bytes(data)


def _note_sync(recorder: Recorder, path: Path) -> None:
    """The product itself has synced something."""
    if path == recorder.directory:
        recorder.note(SyncDirectory())
    elif path.parent == recorder.directory:
        recorder.note(Sync(recorder.number_of(path.name)))
