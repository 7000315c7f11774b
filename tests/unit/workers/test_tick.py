"""The tick: what is taken back from a worker, and what is not."""

from __future__ import annotations

import pytest

from tests.support.slots import begins
from workers import tick
from workers.process import WorkerProcess
from workers.slot import Slot


def later(process: WorkerProcess) -> int:
    return process.limited_ns + 2 * tick.VISIBLE_AFTER_NS


def test_what_has_not_begun_is_given_back_a_tick_after_it_was_forbidden(process: WorkerProcess, worker: Slot) -> None:
    worker.open_chunk(1, 3)
    assert begins(worker, 1)
    tick.forbid(process)

    assert not tick.look([process], process.limited_ns).returns
    (found,) = tick.look([process], later(process)).returns

    assert (found.worker, found.after) == (7, 101)
    assert found.still()
    assert not begins(worker, 2)
    assert not found.still()


@pytest.mark.parametrize("has_had_a_chunk", [False, True])
def test_nothing_is_given_back_of_a_chunk_that_is_not_open_yet(
    process: WorkerProcess, worker: Slot, has_had_a_chunk: bool
) -> None:
    if has_had_a_chunk:
        worker.open_chunk(1)
        worker.close_chunk()
    tick.forbid(process)
    assert tick.look([process], later(process)).is_empty

    worker.open_chunk(2)
    assert begins(worker, 1), "nobody else was given its task, so it may run"
