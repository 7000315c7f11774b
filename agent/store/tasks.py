"""What callers ask of the store: enqueue, look up, list, count, cancel, retry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import apsw

from agent.errors import Conflict, IdempotencyConflict, NotFound, QueueFull
from agent.lifecycle import FINISHED, State
from agent.payload import canonical
from agent.store.connection import Connection, Cursor
from agent.store.queries import load
from agent.store.values import Ending, Totals
from agent.task import Attempt, Enqueued, NewTask, Task

__all__ = ["Tasks", "Totals", "type_id"]

sql = load("tasks")
_SCHEDULED, _QUEUED = State.SCHEDULED, State.QUEUED
LONG_RUN = 8  # tasks alike in a row, from which on one statement for all of them is worth it


class Tasks:
    """The callers' verbs. Every method is one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def enqueue(self, new: Sequence[NewTask], now: int, max_queued: int = 0) -> list[Enqueued]:
        """Store tasks, all or none.

        A task whose key belongs to an unfinished or succeeded one is not stored: that one is returned.
        Raises QueueFull (more than `max_queued` would wait; 0: no limit) and IdempotencyConflict.
        """
        with self._connection.writing() as cursor:
            enqueued = _insert(cursor, new, now)
            if max_queued and _number(cursor, sql.backlog) > max_queued and not all(each.existing for each in enqueued):
                raise QueueFull(
                    f"the queue is full: at most {max_queued} tasks may wait (bulk.max_queued); try again later"
                )
            return enqueued

    def find(self, task: int) -> Task:
        """A task with its attempts. Raises NotFound."""
        with self._connection.reading() as cursor:
            return _find(cursor, task)

    def ending(self, task: int) -> Ending:
        """How a task has ended so far, also of one that is deleted and whose key is kept. Raises NotFound."""
        with self._connection.reading() as cursor:
            for query in (sql.ending, sql.kept_ending):
                row = cursor.execute(query, (task,)).fetchone() if 0 < task < 1 << 63 else None
                if row:
                    return Ending(State(row[0]), row[1], row[2])
        raise NotFound(f"there is no task {task}")

    def list(self, state: State | None, type_name: str | None, limit: int) -> list[Task]:
        """The newest tasks, optionally of one state or type, newest first."""
        with self._connection.reading() as cursor:
            kind = None
            if type_name is not None:
                kind = _type_id(cursor, type_name)
                if kind is None:
                    return []
            query = _list_query(state)
            ids = [row[0] for row in cursor.execute(query, (state, kind, limit)).fetchall()]
            return [_find(cursor, task) for task in ids]

    def totals(self) -> Totals:
        """How many tasks stand where; costs the same at any size."""
        with self._connection.reading() as cursor:
            types: dict[str, dict[State, int]] = {}
            for name, state, n in cursor.execute(sql.totals).fetchall():
                types.setdefault(name, {})[State(state)] = n
            for name, running in cursor.execute(sql.in_progress).fetchall():
                types[name][State.RESERVED] -= running
                types[name][State.IN_PROGRESS] = running
            states = {state: sum(of.get(state, 0) for of in types.values()) for state in State}
            return Totals(states, types, _number(cursor, sql.oldest_queued))

    def types(self) -> dict[str, bool]:
        """Every type ever enqueued or handled, and whether the last supervisor had a handler for it."""
        with self._connection.reading() as cursor:
            return {name: bool(handled) for name, handled in cursor.execute(sql.types).fetchall()}

    def cancel(self, task: int, now: int) -> bool:
        """Cancel a task. True: done. False: a worker holds it, and the supervisor is asked.

        Raises NotFound, and Conflict when it is finished.
        """
        with self._connection.writing() as cursor:
            if _cancel(cursor, task, now):
                return True
            cursor.execute(sql.ask_cancel, (task, now))
            return False

    def cancel_waiting(self, task: int, now: int, command: int | None = None) -> bool:
        """Cancel a task unless a worker holds it, or `command`, which asks for it, is answered; nobody is asked."""
        with self._connection.writing() as cursor:
            if command is not None and not cursor.execute(sql.still_asked, (command,)).fetchall():
                return False
            return _cancel(cursor, task, now)

    def retry(self, task: int, now: int) -> None:
        """Queue a failed or cancelled task again, with its tries renewed.

        Raises NotFound; Conflict when it is neither, or when its key belongs to a newer task.
        """
        with self._connection.writing() as cursor:
            state, kind, key = _where_it_stands(cursor, task)
            if state not in (State.FAILED, State.CANCELLED):
                raise Conflict(f"task {task} is {state.word}: only a failed or cancelled task can be retried")
            newer = cursor.execute(sql.newer_owner, (key, task)).fetchone() if key is not None else None
            if newer:
                raise Conflict(f"task {task} cannot be retried: its key {key!r} belongs to task {newer[0]} now")
            ((payload,),) = cursor.execute(sql.retry, (now, task)).fetchall()
            if key is not None:  # a newer owner, deleted since, may have taken it along
                cursor.execute(sql.give_key, (key, task, kind, canonical(payload)))
            cursor.execute(sql.unask_cancel, (now, task))
            _count(cursor, kind, {state: -1, State.QUEUED: 1})


def _cancel(cursor: Cursor, task: int, now: int) -> bool:
    state, kind, _ = _where_it_stands(cursor, task)
    if state in FINISHED:
        raise Conflict(f"task {task} is {state.word} already: only an unfinished task can be cancelled")
    if state >= State.RESERVED:
        return False
    cursor.execute(sql.cancel, (now, "cancelled by request", task))
    _count(cursor, kind, {state: -1, State.CANCELLED: 1})
    return True


def _insert(cursor: Cursor, new: Sequence[NewTask], now: int) -> list[Enqueued]:
    if len(new) == 1:
        return [_insert_alone(cursor, new[0], now)]
    kinds = {name: type_id(cursor, name) for name in set(map(attrgetter("type"), new))}
    if set(map(attrgetter("key"), new)) != {None}:
        enqueued = [_insert_one(cursor, task, kinds[task.type], now) for task in new]
        places = [(kinds[task.type], each.state) for task, each in zip(new, enqueued, strict=True) if not each.existing]
        added = Counter(places)
    else:
        enqueued, added = _insert_all(cursor, new, kinds, now)
    for (kind, state), n in added.items():
        cursor.execute(sql.count, (state, kind, n))
    return enqueued


def _insert_alone(cursor: Cursor, task: NewTask, now: int) -> Enqueued:
    """The only one of a call, as most are: without the passes that many are worth."""
    kind = type_id(cursor, task.type)
    enqueued = _insert_one(cursor, task, kind, now)
    if not enqueued.existing:
        cursor.execute(sql.count, (enqueued.state, kind, 1))
    return enqueued


def _insert_all(
    cursor: Cursor, new: Sequence[NewTask], kinds: Mapping[str, int], now: int
) -> tuple[list[Enqueued], Counter[tuple[int, State]]]:
    """Insert tasks without keys; within a transaction their ids follow one another."""
    runs = [list(alike) for _, alike in groupby(new, key=_likeness)]
    rows = [(_columns(run[0], kinds[run[0].type], now), [task.payload for task in run]) for run in runs]
    if LONG_RUN * len(runs) <= len(new):
        for columns, payloads in rows:
            cursor.execute(sql.insert_alike, (*columns, apsw.carray(tuple(payloads))))
    else:
        cursor.executemany(sql.insert, [(*columns, text, None) for columns, payloads in rows for text in payloads])
    enqueued: list[Enqueued] = []
    added: Counter[tuple[int, State]] = Counter()
    first = cursor.connection.last_insert_rowid() - len(new) + 1
    for (kind, state, *_), payloads in rows:
        added[kind, state] += len(payloads)
        start = first + len(enqueued)
        enqueued += [Enqueued(id_, state=state) for id_ in range(start, start + len(payloads))]
    return enqueued, added


_likeness = attrgetter("type", "priority", "due_at", "max_attempts", "timeout_us")


def _columns(task: NewTask, kind: int, now: int) -> tuple[Any, ...]:
    """What tasks that are alike have in common."""
    due_at = now if task.due_at is None else task.due_at
    state = _SCHEDULED if due_at > now else _QUEUED
    return (kind, state, task.priority, task.max_attempts, task.timeout_us, now, due_at)


def _insert_one(cursor: Cursor, task: NewTask, kind: int, now: int) -> Enqueued:
    existing = _existing(cursor, task, kind) if task.key is not None else None
    if existing:
        return existing
    columns = _columns(task, kind, now)
    cursor.execute(sql.insert, (*columns, task.payload, task.key))
    enqueued = Enqueued(cursor.connection.last_insert_rowid(), state=columns[1])
    if task.key is not None:
        cursor.execute(sql.give_key, (task.key, enqueued.id, kind, canonical(task.payload)))
    return enqueued


def _existing(cursor: Cursor, task: NewTask, kind: int) -> Enqueued | None:
    """The task that has the key, if it is unfinished or succeeded. Raises IdempotencyConflict."""
    owner = cursor.execute(sql.key_owner, (task.key,)).fetchone()
    if owner is None:
        return None
    id_, owner_kind, digest, kept_result, state, result = owner
    if (state is None and kept_result is None) or state in (State.FAILED, State.CANCELLED):
        return None
    if owner_kind != kind or digest != canonical(task.payload):
        what = "type" if owner_kind != kind else "payload"
        raise IdempotencyConflict(f"key {task.key!r} belongs to task {id_}, which has another {what}: use another key")
    if state is None:
        return Enqueued(id_, True, State.SUCCEEDED, kept_result)
    return Enqueued(id_, True, State(state), result)


def type_id(cursor: Cursor, name: str) -> int:
    """The number of a type, made when it is new."""
    known = _type_id(cursor, name)
    return known if known is not None else int(cursor.execute(sql.add_type, (name,)).fetchall()[0][0])


def _type_id(cursor: Cursor, name: str) -> int | None:
    row = cursor.execute(sql.type_id, (name,)).fetchone()
    return row[0] if row else None


def _list_query(state: State | None) -> str:
    if state in (State.SCHEDULED, State.RETRY_SCHEDULED):
        return str(sql.list_waiting)
    if state in (State.RESERVED, State.IN_PROGRESS):
        return str(sql.list_held)
    if state in (State.FAILED, State.CANCELLED):
        return str(sql.list_ended_badly)
    return str(sql.list_by_id)


def _find(cursor: Cursor, task: int) -> Task:
    row = cursor.execute(sql.find, (task,)).fetchone() if 0 < task < 1 << 63 else None
    if row is None:
        raise NotFound(f"there is no task {task}")
    ended = tuple(Attempt(*each) for each in cursor.execute(sql.attempts, (task,)).fetchall())
    columns: list[Any] = [*row, ended]
    columns[2] = State(columns[2])
    return Task(*columns)


def _where_it_stands(cursor: Cursor, task: int) -> tuple[State, int, str | None]:
    row = cursor.execute(sql.where_it_stands, (task,)).fetchone() if 0 < task < 1 << 63 else None
    if row is None:
        raise NotFound(f"there is no task {task}")
    return State(row[0]), row[1], row[2]


def _count(cursor: Cursor, kind: int, deltas: dict[State, int]) -> None:
    for state, n in deltas.items():
        cursor.execute(sql.count, (state, kind, n))


def _number(cursor: Cursor, query: str) -> Any:
    row = cursor.execute(query).fetchone()
    return row[0] if row else None
