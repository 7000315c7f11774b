"""A forked child opens the database anew, and before that lets go of what it has inherited."""

from __future__ import annotations

import mmap
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from agent.errors import StoreCutOff
from agent.store import connection as module
from agent.store import open_store
from agent.store.busy import BusyCount
from agent.store.connection import Connection
from agent.store.sqlite import SqliteStore
from agent.task import NewTask

NEW = [NewTask("demo", "{}")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = open_store(path)
    yield store
    store.close()


@pytest.fixture
def connection(store: SqliteStore) -> Connection:
    return store._connection


def test_a_child_opens_a_handle_of_its_own_and_its_parents_stays_as_it_is(connection: Connection) -> None:
    parents = connection.handle
    pid = os.fork()
    if pid == 0:
        os._exit(0 if connection.handle is not parents and not module._abandoned else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert connection.handle is parents
    assert parents.pragma("user_version")


def test_what_a_child_inherits_of_other_connections_is_closed_too(connection: Connection, path: Path) -> None:
    """SQLite keeps one account of a file's locks for all connections of a process."""
    other = open_store(path)
    parents = other._connection.handle
    pid = os.fork()
    if pid == 0:
        assert connection.handle
        try:
            parents.pragma("user_version")
        except apsw.ConnectionClosedError:
            os._exit(0)
        os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert parents.pragma("user_version")
    other.close()


def test_a_handle_that_was_in_use_when_it_crossed_a_fork_is_not_used_there(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORK_PATIENCE_S", 0.01)
    parents = connection.handle
    with connection.writing() as cursor:
        cursor.execute("INSERT INTO mark VALUES ('kept', 1)")
        pid = os.fork()
        if pid == 0:
            try:
                assert connection.handle
            except StoreCutOff as error:
                is_told = "in use when it was forked" in str(error)
                os._exit(0 if is_told and parents in module._abandoned and parents.in_transaction else 1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    with connection.reading() as cursor:
        assert cursor.execute("SELECT value FROM mark WHERE name = 'kept'").fetchall() == [(1,)]


def test_a_fork_waits_until_no_other_thread_uses_the_database(store: SqliteStore) -> None:
    """So whatever other threads do, the child may go on with the database."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            store.tasks.enqueue(NEW * 100, 1)

    with ThreadPoolExecutor(1) as threads:
        writes = threads.submit(write)
        for _ in range(20):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that threads run is the point of it
                pid = os.fork()
            if pid == 0:
                os._exit(0 if store._connection.handle else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        done.set()
        writes.result()


def test_closing_in_a_child_leaves_the_log_to_its_parent(store: SqliteStore, connection: Connection) -> None:
    store.tasks.enqueue(NEW, 1)
    log = connection.path.with_name(f"{connection.path.name}-wal")
    before = log.stat()
    pid = os.fork()
    if pid == 0:
        connection.close()
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (log.stat().st_ino, log.stat().st_size) == (before.st_ino, before.st_size)
    assert store.tasks.enqueue(NEW, 1)


def test_a_child_counts_for_itself_what_it_has_under_way(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one word two processes would lose count, and one who was killed in the midst would count for ever."""
    word = mmap.mmap(-1, 8)  # as a worker's slot: shared with whoever it forks
    monkeypatch.setattr(module, "busy", count := BusyCount())
    count.publish(memoryview(word).cast("q"), 0)
    pid = os.fork()
    if pid == 0:
        with store._connection.writing():
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(pid, 0)
    assert store.tasks.enqueue(NEW, 1)
    assert not any(word[:])
