"""The slot: what one process stores, another reads, whatever becomes of the first."""

from __future__ import annotations

import itertools
import os
import random
import signal
import stat
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import Unavailable
from workers import slot as slots
from workers.slot import Slot

EMPTY_RING = slots.SLOT_BYTES


def free_bytes(slot: Slot) -> int:
    """What `publish` has left, its own overhead of up to 15 bytes a record and a torn lap's rest included."""
    return slots.SLOT_BYTES - (slot.words[slots.PUBLISHED] - slot.committed)
QUARTER = EMPTY_RING // 4
_number = itertools.count()


def _blobs(slot: Slot) -> list[bytes]:
    return [blob for blob, _ in slot.pending()]


def test_a_new_slot_is_empty_private_and_allocated(slot: Slot) -> None:
    status = slot.path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == slots.FILE_BYTES
    assert status.st_blocks * 512 >= slots.FILE_BYTES
    assert slot.worker_id == 7
    assert slot.pending() == []
    assert free_bytes(slot) == EMPTY_RING


def test_both_sides_see_each_others_words(slot: Slot, worker: Slot) -> None:
    worker.words[slots.TASK] = 42
    worker.words[slots.DEADLINE_NS] = time.monotonic_ns()
    slot.words[slots.HOLD] = 1
    assert slot.words[slots.TASK] == 42
    assert slot.words[slots.DEADLINE_NS] == worker.words[slots.DEADLINE_NS] > 0
    assert worker.words[slots.HOLD] == 1
    assert worker.worker_id == 7


def test_every_word_has_a_place_of_its_own() -> None:
    places = [value for name, value in vars(slots).items() if name.isupper() and value in range(64)]
    words = {"LAYOUT", "WORKER_ID", "PID", "TASK", "CLAIMS", "ATTEMPT", "STARTED_NS", "DEADLINE_NS", "STARTED_AT"}
    words |= {"BUSY", "BEAT", "BEGUN", "PUBLISHED", "COMMITTED", "CHUNK"}
    words |= {"HOLD", "LIMIT", "RECORDED"}
    assert len({getattr(slots, name) for name in words}) == len(words)
    assert {getattr(slots, name) for name in words} <= set(places)


def test_a_slot_is_not_opened_or_made_through_a_link(slot: Slot, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(slot.path)
    with pytest.raises(Unavailable, match="cannot open the slot"):
        Slot.open(tmp_path / "link")
    (tmp_path / "loose").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="cannot make the slot"):
        Slot.create(tmp_path / "loose", 7)
    assert not (tmp_path / "elsewhere").exists()


def test_a_slot_that_exists_is_not_taken_over(slot: Slot) -> None:
    with pytest.raises(Unavailable, match="File exists"):
        Slot.create(slot.path, 8)
    assert slot.worker_id == 7


def test_what_is_not_a_slot_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="missing"):
        Slot.open(tmp_path / "missing")
    short = tmp_path / "short"
    short.write_bytes(b"x")
    with pytest.raises(Unavailable, match="short is not a slot of this version: remove it"):
        Slot.open(short)
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(slots.FILE_BYTES))
    with pytest.raises(Unavailable, match="empty is not a slot of this version: remove it"):
        Slot.open(empty)


def test_a_slot_for_which_there_is_no_space_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the kernel answers at the same call."""
    child = os.fork()
    if child == 0:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            Slot.create(tmp_path / "slot", 7)
        except Unavailable as error:
            os._exit(0 if "free some space" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not (tmp_path / "slot").exists()


def test_published_outcomes_are_pending_in_their_order_until_committed(slot: Slot, worker: Slot) -> None:
    for blob in (b"one", b"", b"three" * 100):
        assert worker.publish(blob)
    pending = slot.pending()
    assert [blob for blob, _ in pending] == [b"one", b"", b"three" * 100]
    slot.commit_to(pending[1][1])
    assert _blobs(slot) == _blobs(worker) == [b"three" * 100]
    worker.commit_to(pending[2][1])
    assert _blobs(slot) == _blobs(worker) == []
    assert free_bytes(slot) == EMPTY_RING


def test_whoever_commits_later_but_less_takes_nothing_back(slot: Slot, worker: Slot) -> None:
    for blob in (b"one", b"two"):
        worker.publish(blob)
    first, last = (end for _, end in slot.pending())
    worker.commit_to(last)
    slot.commit_to(first)
    assert slot.committed == worker.committed == last
    slot.words[slots.RECORDED] = first  # as if it had decided so just before the worker's commit
    assert slot.committed == worker.committed == last


def test_a_full_ring_refuses_until_something_is_committed(slot: Slot, worker: Slot) -> None:
    count = 0
    while worker.publish(b"x" * 1000):
        count += 1
    assert count == EMPTY_RING // 1008
    assert free_bytes(worker) < 1008
    assert len(slot.pending()) == count
    slot.commit_to(slot.pending()[0][1])
    assert not worker.publish(b"y" * 1016), "the rest of the lap and the first record's place are two pieces"
    slot.commit_to(slot.pending()[0][1])
    assert worker.publish(b"y" * 1016)
    assert _blobs(slot) == [b"x" * 1000] * (count - 2) + [b"y" * 1016]


def test_an_outcome_as_large_as_the_ring_fits_and_a_larger_one_never_does(slot: Slot, worker: Slot) -> None:
    assert not worker.publish(b"x" * (EMPTY_RING - 7))
    assert worker.publish(b"x" * (EMPTY_RING - 8))
    assert free_bytes(worker) == 0
    assert not worker.publish(b"")
    assert _blobs(slot) == [b"x" * (EMPTY_RING - 8)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 5)), max_size=60), st.integers())
def test_the_ring_is_a_queue_whatever_is_published_and_committed(
    tmp_path: Path, steps: list[tuple[int, int]], seed: int
) -> None:
    chance, path = random.Random(seed), tmp_path / f"slot-{next(_number)}"
    ours, theirs = Slot.create(path, 1), Slot.open(path)
    expected: list[bytes] = []
    for length, taken in steps:
        blob = chance.randbytes(length)
        if theirs.publish(blob):
            expected.append(blob)
        else:
            assert free_bytes(theirs) < 2 * (length + 15), "refused though half the ring would do"
        pending = ours.pending()
        assert [blob for blob, _ in pending] == expected
        taken = min(taken, len(expected))
        if taken:
            chance.choice((ours, theirs)).commit_to(pending[taken - 1][1])
            expected = expected[taken:]
    ours.close()
    theirs.close()
    path.unlink()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=30), st.data())
def test_a_damaged_record_ends_the_list_and_never_yields_what_was_not_published(
    tmp_path: Path, blobs: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path / f"slot-{next(_number)}"
    ours = Slot.create(path, 1)
    for blob in blobs:
        assert ours.publish(blob)
    ends = [end for _, end in ours.pending()]
    place = data.draw(st.integers(0, ends[-1] - 1))
    file = bytearray(path.read_bytes())
    file[slots.HEADER_BYTES + place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(file)
    damaged = sum(end <= place for end in ends)
    found = _blobs(ours)
    assert found[:damaged] == blobs[:damaged]
    assert found in (blobs[:damaged], blobs), "only padding may be damaged without consequence"
    ours.close()
    path.unlink()


def test_a_published_offset_that_lies_is_survived(slot: Slot) -> None:
    slot.publish(b"one")
    for lie in (17, 24, slots.SLOT_BYTES, 2**62, -1):
        slot.words[slots.PUBLISHED] = lie
        assert _blobs(slot) in ([], [b"one"])


def test_a_leftover_of_the_last_lap_is_not_read_again(slot: Slot, worker: Slot) -> None:
    """A supervisor that read an old offset looks where the worker has written since."""
    for lap in range(3):
        for _ in range(4):
            assert worker.publish(bytes([lap]) * (QUARTER - 8))
            worker.commit_to(worker.words[slots.PUBLISHED])
    slot.words[slots.COMMITTED] = worker.words[slots.PUBLISHED] - 6 * QUARTER
    assert _blobs(slot) == []


def _publish_for_ever(path: Path, seed: int) -> None:
    slot, chance, number = Slot.open(path), random.Random(seed), 0
    while True:
        blob = str(number).encode() + b"," + b"x" * chance.randrange(3000)
        while not slot.publish(blob):
            slot.commit_to(slot.pending()[0][1])
        number += 1
        slot.words[slots.BEAT] = number


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_killed_while_it_publishes_leaves_whole_outcomes_without_a_gap(tmp_path: Path, seed: int) -> None:
    slot = Slot.create(tmp_path / "slot", 1)
    child = os.fork()
    if child == 0:
        _publish_for_ever(slot.path, seed)
    chance = random.Random(seed)
    enough = chance.randrange(1, 2000)
    while slot.words[slots.BEAT] < enough:
        slot.pending()  # a reader at work disturbs nobody
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    harvested = Slot.open(slot.path)
    pending = harvested.pending()
    numbers = [int(blob.partition(b",")[0]) for blob, _ in pending]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] + 1 in (harvested.words[slots.BEAT], harvested.words[slots.BEAT] + 1)
    assert pending[-1][1] == harvested.words[slots.PUBLISHED]
    harvested.close()
    slot.close()
