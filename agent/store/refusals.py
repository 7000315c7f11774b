"""Foreign errors become ours here, and nowhere else: each says what, where and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from agent.errors import AgentError, ForeignDatabase, NewerDatabase, StoreDamaged, StoreError, StoreLocked
from agent.store.holders import named, writer_of

OF_THE_DISK = (
    apsw.IOError, apsw.FullError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.CorruptError, apsw.NotADBError
)  # fmt: skip
"""After these nobody knows what a handle believes: it is closed, and the next use opens another."""


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """In the block, the errors of SQLite and of the system are ours."""
    try:
        yield
    except AgentError:
        raise
    except apsw.BusyError as error:
        raise StoreLocked(f"{named(writer_of(path))} holds {path}: end it or wait, then try again") from error
    except apsw.NotADBError as error:
        raise ForeignDatabase(f"{path} is not an SQLite database: name another file in persistence.db_path") from error
    except (apsw.CorruptError, UnicodeDecodeError) as error:
        raise StoreDamaged(
            f"{path} is damaged ({error}): restore a backup, or salvage it with sqlite3's .recover"
        ) from error
    except apsw.FullError as error:
        raise StoreError(f"no space is left for {path}: make room, then try again") from error
    except apsw.ReadOnlyError as error:
        raise StoreError(
            f"{path} cannot be written: give the agent's user write permission on it and its directory"
        ) from error
    except apsw.CantOpenError as error:
        raise StoreError(f"{path} cannot be opened: check that its directory exists and may be written") from error
    except apsw.ConstraintError as error:
        raise StoreError(f"{path} refused a change that breaks its rules: {error}") from error
    except (apsw.IOError, apsw.PermissionsError, apsw.AuthError, apsw.ProtocolError, apsw.NoLFSError) as error:
        raise StoreError(f"{path}: {error}: check the disk and the permissions") from error
    except OSError as error:  # whoever looks for its files
        raise StoreError(f"{error.filename or path}: {error.strerror}: check the disk and the permissions") from error


def newer(path: Path, found: int, known: int) -> NewerDatabase:
    """The error of who meets a schema beyond his own."""
    return NewerDatabase(f"{path} has schema {found}, this version knows {known}: upgrade it, or restore a backup")
