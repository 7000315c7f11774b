"""Which task goes first, and that none goes before it is due."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with one worker."""
    world = World(tmp_path_factory.mktemp("order"), bulk__max_concurrent=1)
    world.start()
    yield world
    world.close()


def test_higher_priorities_go_first_and_equal_ones_in_order(world: World) -> None:
    world.client.pause()
    low = [world.enqueue("mark", priority=-1) for _ in range(3)]
    middle = [world.enqueue("nap", {"s": 0}) for _ in range(3)]
    high = [world.enqueue("mark", priority=5) for _ in range(3)]

    world.client.unpause()
    world.reach(low + middle + high, "succeeded")

    ran = [effect.task for effect in world.effects() if effect.word == "start"]
    assert [task for task in ran if task in low + middle + high] == high + middle + low


def test_no_task_runs_before_it_is_due_and_each_soon_after(world: World) -> None:
    now, clock = time.monotonic(), datetime.now(UTC)
    due = {world.enqueue("mark", delay=after): now + after for after in (0.15, 0.4, 0.8)}
    due[world.enqueue("mark", run_at=clock + timedelta(seconds=0.6))] = now + 0.6
    assert [world.state(task) for task in due] == ["scheduled"] * 4

    world.reach(due, "succeeded")

    late = {task: world.starts(task)[0].at - at for task, at in due.items()}
    assert all(0 <= seconds < 5 for seconds in late.values()), late


def test_a_delayed_task_does_not_hold_up_what_is_due(world: World) -> None:
    first = world.enqueue("mark", delay=600, priority=100)

    world.reach(world.enqueue("mark"), "succeeded")

    assert world.state(first) == "scheduled"
    assert world.client.cancel(first) == "cancelled"
