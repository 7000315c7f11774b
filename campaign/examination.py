"""Opening what a power loss has left, as a restarted agent does, and comparing it with what was acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AgentError
from agent.store import SqliteStore, open_store
from agent.store.connection import Connection, Cursor
from agent.task import NewTask
from campaign.ledger import Rows, look
from campaign.lives import DATABASE, NOON, Life
from campaign.recorder import write_files

BACKUP = f"{DATABASE}.before-schema-2"

Files = Mapping[str, bytes]


@dataclass(slots=True)
class Found:
    """What an image shows. `mark`: the verb whose rows it holds, if one of those that may be."""

    breaches: list[str]
    mark: int | None = None
    lost: int = 0
    unexpected: int = 0


class Examiner:
    """Opens images in a directory of its own. `old`: what the backup of an upgraded database has to hold."""

    def __init__(self, directory: Path, old: Rows | None = None) -> None:
        self._directory = directory
        self._path = directory / DATABASE
        self._old = old
        self._backups: dict[tuple[bytes | None, ...], bool] = {}

    def examine(self, files: Files, life: Life, place: int) -> Found:
        """Whether an image, of a power loss at a place of a life, keeps every promise."""
        if self._old is not None and not self._is_backed_up(files):
            write_files(self._directory, files)
            if self._version() != 1:
                return Found([f"it has schema {self._version()}, and no backup of schema 1 that is whole"])
        write_files(self._directory, files)
        try:
            return self._opened(life, place)
        except AgentError as error:
            return Found([f"it cannot be used: {error}"])

    def _opened(self, life: Life, place: int) -> Found:
        store = open_store(self._path, supervises=True)
        try:
            with closing(Connection(self._path, None, read_only=True)) as reader:
                with reader.reading() as cursor:
                    rows = look(cursor)
                found = compare(rows, life, place)
                found.breaches += _goes_on(store, rows)
                with reader.reading() as cursor:
                    found.breaches += _unsound(cursor)
            return found
        finally:
            store.supervisor_lock.close()
            store.close()

    def _version(self) -> int:
        with closing(Connection(self._path, None)) as connection, connection.reading() as cursor:
            return int(cursor.execute("PRAGMA user_version").fetchall()[0][0])

    def _is_backed_up(self, files: Files) -> bool:
        """Whether the backup is there and whole; looked at once for each content."""
        ours = {name: files[name] for name in (BACKUP, f"{BACKUP}-journal") if name in files}
        content = tuple(ours.values())
        if content not in self._backups:
            write_files(self._directory, ours)
            self._backups[content] = BACKUP in ours and rows_of(self._directory / BACKUP) == self._old
        return self._backups[content]


def rows_of(path: Path) -> Rows | None:
    """All that a database holds; None when it is not sound."""
    try:
        with closing(Connection(path, None)) as connection, connection.reading() as cursor:
            return None if list(_unsound(cursor)) else look(cursor)
    except AgentError:
        return None


def _goes_on(store: SqliteStore, rows: Rows) -> Iterator[str]:
    """A task is taken in, under an id that was never used; the log is merged."""
    (enqueued,) = store.tasks.enqueue([NewTask("after the power loss", "{}")], NOON)
    if enqueued.id in {row[0] for row in rows["told"]}:
        yield f"the next task got the id {enqueued.id} once more"
    store.upkeep.checkpoint(finish=True)


def compare(rows: Rows, life: Life, place: int) -> Found:
    """What was found after a power loss at a place, against what may be found there."""
    allowed = life.allowed(place)
    for mark in allowed:
        if rows == life.marks[mark].rows:
            return Found([], mark)
    lost, unexpected = _tasks_apart(rows, [life.marks[mark].rows for mark in allowed])
    last = allowed[0]
    for mark in range(last - 1, -1, -1):
        if rows == life.marks[mark].rows:
            later = life.marks[mark + 1].verb
            sentence = f"it is as after verb {mark}, though verbs {mark + 1} ({later}) to {last} had returned"
            return Found([f"{sentence}; of {lost} tasks something is lost"], None, lost, unexpected)
    verb = life.marks[allowed[-1]].verb
    apart = "; ".join(_tables_apart(rows, life.marks[last].rows))
    sentence = f"it is neither as before verb {allowed[-1]} ({verb}) nor as after it: {apart}"
    return Found([sentence], None, lost, unexpected)


def _tasks_apart(rows: Rows, allowed: Sequence[Rows]) -> tuple[int, int]:
    """How many tasks are not as they may be, and how many there should not be at all."""
    may_be = {row for each in allowed for row in each["told"]}
    known = {row[0] for row in may_be}
    there = {row[0] for row in rows["told"]}
    strange = {row[0] for row in rows["told"] if row not in may_be}
    missing = {row[0] for row in allowed[0]["told"]} - there
    return len(strange & known) + len(missing), len(strange - known)


def _tables_apart(rows: Rows, before: Rows) -> Iterator[str]:
    """What differs from before, by table."""
    for table in sorted(rows.keys() | before.keys()):
        more = [row for row in rows.get(table, []) if row not in before.get(table, [])]
        less = [row for row in before.get(table, []) if row not in rows.get(table, [])]
        if more or less:
            yield f"{table} has {len(more)} rows more, as {more[:1]}, and {len(less)} less, as {less[:1]}"


def _unsound(cursor: Cursor) -> Iterator[str]:
    """What SQLite itself finds wrong."""
    yield from (str(row[0]) for row in cursor.execute("PRAGMA integrity_check").fetchall() if row[0] != "ok")
    yield from (f"foreign key of {row[0]}" for row in cursor.execute("PRAGMA foreign_key_check").fetchall())
