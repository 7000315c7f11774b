"""After an error of the disk a connection opens anew: nothing acknowledged is lost, nothing half done is kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import pytest

from agent.errors import StoreBroken, StoreDamaged, StoreError, StoreReplaced
from agent.store import open_store
from agent.task import NewTask
from tests.support.processes import CHECKOUT

NEW = [NewTask("demo", "{}")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


class FailingVfs(apsw.VFS):
    """SQLite's own way to files, until it is told that syncs fail; what was written stands in the file all the same."""

    def __init__(self) -> None:
        self.fails = False
        super().__init__("failing", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return FailingFile(self, name, flags)


class FailingFile(apsw.VFSFile):
    """A file whose syncs fail when its VFS was told so."""

    def __init__(self, vfs: FailingVfs, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        if self._vfs.fails:
            raise apsw.IOError("no sync")
        super().xSync(flags)


@pytest.fixture
def vfs() -> Iterator[FailingVfs]:
    vfs = FailingVfs()
    yield vfs
    vfs.fails = False
    vfs.unregister()


COUNT = "import sys, apsw; print(apsw.Connection(sys.argv[1]).execute('SELECT count(*) FROM task').get)"


def count_elsewhere(path: Path) -> int:
    """How many tasks another process sees."""
    done = subprocess.run([sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("many", [1, 200])
def test_a_commit_whose_sync_failed_is_seen_by_nobody_and_written_over_by_the_next(
    many: int, vfs: FailingVfs, path: Path
) -> None:
    store, other = open_store(path), open_store(path)
    store.tasks.enqueue(NEW, 1)
    handle = store._connection.handle
    vfs.fails = True
    with pytest.raises(StoreError, match="check the disk"):
        store.tasks.enqueue([NewTask("failed", '{"x":"' + "x" * 1000 + '"}')] * many, 1)
    vfs.fails = False

    assert store._connection._handle is None, "it is closed"
    assert [len(other.tasks.list(None, None, 9)), count_elsewhere(path)] == [1, 1]
    other.tasks.enqueue(NEW, 1)
    store.tasks.enqueue(NEW, 1)
    assert store._connection.handle is not handle
    assert {task.type for task in store.tasks.list(None, None, 999)} == {"demo"}
    assert count_elsewhere(path) == 3
    assert store._connection.handle.pragma("integrity_check") == "ok"
    store.close()
    other.close()


def test_a_commit_whose_sync_failed_is_all_there_or_not_at_all_after_a_crash(vfs: FailingVfs, path: Path) -> None:
    """Its frames stand in the log; nobody wrote over them. Who asked was told that it failed, and may find it."""
    store, other = open_store(path), open_store(path)
    for each in (store, other):
        each.tasks.enqueue(NEW, 1)
    vfs.fails = True
    with pytest.raises(StoreError):
        store.tasks.enqueue([NewTask("failed", '{"x":"' + "x" * 1000 + '"}')] * 200, 1)
    crashed = path.with_name("crashed.db")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    vfs.fails = False

    found = apsw.Connection(str(crashed))
    assert found.execute("SELECT count(*) FROM task").get in (2, 202)
    assert found.pragma("integrity_check") == "ok"
    store.close()
    other.close()


def test_nothing_is_opened_or_made_in_the_place_of_what_was_open_when_the_disk_failed(
    vfs: FailingVfs, path: Path
) -> None:
    store = open_store(path)
    vfs.fails = True
    with pytest.raises(StoreError):
        store.tasks.enqueue(NEW, 1)
    vfs.fails = False
    path.unlink()

    with pytest.raises(StoreReplaced, match="was removed, renamed or replaced"):
        store.tasks.enqueue(NEW, 1)
    assert not path.exists()
    store.close()


def test_locks_that_are_taken_away_are_missed_by_who_made_the_database_as_well(path: Path) -> None:
    """There were none yet when its first handle was opened."""
    store = open_store(path)
    (path.parent / "state.db.run").rename(path.parent / "moved")

    with pytest.raises(StoreReplaced, match=r"write\.lock was removed, renamed or replaced"):
        store.tasks.enqueue(NEW, 1)
    store.close()


def test_no_new_database_is_made_beside_the_log_of_one_that_is_gone(path: Path) -> None:
    store = open_store(path)
    store.tasks.enqueue(NEW, 1)
    log = path.with_name(f"{path.name}-wal")
    before = log.read_bytes()
    path.unlink()

    with pytest.raises(StoreBroken, match=r"there is no .*state\.db, but its log .*state\.db-wal: bring"):
        open_store(path)
    assert log.read_bytes() == before
    assert not path.exists()
    store.close()


def test_what_is_damaged_is_told_with_place_and_cure(path: Path) -> None:
    store = open_store(path)
    store.tasks.enqueue(NEW, 1)
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))

    with pytest.raises(StoreDamaged, match=rf"{path} is damaged .*: restore a backup"):
        open_store(path).tasks.list(None, None, 9)


SHUT_OUT = """
import os, sys
from pathlib import Path

import agent.store.tasks
from agent.errors import StoreError
from agent.store import open_store
from agent.task import NewTask

open_store(Path(sys.argv[1]) / "first.db").tasks.enqueue([NewTask("demo", "{}")], 1)  # whatever is read, is read now
if os.geteuid() == 0:  # whom nobody shuts out
    os.chown(sys.argv[1], 65534, 65534)
    os.seteuid(65534)
store = open_store(Path(sys.argv[1]) / "state.db")
store.tasks.enqueue([NewTask("demo", "{}")], 1)
os.chmod(sys.argv[1], 0)
for again in (False, True):
    try:
        store.tasks.enqueue([NewTask("demo", "{}")], 1)
    except StoreError as error:
        print(error)
    store.close()
os.chmod(sys.argv[1], 0o700)
"""


def test_a_directory_that_cannot_be_looked_into_any_more_is_told_with_place_and_cure() -> None:
    with TemporaryDirectory() as directory:
        words = [sys.executable, "-c", SHUT_OUT, directory]
        done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True)
        told = f"{directory}/state.db: Permission denied: check the disk and the permissions"

    assert (done.returncode, done.stdout.splitlines()) == (0, [told, told]), done.stderr
