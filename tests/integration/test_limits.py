"""How many tasks of a type run at once, over all workers."""

from __future__ import annotations

from tests.integration.world import MakeWorld, kill, most_at_once


def test_a_types_limit_holds_over_all_workers_and_is_used(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=4)
    world.start()
    limited = world.client.enqueue_many("limited", [{"s": 0.02}] * 16)
    alone = world.client.enqueue_many("alone", [{"s": 0.01}] * 8)

    world.reach(limited + alone, "succeeded")

    assert most_at_once(world.effects(), limited) == 2
    assert most_at_once(world.effects(), alone) == 1
    assert most_at_once(world.effects(), limited + alone) == 3


def test_a_type_at_its_limit_holds_up_no_other(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    world.start()
    blocked = world.client.enqueue_many("alone", [{"s": 0.5}] * 2)
    world.started(blocked[0])

    others = [world.enqueue("mark") for _ in range(20)]

    world.reach(others, "succeeded")
    assert [world.state(task) for task in blocked] == ["in_progress", "queued"]


def test_a_limit_holds_when_a_worker_that_counted_is_killed(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=3)
    agent = world.start()
    tasks = world.client.enqueue_many("alone", [{"s": 0.1}] * 3)
    world.started(tasks[0])

    first = world.starts(tasks[0])[0]
    kill(first.pid)
    world.reach(tasks, "succeeded")

    lasting = [effect for effect in world.effects() if effect != first]
    assert most_at_once(lasting, tasks) == 1
    assert agent.process.poll() is None
