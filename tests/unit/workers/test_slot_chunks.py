"""How far a chunk may go: what the worker begins, what the supervisor takes back, and never both."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from tests.support.slots import begins
from workers import slot as slots
from workers.slot import Slot


def test_a_task_that_begins_is_named_with_its_fence_and_times(slot: Slot, worker: Slot) -> None:
    worker.open_chunk(1, 2)
    assert worker.begin(1, 77, claims=3, attempt=2, started_ns=1000, started_at=2000, deadline_ns=3000)
    seen = [slot.words[at] for at in (slots.TASK, slots.CLAIMS, slots.ATTEMPT, slots.STARTED_NS, slots.STARTED_AT)]
    assert seen == [77, 3, 2, 1000, 2000]
    assert (slot.words[slots.DEADLINE_NS], slot.words[slots.LAST]) == (3000, 77)


def test_a_task_that_was_taken_back_is_never_named(slot: Slot, worker: Slot) -> None:
    worker.open_chunk(1, 2)
    assert begins(worker, 1)
    slot.take_back()
    assert not begins(worker, 2)
    assert (slot.words[slots.TASK], slot.words[slots.LAST]) == (0, 102)


def test_a_chunk_begins_from_its_first_to_its_last_task(worker: Slot) -> None:
    for number in (1, 2):
        worker.open_chunk(number)
        assert all(begins(worker, position) for position in range(1, 513))
        worker.close_chunk()


def test_what_has_not_begun_can_be_taken_back_and_what_has_begun_cannot(slot: Slot, worker: Slot) -> None:
    worker.open_chunk(5)
    assert begins(worker, 1)
    assert begins(worker, 2)
    seen = slot.take_back()
    assert slot.taken_back(seen)
    assert seen == 5 * 1024 + 2
    assert not begins(worker, 3)


def test_a_worker_that_began_in_the_meantime_is_noticed(slot: Slot, worker: Slot) -> None:
    worker.open_chunk(5)
    seen = slot.take_back()
    assert slot.taken_back(seen)
    assert not begins(worker, 1)
    assert not slot.taken_back(seen), "whether it read the limit in time, nobody can tell: it releases itself"


def test_a_chunk_of_which_nothing_has_begun_can_be_taken_back_whole(slot: Slot, worker: Slot) -> None:
    worker.open_chunk(6)
    assert slot.take_back() == 6 * 1024
    assert not begins(worker, 1)


def test_an_old_limit_does_not_bind_the_next_chunk(slot: Slot, worker: Slot) -> None:
    worker.open_chunk(1)
    assert begins(worker, 1)
    slot.take_back()
    worker.close_chunk()
    worker.open_chunk(2)
    assert begins(worker, 1)
    worker.close_chunk()
    slot.take_back()
    worker.open_chunk(3)
    assert begins(worker, 1)


def _work_through_chunks(path: Path, chunks: int, positions: int, ran: int) -> None:
    """Notes each task that it runs as one byte at its place; one in fifty takes long."""
    slot, chance = Slot.open(path), random.Random(1)
    for chunk in range(1, chunks + 1):
        slot.open_chunk(chunk)
        for position in range(1, positions + 1):
            if not begins(slot, position):
                break
            os.pwrite(ran, b"x", chunk * positions + position)
            ends = time.monotonic() + (chance.random() * 0.006 if chance.random() < 0.02 else 0)
            while time.monotonic() < ends:
                pass
        slot.close_chunk()
    os._exit(0)


def test_no_task_runs_that_the_supervisor_took_back(tmp_path: Path) -> None:
    """Two processes race as they do in life, but for the supervisor's tick, which is as short as it may be."""
    chunks, positions = 300, 100
    slot = Slot.create(tmp_path / "slot", 1)
    ran = os.open(tmp_path / "ran", os.O_RDWR | os.O_CREAT)
    child = os.fork()
    if child == 0:
        _work_through_chunks(slot.path, chunks, positions, ran)
    released: set[int] = set()
    while not os.waitpid(child, os.WNOHANG)[0]:
        seen = slot.take_back()
        chunk, position = divmod(seen, 1024)
        tick = time.monotonic() + 0.001
        while time.monotonic() < tick:
            pass
        if position < positions and slot.taken_back(seen):
            released |= {chunk * positions + p for p in range(position + 1, positions + 1)}
    begun = os.pread(ran, (chunks + 2) * positions, 0)
    os.close(ran)
    assert released, "the race took place"
    assert not [place for place in released if begun[place : place + 1] == b"x"]
    slot.close()


def test_a_limit_is_not_raised_for_a_worker_between_its_two_steps(slot: Slot) -> None:
    slot.open_chunk(1, 3)
    assert begins(slot, 1)
    seen = slot.take_back()
    assert slot.taken_back(seen)  # what lies beyond may be released from here on
    slot.words[slots.BEGUN] = seen + 1  # the first half of `begin`
    slot.take_back()
    assert not begins(slot, 2)
    slot.open_chunk(2)
    slot.take_back()
    assert not begins(slot, 1)
