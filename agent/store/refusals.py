"""Foreign errors become ours here, and nowhere else: each says what, where and the cure."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import apsw

from agent.errors import AgentError, ForeignDatabase, NewerDatabase, StoreDamaged, StoreError, StoreLocked
from agent.store.holders import named, writer_of

OF_THE_DISK = (
    apsw.IOError, apsw.FullError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.CorruptError, apsw.NotADBError
)  # fmt: skip
"""After these nobody knows what a handle believes: it is closed, and the next use opens another."""


FOREIGN = (apsw.Error, OSError, UnicodeDecodeError)
"""What a database's use may raise."""


def raise_ours(error: Exception, path: Path) -> NoReturn:
    """Raise ours for an error of SQLite's or of the system's; what is a mistake of this code's stays as it is."""
    told = _ours(error, path)
    if told is None:
        raise error
    raise told from error


def _ours(error: Exception, path: Path) -> AgentError | None:
    match error:
        case apsw.BusyError():
            return StoreLocked(f"{named(writer_of(path))} holds {path}: end it or wait, then try again")
        case apsw.NotADBError():
            return ForeignDatabase(f"{path} is not an SQLite database: name another file in persistence.db_path")
        case apsw.CorruptError() | UnicodeDecodeError():
            return StoreDamaged(f"{path} is damaged ({error}): restore a backup, or salvage it with sqlite3's .recover")
        case apsw.FullError():
            return StoreError(f"no space is left for {path}: make room, then try again")
        case apsw.ReadOnlyError():
            cure = "give the agent's user write permission on it and its directory"
            return StoreError(f"{path} cannot be written: {cure}")
        case apsw.CantOpenError():
            return StoreError(f"{path} cannot be opened: check that its directory exists and may be written")
        case apsw.ConstraintError():
            return StoreError(f"{path} refused a change that breaks its rules: {error}")
        case apsw.IOError() | apsw.PermissionsError() | apsw.AuthError() | apsw.ProtocolError() | apsw.NoLFSError():
            return StoreError(f"{path}: {error}: check the disk and the permissions")
        case OSError():  # of whoever looks for its files
            return StoreError(f"{error.filename or path}: {error.strerror}: check the disk and the permissions")
    return None


def newer(path: Path, found: int, known: int) -> NewerDatabase:
    """The error of who meets a schema beyond his own."""
    return NewerDatabase(f"{path} has schema {found}, this version knows {known}: upgrade it, or restore a backup")
