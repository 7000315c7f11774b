"""Making what is the agent's alone: files 0600, directories 0700, the owner's of the database even if root makes them.

Where root looks into a service's database, the service must not be shut out by what that leaves. So it gets owner and
group of what it lies beside, else of its directory, as SQLite does with its log. Nobody can have anything else given to
him: all is done by descriptors, a file is given away by who has just made it, a directory only while it is empty, and
the owner is looked up in the very directory that it was made in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_DIRECTORY | os.O_CLOEXEC


def make_file(path: str | os.PathLike[str], beside: str | None = None) -> int:
    """A descriptor of a new file; `beside`: the name whose owner it gets. Raises OSError, also where something lies."""
    place = Path(path)
    with _directory_of(place) as directory:
        made = os.open(place.name, _NEW, 0o600, dir_fd=directory)
        _hand_over(made, directory, beside)
        return made


def open_file(path: Path) -> int:
    """The one descriptor of a file that is made when missing: to close another would drop its locks. Raises OSError."""
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, _OPEN)
        with suppress(FileExistsError):  # somebody was quicker
            return make_file(path)


def make_directory(path: Path, beside: str | None = None) -> None:
    """A directory that is made when missing; `beside`: the name whose owner it gets. Raises OSError."""
    with _directory_of(path) as directory:
        try:
            os.mkdir(path.name, 0o700, dir_fd=directory)
        except FileExistsError:
            if not path.is_dir():
                raise
        else:
            _hand_over_empty(path.name, directory, beside)


def _hand_over_empty(name: str, directory: int, beside: str | None) -> None:
    if os.geteuid() != 0:
        return
    made = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | _DIRECTORY, dir_fd=directory)
    try:
        if not os.listdir(made):
            _hand_over(made, directory, beside)
    finally:
        os.close(made)


def _hand_over(made: int, directory: int, beside: str | None) -> None:
    if os.geteuid() != 0:
        return
    owner = os.fstat(directory)
    if beside is not None:
        with suppress(FileNotFoundError):
            owner = os.stat(beside, dir_fd=directory, follow_symlinks=False)
    with suppress(OSError):  # a root that may not, as in some containers, keeps what it makes
        os.fchown(made, owner.st_uid, owner.st_gid)


@contextmanager
def _directory_of(path: Path) -> Iterator[int]:
    directory = os.open(path.parent, os.O_PATH | _DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)
