"""What a dead worker's slot tells is believed as far as it can be true; the rows of the store tell the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.clock import Clock
from agent.host import Identity
from agent.lifecycle import State
from agent.store import SqliteStore, open_store
from agent.store.values import Admission
from agent.task import Claimed, NewTask, Outcome
from workers.recovery import recover
from workers.slot import ATTEMPT, HEADER_BYTES, PUBLISHED, STARTED_AT, TASK, Slot

WORKER = 7
BEGUN = 1_700_000_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return open_store(tmp_path / "state.db")


def died_with(store: SqliteStore, outcomes: int) -> tuple[list[Claimed], Path]:
    """Three tasks that a dead worker holds: so many have ended and are not recorded, the next was running."""
    (kind,) = store.claims(1).kinds(["demo"]).values()
    store.tasks.enqueue([NewTask("demo", "{}")] * 3, 1)
    store.custody.add_worker(WORKER, Identity("another boot", 1, 1, 1), 1)
    admission = Admission(store.oversight.standing().version, frozenset({kind}), lambda _kind, _queued: 3)
    tasks = list(store.claims(WORKER).exchange(kind, [], None, admission).tasks)
    store.slots_directory.mkdir()
    slot = Slot.create(store.slots_directory / f"{WORKER:016x}", WORKER)
    slot.open_chunk(1, 3)
    for position, task in enumerate(tasks[: outcomes + 1], 1):
        slot.begin(position, task[0], task[1], 1, 5, BEGUN, 0)
        if position <= outcomes:
            slot.publish(msgspec.json.encode(ended(task)))
    slot.close()
    return tasks, slot.path


def ended(task: Claimed) -> Outcome:
    return Outcome(task[0], task[1], 1, State.SUCCEEDED, BEGUN, BEGUN + 1, None, "{}", None, None, "succeeded")


def states(store: SqliteStore) -> list[State]:
    return [store.tasks.find(task).state for task in (1, 2, 3)]


QUEUED, SUCCEEDED = State.QUEUED, State.SUCCEEDED


def test_a_whole_slot_gives_back_all_that_had_ended_and_tells_what_ran(store: SqliteStore) -> None:
    died_with(store, 1)
    recover(store, Clock(), 4)
    assert states(store) == [SUCCEEDED, QUEUED, QUEUED]
    assert [len(store.tasks.find(task).attempts) for task in (2, 3)] == [1, 0]


def zero_the_ring(slot: Slot) -> None:
    slot._ring[:] = bytes(len(slot._ring))


def zero_the_ring_and_forget_all_but_its_length(slot: Slot) -> None:
    zero_the_ring(slot)
    slot.words[TASK] = 0


def publish_what_is_no_outcome(slot: Slot) -> None:
    slot.publish(b'{"not": "an outcome"}')


@pytest.mark.parametrize("damage", [zero_the_ring, zero_the_ring_and_forget_all_but_its_length])
def test_a_ring_that_never_reached_the_disk_is_empty(store: SqliteStore, damage: Callable[[Slot], None]) -> None:
    _, path = died_with(store, 2)
    slot = Slot.open(path)
    damage(slot)
    assert slot.words[PUBLISHED] > 0
    slot.close()

    recover(store, Clock(), 4)

    assert states(store) == [QUEUED] * 3


def test_what_is_no_outcome_ends_the_list(store: SqliteStore) -> None:
    _, path = died_with(store, 1)
    slot = Slot.open(path)
    publish_what_is_no_outcome(slot)
    slot.close()

    recover(store, Clock(), 4)

    assert states(store) == [SUCCEEDED, QUEUED, QUEUED]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), -1])
def test_an_attempt_is_counted_by_the_rows_and_timed_by_a_time_that_can_be(store: SqliteStore, number: int) -> None:
    _, path = died_with(store, 0)
    slot = Slot.open(path)
    slot.words[ATTEMPT] = slot.words[STARTED_AT] = number
    slot.close()

    recover(store, Clock(), 4)

    (lost,) = store.tasks.find(1).record(1)["attempts"]
    assert lost["attempt"] == store.tasks.find(1).attempt == 1
    assert lost["started_at"] <= lost["ended_at"]


def remove(path: Path) -> None:
    path.unlink()


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def cut_short(path: Path) -> None:
    os.truncate(path, HEADER_BYTES)


@pytest.mark.parametrize("harm", [remove, replace_by_a_directory, replace_by_a_pipe, cut_short])
def test_without_a_slot_the_rows_alone_tell(store: SqliteStore, harm: Callable[[Path], None]) -> None:
    _, path = died_with(store, 2)
    harm(path)

    recover(store, Clock(), 4)

    assert states(store) == [QUEUED] * 3
    assert not store.custody.workers()
