"""How many tasks of a type run at once, over all workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.world import World, kill, most_at_once


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with four workers."""
    world = World(tmp_path_factory.mktemp("limits"), bulk__max_concurrent=4)
    world.start()
    yield world
    world.close()


def test_a_types_limit_holds_over_all_workers_and_is_used(world: World) -> None:
    limited = world.client.enqueue_many("limited", [{"s": 0.02}] * 16)
    alone = world.client.enqueue_many("alone", [{"s": 0.01}] * 8)

    world.reach(limited + alone, "succeeded")

    assert most_at_once(world.effects(), limited) == 2
    assert most_at_once(world.effects(), alone) == 1
    assert most_at_once(world.effects(), limited + alone) == 3


def test_a_type_at_its_limit_holds_up_no_other(world: World) -> None:
    blocked = world.client.enqueue_many("alone", [{"s": 0.5}] * 2)
    world.started(blocked[0])

    others = [world.enqueue("mark") for _ in range(20)]

    world.reach(others, "succeeded")
    assert [world.state(task) for task in blocked] == ["in_progress", "queued"]


def test_a_limit_holds_when_a_worker_that_counted_is_killed(world: World) -> None:
    tasks = world.client.enqueue_many("alone", [{"s": 0.1}] * 3)
    world.started(tasks[0])

    first = world.starts(tasks[0])[0]
    kill(first.pid)
    world.reach(tasks, "succeeded")

    lasting = [effect for effect in world.effects() if effect != first]
    assert most_at_once(lasting, tasks) == 1
