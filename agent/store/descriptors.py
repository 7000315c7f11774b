"""The descriptors through which SQLite reaches a database, and whether they still lead to its files.

Why it is so: SQLite opens its files once and trusts their numbers. A program that closes a descriptor which is not its
own lets the next file that it opens take that number; SQLite then writes the database's log into that file, and
publishes commits that stand nowhere. Others find a damaged database (https://sqlite.org/howtocorrupt.html, section 2).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import apsw

from agent.store.marks import Mark, identify

MAGIC = b"SQLite format 3\0"
WRITE_FORMAT, WITHOUT_A_LOG = 18, 1  # https://sqlite.org/fileformat2.html#file_format_version_numbers


class Descriptors:
    """Numbers, and the files that they led to when the handle was opened; names, and the files that bore them."""

    def __init__(self, marks: dict[int, Mark], places: dict[bytes, Mark | None]) -> None:
        self._marks = list(marks.items())
        self._places = list(places.items())

    @classmethod
    def opened_since(cls, before: Collection[int], database: Path) -> Descriptors:
        """Those of a handle that was opened since `before` was open; the shared memory's is one for the process."""
        real = os.fsencode(os.path.realpath(database))
        places = {real + suffix: mark_of(real + suffix) for suffix in (b"", b"-wal", b"-shm")}
        file, log, shared = places.values()
        marks = {
            number: mark
            for number, mark in open_now().items()
            if mark == shared or (mark in (file, log) and number not in before)
        }
        return cls(marks, places)

    def are_ours(self) -> bool:
        """Whether each still leads to the file it led to: 2 µs for each, three in all."""
        try:
            for number, mark in self._marks:
                if identify(number) != mark:
                    return False
        except OSError:
            return False
        return True

    def lead_elsewhere(self) -> bool:
        """Whether one leads to a file of somebody else: to close it would take it away from him."""
        return any(mark_of(number) not in (None, mark) for number, mark in self._marks)

    def lost_place(self) -> str | None:
        """The name of a file that is open and was removed or replaced since: what is written there nobody finds."""
        return _lost(self._places)

    def lost_database(self) -> str | None:
        """The same, of the database alone: its log and index come and go with those who use them."""
        return _lost(self._places[:1])


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


def _lost(places: Iterable[tuple[bytes, Mark | None]]) -> str | None:
    for place, mark in places:
        if mark is not None and mark_of(place) != mark:
            return os.fsdecode(place)
    return None


def mark_of(file: int | bytes) -> Mark | None:
    """The file that a number or a name leads to; None: there is none. Raises OSError when the disk does not tell."""
    try:
        return identify(file)
    except OSError as error:
        if isinstance(file, int) or error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
