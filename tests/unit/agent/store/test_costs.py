"""What a task costs is counted, not timed: statements, syncs of the disk, steps of SQLite's machine, rows looked at."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from agent.lifecycle import State
from agent.store import SqliteStore, open_store
from agent.store.values import Admission, Chunk
from agent.task import Claimed, NewTask, Outcome

WORKER = 7
CHUNK = 500
NOW = 1_800_000_000_000_000
_vfs = count()


class CountingVfs(apsw.VFS):
    """SQLite's own way to files, counting how often they are synced."""

    def __init__(self) -> None:
        self.syncs: Counter[str] = Counter()
        self.name = f"counting-{next(_vfs)}"
        super().__init__(self.name, "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return CountingFile(self, name, flags)


class CountingFile(apsw.VFSFile):
    """A file whose syncs are counted under the end of its name."""

    def __init__(self, vfs: CountingVfs, name: Any, flags: list[int]) -> None:
        self._syncs = vfs.syncs
        path = str(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._end = "log" if path.endswith("-wal") else "database"
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        self._syncs[self._end] += 1
        super().xSync(flags)


@pytest.fixture
def syncs() -> Iterator[Counter[str]]:
    """How often the log and the database were synced; for stores opened after this."""
    vfs = CountingVfs()
    yield vfs.syncs
    vfs.unregister()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = open_store(tmp_path / "state.db")
    yield store
    store.close()


def enqueue(store: SqliteStore, tasks: int, type: str = "demo", **fields: Any) -> None:
    """Store so many tasks, a thousand at a time."""
    for start in range(0, tasks, 1000):
        store.tasks.enqueue([NewTask(type, '{"n":1}', **fields)] * min(1000, tasks - start), NOW)


def exchange(store: SqliteStore, chunk: Chunk, size: int = CHUNK) -> Chunk:
    """What a worker does between two chunks: all of the last one has succeeded."""
    claims = store.claims(WORKER)
    kinds = claims.kinds(["demo"])
    outcomes = [
        Outcome(task.id, task.claims, 1, State.SUCCEEDED, NOW, NOW, None, "{}", None, None, "succeeded")
        for task in map(Claimed._make, chunk.tasks)
    ]
    admission = Admission(store.oversight.standing().version, frozenset(kinds.values()), lambda kind, queued: size)
    return claims.exchange(kinds["demo"], outcomes, None, admission)


@contextmanager
def traced(store: SqliteStore) -> Iterator[list[dict[str, Any]]]:
    """What SQLite tells of each statement that it ran in the block."""
    found: list[dict[str, Any]] = []
    handle = store._connection.handle
    handle.trace_v2(apsw.SQLITE_TRACE_PROFILE, found.append)
    yield found
    handle.trace_v2(0, None)


def steps(ran: list[dict[str, Any]]) -> int:
    """Instructions of SQLite's machine."""
    return sum(each["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"] for each in ran)


def test_a_chunk_takes_one_statement_a_task_and_a_dozen_for_all(store: SqliteStore) -> None:
    enqueue(store, 3 * CHUNK)
    chunk = exchange(store, Chunk())

    with traced(store) as ran:
        chunk = exchange(store, chunk)

    assert len(chunk.tasks) == CHUNK
    records = [each for each in ran if "SET state = 6" in each["sql"]]
    assert len(records) == CHUNK
    assert len(ran) - len(records) <= 24, Counter(each["sql"] for each in ran)


def test_a_chunk_is_synced_once_and_so_is_a_thousand_enqueued(syncs: Counter[str], store: SqliteStore) -> None:
    enqueue(store, 1)
    before = syncs.copy()
    enqueue(store, 1000)
    assert syncs - before == {"log": 1}

    chunk = exchange(store, Chunk())
    before = syncs.copy()
    exchange(store, chunk)
    assert syncs - before == {"log": 1}


def test_we_never_ask_for_the_times_of_files_that_are_written(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After that a file's next write takes a third longer to sync."""
    enqueue(store, 2 * CHUNK)
    chunk = exchange(store, Chunk())
    asked: list[str] = []
    for name in ("stat", "fstat"):
        sound = getattr(os, name)
        monkeypatch.setattr(os, name, lambda file, sound=sound: asked.append(str(named(file))) or sound(file))

    exchange(store, chunk)
    enqueue(store, 1)
    store.tasks.totals()

    monkeypatch.undo()
    assert not [path for path in asked if path.startswith(str(store._connection.path))]


def named(file: int | str) -> str:
    """The path of what `os.stat` is asked about."""
    return os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else file


def test_an_empty_look_reads_once_and_syncs_nothing(syncs: Counter[str], store: SqliteStore) -> None:
    enqueue(store, 1)
    exchange(store, exchange(store, Chunk()))
    before = syncs.copy()

    with traced(store) as ran:
        assert not exchange(store, Chunk()).tasks

    assert len([each for each in ran if each["sql"].startswith("SELECT")]) <= 3, [each["sql"] for each in ran]
    assert not [each["sql"] for each in ran if "IMMEDIATE" in each["sql"]]
    assert syncs == before


def queued(store: SqliteStore) -> None:
    enqueue(store, 20_000)


def in_the_future(store: SqliteStore) -> None:
    enqueue(store, 20_000, due_at=NOW + 1)


def of_another_type_ahead(store: SqliteStore) -> None:
    enqueue(store, 20_000, type="paused", priority=9)


def finished(store: SqliteStore) -> None:
    enqueue(store, 20_000)
    chunk = exchange(store, Chunk(), 1000)
    while chunk.tasks:
        chunk = exchange(store, chunk, 1000)


@pytest.mark.parametrize("fill", [queued, in_the_future, of_another_type_ahead, finished])
def test_what_a_chunk_costs_does_not_grow_with_what_is_stored(
    store: SqliteStore, fill: Callable[[SqliteStore], None]
) -> None:
    store.tasks.enqueue([NewTask("paused", "{}", priority=9)], NOW)
    enqueue(store, 3 * CHUNK, priority=5)
    chunk = exchange(store, Chunk())
    with traced(store) as few:
        chunk = exchange(store, chunk)
    fill(store)
    enqueue(store, 2 * CHUNK, priority=5)

    with traced(store) as many:
        assert len(exchange(store, chunk).tasks) == CHUNK

    assert steps(many) <= 1.02 * steps(few)
    assert not [each["sql"] for each in many if each["stmt_status"]["SQLITE_STMTSTATUS_SORT"] > 1]
    assert not [each["sql"] for each in many if each["stmt_status"]["SQLITE_STMTSTATUS_AUTOINDEX"]]


@pytest.mark.parametrize("fill", [queued, in_the_future, of_another_type_ahead, finished])
def test_what_stats_cost_does_not_grow_with_what_is_stored(
    store: SqliteStore, fill: Callable[[SqliteStore], None]
) -> None:
    enqueue(store, 1, type="paused")
    enqueue(store, 1, due_at=NOW + 1)
    exchange(store, exchange(store, Chunk(), 1), 1)
    enqueue(store, 1)
    with traced(store) as few:
        store.tasks.totals()
    fill(store)

    with traced(store) as many:
        store.tasks.totals()

    assert steps(many) <= 1.5 * steps(few)
