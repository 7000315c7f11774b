"""A handler that ends its own process: counted, and in the end not run any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.world import World, kill


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent for all statements."""
    world = World(tmp_path_factory.mktemp("poison"))
    world.start()
    yield world
    world.close()


@pytest.mark.parametrize(("how", "evidence"), [("exit", "code 3"), ("segfault", "SIGSEGV"), ("abort", "SIGABRT")])
def test_the_third_crash_fails_the_task_while_others_go_on(world: World, how: str, evidence: str) -> None:
    task = world.enqueue("crash", {"how": how})
    healthy = [world.enqueue("nap", {"s": 0.005}) for _ in range(30)]

    record = world.reach(task, "failed")
    world.reach(healthy, "succeeded")

    assert "poison" in record["error"]
    assert evidence in record["error"]
    assert (record["crashes"], record["attempt"]) == (3, 3)
    assert [each["outcome"] for each in record["attempts"]] == ["crashed"] * 3
    assert [len(world.starts(each)) for each in healthy] == [1] * 30
    assert world.event("task.poisoned", task=task)


def test_two_crashes_are_forgiven(world: World) -> None:
    task = world.enqueue("crash", {"how": "exit", "times": 2})

    record = world.reach(task, "succeeded")

    assert [each["outcome"] for each in record["attempts"]] == ["crashed", "crashed", "succeeded"]
    assert record["result"] == {"attempt": 3}


def test_sigkills_from_outside_are_no_crashes(world: World) -> None:
    task = world.enqueue("gate", {"gate": "mercy"})

    for attempt in range(1, 5):
        kill(world.started(task, attempt).pid)
    world.started(task, attempt=5)
    world.open("mercy")

    record = world.reach(task, "succeeded")
    assert record["crashes"] == 0
    assert world.outcomes(task) == ["killed"] * 4 + ["succeeded"]


def test_the_tenth_sigkill_fails_the_task(world: World) -> None:
    task = world.enqueue("crash", {"how": "kill"})

    record = world.reach(task, "failed", timeout=20)

    assert world.outcomes(task) == ["killed"] * 10
    assert "poison" in record["error"]


def test_an_operators_retry_forgets_the_crashes(world: World) -> None:
    task = world.enqueue("crash", {"how": "exit", "times": 4})
    world.reach(task, "failed")

    world.client.retry(task)

    assert world.reach(task, "succeeded")["attempt"] == 5
