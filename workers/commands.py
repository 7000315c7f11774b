"""Operators' commands, applied: the command line inserts rows, the supervisor obeys and answers them."""

from __future__ import annotations

import msgspec

from agent.clock import Clock
from agent.errors import Conflict, NotFound
from agent.steering.standing import StandingOrders
from agent.store import SqliteStore
from agent.store.values import Command
from agent.telemetry.logs import log
from workers.halting import Halted
from workers.pool import WorkerPool
from workers.process import WorkerProcess

STANDING = frozenset({"pause", "unpause", "scale"})


class Commands:
    """Carries out what waits in the control table; each command is answered once."""

    def __init__(self, store: SqliteStore, pool: WorkerPool, standing: StandingOrders, clock: Clock) -> None:
        self._store = store
        self._pool = pool
        self._standing = standing
        self._clock = clock
        self._under_way: set[int] = set()
        self._answered: set[int] = set()
        self.has_open = False  # a command waits for the next look

    def obey(self) -> None:
        """Carry out all that waits."""
        waiting = [command for command in self._store.oversight.commands() if command.id not in self._under_way]
        for command in waiting:
            self._carry_out(command)
        self.has_open = any(command.id not in self._answered for command in waiting)
        self._answered.clear()

    def _carry_out(self, command: Command) -> None:
        if command.flaw:
            self._answer(command, f"refused: {command.flaw}")
        elif command.verb in STANDING:
            self._standing.apply(command)
            self._pool.take_back()  # before the answer: what it forbids does not begin after it
            self._answer(command, "applied")
        elif command.verb == "cancel":
            self._cancel(command)
        else:
            self._halt(command)

    def _cancel(self, command: Command) -> None:
        """End a running attempt, take back what has not begun; the command stays open until the task is finished.

        So a handler that returns, or fails and is to be retried, while it is being stopped, does not slip away.
        """
        task = msgspec.convert(command.detail.get("task"), int)
        if self._pool.stops.cancel(task, lambda: self._store.oversight.answer_of(command.id) is None):
            return
        try:
            if self._store.tasks.cancel_waiting(task, self._clock.now(), command.id):
                self._answer(command, "cancelled")
            else:
                self._pool.take_back()
        except (Conflict, NotFound) as error:  # it is finished
            self._answer(command, str(error))

    def _halt(self, command: Command) -> None:
        worker = self._worker(str(command.detail.get("worker", "")))
        if worker is None:
            self._answer(command, "not found: there is no such worker (see `workers`)")
        elif command.verb == "thaw":
            self._thaw(command, worker)
        elif worker.is_frozen:
            self._answer(command, "conflict: the worker is frozen already")
        elif not worker.is_enrolled:
            self._answer(command, "conflict: the worker is starting")
        else:
            self._under_way.add(command.id)
            self._pool.stops.freeze(worker, "operator", lambda halted: self._answer(command, _said(halted)))

    def _thaw(self, command: Command, worker: WorkerProcess) -> None:
        if not worker.is_frozen:
            self._answer(command, "conflict: the worker is not frozen")
            return
        self._pool.stops.thaw(worker)
        self._answer(command, "thawed")

    def _worker(self, word: str) -> WorkerProcess | None:
        return next((each for each in self._pool.workers.values() if word in (each.word, str(each.pid))), None)

    def _answer(self, command: Command, outcome: str) -> None:
        self._store.oversight.answer(command.id, outcome, self._clock.now())
        self._under_way.discard(command.id)
        self._answered.add(command.id)
        log("control.applied", verb=command.verb, detail=command.detail, outcome=outcome)


def _said(halted: Halted) -> str:
    if halted is Halted.FROZEN:
        return "frozen"
    return "conflict: the worker ended, or was never out of the database; try again"
