"""What SQLite itself allows: the least that a durable queue writes, by one connection, without rules or readers.

One plain table with the columns of a queue and one index over what is queued; WAL, synchronous=FULL, and for the rest
what SQLite does by default, checkpoints included. Every value is made before the clock starts. Of the ways to write a
claim the fastest was taken: read a hundred in order, then one UPDATE over their range (UPDATE … RETURNING took 3 to 5 %
longer, an UPDATE by id 5 to 8 %).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import apsw

from benchmarks import Broken
from benchmarks.options import Options

HUNDRED = 100  # tasks that are claimed and recorded with one COMMIT
THOUSAND = 1000  # tasks that are inserted with one COMMIT

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE task (
  id INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  state INTEGER NOT NULL,  -- 1 queued, 2 claimed, 3 succeeded
  priority INTEGER NOT NULL,
  payload TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  worker INTEGER,
  started_at INTEGER,
  finished_at INTEGER,
  result TEXT
);
CREATE INDEX queued ON task (priority DESC, id) WHERE state = 1;
"""
INSERT = "INSERT INTO task (type, state, priority, payload, created_at) VALUES (1, 1, 0, ?, ?)"
HEAD = "SELECT id, payload FROM task INDEXED BY queued WHERE state = 1 ORDER BY priority DESC, id LIMIT ?"
CLAIM = """UPDATE task INDEXED BY queued SET state = 2, worker = 1
WHERE state = 1 AND priority = 0 AND id BETWEEN ? AND ?"""
RECORD = "UPDATE task SET state = 3, started_at = ?, finished_at = ?, result = ? WHERE id = ? AND state = 2"

Row = tuple[Any, ...]


def commits(options: Options, tasks: int) -> float:
    """Tasks a second inserted one by one, each with a COMMIT of its own."""
    with _table(options) as handle:
        rows = _rows(tasks)
        began = time.perf_counter()
        for row in rows:
            handle.execute(INSERT, row)
        return tasks / (time.perf_counter() - began)


def spaced_commits(options: Options, tasks: int, every_s: float) -> list[float]:
    """Seconds of each of so many rows, each with a COMMIT of its own and a rest after it."""
    with _table(options) as handle:
        took = []
        for row in _rows(tasks):
            began = time.perf_counter()
            handle.execute(INSERT, row)
            took.append(time.perf_counter() - began)
            time.sleep(every_s)
        return took


def inserts(options: Options, tasks: int) -> float:
    """Tasks a second inserted by the thousand."""
    with _table(options) as handle:
        return tasks / _fill(handle, _rows(tasks))


def drain(options: Options, tasks: int) -> float:
    """Tasks a second claimed and recorded: two UPDATEs a task, one COMMIT a hundred."""
    with _table(options) as handle:
        _fill(handle, _rows(tasks))
        outcomes = {task: (1 << 50, 1 << 50, f'{{"result":{task}}}', task) for task in range(1, tasks + 1)}
        began = time.perf_counter()
        _drain(handle.cursor(), outcomes)
        took = time.perf_counter() - began
        if handle.execute("SELECT count(*) FROM task WHERE state = 3").fetchall() != [(tasks,)]:
            raise Broken("raw SQLite did not drain every task")
        return tasks / took


def _drain(cursor: apsw.Cursor, outcomes: dict[int, Row]) -> None:
    claimed: list[Any] = []
    while True:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(RECORD, [outcomes[task] for task in claimed])
        claimed = [row[0] for row in cursor.execute(HEAD, (HUNDRED,)).fetchall()]
        if claimed:
            cursor.execute(CLAIM, (claimed[0], claimed[-1]))
        cursor.execute("COMMIT")
        if not claimed:
            return


def _fill(handle: apsw.Connection, rows: list[Row]) -> float:
    """Seconds it took."""
    began = time.perf_counter()
    for at in range(0, len(rows), THOUSAND):
        handle.execute("BEGIN IMMEDIATE")
        handle.executemany(INSERT, rows[at : at + THOUSAND])
        handle.execute("COMMIT")
    return time.perf_counter() - began


def _rows(tasks: int) -> list[Row]:
    return [(f'{{"value":{value}}}', time.time_ns() // 1000) for value in range(tasks)]


@contextmanager
def _table(options: Options) -> Iterator[apsw.Connection]:
    """An empty table in a file that is removed afterwards."""
    with TemporaryDirectory(prefix="raw-bench-", dir=options.directory) as directory:
        handle = apsw.Connection(f"{directory}/raw.db")
        try:
            handle.execute(SCHEMA).fetchall()
            yield handle
        finally:
            handle.close()
