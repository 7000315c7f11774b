"""What the supervisor does when the wall clock is set, or the machine was suspended."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import SECOND, Clock
from agent.errors import StoreError
from agent.steering.standing import StandingOrders
from agent.store import SqliteStore, open_store
from agent.store.values import Command, Standing
from workers.wall_clock import WallClock

HOUR, YEAR = 3600 * SECOND, 365 * 86400 * SECOND
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
def standing(store: SqliteStore, clock: Hands) -> StandingOrders:
    """A pause and a scale for an hour, and a pause without an end."""
    orders = StandingOrders(store.oversight, clock)
    orders.apply(Command(1, "pause", {"type": "demo", "until": NOON + HOUR}, NOON))
    orders.apply(Command(2, "pause", {"type": "other"}, NOON))
    orders.apply(Command(3, "scale", {"max": 2, "until": NOON + HOUR}, NOON))
    return orders


@pytest.fixture
def wall(store: SqliteStore, clock: Hands, standing: StandingOrders) -> WallClock:
    return WallClock(clock, store.custody, standing)


@pytest.mark.parametrize("step", [10 * YEAR, -10 * YEAR, HOUR, -HOUR])
def test_orders_for_an_hour_last_an_hour_however_the_clock_is_set(
    wall: WallClock, clock: Hands, standing: StandingOrders, store: SqliteStore, step: int
) -> None:
    clock.pass_time(HOUR // 2)
    clock.wall += step
    assert wall.follow()
    assert not wall.follow()
    until = NOON + HOUR + step
    assert store.oversight.standing() == Standing(standing.now.version, 2, until, {"demo": until, "other": None})
    standing.end_what_is_over()
    assert "demo" in standing.now.paused
    clock.pass_time(HOUR // 2)
    standing.end_what_is_over()
    assert (dict(standing.now.paused), standing.now.max) == ({"other": None}, None)


def test_while_the_clock_goes_on_nothing_is_done(wall: WallClock, clock: Hands, standing: StandingOrders) -> None:
    version = standing.now.version
    for seconds in (1, 3600, 86400):
        clock.pass_time(seconds * SECOND)
        clock.wall += 4 * SECOND  # adjusted little by little
        assert not wall.follow()
    assert standing.now.version == version


def test_after_a_suspension_it_is_time_to_look_and_orders_end_by_the_clock(
    wall: WallClock, clock: Hands, standing: StandingOrders
) -> None:
    clock.pass_time(2 * HOUR, suspended=True)
    assert wall.follow()
    assert not wall.follow()
    standing.end_what_is_over()
    assert standing.now.max is None


def test_what_the_store_refuses_is_done_the_next_time(
    wall: WallClock, clock: Hands, standing: StandingOrders, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.wall -= YEAR

    def refuse(*_: object) -> None:
        raise StoreError("no space is left")

    for part, verb in ((store.custody, "hasten"), (store.oversight, "admit")):
        with monkeypatch.context() as patch:
            patch.setattr(part, verb, refuse)
            with pytest.raises(StoreError):
                wall.follow()
    assert wall.follow()
    assert standing.now.max_until == NOON + HOUR - YEAR
