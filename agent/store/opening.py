"""Opening a database file as it must be: by an SQLite that is sound, private, with a log, every COMMIT synced."""

from __future__ import annotations

import os
import time
from pathlib import Path

import apsw

from agent.errors import StoreBroken, StoreError
from agent.private import make_file

MINIMUM_SQLITE = (3, 54)  # earlier ones can corrupt a WAL that is checkpointed while others write
LONGEST_LOG = 4096  # pages: where the chore thread does not keep the log short, or there is none, whoever commits does
MAKERS_LOOK_S = 0.001  # between two tries of two processes that make one database


def check_sqlite() -> None:
    """Refuse an SQLite that can corrupt its log in our shape. Raises StoreError."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < MINIMUM_SQLITE:
        raise StoreError(f"SQLite {apsw.sqlite_lib_version()} is too old, 3.54 is needed: pip install --upgrade apsw")


def connect(path: Path, patience_ms: int, read_only: bool) -> apsw.Connection:
    """A new handle; `patience_ms`: how long SQLite waits for a foreign lock. Raises StoreError and apsw.Error."""
    check_sqlite()
    if read_only:
        flags = apsw.SQLITE_OPEN_READONLY
    else:
        # The path is a real one: a link in it was planted since.
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
        if not path.exists():
            _check_no_log_is_left(path)
            create_private(path)
    flags |= apsw.SQLITE_OPEN_NOMUTEX  # whoever uses it takes turns
    handle = apsw.Connection(str(path), flags=flags, statementcachesize=128)
    # APSW closes what is open as the interpreter ends, wherever the descriptors lead by then: let nothing be written.
    handle.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    handle.set_busy_timeout(patience_ms)
    handle.execute("PRAGMA trusted_schema = OFF")
    if not read_only:
        _begin_a_log(handle, patience_ms)
        handle.execute("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY")
        handle.execute(f"PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = {LONGEST_LOG}")
    handle.pragma("schema_version")  # the first look opens the log and its index
    return handle


def _begin_a_log(handle: apsw.Connection, patience_ms: int) -> None:
    """In a new database; what may be another program's stays as it is. SQLite does not wait for who does the same."""
    deadline = time.monotonic() + patience_ms / 1000
    while True:
        try:
            if handle.pragma("page_count") == 0:
                handle.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(MAKERS_LOOK_S)


def refuse_missing(path: Path) -> None:
    """Where there is no database, who only asks makes none: he is in another place than he believes."""
    if not path.exists():
        _check_no_log_is_left(path)
        cure = "`enqueue` or `resume` makes one; or name another in persistence.db_path"
        raise StoreError(f"there is no database at {path}: {cure}")


def create_private(path: Path, beside: str | None = None) -> None:
    """Make a missing file 0600. One that exists is never opened here: closing it would drop SQLite's locks."""
    try:
        os.close(make_file(path, beside))
    except FileExistsError:
        return
    except OSError as error:
        cure = "choose a directory that exists and may be written (persistence.db_path)"
        raise StoreError(f"cannot make the database {path}: {error.strerror}; {cure}") from error


def _check_no_log_is_left(path: Path) -> None:
    """SQLite takes the log of a database that is gone for rubbish, and deletes it."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise StoreBroken(f"there is no {path}, but its log {log}: bring the database back, or remove the log")
