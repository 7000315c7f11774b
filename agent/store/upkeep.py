"""Keeping the database small: retention in small batches, checkpoints of the write-ahead log.

Why it is so: tasks are made in the order of their ids, so a walk up from a kept mark meets the old ones first and stops
at the first that is too young to be old enough; what it passes over (unfinished, or finished late) is met again when
the walk starts anew, and there is little of it.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from agent.clock import SECOND
from agent.errors import StoreLocked
from agent.lifecycle import State
from agent.store.connection import Connection, Cursor
from agent.store.descriptors import says_it_has_a_log
from agent.store.outcomes import sql as claims_sql
from agent.store.queries import load
from agent.store.values import Pruned

__all__ = ["Pruned", "Upkeep"]

sql = load("upkeep")

BATCH = 500
WALK_AGAIN = 3600 * SECOND


class Upkeep:
    """The chore thread's verbs, on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prune_tasks(self, finished_before: int, now: int) -> Pruned:
        """Delete up to a batch of tasks finished before a time; keys (with their results) stay."""
        with self._connection.writing() as cursor:
            mark = _mark(cursor, "pruned")
            rows = cursor.execute(sql.walk, (mark, BATCH)).fetchall()
            # Those that a clock made which was set back since would hold up the walk for as long.
            passed = [row for row in rows if row[3] < finished_before or row[3] > now]
            gone = [row for row in passed if row[1] > State.IN_PROGRESS and row[4] < finished_before]
            for task, state, _, _, finished_at, key in gone:
                _drop(cursor, task, State(state), finished_at, key)
            for state in {State(row[1]) for row in gone}:
                _uncount(cursor, [row[2] for row in gone if row[1] == state], state)
            _move_mark(cursor, passed, len(passed) < BATCH, now)
        return Pruned(len(gone), len(passed) == BATCH)

    def prune_rest(self, before: int, keys_before: int | None) -> int:
        """Delete a batch of metrics, decisions, dead workers, commands, letters and (where asked) keys that are old."""
        dropped = 0
        with self._connection.writing() as cursor:
            for query in (sql.drop_metrics, sql.drop_decisions, sql.drop_workers, sql.drop_controls, sql.drop_letters):
                cursor.execute(query, (before, BATCH))
                dropped += cursor.connection.changes()
            if keys_before is not None:
                cursor.execute(sql.drop_keys, (keys_before, BATCH))
                dropped += cursor.connection.changes()
        return dropped

    def mark(self, name: str) -> int:
        """A kept number, 0 when there is none."""
        with self._connection.reading() as cursor:
            return _mark(cursor, name)

    def set_mark(self, name: str, value: int) -> None:
        """Keep a number."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.set_mark, (name, value))

    def checkpoint(self, finish: bool) -> tuple[int, int]:
        """Copy the log into the database, `finish`: under the write lock, to the end; (frames, frames copied)."""
        if finish:
            with self._connection.excluding_writers() as handle:
                return _checkpoint(handle)
        return self._beside_writers(_checkpoint)

    def log_frames(self) -> tuple[int, int]:
        """How many frames the log holds, and how many of them are copied; looks, and copies none."""
        return self._beside_writers(_look)

    def _beside_writers(self, deed: Callable[[apsw.Connection], tuple[int, int]]) -> tuple[int, int]:
        try:
            with self._connection.beside_writers() as handle:
                return deed(handle)
        except StoreLocked:  # a writer is just at the log's head: there is nothing to see until the next look
            return 0, 0


def _checkpoint(handle: apsw.Connection) -> tuple[int, int]:
    if not says_it_has_a_log(handle):  # it was overwritten: its log is another's, which whoever commits will say
        return 0, 0
    return handle.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def _look(handle: apsw.Connection) -> tuple[int, int]:
    return handle.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)


def _mark(cursor: Cursor, name: str) -> int:
    row = cursor.execute(sql.mark, (name,)).fetchone()
    return int(row[0]) if row else 0


def _drop(cursor: Cursor, task: int, state: State, finished_at: int, key: str | None) -> None:
    if key is not None and state is State.SUCCEEDED:
        cursor.execute(sql.keep_result, (task, finished_at, key))
    elif key is not None:
        cursor.execute(sql.drop_key_of, (key, task))
    cursor.execute(sql.drop_attempts, (task,))
    cursor.execute(sql.drop_task, (task,))


def _uncount(cursor: Cursor, kinds: list[int], state: State) -> None:
    for kind in set(kinds):
        cursor.execute(claims_sql.count, (state, kind, -kinds.count(kind)))


def _move_mark(cursor: Cursor, passed: list[tuple[int, ...]], at_the_end: bool, now: int) -> None:
    """Go on behind the last row passed; once an hour, when the walk has reached the young ones, start anew."""
    if passed:
        cursor.execute(sql.set_mark, ("pruned", passed[-1][0]))
    if at_the_end and not 0 <= now - _mark(cursor, "walked") < WALK_AGAIN:
        cursor.execute(sql.set_mark, ("pruned", 0))
        cursor.execute(sql.set_mark, ("walked", now))
