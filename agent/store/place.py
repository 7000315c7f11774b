"""Where a database may be: where locks hold, and where it, and what lies beside it, is the agent's alone.

SQLite reads a log or a journal that it finds beside a database, whoever made it; locks and slots are as good as the
directory they are in. So what a stranger could have planted is refused, and what a stranger may read is told of.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.errors import ConfigError, StoreError
from agent.trust import distrust

LONGEST_PATH = 500  # bytes; SQLite takes 512, its log's name included
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs"}
)
SIDE_FILES = ("-wal", "-shm", "-journal")
_WIDER_THAN_WANTED = stat.S_IWGRP | stat.S_IRWXO


def check_place(path: Path) -> None:
    """Refuse a directory, and where SQLite's locks do not hold: network file systems, hard links. Raises StoreError."""
    if path.is_dir():
        raise StoreError(f"{path} is a directory: name a file in it (persistence.db_path)")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is no regular file: name another one (persistence.db_path)")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise StoreError(
            f"the database's path has more than {LONGEST_PATH} bytes: use a shorter one (persistence.db_path)"
        )
    kind = file_system(path.parent)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"{path} is on a network file system ({kind}), whose locks fail: use a local disk (persistence.db_path)"
        )
    if path.exists() and path.stat().st_nlink > 1:
        raise StoreError(f"{path} has other names (hard links): locks would not hold; keep one name")


def file_system(directory: Path) -> str:
    """The type of the file system a directory is on."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4].replace("\\040", " ")
        if len(mount) >= len(best) and (f"{directory}/").startswith(mount.rstrip("/") + "/"):
            best, kind = mount, right.split()[0]
    return kind


def check_privacy(path: Path, named: Path, supervises: bool) -> None:
    """Refuse a database at the real `path` that others decide about; `named`: as it was asked for.

    Raises StoreError; for root who is to run its tasks ConfigError.
    """
    if reason := _planted_link(named):
        raise StoreError(reason)
    if _may_be_written_by_all(path):
        raise StoreError(f"anybody may write {path}, and so have tasks run: take that right away (chmod o-w)")
    if _may_be_written_by_all(path.parent):
        _check_side_files(path)
    if supervises and (reason := distrust(path)):
        raise ConfigError(f"persistence.db_path: root does not run these tasks, for {reason}")


def check_run_directory(directory: Path, database: Path) -> None:
    """Refuse one that is not a directory of the agent's own. Raises StoreError."""
    found = os.lstat(directory)
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & stat.S_IWOTH
    is_ours = found.st_uid == os.geteuid() or found.st_uid in _owners_about(database)
    if not is_private or not is_ours:
        raise StoreError(f"{directory} is not the agent's own directory: remove it, and see who made it")


def closed_to_us(file: Path) -> str:
    """Why this process may not open a file beside the database, with the cure."""
    us = os.geteuid()
    for place in (file.parent, file):
        if (owner := os.stat(place).st_uid) != us:
            return (
                f"{place} belongs to user {owner} and is closed to user {us}: run the command as the database's owner,"
                " to whom everything beside it has to belong (chown -R)"
            )
    return f"{file} is closed to its own user {us}: give him the right to write there (chmod u+rwX)"


def exposure(path: Path) -> str | None:
    """Who else may read or write the database, with the cure; None: nobody but its owner and readers of his group."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _WIDER_THAN_WANTED:
        return f"others may read or change the tasks in {path} (mode {mode:04o}): chmod 0600, or 0640"
    if _may_be_written_by_all(path.parent):
        return f"anybody may put files beside {path}: keep it in a directory of its own (chmod 0700)"
    return None


def _planted_link(named: Path) -> str | None:
    """As the kernel's protected_symlinks: a link is followed if it is ours, root's, or of who owns its directory."""
    try:
        if not named.is_symlink() or os.lstat(named).st_uid in {os.geteuid(), 0, os.stat(named.parent).st_uid}:
            return None
    except OSError:
        return None
    return f"{named} is a symbolic link that somebody else has made: remove it, or name another file"


def _check_side_files(path: Path) -> None:
    owners = _owners_about(path)
    for suffix in SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if os.path.lexists(side) and os.lstat(side).st_uid not in owners:
            raise StoreError(f"{side} was made by somebody else and could change tasks: remove it")


def _owners_about(database: Path) -> set[int]:
    """Whose files may lie beside the database: ours, root's, and those of who owns it or its directory."""
    owners = {os.geteuid(), 0}
    for place in (database, database.parent):
        if place.exists():
            owners.add(os.stat(place).st_uid)
    return owners


def _may_be_written_by_all(place: Path) -> bool:
    return place.exists() and bool(place.stat().st_mode & stat.S_IWOTH)
