"""Recording how attempts ended: fenced, and harmless when repeated. Workers and supervisor share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from agent.lifecycle import State
from agent.store.connection import Cursor
from agent.store.queries import load
from agent.task import Outcome

sql = load("claims")
_SUCCEEDED = int(State.SUCCEEDED)


class Recorded(Enum):
    """What became of one outcome."""

    NOW = "now"
    BEFORE = "before"  # the same claim's outcome stands already
    STALE = "stale"  # somebody else owns the task: the outcome is dropped


def record(cursor: Cursor, worker: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Record a worker's outcomes of any type one by one; the stale ones are returned."""
    return [outcome for outcome in outcomes if _record_one(cursor, worker, outcome) is Recorded.STALE]


Bindings = tuple[int | str | None, ...]


def bindings_of_successes(worker: int, outcomes: Sequence[Outcome]) -> list[Bindings]:
    """What records the successes: made before the write lock is asked for."""
    return [
        (started_at, ended_at, result, task, claims, worker)
        for task, claims, _, state, started_at, ended_at, _, result, _, _, _ in outcomes
        if state == _SUCCEEDED
    ]


def record_chunk(
    cursor: Cursor, worker: int, kind: int, outcomes: Sequence[Outcome], successes: Sequence[Bindings]
) -> list[Outcome]:
    """Record a worker's outcomes of one type: the successes by one prepared statement, the rest one by one."""
    before = cursor.connection.total_changes()
    if successes:
        cursor.executemany(sql.succeed_short, successes)
    n = cursor.connection.total_changes() - before
    if n:
        count(cursor, kind, {State.RESERVED: -n, State.SUCCEEDED: n})
    if n == len(outcomes):
        return []
    is_split = n == len(successes)
    return record(cursor, worker, [each for each in outcomes if each.state != _SUCCEEDED] if is_split else outcomes)


def count(cursor: Cursor, kind: int, deltas: dict[State, int]) -> None:
    """Add to the counts of a type; IN_PROGRESS is counted with RESERVED."""
    for state, n in deltas.items():
        cursor.execute(sql.count, (State.RESERVED if state is State.IN_PROGRESS else state, kind, n))


def count_moves(cursor: Cursor, kinds: Sequence[int], frm: State, to: State) -> None:
    """Add many tasks' moves between two states to the counts: one type a task."""
    for kind, n in Counter(kinds).items():
        count(cursor, kind, {frm: -n, to: n})


def _record_one(cursor: Cursor, worker: int, outcome: Outcome) -> Recorded:
    row = cursor.execute(sql.standing, (outcome.task,)).fetchone()
    if row is None or row[2:] != (worker, outcome.claims):
        return Recorded.STALE
    state, kind = row[:2]
    if state not in (State.RESERVED, State.IN_PROGRESS):
        return Recorded.BEFORE
    to = State(outcome.state)
    fence = (outcome.task, worker, outcome.claims)
    if to is State.SUCCEEDED:
        cursor.execute(sql.succeed, (outcome.attempt, outcome.started_at, outcome.ended_at, outcome.result, *fence))
    elif to is State.RETRY_SCHEDULED:
        cursor.execute(sql.retry, (outcome.attempt, outcome.started_at, outcome.due_at, outcome.error, *fence))
    else:
        cursor.execute(sql.fail, (outcome.attempt, outcome.started_at, outcome.ended_at, outcome.error, *fence))
    if to is not State.SUCCEEDED:
        text = outcome.traceback or outcome.error
        kept = (outcome.task, outcome.attempt, worker, outcome.started_at, outcome.ended_at, outcome.word, text)
        cursor.execute(sql.keep_attempt, kept)
    count(cursor, kind, {State.RESERVED: -1, to: 1})
    return Recorded.NOW
