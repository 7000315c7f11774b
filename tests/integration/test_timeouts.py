"""An attempt is ended at its deadline, whatever it is doing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.world import World, gone_within


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with one worker."""
    world = World(tmp_path_factory.mktemp("timeouts"), bulk__max_concurrent=1)
    world.start()
    yield world
    world.close()


def test_a_timeout_of_the_type_ends_the_attempt_and_then_the_task(world: World) -> None:
    task = world.enqueue("hasty", {"s": 600})

    record = world.reach(task, "failed")
    assert [each["outcome"] for each in record["attempts"]] == ["timed_out", "timed_out"]
    assert "0.3 s" in record["error"]
    assert record["crashes"] == 0
    starts = world.starts(task)
    assert [start.attempt for start in starts] == [1, 2]
    assert starts[0].pid != starts[1].pid
    assert 0.35 <= starts[1].at - starts[0].at < 15


def test_a_timeout_of_the_task_kills_the_handlers_processes_too(world: World) -> None:
    task = world.enqueue("parent", timeout="200ms", max_attempts=1)
    child = world.child(task)

    assert world.outcomes(world.reach(task, "failed")["id"]) == ["timed_out"]
    gone_within([child, world.starts(task)[0].pid], 1)


@pytest.mark.parametrize(("type_", "payload"), [("stubborn", {}), ("gil", {"s": 600}), ("spin", {"s": 600})])
def test_nothing_that_a_handler_does_saves_it(world: World, type_: str, payload: dict[str, int]) -> None:
    task = world.enqueue(type_, payload, timeout="150ms", max_attempts=1)

    began = world.started(task).at
    record = world.reach(task, "failed")
    assert world.outcomes(task) == ["timed_out"]
    after = world.enqueue("mark")
    world.reach(after, "succeeded")
    assert world.starts(after)[0].at - began < 15
    assert record["attempt"] == 1


def test_what_stands_behind_in_the_chunk_is_released_at_no_cost(world: World) -> None:
    world.reach(world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 40), "succeeded")
    world.client.pause()
    slow = world.enqueue("gate", {"gate": "never"}, timeout="20ms", max_attempts=1)
    behind = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 10)
    world.client.unpause()

    world.reach(slow, "failed")
    world.reach(behind, "succeeded")

    assert [world.client.inspect(task)["attempt"] for task in behind] == [1] * 10
    assert [len(world.starts(task)) for task in behind] == [1] * 10


def test_an_attempt_within_its_deadline_is_left_alone(world: World) -> None:
    killed = len(world.events("worker.killed"))
    tasks = [world.enqueue("hasty", {"s": 0.02}) for _ in range(10)]

    world.reach(tasks, "succeeded")

    assert len(world.events("worker.killed")) == killed


def test_a_deadline_counts_also_when_orders_have_followed_one_another_quickly(world: World) -> None:
    for _ in range(10):
        world.client.pause()
        slow = world.enqueue("gate", {"gate": "never"}, timeout="20ms", max_attempts=1)
        world.client.unpause()

        world.reach(slow, "failed")
