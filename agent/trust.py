"""What root obeys: files that only those can change who can do as they please anyway.

Configuration and handlers decide what runs. If anybody may write them, or put others in their place, root would run
what anybody likes. So root refuses them, as sudo, cron and sshd do. Whoever is not root risks only what is his own.

Trusted are root; who called sudo; and who owns this very program, as he could change that just as well: a checkout that
root runs in a container, say. Directories such as /tmp, where nobody can replace the file of another, are good enough.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

_MOST_LINKS = 40  # as many as the kernel follows


def distrust(path: Path) -> str | None:
    """Why root must not obey what lies at `path`, with the cure; None for everybody else, and where nothing lies.

    A few stats; for everybody but root none at all.
    """
    owners = trusted_owners()
    return flaw(path, owners) if owners else None


def takes_new_files(directory: Path) -> bool:
    """Whether others than those whom root trusts could put a file into a directory; for everybody but root: no."""
    owners = trusted_owners()
    if not owners or not directory.exists():
        return False
    return flaw(directory, owners) is not None or _is_open(directory, os.stat(directory))


def trusted_owners() -> frozenset[int]:
    """The users whose files root obeys; none: we are not root."""
    if os.geteuid() != 0:
        return frozenset()
    caller = os.environ.get("SUDO_UID", "")
    return frozenset({0, os.stat(__file__).st_uid, int(caller) if caller.isdecimal() else 0})


def flaw(path: Path, owners: Collection[int]) -> str | None:
    """Why others than `owners` could decide what is found at `path`: looked at are it, its directory, and so on for
    whatever a symbolic link leads to."""
    try:
        start = path.absolute()
    except FileNotFoundError:
        return f"{path} starts at the working directory, which is gone: change to another"
    for place in _trail(start):
        try:
            reason = _flaw_of(place.parent, os.stat(place.parent), owners)
            reason = reason or _flaw_of(place, os.lstat(place), owners)
        except NotADirectoryError:  # a module inside an archive
            return flaw(place.parent, owners)
        except OSError:  # whoever opens it says what is wrong
            return None
        if reason:
            return reason
    return None


def _trail(path: Path) -> Iterator[Path]:
    for _ in range(_MOST_LINKS):
        yield path
        try:
            path = path.parent / os.readlink(path)
        except OSError:  # no link: its end
            return


def _flaw_of(place: Path, found: os.stat_result, owners: Collection[int]) -> str | None:
    if found.st_uid not in owners:
        return f"{place} belongs to user {found.st_uid}: give it to root (chown), or run the agent as that user"
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if _is_open(place, found) and not is_sticky:
        return f"anybody may write {place}: take that right away (chmod o-w)"
    return None


def _is_open(place: Path, found: os.stat_result) -> bool:
    """Whether anybody may change what is there, as far as the mount allows anybody to write."""
    keeps_what_is_written = not stat.S_ISLNK(found.st_mode) and not stat.S_ISCHR(found.st_mode)  # as /dev/null does not
    if not keeps_what_is_written or not found.st_mode & stat.S_IWOTH:
        return False
    return not os.statvfs(place).f_flag & os.ST_RDONLY
