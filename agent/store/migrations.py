"""Bringing a database to the schema of this version: numbered files, one transaction, a backup first.

Why it is so: `PRAGMA application_id` tells a database of ours from anybody's, `user_version` tells its schema. A newer
one is refused, never guessed at. A migration raises the admission's version, so nobody claims by an older reading.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from agent.errors import ForeignDatabase, StoreError
from agent.failpoints import ARMED, reach
from agent.lifecycle import LAW
from agent.store.connection import Connection, Cursor
from agent.store.opening import create_private
from agent.store.queries import SQL, load
from agent.store.refusals import newer
from agent.store.restored import refuse_anothers_log, take_up

APPLICATION_ID = 0x53414E41  # "SANA"


@cache
def steps() -> Sequence[str]:
    """The migrations' texts, in order; step n leads to version n."""
    paths = sorted((SQL / "migrations").glob("*.sql"))
    return [path.read_text(encoding="utf-8").replace("{law}", str(LAW)) for path in paths]


def latest() -> int:
    """The schema that this code knows."""
    return len(steps())


def prepare(connection: Connection, may_upgrade: bool) -> None:
    """Create or (under the supervisor's lock) upgrade the schema. Raises ForeignDatabase, NewerDatabase, StoreError."""
    refuse_anothers_log(connection)
    version = check_version(connection)
    take_up(connection, has_tables=bool(version))
    if version == latest():
        return
    if version and not may_upgrade:
        raise StoreError(f"{connection.path} has the older schema {version}: start `resume` once, which upgrades it")
    if version:
        _back_up(connection, version)
    with connection.writing() as cursor:
        version = _version(cursor)
        if version == latest():  # somebody else was quicker, and may serve it already
            return
        for step in steps()[version:]:
            cursor.execute(step)
            if ARMED:
                reach("during_migration")
        if version:
            sql = load("oversight")
            cursor.execute(sql.outdate)
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        cursor.execute(f"PRAGMA user_version = {latest()}")


def check_version(connection: Connection) -> int:
    """The schema's version, 0 for an empty database. Raises ForeignDatabase and NewerDatabase."""
    with connection.reading(any_schema=True) as cursor:  # it may be anybody's
        version = _version(cursor)
        tables = cursor.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
        application = cursor.execute("PRAGMA application_id").fetchall()[0][0]
    if tables and application != APPLICATION_ID:
        raise ForeignDatabase(f"{connection.path} belongs to another program: name another file in persistence.db_path")
    if version > latest():
        raise newer(connection.path, version, latest())
    return version


def _version(cursor: Cursor) -> int:
    return int(cursor.execute("PRAGMA user_version").fetchall()[0][0])


def _back_up(connection: Connection, version: int) -> None:
    """Copy the database, for its owner alone, so that a power loss leaves no upgrade without the copy."""
    copy = connection.path.with_name(f"{connection.path.name}.before-schema-{version + 1}")
    copy.unlink(missing_ok=True)
    create_private(copy, connection.path.name)  # SQLite's own would be readable to all; it fills an empty one
    with connection.beside_writers() as handle:
        handle.execute("VACUUM INTO ?", (str(copy),))
    try:
        for path in (copy, copy.parent):  # SQLite promises neither
            _sync(path)
    except OSError as error:
        raise StoreError(f"cannot keep the backup {copy}: {error.strerror}; check the disk") from error


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
