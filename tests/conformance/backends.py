"""The stores that the suite runs against: to try another one, add its `Backend` to `BACKENDS`."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.lifecycle import State
from agent.store import SqliteStore, open_store
from agent.store.connection import Connection
from agent.store.interface import Store
from tests.support.processes import CHECKOUT

PATIENCE_S = 5.0  # a verb that waits where it must not fails in this time


@dataclass(frozen=True)
class Backend:
    """How the suite handles one kind of store. A place is a directory of its own; what is in it is the backend's."""

    name: str
    open: Callable[[Path], Store]  # a store over a place, made when it is missing
    dump: Callable[[Path], Any]  # all that is kept of tasks (rows, counts, attempts, keys), to be compared by ==
    census: Callable[[Path], Counter[tuple[str, State]]]  # how many rows there are of each type in each state
    writer: Callable[[Path], AbstractContextManager[None]]  # another process is in the midst of a write meanwhile


def database(place: Path) -> Path:
    """The SQLite file of a place."""
    return place / "state.db"


def rows(place: Path, query: str) -> list[Any]:
    """What a query finds in the database of a place, by a connection of its own."""
    connection = Connection(database(place), None, read_only=True)
    try:
        with connection.reading() as cursor:
            return cursor.execute(query).fetchall()
    finally:
        connection.close()


def sqlite(name: str, kind: Callable[[Path, float], SqliteStore]) -> Backend:
    """A backend of the kind of ours."""
    return Backend(name, lambda place: kind(database(place), PATIENCE_S), _dump, _census, _writer)


def _dump(place: Path) -> dict[str, list[Any]]:
    queries = {
        "task": "SELECT * FROM task ORDER BY id",
        "attempt": "SELECT * FROM attempt ORDER BY task, attempt",
        "key": "SELECT * FROM key ORDER BY key",
        "counts": "SELECT * FROM counts WHERE n <> 0 ORDER BY state, type",
    }
    return {table: rows(place, query) for table, query in queries.items()}


def _census(place: Path) -> Counter[tuple[str, State]]:
    query = "SELECT type.name, state, count(*) FROM task JOIN type ON type.id = task.type GROUP BY 1, 2"
    return Counter({(name, State(state)): n for name, state, n in rows(place, query)})


HOLD_THE_DATABASE = """
import sys
from pathlib import Path
from agent.store import SqliteStore
with SqliteStore(Path(sys.argv[1]))._connection.writing():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _writer(place: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD_THE_DATABASE, str(database(place))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield
        process.stdin.close()


BACKENDS = {backend.name: backend for backend in (sqlite("sqlite", open_store),)}
