"""The supervisor's verbs over workers and what they hold: births, starts, taking back, deaths, recovery, promotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.host import Identity
from agent.lifecycle import State
from agent.store.connection import Connection, Cursor
from agent.store.outcomes import count, count_moves, record
from agent.store.outcomes import sql as claims_sql
from agent.store.queries import load
from agent.store.values import CRASH_LIMIT, KILL_LIMIT, Burial, CaughtUp, Death, Return, Waiting, WorkerRow
from agent.task import Outcome, Start

__all__ = ["CRASH_LIMIT", "KILL_LIMIT", "Burial", "CaughtUp", "Custody", "Death", "Return", "WorkerRow"]

sql = load("custody")


class Custody:
    """The supervisor's verbs. Only the supervisor writes worker rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def announce(self, types: Mapping[str, int | None]) -> None:
        """Say which types have a handler now, and their `max_attempts`."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.unhandle)
            cursor.executemany(sql.handle, list(types.items()))

    def add_worker(self, worker: int, identity: Identity, now: int) -> None:
        """A worker is born."""
        place = (identity.pid, identity.start_ticks, identity.boot_id, identity.pid_ns)
        with self._connection.writing() as cursor:
            cursor.execute(sql.add_worker, (worker, *place, now, now, now))

    def set_worker(self, worker: int, state: str, now: int) -> None:
        """A worker is frozen, draining, or neither any more."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.set_worker, (state, now, worker))

    def workers(self) -> list[WorkerRow]:
        """Every worker that nobody has buried."""
        with self._connection.reading() as cursor:
            return [
                WorkerRow(id_, Identity(boot, ns, pid, ticks), *rest)
                for id_, pid, ticks, boot, ns, *rest in cursor.execute(sql.workers).fetchall()
            ]

    def catch_up(
        self, outcomes: Mapping[int, Sequence[Outcome]], starts: Sequence[Start], returns: Sequence[Return]
    ) -> CaughtUp:
        """For live workers held up by a handler, in one transaction: record by worker what has ended, write the starts
        of attempts that last, take back what has not begun. One whose claim has moved on is passed over."""
        with self._connection.writing() as cursor:
            stale = [each for worker, ended in outcomes.items() for each in record(cursor, worker, ended)]
            for start in starts:
                cursor.execute(sql.begin, (start.attempt, start.started_at, start.task, start.worker, start.claims))
            released = sum(_release(cursor, each.worker, each.after) for each in returns if each.still())
        return CaughtUp(stale, released)

    def bury(
        self, worker: int, outcomes: Sequence[Outcome], running: Start | None, death: Death, why: str, now: int
    ) -> Burial:
        """All that is due after a worker's proven death, in one transaction.

        Records what it had finished, rescues (or fails as poison, or cancels) the task whose handler was running,
        releases the rest and strikes the worker off.
        """
        with self._connection.writing() as cursor:
            stale = record(cursor, worker, outcomes)
            fate = _end_running(cursor, running, death, why, now) if running else None
            rescued = _rescue_all(cursor, worker, why, now)
            released = cursor.execute(sql.release_all, (worker,)).fetchall()
            count_moves(cursor, [row[0] for row in released], State.RESERVED, State.QUEUED)
            cursor.execute(sql.worker_gone, (now, now, worker))
        return Burial(
            recorded=len(outcomes) - len(stale),
            released=len(released),
            rescued=rescued + (fate is State.QUEUED),
            running=running.task if running and fate else None,
            fate=fate,
            stale=stale,
        )

    def unknown_owners(self) -> list[int]:
        """Workers that hold tasks though no row tells of them (a restored backup): nobody of ours lives by that id."""
        with self._connection.reading() as cursor:
            return [row[0] for row in cursor.execute(sql.unknown_owners).fetchall()]

    def promote(self, now: int) -> tuple[int, int | None]:
        """Queue what is due, a thousand of each state at most; how many, and when the next is due."""
        with self._connection.reading() as cursor:
            next_due = cursor.execute(sql.next_due).fetchall()[0][0]
        if next_due is None or next_due > now:
            return 0, next_due
        with self._connection.writing() as cursor:
            promoted = 0
            for state in (State.SCHEDULED, State.RETRY_SCHEDULED):
                kinds = [row[0] for row in cursor.execute(sql.promote, (state, now)).fetchall()]
                count_moves(cursor, kinds, state, State.QUEUED)
                promoted += len(kinds)
            return promoted, cursor.execute(sql.next_due).fetchall()[0][0]

    def hasten(self, now: int) -> int:
        """Make due what failed in the future, after the clock was set back, and letters that wait; how many tasks."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.hasten, (now,))
            hastened = cursor.connection.changes()
            cursor.execute(sql.hasten_letters, (now,))
            return hastened

    def waiting(self) -> Waiting:
        """What there is to do."""
        with self._connection.reading() as cursor:
            queued = dict(cursor.execute(sql.queued_by_type).fetchall())
            next_due = cursor.execute(sql.next_due).fetchall()[0][0]
            has_commands = bool(cursor.execute(sql.has_commands).fetchall()[0][0])
            data_version = cursor.execute("PRAGMA data_version").fetchall()[0][0]
        return Waiting(queued, next_due, has_commands, data_version)

    def unhandled(self) -> dict[str, int]:
        """Types nobody handles, with the number of tasks that wait for a handler."""
        with self._connection.reading() as cursor:
            return dict(cursor.execute(sql.waiting_unhandled).fetchall())

    def unfinished(self) -> int:
        """How many tasks of handled types are not finished."""
        with self._connection.reading() as cursor:
            return int(cursor.execute(sql.unfinished).fetchall()[0][0])


def _release(cursor: Cursor, worker: int, unbegun_after: int) -> int:
    released = cursor.execute(claims_sql.release, (worker, unbegun_after)).fetchall()
    count_moves(cursor, [row[0] for row in released], State.RESERVED, State.QUEUED)
    return len(released)


def _end_running(cursor: Cursor, running: Start, death: Death, why: str, now: int) -> State | None:
    """Move the task whose handler was running, unless its claim has moved on; where it went."""
    held = cursor.execute(sql.holds, (running.task, running.worker, running.claims)).fetchone()
    if held is None:
        return None
    state, attempts, crashes, kills, kind = held
    crash, kill = int(death is Death.CRASHED), int(death is Death.KILLED)
    attempt = attempts + (state == State.RESERVED)  # it began: as `begin` has written, or would have
    start = (attempt, running.started_at)
    if death is Death.CANCELLED:
        to = State.CANCELLED
        cursor.execute(sql.cancel, (*start, now, why, running.task))
    elif crashes + crash >= CRASH_LIMIT or kills + kill >= KILL_LIMIT:
        to = State.FAILED
        why = f"poison: {why}, for the {'third' if crash else 'tenth'} time"
        cursor.execute(sql.poison, (*start, now, why, crash, kill, running.task))
    else:
        to = State.QUEUED
        cursor.execute(sql.rescue, (*start, why, crash, kill, running.task))
    kept = (running.task, attempt, running.worker, running.started_at, now, death.value, why)
    cursor.execute(claims_sql.keep_attempt, kept)
    count(cursor, kind, {State.RESERVED: -1, to: 1})
    return to


def _rescue_all(cursor: Cursor, worker: int, why: str, now: int) -> int:
    """Queue again whatever else is in progress under a dead worker (its slot was lost); the attempts are kept."""
    cursor.execute(sql.keep_lost, (now, why, worker))
    rescued = cursor.execute(sql.rescue_all, (worker,)).fetchall()
    count_moves(cursor, [row[0] for row in rescued], State.RESERVED, State.QUEUED)
    return len(rescued)
