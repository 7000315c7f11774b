"""Descriptors that somebody else in the process closed or laid something over: never written through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from agent.store import open_store
from agent.store.sqlite import SqliteStore
from agent.task import NewTask
from tests.support.processes import CHECKOUT

NEW = [NewTask("demo", "{}")]

LAY_OVER = """
import os, sys
from pathlib import Path
from agent.errors import StoreCutOff
from agent.store import open_store
from agent.task import NewTask

path, precious, which = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = open_store(path)
store.tasks.enqueue([NewTask("demo", "{}")], 1)
other = open_store(path)  # of the same process
other.tasks.totals()
file = os.open(precious, os.O_RDWR)
for number in range(3, 64):
    link = f"/proc/self/fd/{number}"
    if os.path.islink(link) and os.readlink(link) == f"{path}{which}":
        os.dup2(file, number)
for each in (store, other, open_store) if len(sys.argv) == 4 else ():
    try:
        each(path) if each is open_store else each.tasks.enqueue([NewTask("demo", "{}")], 1)
    except StoreCutOff as error:
        print(error)
store.close()
"""


MAKE_THE_LOG_ANEW = """
import os, sys
from pathlib import Path
from agent.errors import StoreCutOff
from agent.store import open_store
from agent.task import NewTask

path = Path(sys.argv[1])
log = f"{path}-wal"
store = open_store(path)
store.tasks.enqueue([NewTask("demo", "{}")], 1)
(number,) = [each for each in range(3, 64) if os.path.realpath(f"/proc/self/fd/{each}") == log]
os.unlink(log)
file = os.open(log, os.O_RDWR | os.O_CREAT, 0o600)
os.dup2(file, number)
try:
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
except StoreCutOff:
    print("refused")
"""


OPEN_IN_THEIR_PLACE = """
import os, sys
from pathlib import Path
from agent.errors import StoreCutOff
from agent.store import open_store
from agent.task import NewTask

path = Path(sys.argv[1])
before = os.dup(0)
os.close(before)
store, untouched = open_store(path), open_store(path)
os.closerange(before, before + 3)
files = [open(f"{path}.{number}", "w") for number in range(3)]
for each in (store, untouched):
    try:
        each.tasks.enqueue([NewTask("demo", "{}")], 1)
    except StoreCutOff:
        print("refused")
    each.close()
del store, untouched
for file in files:
    file.write("precious")
    file.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = open_store(path, busy_ms=50)
    yield store
    store.close()


@pytest.mark.parametrize("which", ["", "-wal", "-shm"])
def test_descriptors_that_lead_elsewhere_are_never_written_through(path: Path, tmp_path: Path, which: str) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious" * 1_000_000)

    done = python(LAY_OVER, path, precious, which)

    assert done.stdout.count("start the process again") == 3, done.stderr
    assert precious.read_bytes() == b"precious" * 1_000_000
    check(path)


def test_nor_when_the_process_ends(path: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious" * 1_000_000)

    done = python(LAY_OVER.replace("store.close()", ""), path, precious, "-wal", "and ends")

    assert done.returncode == 0, done.stderr
    assert precious.read_bytes() == b"precious" * 1_000_000
    check(path)


def test_to_close_the_store_takes_nobodys_files_away(path: Path) -> None:
    """Also not those that somebody opened under the numbers that its own had; and no connection goes on beside it."""
    done = python(OPEN_IN_THEIR_PLACE, path)

    assert (done.returncode, done.stdout.split()) == (0, ["refused", "refused"]), done.stderr
    assert [Path(f"{path}.{number}").read_text() for number in range(3)] == ["precious"] * 3


def test_a_second_connection_of_the_process_comes_and_goes(store: SqliteStore, path: Path) -> None:
    for _ in range(3):
        other = open_store(path)
        other.tasks.enqueue(NEW, 1)
        store.tasks.enqueue(NEW, 1)
        other.close()
        store.tasks.enqueue(NEW, 1)
    store.close()
    store.tasks.enqueue(NEW, 1)

    assert sum(store.tasks.totals().states.values()) == 10


def check(path: Path) -> None:
    """The database is whole, and holds the one task."""
    with apsw.Connection(str(path)) as handle:
        assert handle.pragma("integrity_check") == "ok"
        assert handle.execute("SELECT count(*) FROM task").fetchall() == [(1,)]


def python(program: str, *args: object) -> subprocess.CompletedProcess[str]:
    """A program in an interpreter of its own."""
    words = [sys.executable, "-c", program, *map(str, args)]
    return subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=30)


def test_a_log_of_the_same_name_under_the_same_number_is_not_taken_for_the_one_that_was_lost(path: Path) -> None:
    command = [sys.executable, "-c", MAKE_THE_LOG_ANEW, str(path)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("refused\n", "")
