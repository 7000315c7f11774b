"""The descriptors through which SQLite reaches a database, and whether they still lead to its files.

Why it is so: SQLite opens its files once and trusts their numbers. A program that closes a descriptor which is not its
own lets the next file that it opens take that number; SQLite then writes the database's log into that file, and
publishes commits that stand nowhere. Others find a damaged database (https://sqlite.org/howtocorrupt.html, section 2).
After the log is asked by its link in /proc, which tells of a new name or none: who asks for the times of a file makes
its next write note the time exactly, and the sync after that wait a third longer (Linux 6.13: multigrain timestamps).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import apsw

Mark = tuple[int, int]  # inode and device
MAGIC = b"SQLite format 3\0"
WRITE_FORMAT, WITHOUT_A_LOG = 18, 1  # https://sqlite.org/fileformat2.html#file_format_version_numbers


class Descriptors:
    """Numbers, and the files that they led to when the handle was opened; names, and the files that bore them."""

    def __init__(
        self, marks: dict[int, Mark], places: dict[str, Mark | None], log: tuple[int, str] | None = None
    ) -> None:
        self._marks = list(marks.items())
        self._places = list(places.items())
        self._log = log and (f"/proc/self/fd/{log[0]}", log[1])  # the link of the log's descriptor, and where it leads
        self._other_marks = [each for each in self._marks if log is None or each[0] != log[0]]
        self._other_places = [each for each in self._places if log is None or each[0] != log[1]]

    @classmethod
    def opened_since(cls, before: Collection[int], database: Path) -> Descriptors:
        """Those of a handle that was opened since `before` was open; the shared memory's is one for the process."""
        real = os.path.realpath(database)
        places = {real + suffix: mark_of(real + suffix) for suffix in ("", "-wal", "-shm")}
        file, log, shared = places.values()
        marks = {
            number: mark
            for number, mark in open_now().items()
            if mark == shared or (mark in (file, log) and number not in before)
        }
        logs = [(number, f"{real}-wal") for number, mark in marks.items() if mark == log]
        return cls(marks, places, next(iter(logs), None))

    def are_ours(self) -> bool:
        """Whether each still leads to the file it led to: 1 to 2 µs for each, three in all."""
        try:
            for number, mark in self._other_marks if self._log_is_in_place() else self._marks:
                stat = os.fstat(number)
                if (stat.st_ino, stat.st_dev) != mark:
                    return False
        except OSError:
            return False
        return True

    def lead_elsewhere(self) -> bool:
        """Whether one leads to a file of somebody else: to close it would take it away from him."""
        return any(mark_of(number) not in (None, mark) for number, mark in self._marks)

    def lost_place(self) -> str | None:
        """The name of a file that is open and was removed or replaced since: what is written there nobody finds."""
        return _lost(self._other_places if self._log_is_in_place() else self._places)

    def lost_database(self) -> str | None:
        """The same, of the database alone: its log and index come and go with those who use them."""
        return _lost(self._places[:1])

    def _log_is_in_place(self) -> bool:
        """Whether its descriptor's link has the name that it had."""
        try:
            return self._log is not None and os.readlink(self._log[0]) == self._log[1]
        except OSError:
            return False


def says_it_has_a_log(handle: apsw.Connection) -> bool:
    """Whether the database's own header does, as it does from its first page on; that of a backup does not: 1 µs.

    One that a power failure tore says nothing: it stands in the log, which a backup has none of.
    """
    is_there, header = handle.read("main", 0, 0, WRITE_FORMAT + 1)
    return is_there and not (header.startswith(MAGIC) and header[WRITE_FORMAT] == WITHOUT_A_LOG)


def open_now() -> dict[int, Mark]:
    """The open descriptors of this process; none where /proc does not tell."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return {}
    return {number: mark for number in numbers if (mark := mark_of(number))}  # but that by which the list was read


def _lost(places: Iterable[tuple[str, Mark | None]]) -> str | None:
    return next((place for place, mark in places if mark is not None and mark_of(place) != mark), None)


def mark_of(file: int | str) -> Mark | None:
    """The file that a number or a name leads to; None: there is none. Raises OSError when the disk does not tell."""
    try:
        stat = os.stat(file)
    except OSError as error:
        if isinstance(file, int) or error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    return stat.st_ino, stat.st_dev
