"""What is made of a worker's end: for whom it was meant."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest

from agent.clock import Clock
from agent.lifecycle import State
from agent.store import open_store
from tests.support.claims import claimed, enqueued, run
from workers.attempt import succeed
from workers.burial import Undertaker
from workers.deaths import End
from workers.messages import Settings
from workers.process import Halt, WorkerProcess
from workers.slot import STARTED_AT, TASK, Slot

SETTINGS = Settings(retry_attempts=3, retry_delay_s=1, retry_max_delay_s=9, max_result_bytes=99, max_tasks=0)


@pytest.mark.parametrize("purpose", ["cancel", "time_out"])
@pytest.mark.parametrize("is_meant", [True, False])
def test_a_kill_ends_only_the_attempt_it_was_meant_for(
    process: WorkerProcess, worker: Slot, tmp_path: Path, purpose: str, is_meant: bool
) -> None:
    store = open_store(tmp_path / "state.db")
    enqueued(store, 2)
    meant, other = claimed(store, process.id, most=2)
    run(worker, meant)
    process.killed_for = Halt(purpose, process.running(), "as it was asked for")
    if not is_meant:  # an outsider's SIGCONT let it go on in between
        worker.publish(msgspec.json.encode(succeed(meant, 6, 7, b"{}")))
        run(worker, other)

    burial = Undertaker(store, Clock(), SETTINGS).bury(process, End(-signal.SIGKILL))

    states = {each.id: store.tasks.find(each.id).state for each in (meant, other)}
    if is_meant:
        ended = State.CANCELLED if purpose == "cancel" else State.RETRY_SCHEDULED
        assert states == {meant.id: ended, other.id: State.QUEUED}
    else:
        assert states == {meant.id: State.SUCCEEDED, other.id: State.QUEUED}
        assert (burial.running, burial.fate) == (other.id, State.QUEUED)
        record = store.tasks.find(other.id)
        assert ([each.outcome for each in record.attempts], record.kills) == (["lost"], 0)


@pytest.mark.parametrize("number", [2**63 - 1, -1])
def test_an_attempt_is_timed_by_a_time_that_can_be(
    process: WorkerProcess, worker: Slot, tmp_path: Path, number: int
) -> None:
    store = open_store(tmp_path / "state.db")
    enqueued(store, 1)
    (task,) = claimed(store, process.id, most=1)
    run(worker, task)
    worker.words[STARTED_AT] = number

    Undertaker(store, Clock(), SETTINGS).bury(process, End(-signal.SIGKILL))

    (lost,) = store.tasks.find(task.id).record(1)["attempts"]
    assert lost["started_at"] <= lost["ended_at"]


def test_a_slot_that_names_a_task_which_nobody_knows_costs_its_worker_alone(
    process: WorkerProcess, worker: Slot, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "state.db")
    enqueued(store, 1)
    (task,) = claimed(store, process.id, most=1)
    run(worker, task)
    worker.words[TASK] = 1 << 62
    process.killed_for = Halt("time_out", process.running(), "its deadline has passed")

    burial = Undertaker(store, Clock(), SETTINGS).bury(process, End(-signal.SIGKILL))

    assert (burial.released, store.tasks.find(task.id).state) == (1, State.QUEUED)
