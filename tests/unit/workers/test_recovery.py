"""Owners whom nobody can look for: of another pid namespace, only their heartbeats tell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.clock import SECOND, Clock
from agent.host import Identity, identity
from agent.store import SqliteStore, open_store
from workers.recovery import recover

NOON = 1_800_000_000 * SECOND
STALE_S = 4.0


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.wall, self.awake_ns = NOON, 10**12

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> int:
        return self.awake_ns

    def pass_time(self, seconds: float) -> None:
        self.wall += round(seconds * SECOND)
        self.awake_ns += round(seconds * 1e9)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """In it, a worker of a container that is gone has beaten at noon."""
    store = open_store(tmp_path / "state.db")
    ours = identity(os.getpid())
    assert ours is not None
    store.custody.add_worker(7, Identity(ours.boot_id, 1, 4711, 5), NOON)
    return store


def test_whoever_has_beaten_lately_may_still_live(store: SqliteStore, clock: Hands) -> None:
    clock.pass_time(STALE_S / 2)
    done = recover(store, clock, STALE_S)
    assert (done.waiting, done.workers) == (1, 0)
    clock.pass_time(STALE_S)
    done = recover(store, clock, STALE_S, before=done)
    assert (done.waiting, done.workers) == (0, 1)


def test_a_heartbeat_in_the_future_is_waited_for_as_long_as_one_of_now(store: SqliteStore, clock: Hands) -> None:
    clock.wall -= 10 * 365 * 86400 * SECOND
    done = recover(store, clock, STALE_S)
    for _ in range(3):
        clock.pass_time(STALE_S / 4)
        done = recover(store, clock, STALE_S, before=done)
        assert (done.waiting, done.workers) == (1, 0)
    clock.pass_time(STALE_S / 2)
    done = recover(store, clock, STALE_S, before=done)
    assert (done.waiting, done.workers) == (0, 1)
    assert store.custody.workers() == []
