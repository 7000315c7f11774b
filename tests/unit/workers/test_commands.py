"""Commands that meet what has happened since they were read."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.clock import Clock
from agent.lifecycle import State
from agent.steering.standing import StandingOrders
from agent.store import SqliteStore, open_store
from agent.store.values import Death
from agent.task import Start
from tests.support.claims import claimed, enqueued, run
from tests.support.slots import begins
from workers import tick
from workers.commands import Commands
from workers.process import WorkerProcess
from workers.slot import Slot
from workers.stops import Stops

DEAD = 5


class Meanwhile(Clock):
    """A clock that lets something happen when it is first asked."""

    def __init__(self, deed: Callable[[], None]) -> None:
        self._deeds = [deed]

    def now(self) -> int:
        while self._deeds:
            self._deeds.pop()()
        return super().now()


def test_a_cancel_that_was_withdrawn_after_it_was_read_does_not_end_the_attempt_that_was_asked_for_since(
    process: WorkerProcess, worker: Slot, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "state.db")
    (task,) = enqueued(store)
    store.oversight.ask("thaw", {"worker": "nobody"}, 1)
    cancel_as_it_runs(store, task)

    def retry() -> None:
        store.tasks.retry(task, 2)
        run(worker, *claimed(store, process.id))

    sent: list[int] = []
    commands = commands_over(store, process, Meanwhile(retry), sent)

    commands.obey()

    assert process.running(), "it was retried while the command before was obeyed"
    assert not sent
    commands.obey()
    assert not sent
    assert not commands.has_open


def test_a_cancel_that_stands_ends_the_attempt_that_runs(
    process: WorkerProcess, worker: Slot, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "state.db")
    (task,) = enqueued(store)
    run(worker, *claimed(store, process.id))
    assert not store.tasks.cancel(task, 1)

    sent: list[int] = []
    commands_over(store, process, Clock(), sent).obey()

    assert sent == [signal.SIGSTOP]


@pytest.mark.parametrize(("verb", "detail"), [("pause", {"type": "demo"}), ("pause", {}), ("scale", {"max": 1})])
def test_once_an_order_is_answered_nothing_more_begins_of_what_was_claimed_before(
    process: WorkerProcess, worker: Slot, tmp_path: Path, verb: str, detail: dict[str, Any]
) -> None:
    store = open_store(tmp_path / "state.db")
    worker.open_chunk(1, 2)
    assert begins(worker, 1)
    command = store.oversight.ask(verb, detail, 1)

    commands_over(store, process, Clock(), []).obey()

    assert store.oversight.answer_of(command) == "applied"
    assert not begins(worker, 2)


def cancel_as_it_runs(store: SqliteStore, task: int) -> None:
    """Its worker was ended for it; the command is not answered yet."""
    (held,) = claimed(store, DEAD)
    assert not store.tasks.cancel(task, 1)
    store.custody.bury(DEAD, [], Start(DEAD, task, held.claims, 1, 1), Death.CANCELLED, "cancelled by request", 2)
    assert store.tasks.find(task).state is State.CANCELLED
    assert [each.verb for each in store.oversight.commands()] == ["thaw", "cancel"]


def commands_over(store: SqliteStore, process: WorkerProcess, clock: Clock, sent: list[int]) -> Commands:
    """Over a pool of one worker; `sent`: signals."""
    fork_server: Any = SimpleNamespace(signal=lambda worker, number: sent.append(number))
    workers = {process.id: process}
    stops = Stops(workers, fork_server, store, clock)
    pool: Any = SimpleNamespace(workers=workers, stops=stops, take_back=lambda: tick.forbid(process))
    return Commands(store, pool, StandingOrders(store.oversight, clock), clock)
