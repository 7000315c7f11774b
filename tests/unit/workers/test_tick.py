"""The tick: what is taken back from a worker, and what is not; when the next one is due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import pytest

from agent.clock import Clock
from agent.store import open_store
from tests.support.slots import begins
from tests.support.waiting import until
from workers import tick
from workers.fork_client import ForkServer
from workers.process import WAKES_WITHIN_NS, Halt, Phase, WorkerProcess
from workers.slot import BEAT, Slot
from workers.stops import Stops

MS = 1_000_000
NOW = 10_000 * MS


@pytest.fixture
def ticker(process: WorkerProcess, tmp_path: Path) -> tick.Ticker:
    """Over one worker, which is at work; no signal is sent, as nobody is stopped."""
    store = open_store(tmp_path / "state.db")
    process.phase = Phase.READY
    workers = {process.id: process}
    return tick.Ticker(workers, Stops(workers, cast(ForkServer, None), store, Clock()), store.custody)


def begin(slot: Slot, started_ns: int, deadline_ns: int = 0) -> None:
    slot.open_chunk(1)
    assert slot.begin(1, 101, claims=1, attempt=1, started_ns=started_ns, started_at=6, deadline_ns=deadline_ns)


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


@pytest.mark.parametrize(
    ("started_ms", "deadline_ms", "due_ms"),
    [
        pytest.param(-3, 0, 22, id="its start is written when it has lasted 25 ms"),
        pytest.param(0, 0, 25, id="also that of one which has just begun"),
        pytest.param(-25, 0, 15, id="what follows it is taken back after 40 ms"),
        pytest.param(-39, 0, 1, id="to the millisecond"),
        pytest.param(-40, 0, 25, id="then another may begin"),
        pytest.param(-9000, 0, 25, id="also after a long time"),
        pytest.param(-9000, 7, 7, id="it may reach its deadline"),
        pytest.param(-3, 7, 7, id="also a young one"),
        pytest.param(-3, 900, 22, id="later than that"),
        pytest.param(-9000, -1, 25, id="which is past"),
        pytest.param(70, 0, 25, id="a handler has written nonsense"),
    ],
)
def test_a_look_tells_when_the_next_may_find_something(
    process: WorkerProcess, worker: Slot, started_ms: int, deadline_ms: int, due_ms: int
) -> None:
    begin(worker, NOW + started_ms * MS, NOW + deadline_ms * MS if deadline_ms else 0)
    assert tick.look([process], NOW).next_ns == NOW + due_ms * MS


def test_a_worker_between_two_attempts_may_begin_one_at_once(process: WorkerProcess) -> None:
    assert tick.look([process], NOW).next_ns == NOW + tick.START_AFTER_NS


@pytest.mark.parametrize("age_ms", [25, 40])
def test_what_is_due_at_a_time_is_found_by_who_looks_then(process: WorkerProcess, worker: Slot, age_ms: int) -> None:
    worker.open_chunk(1, 2)
    assert worker.begin(1, 101, claims=1, attempt=1, started_ns=NOW - age_ms * MS, started_at=6, deadline_ns=NOW)
    process.written = (101, 1) if age_ms == 40 else (0, 0)

    found = tick.look([process], NOW)

    assert [start.task for start in found.starts] == ([101] if age_ms == 25 else [])
    assert [running.task for _, running in found.overdue] == [101]
    assert (process.limited_at is not None) == (age_ms == 40)


def test_the_ticker_waits_for_what_a_tick_has_told(ticker: tick.Ticker, worker: Slot) -> None:
    now = time.monotonic_ns()
    begin(worker, now - 3 * MS)
    assert ticker.due_ns(now) == now + tick.CLOSELY_NS, "nobody has looked yet"
    ticker.tick(now)
    assert ticker.due_ns(now) == ticker.due_ns(now + 20 * MS) == now + 22 * MS
    assert ticker.due_ns(now + 23 * MS) == now + 23 * MS + tick.CLOSELY_NS, "it was missed"


def test_the_ticker_goes_on_closely_with_what_it_has_begun(
    ticker: tick.Ticker, process: WorkerProcess, worker: Slot
) -> None:
    now = time.monotonic_ns()
    begin(worker, now)
    ticker.tick(now)
    assert ticker.due_ns(now) == now + tick.START_AFTER_NS

    ticker.left_asleep = True
    assert ticker.due_ns(now) == now + tick.CLOSELY_NS
    ticker.tick(now)
    assert ticker.due_ns(now) == now + tick.START_AFTER_NS, "who was left asleep is woken by the look after the tick"

    process.limited_at = 1
    assert ticker.due_ns(now) == now + tick.CLOSELY_NS
    process.limited_at, process.halt = None, Halt("freeze", None, "pause")
    assert ticker.due_ns(now) == now + tick.CLOSELY_NS


def test_nobody_ticks_for_the_idle(ticker: tick.Ticker, process: WorkerProcess) -> None:
    process.is_idle = True
    assert ticker.due_ns(NOW) is None


def test_who_was_left_asleep_is_not_forgotten_when_nobody_is_at_work_any_more(
    ticker: tick.Ticker, process: WorkerProcess
) -> None:
    process.is_idle = ticker.left_asleep = True
    assert ticker.due_ns(NOW) == NOW + tick.CLOSELY_NS


def test_who_was_woken_and_sleeps_on_is_told_of_once(ticker: tick.Ticker, process: WorkerProcess, worker: Slot) -> None:
    process.tell({"op": "wake"}, 1)
    assert ticker.tick(time.monotonic_ns()) == 0, "it takes a while to wake"

    until(lambda: ticker.tick(time.monotonic_ns()) == 1)
    assert ticker.tick(time.monotonic_ns()) == 0

    process.tell({"op": "wake"}, 2)
    worker.words[BEAT] += 1
    told_ns = time.monotonic_ns()
    until(lambda: time.monotonic_ns() > told_ns + 2 * WAKES_WITHIN_NS)
    assert ticker.tick(time.monotonic_ns()) == 0, "it has woken"
