"""Retention stands still for a day after the clock was set: whoever looked, and whoever has started since."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import SECOND, Clock
from agent.maintenance import clock_watch
from agent.maintenance.chores import Chores, Retention
from agent.maintenance.clock_watch import ClockWatch, set_since
from agent.store import SqliteStore, open_store
from tests.support.waiting import until

HOUR, DAY, YEAR = 3600 * SECOND, 86400 * SECOND, 365 * 86400 * SECOND
NOON = 1_800_000_000 * SECOND


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.wall, self.up, self.awake_ns = NOON, HOUR, HOUR * 1000

    def now(self) -> int:
        return self.wall

    def uptime(self) -> int:
        return self.up

    def monotonic(self) -> int:
        return self.awake_ns

    def pass_time(self, microseconds: int, suspended: bool = False) -> None:
        self.wall += microseconds
        self.up += microseconds
        self.awake_ns += 0 if suspended else microseconds * 1000


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return open_store(tmp_path / "state.db")


@pytest.fixture
def watch(store: SqliteStore, clock: Hands) -> ClockWatch:
    """One that has looked before."""
    watch = ClockWatch(store.upkeep, clock)
    assert watch.is_trusted()
    return watch


def test_a_clock_that_goes_on_is_trusted(watch: ClockWatch, clock: Hands) -> None:
    for seconds in (1, 60, 86400, 10**8):
        clock.pass_time(seconds * SECOND)
        assert watch.is_trusted()


@pytest.mark.parametrize("step", [10 * YEAR, -10 * YEAR, HOUR, -HOUR, 6 * SECOND])
def test_a_clock_that_was_set_is_not_trusted_for_a_day(watch: ClockWatch, clock: Hands, step: int) -> None:
    clock.wall += step
    assert not watch.is_trusted()
    clock.pass_time(DAY - SECOND)
    assert not watch.is_trusted()
    clock.pass_time(2 * SECOND)
    assert watch.is_trusted()


def test_each_step_is_followed_by_a_day(watch: ClockWatch, clock: Hands) -> None:
    clock.wall += YEAR
    assert not watch.is_trusted()
    clock.pass_time(DAY // 2)
    clock.wall -= YEAR
    assert not watch.is_trusted()
    clock.pass_time(DAY - SECOND)
    assert not watch.is_trusted()


@pytest.mark.parametrize("step", [10 * YEAR, -10 * YEAR])
def test_a_step_between_two_runs_is_noticed(watch: ClockWatch, store: SqliteStore, clock: Hands, step: int) -> None:
    clock.pass_time(HOUR)
    clock.wall += step
    assert set_since(store.upkeep, clock) == step
    assert not ClockWatch(store.upkeep, clock).is_trusted()


def test_a_restart_does_not_shorten_the_day_nor_lengthen_it(
    watch: ClockWatch, store: SqliteStore, clock: Hands
) -> None:
    clock.wall += YEAR
    assert not watch.is_trusted()
    clock.pass_time(DAY // 2)
    again = ClockWatch(store.upkeep, clock)
    assert not again.is_trusted()
    clock.pass_time(DAY // 2 + SECOND)
    assert again.is_trusted()
    assert ClockWatch(store.upkeep, clock).is_trusted()
    assert set_since(store.upkeep, clock) == 0


def test_a_suspended_machine_is_no_step(watch: ClockWatch, store: SqliteStore, clock: Hands) -> None:
    clock.pass_time(3 * DAY, suspended=True)
    assert watch.is_trusted()
    assert set_since(store.upkeep, clock) == 0


def test_a_clock_that_is_adjusted_little_by_little_is_trusted(
    watch: ClockWatch, store: SqliteStore, clock: Hands
) -> None:
    for _ in range(10):
        clock.pass_time(HOUR)
        clock.wall += 4 * SECOND
        assert watch.is_trusted()
    assert ClockWatch(store.upkeep, clock).is_trusted()


@pytest.mark.parametrize(("step", "trusted"), [(DAY, True), (-DAY, False)])
def test_after_another_boot_only_a_time_before_the_earlier_one_is_wrong(
    watch: ClockWatch, store: SqliteStore, clock: Hands, monkeypatch: pytest.MonkeyPatch, step: int, trusted: bool
) -> None:
    monkeypatch.setattr(clock_watch, "boot_number", lambda: 5)
    clock.wall += step
    clock.up = SECOND
    assert set_since(store.upkeep, clock) == 0
    assert ClockWatch(store.upkeep, clock).is_trusted() is trusted


def test_a_day_that_another_boot_cuts_short_begins_anew(
    watch: ClockWatch, store: SqliteStore, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.wall += YEAR
    assert not watch.is_trusted()
    monkeypatch.setattr(clock_watch, "boot_number", lambda: 5)
    clock.pass_time(HOUR)
    clock.up = SECOND
    again = ClockWatch(store.upkeep, clock)
    assert not again.is_trusted()
    clock.pass_time(DAY)
    assert again.is_trusted()


def test_nothing_is_deleted_as_old_right_after_a_step(store: SqliteStore, clock: Hands) -> None:
    store.oversight.observe(NOON, '"a sample"', "{}", [], [], {})
    turns: list[int] = []
    chores = Chores(SqliteStore(store.path), clock, Retention(0, 0, DAY / SECOND), lambda: turns.append(1))
    chores.start()

    def let_it_look() -> None:
        """Until a turn that has begun since has come to its end, which the next one's beginning tells."""
        goal = len(turns) + 2
        until(lambda: chores.poke(False) or len(turns) >= goal, what="two turns")

    let_it_look()
    clock.wall += 10 * YEAR
    clock.awake_ns += 3600 * 10**9  # retention is due again
    let_it_look()
    assert store.oversight.latest_sample() == '"a sample"'
    clock.pass_time(DAY + HOUR)
    let_it_look()
    assert store.oversight.latest_sample() is None
    chores.stop(10)
