"""A connection keeps to its process and thread, counts what is under way, and speaks only in our errors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from agent.errors import Conflict, ForeignDatabase, StoreError, StoreLocked
from agent.store import open_store
from agent.store.busy import BusyCount, busy
from agent.store.connection import Connection
from agent.store.locks import WriteLock
from agent.store.opening import check_sqlite
from agent.store.sqlite import SqliteStore
from agent.task import NewTask
from tests.support.processes import CHECKOUT
from tests.support.waiting import until

NEW = [NewTask("demo", "{}")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = open_store(path, busy_ms=50)
    yield store
    store.close()


@pytest.fixture
def connection(store: SqliteStore) -> Connection:
    return store._connection


def under_way() -> int:
    """How many transactions of this process are under way."""
    return busy._words[busy._at]


def test_a_database_is_durable(connection: Connection) -> None:
    handle = connection.handle

    assert handle.pragma("journal_mode") == "wal"
    assert handle.pragma("synchronous") == 2  # FULL


def test_a_log_that_no_supervisor_checkpoints_stays_small_nevertheless(connection: Connection) -> None:
    log = connection.path.with_name(f"{connection.path.name}-wal")
    with connection.writing() as cursor:
        cursor.execute("CREATE TABLE filler (content BLOB)")

    for _ in range(16):
        with connection.writing() as cursor:
            cursor.execute("INSERT INTO filler VALUES (zeroblob(4000000))")

    assert log.stat().st_size < 24 * 1024 * 1024


def test_a_write_that_raises_is_rolled_back_and_the_connection_goes_on(connection: Connection) -> None:
    def write_and_raise() -> None:
        with connection.writing() as cursor:
            cursor.execute("INSERT INTO mark VALUES ('gone', 1)")
            raise Conflict("no")

    with pytest.raises(Conflict):
        write_and_raise()
    with connection.writing() as cursor:
        assert cursor.execute("SELECT count(*) FROM mark").fetchall() == [(0,)]
        cursor.execute("INSERT INTO mark VALUES ('kept', 1)")
    with connection.reading() as cursor:
        assert cursor.execute("SELECT name FROM mark").fetchall() == [("kept",)]


def test_every_query_of_a_read_sees_the_same_state(store: SqliteStore, connection: Connection, path: Path) -> None:
    other = open_store(path)
    with connection.reading() as cursor:
        before = cursor.execute("SELECT count(*) FROM task").fetchall()
        other.tasks.enqueue(NEW, 1)
        assert cursor.execute("SELECT count(*) FROM task").fetchall() == before
    with connection.reading() as cursor:
        assert cursor.execute("SELECT count(*) FROM task").fetchall() == [(1,)]


def test_the_busy_count_is_up_while_a_transaction_is_under_way_however_it_ends(connection: Connection) -> None:
    def fail() -> None:
        with connection.writing():
            assert under_way() == before + 1
            raise Conflict("no")

    before = under_way()
    with connection.writing():
        assert under_way() == before + 1
    with connection.reading():
        assert under_way() == before + 1
    with connection.excluding_writers():
        assert under_way() == before + 1
    with pytest.raises(Conflict):
        fail()
    assert under_way() == before


def test_the_busy_count_is_up_before_the_write_lock_is_had(store: SqliteStore, path: Path) -> None:
    """A frozen process must not be next in the line for the lock without anybody knowing."""
    before, seen = under_way(), []
    other = open_store(path)

    def write() -> None:
        other.tasks.enqueue(NEW, 1)

    with store._connection.writing():
        thread = threading.Thread(target=write)
        thread.start()
        while under_way() < before + 2:
            assert thread.is_alive()
        seen.append(under_way())
    thread.join()

    assert (seen, under_way()) == ([before + 2], before)


def test_the_busy_count_can_be_published_in_a_word_of_somebody_else() -> None:
    words = [7, 7, 7]
    count = BusyCount()
    count.publish(words, 1)
    count.begin("one")

    assert words == [7, 1, 7]


def test_threads_take_turns_at_one_handle(connection: Connection) -> None:
    order: list[str] = []
    inside = threading.Event()

    def read() -> None:
        inside.wait(10)
        with connection.reading():
            order.append("read")

    thread = threading.Thread(target=read)
    thread.start()
    with connection.writing():
        inside.set()
        while not any(turn.is_taken() for turn in connection._turns.values()):
            assert thread.is_alive()
        order.append("written")
    thread.join()

    assert order == ["written", "read"]


def test_a_closed_connection_opens_again(connection: Connection) -> None:
    first = connection.handle
    connection.close()
    connection.close()

    assert connection.handle is not first


HOLD = """
import sys, apsw
handle = apsw.Connection(sys.argv[1])
handle.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


HOLD_OURS = """
import sys
from pathlib import Path
from agent.store.locks import WriteLock, run_directory
with WriteLock.of(run_directory(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_foreign_process_that_writes_for_long_is_told_as_locked(store: SqliteStore, path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked, match=rf"process {process.pid} \(python.*\) holds {path}"):
            store.tasks.enqueue(NEW, 1)
        assert store.tasks.list(None, None, 1) == []
        process.communicate()

    assert store.tasks.enqueue(NEW, 1)


def test_who_makes_a_database_waits_for_another_who_is_making_it(path: Path) -> None:
    """SQLite itself refuses at once to begin a log while somebody is about to write."""
    path.touch(0o600)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked, match=f"another process holds {path}"):
            open_store(path, busy_ms=50)
        with ThreadPoolExecutor(1) as threads:
            opened = threads.submit(open_store, path)
            with pytest.raises(futures.TimeoutError):
                opened.result(0.1)
            process.communicate()
            assert opened.result(10).tasks.enqueue(NEW, 1)


def child_that_opens(path: Path, at: float) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            while time.monotonic() < at:
                pass
            open_store(path).tasks.enqueue(NEW, 1)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def test_processes_that_make_one_database_at_once_all_get_it(tmp_path: Path) -> None:
    for n in range(25):
        path = tmp_path / f"{n}.db"
        at = time.monotonic() + 0.01
        children = [child_that_opens(path, at) for _ in range(3)]
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
        assert len(open_store(path).tasks.list(None, None, 9)) == 3


def test_a_read_only_connection_sees_everything_and_writes_nothing(store: SqliteStore, path: Path) -> None:
    store.tasks.enqueue(NEW, 1)
    reader = Connection(path, None, read_only=True)
    with reader.reading() as cursor:
        assert cursor.execute("SELECT count(*) FROM task").fetchall() == [(1,)]

    def write() -> None:
        with reader.reading() as cursor:
            cursor.execute("DELETE FROM task")

    with pytest.raises(StoreError, match="cannot be written"):
        write()
    reader.close()


def test_others_read_while_one_thread_waits_for_the_write_lock(store: SqliteStore, path: Path) -> None:
    store.tasks.enqueue(NEW, 1)
    command = [sys.executable, "-c", HOLD_OURS, str(path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(store.tasks.enqueue, NEW, 1)
            until(lambda: any(lock._threads.is_taken() for lock in WriteLock._made.values()))
            assert len(store.tasks.list(None, None, 9)) == 1
            assert not asked.done()
            process.communicate()
            assert asked.result(10)


def test_a_missing_database_is_not_made_by_a_reader(path: Path) -> None:
    def read() -> None:
        with Connection(path, None, read_only=True).reading():
            raise AssertionError("there is nothing to read")

    with pytest.raises(StoreError, match="cannot be opened"):
        read()
    assert not path.exists()


def test_a_damaged_database_is_told_as_such(store: SqliteStore, path: Path) -> None:
    store.tasks.enqueue(NEW, 1)
    store.upkeep.checkpoint(finish=True)
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))

    with pytest.raises((StoreError, ForeignDatabase), match="damaged"):
        open_store(path).tasks.list(None, None, 9)


def test_a_broken_rule_is_told_as_such(connection: Connection) -> None:
    with pytest.raises(StoreError, match="refused a change that breaks its rules"), connection.writing() as cursor:
        cursor.execute("INSERT INTO type (name) VALUES (NULL)")


def test_a_full_disk_is_told_and_nothing_is_half_written(store: SqliteStore, connection: Connection) -> None:
    store.tasks.enqueue(NEW, 1)
    pages = connection.handle.pragma("page_count")
    connection.handle.pragma("max_page_count", pages)
    with pytest.raises(StoreError, match="no space is left"):
        store.tasks.enqueue([NewTask("demo", '{"x":"' + "x" * 100_000 + '"}')] * 10, 1)
    connection.handle.pragma("max_page_count", 10**6)

    assert len(store.tasks.list(None, None, 99)) == 1
    assert store.tasks.enqueue(NEW, 1)


def test_an_sqlite_that_can_corrupt_its_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_sqlite()
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.53.9")
    with pytest.raises(StoreError, match=r"SQLite 3\.53\.9 is too old"):
        check_sqlite()


def test_a_database_where_nothing_may_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot make"):
        open_store(Path("/proc/state.db"))
