"""A worker's verbs: record what has ended, give back what has not begun, claim the next chunk; one transaction.

Why it is so: each transaction costs an fsync and a turn at the write lock, so one serves a whole chunk. A chunk is of
one type and one priority: the admissible head with the highest priority, then the lowest id. What cannot run now
(paused, at its limit, in the future, finished) costs a claim nothing, as only each type's head is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from agent.lifecycle import State
from agent.store.connection import Connection, Cursor
from agent.store.outcomes import bindings_of_successes, count, count_moves, record_chunk
from agent.store.queries import load
from agent.store.tasks import type_id
from agent.store.values import Admission, Chunk
from agent.task import Claimed, Outcome

__all__ = ["Admission", "Chunk", "Claims"]

sql = load("claims")
FEW = 16  # tasks: to read them within the transaction takes less than a second transaction does


class Claims:
    """One worker's verbs."""

    def __init__(self, connection: Connection, worker: int) -> None:
        self._connection = connection
        self._worker = worker

    def kinds(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of the types by name; new ones are made."""
        with self._connection.reading() as cursor:
            known = dict(cursor.execute(sql.kinds).fetchall())
        if all(name in known for name in names):
            return {name: known[name] for name in names}
        with self._connection.writing() as cursor:
            return {name: type_id(cursor, name) for name in names}

    def exchange(
        self, kind: int, outcomes: Sequence[Outcome], unbegun_after: int | None, admission: Admission | None
    ) -> Chunk:
        """Record `outcomes` (all of type `kind`), release held tasks with ids above `unbegun_after`, claim a chunk.

        Without an `admission` nothing is claimed. An empty look takes no lock.
        """
        if not outcomes and unbegun_after is None and (admission is None or self._looks_empty(admission)):
            return Chunk()
        successes = bindings_of_successes(self._worker, outcomes)
        with self._connection.writing() as cursor:
            stale = record_chunk(cursor, self._worker, kind, outcomes, successes) if outcomes else ()
            if unbegun_after is not None:
                released = cursor.execute(sql.release, (self._worker, unbegun_after)).fetchall()
                count_moves(cursor, [row[0] for row in released], State.RESERVED, State.QUEUED)
            if admission is None:
                return Chunk(stale=stale)
            if cursor.execute(sql.version).fetchall()[0][0] != admission.version:
                return Chunk(stale=stale, outdated=True)
            kind, ids, tasks = _claim(cursor, self._worker, admission)
        return Chunk(kind, tasks or self._read(ids), stale)

    def _looks_empty(self, admission: Admission) -> bool:
        with self._connection.reading() as cursor:
            rows = cursor.execute(sql.glimpse).fetchall()
            if rows[0][0] != admission.version:
                return False
            kinds = admission.kinds.intersection(row[1] for row in rows)
            return not kinds or (not kinds.isdisjoint(admission.limits) and _best(cursor, admission) is None)

    def _read(self, ids: Sequence[int]) -> Sequence[Claimed]:
        """Many tasks that were claimed: read when others may write again.

        Nobody gives a task back whose chunk is not open yet.
        """
        if not ids:
            return ()
        with self._connection.reading() as cursor:
            return _claimed(cursor, self._worker, ids)


def _claim(cursor: Cursor, worker: int, admission: Admission) -> tuple[int, Sequence[int], Sequence[Claimed]]:
    """The type, the ids and, where they are few, the tasks themselves."""
    best = _best(cursor, admission)
    if best is None:
        return 0, (), ()
    queued, (kind, _, head, priority, crashed) = best
    size = 1 if crashed else admission.size(kind, queued)
    ids: Sequence[int] = [head]
    tasks: Sequence[Claimed] = ()
    if size == 1:
        tasks = cast(Sequence[Claimed], cursor.execute(sql.claim_one, (worker, head)).fetchall())
    else:
        ids = [row[0] for row in cursor.execute(sql.line, (kind, priority, size)).fetchall()]
        cursor.execute(sql.claim, (worker, kind, priority, ids[0], ids[-1]))
        if len(ids) <= FEW:
            tasks = _claimed(cursor, worker, ids)
    count(cursor, kind, {State.QUEUED: -len(ids), State.RESERVED: len(ids)})
    return kind, ids, tasks


def _claimed(cursor: Cursor, worker: int, ids: Sequence[int]) -> Sequence[Claimed]:
    rows = cursor.execute(sql.claimed, (worker, ids[0], ids[-1])).fetchall()
    if len(rows) != len(ids):  # the worker held others before
        wanted = set(ids)
        rows = [row for row in rows if row[0] in wanted]
    return cast(Sequence[Claimed], rows)  # plain tuples of the same shape: a copy would cost


def _best(cursor: Cursor, admission: Admission) -> tuple[int, tuple[int, int, int, int, int]] | None:
    """The first head that may run (type, queued of it, id, priority, crashes), after what is queued of all that may."""
    heads = [head for head in cursor.execute(sql.heads).fetchall() if head[0] in admission.kinds]
    for head in heads:
        if not _is_full(cursor, head[0], admission.limits.get(head[0])):
            return sum(each[1] for each in heads), head
    return None


def _is_full(cursor: Cursor, kind: int, limit: int | None) -> bool:
    return limit is not None and cursor.execute(sql.occupied, (kind,)).fetchall()[0][0] >= limit
