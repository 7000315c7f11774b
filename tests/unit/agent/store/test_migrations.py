"""A database is made, upgraded with a backup, or refused; and its schema holds the law against any statement."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import apsw
import pytest

from agent.errors import ForeignDatabase, NewerDatabase, StoreError
from agent.lifecycle import State, is_legal
from agent.store import migrations, open_store
from agent.store.connection import Connection
from agent.store.sqlite import SqliteStore
from agent.task import NewTask
from campaign.recorder import Create, Delete, Sync, SyncDirectory, Write, recording


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return open_store(path)


def one(path: Path, query: str) -> object:
    """The first value that a query gives."""
    connection = Connection(path, None, read_only=True)
    try:
        return connection.handle.execute(query).fetchall()[0][0]
    finally:
        connection.close()


def test_a_new_database_is_ours_of_this_version_and_private(store: SqliteStore, path: Path) -> None:
    assert one(path, "PRAGMA user_version") == len(migrations.steps())
    assert one(path, "PRAGMA application_id") == migrations.APPLICATION_ID
    assert one(path, "PRAGMA journal_mode") == "wal"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list(path.parent.glob("*before-schema*"))


def test_opening_again_changes_nothing(store: SqliteStore, path: Path) -> None:
    (enqueued,) = store.tasks.enqueue([NewTask("demo", "{}")], 1)
    schema = one(path, "SELECT group_concat(sql) FROM sqlite_schema")
    store.close()

    assert open_store(path).tasks.find(enqueued.id).type == "demo"
    assert one(path, "SELECT group_concat(sql) FROM sqlite_schema") == schema


def test_an_older_database_is_upgraded_by_its_supervisor_alone_and_after_a_backup(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (enqueued,) = store.tasks.enqueue([NewTask("demo", "{}")], 1)
    store.close()
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)

    with pytest.raises(StoreError, match="has the older schema"):
        open_store(path)
    assert one(path, "PRAGMA user_version") == len(steps) - 1
    version = one(path, "SELECT version FROM admission")
    assert open_store(path, supervises=True).tasks.find(enqueued.id).type == "demo"
    assert one(path, "SELECT version FROM admission") == version + 1, "nobody claims by an older reading"

    backup = path.with_name(f"state.db.before-schema-{len(steps)}")
    assert one(path, "PRAGMA user_version") == len(steps)
    assert one(path, "SELECT count(*) FROM added") == 0
    assert one(backup, "PRAGMA user_version") == len(steps) - 1
    assert one(backup, "SELECT count(*) FROM task") == 1
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_backup_outlives_a_power_loss_before_the_upgrade_does(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.tasks.enqueue([NewTask("demo", "{}")], 1)  # the log has frames: the upgrade goes behind them
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    with recording(path.parent, seed=1) as recorder:
        log = recorder.number_of("state.db-wal")
        open_store(path, supervises=True).close()

    events = recorder.events
    backup = next(each.file for each in events if isinstance(each, Create) and each.name.endswith(f"-{len(steps)}"))
    names = max(n for n, each in enumerate(events) if isinstance(each, Create | Delete))
    data = max(n for n, each in enumerate(events) if isinstance(each, Write) and each.file == backup)
    upgrade = next(n for n, each in enumerate(events) if isinstance(each, Write) and each.file == log)
    assert data < upgrade
    assert Sync(backup) in events[data:upgrade]
    assert SyncDirectory() in events[names:upgrade]


def test_an_upgrade_whose_backup_cannot_be_written_is_refused_in_our_words(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    try:
        with pytest.raises(StoreError, match="check the disk"):
            open_store(path, supervises=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert one(path, "PRAGMA user_version") == len(steps) - 1


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT; INSERT INTO admission VALUES (2, 1, 1, 1, 1)"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    with pytest.raises(StoreError, match="breaks its rules"):
        open_store(path, supervises=True)

    assert one(path, "PRAGMA user_version") == len(steps) - 1
    assert one(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'added'") == 0


def make(path: Path, script: str) -> None:
    """A database that somebody else has made."""
    handle = apsw.Connection(str(path))
    handle.execute(script)
    handle.close()


def test_a_newer_database_is_refused_untouched(store: SqliteStore, path: Path) -> None:
    store.close()
    make(path, "PRAGMA user_version = 99")
    before = path.read_bytes()

    with pytest.raises(NewerDatabase, match=r"schema 99.*upgrade .*or restore a backup"):
        open_store(path)
    assert path.read_bytes() == before


def test_who_had_it_open_before_an_upgrade_neither_writes_nor_reads_any_more(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (enqueued,) = store.tasks.enqueue([NewTask("demo", "{}")], 1)
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    newer = open_store(path, supervises=True)

    with pytest.raises(NewerDatabase, match=r"schema 3, this version knows 2: upgrade"):
        store.tasks.enqueue([NewTask("demo", "{}")], 1)
    with pytest.raises(NewerDatabase):
        store.tasks.find(enqueued.id)
    assert newer.tasks.totals().states[State.QUEUED] == 1


def test_another_programs_database_is_refused(path: Path) -> None:
    make(path, "CREATE TABLE theirs (n)")

    with pytest.raises(ForeignDatabase, match="belongs to another program"):
        open_store(path)
    assert one(path, "SELECT count(*) FROM sqlite_schema") == 1


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("a letter to a friend\n" * 100)

    with pytest.raises(ForeignDatabase, match="not an SQLite database"):
        open_store(path)
    assert path.read_text().startswith("a letter to a friend")


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()

    assert open_store(path).tasks.list(None, None, 1) == []


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no directory .*/missing .*persistence\.db_path"):
        open_store(tmp_path / "missing" / "state.db")


def test_a_database_with_two_names_is_refused(store: SqliteStore, path: Path) -> None:
    store.close()
    os.link(path, path.with_name("second.db"))

    with pytest.raises(StoreError, match="hard links"):
        open_store(path)


def test_a_symbolic_link_leads_to_the_same_database(store: SqliteStore, path: Path) -> None:
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
    link = path.with_name("link.db")
    link.symlink_to(path)

    other = open_store(link)
    assert other.path == store.path
    assert other.tasks.totals().states[State.QUEUED] == 1


# -- The law in the schema


def insert(handle: apsw.Connection, state: State) -> int:
    """A task in a state, past every verb."""
    handle.execute(
        "INSERT INTO task (type, state, priority, worker, created_at, due_at, started_at, finished_at, payload, result)"
        " VALUES (1, ?, 0, 7, 1, 1, 1, ?, '{}', ?)",
        (state, *_as_its_row_needs(state)),
    )
    return handle.last_insert_rowid()


def move(handle: apsw.Connection, task: int, to: State) -> None:
    """Raw SQL that gives a task another state, and all that the row of such a one needs."""
    query = "UPDATE task SET state = ?, finished_at = ?, result = ? WHERE id = ?"
    handle.execute(query, (to, *_as_its_row_needs(to), task))


def _as_its_row_needs(state: State) -> tuple[int | None, str | None]:
    return (5 if state > State.IN_PROGRESS else None, "{}" if state is State.SUCCEEDED else None)


def test_the_schema_refuses_every_illegal_move_and_no_legal_one(store: SqliteStore) -> None:
    handle = store._connection.handle
    for frm in State:
        for to in State:
            task = insert(handle, frm)
            if frm is to or is_legal(frm, to):
                move(handle, task, to)
                continue
            with pytest.raises(apsw.ConstraintError, match="illegal move of a task"):
                move(handle, task, to)
            assert handle.execute("SELECT state FROM task WHERE id = ?", (task,)).fetchall() == [(frm,)]


BREACHES = {
    "no such state": (State.QUEUED, "UPDATE task SET state = 9 WHERE id = ?"),
    "finished at no time": (State.QUEUED, "UPDATE task SET state = 8 WHERE id = ?"),
    "finished while it waits": (State.QUEUED, "UPDATE task SET finished_at = 1 WHERE id = ?"),
    "succeeded without a result": (State.RESERVED, "UPDATE task SET state = 6, finished_at = 1 WHERE id = ?"),
    "held by nobody": (State.RESERVED, "UPDATE task SET worker = NULL WHERE id = ?"),
    "begun at no time": (State.IN_PROGRESS, "UPDATE task SET started_at = NULL WHERE id = ?"),
    "a result of a failure": (State.FAILED, "UPDATE task SET result = '1' WHERE id = ?"),
    "a text as a number": (State.QUEUED, "UPDATE task SET priority = 'high' WHERE id = ?"),
}


@pytest.mark.parametrize(("state", "breach"), BREACHES.values(), ids=BREACHES.keys())
def test_the_schema_refuses_a_row_that_cannot_be(store: SqliteStore, state: State, breach: str) -> None:
    handle = store._connection.handle
    task = insert(handle, state)

    with pytest.raises(apsw.ConstraintError):
        handle.execute(breach, (task,))


def test_the_view_spells_states_as_the_lifecycle_does(store: SqliteStore) -> None:
    handle = store._connection.handle
    handle.execute("INSERT INTO type (id, name) VALUES (1, 'demo')")
    for state in State:
        insert(handle, state)

    assert [row[0] for row in handle.execute("SELECT state FROM tasks ORDER BY id")] == [state.word for state in State]


def test_who_comes_second_to_a_new_database_does_not_outdate_the_admission_of_the_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what the first has told its workers would be old, and nothing would ever be claimed."""
    first = open_store(path, supervises=True)
    before = first.oversight.standing()
    monkeypatch.setattr(migrations, "check_version", lambda connection: 0)  # as it was when the second looked
    open_store(path)
    assert first.oversight.standing() == before
