"""A backup that was put in the database's place is taken up, or refused where it would be mixed with another's log."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.errors import NotFound, StoreError, StoreReplaced
from agent.store import open_store
from agent.store.sqlite import SqliteStore
from agent.task import NewTask

MANY = [NewTask("demo", '{"text": "' + "x" * 3000 + '"}')] * 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return open_store(path)


def back_up(store: SqliteStore, path: Path) -> Path:
    """A backup as the documentation has it taken."""
    copy = path.with_name("backup.db")
    store._connection.handle.execute("VACUUM INTO ?", (str(copy),))
    return copy


def test_ids_that_were_given_after_the_backup_are_given_to_nobody_else(store: SqliteStore, path: Path) -> None:
    (kept,) = store.tasks.enqueue([NewTask("demo", "{}")], 1)
    copy = back_up(store, path)
    lost = store.tasks.enqueue(MANY, 1)
    store.close()
    shutil.copy(copy, path)

    restored = open_store(path)
    (new,) = restored.tasks.enqueue([NewTask("demo", "{}")], 1)
    assert new.id > lost[-1].id
    assert restored.tasks.find(kept.id).type == "demo"
    with pytest.raises(NotFound):
        restored.tasks.find(lost[0].id)


def test_ids_of_a_backup_without_tasks_leap_as_well(store: SqliteStore, path: Path) -> None:
    copy = back_up(store, path)
    lost = store.tasks.enqueue(MANY, 1)
    store.close()
    shutil.copy(copy, path)

    (new,) = open_store(path).tasks.enqueue([NewTask("demo", "{}")], 1)
    assert new.id > lost[-1].id


def test_ids_leap_once_for_a_restored_backup(store: SqliteStore, path: Path) -> None:
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
    copy = back_up(store, path)
    store.close()
    shutil.copy(copy, path)
    (first,) = open_store(path).tasks.enqueue([NewTask("demo", "{}")], 1)

    (second,) = open_store(path).tasks.enqueue([NewTask("demo", "{}")], 1)
    assert second.id == first.id + 1


def test_a_backup_beside_the_log_of_what_it_replaced_is_refused_untouched(store: SqliteStore, path: Path) -> None:
    store.tasks.enqueue(MANY, 1)
    copy, left = back_up(store, path), path.with_name("left")
    store.tasks.enqueue(MANY, 1)  # these stand in the log alone
    shutil.copy(path.with_name("state.db-wal"), left)
    store.close()
    log = path.with_name("state.db-wal")
    shutil.copy(copy, path)
    shutil.copy(left, log)

    with pytest.raises(StoreError, match=r"another database's log beside it.*remove .*state\.db-wal"):
        open_store(path)
    assert path.read_bytes() == copy.read_bytes()
    assert log.read_bytes() == left.read_bytes()

    log.unlink()
    assert sum(open_store(path).tasks.totals().states.values()) == len(MANY)


def test_a_database_whose_header_a_power_failure_tore_is_no_backup(store: SqliteStore, path: Path) -> None:
    stored = store.tasks.enqueue(MANY, 1)  # its log has the header as it should be
    torn = path.with_name("torn.db")
    shutil.copy(path.with_name("state.db-wal"), path.with_name("torn.db-wal"))
    torn.write_bytes(b"\xa5" * 512 + path.read_bytes()[512:])

    opened = open_store(torn)
    assert opened.tasks.find(stored[-1].id).type == "demo"
    opened.tasks.enqueue(MANY, 1)
    opened.close()
    assert torn.read_bytes().startswith(b"SQLite format 3"), "its log is merged at the last close"


def test_nothing_is_acknowledged_once_a_backup_was_copied_over_a_database_in_use(
    store: SqliteStore, path: Path
) -> None:
    store.tasks.enqueue(MANY, 1)
    copy, log = back_up(store, path), path.with_name("state.db-wal")
    store.upkeep.checkpoint(finish=True)
    store.tasks.enqueue(MANY, 1)
    shutil.copyfile(copy, path)

    with pytest.raises(StoreReplaced, match=r"state\.db was .*replaced while it was in use"):
        store.tasks.enqueue(MANY, 1)
    store.upkeep.checkpoint(finish=False)
    store.upkeep.checkpoint(finish=True)
    store.close()
    assert path.read_bytes() == copy.read_bytes(), "the log of what it replaced was merged into it"

    log.unlink()
    assert sum(open_store(path).tasks.totals().states.values()) == len(MANY)
