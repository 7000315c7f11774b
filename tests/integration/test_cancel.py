"""Cancelling a task, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.errors import Conflict
from tests.integration.world import World
from tests.support.processes import is_alive
from tests.support.waiting import until


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with one worker."""
    world = World(tmp_path_factory.mktemp("cancel"), bulk__max_concurrent=1)
    world.start()
    yield world
    world.close()


def test_a_waiting_task_is_cancelled_at_once(world: World) -> None:
    world.client.pause()
    queued, scheduled = world.enqueue("mark"), world.enqueue("mark", delay=600)

    assert world.client.cancel(queued) == "cancelled"
    assert world.client.cancel(scheduled) == "cancelled"
    world.client.unpause()

    world.reach(world.enqueue("mark"), "succeeded")
    assert [world.state(task) for task in (queued, scheduled)] == ["cancelled"] * 2
    assert world.starts(queued) == []


def test_a_running_task_is_cancelled_once_its_process_is_dead(world: World) -> None:
    task = world.enqueue("stubborn")
    pid = world.started(task).pid

    assert world.client.cancel(task) == "requested"

    def is_settled() -> bool:
        lives = is_alive(pid)  # looked at before the state: what dies in between does not count
        assert world.state(task) != "cancelled" or not is_alive(pid)
        return not lives and world.state(task) == "cancelled"

    until(is_settled, what="the task to be cancelled")
    record = world.client.inspect(task)
    assert [each["outcome"] for each in record["attempts"]] == ["cancelled"]
    assert record["crashes"] == 0
    after = world.enqueue("mark")
    world.reach(after, "succeeded")
    assert world.starts(after)[0].pid != pid


def test_the_processes_of_a_cancelled_handler_die_too(world: World) -> None:
    task = world.enqueue("parent")
    child = world.child(task)

    world.client.cancel(task)

    world.reach(task, "cancelled")
    until(lambda: not is_alive(child), what="the handler's process to end")


def test_what_is_claimed_and_has_not_begun_is_cancelled_while_the_handler_before_it_runs(world: World) -> None:
    world.reach(world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 40), "succeeded")
    world.client.pause()
    slow = world.enqueue("gate", {"gate": "behind"})
    behind = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 5)
    world.client.unpause()
    world.started(slow)

    assert world.client.cancel(behind[2]) in ("requested", "cancelled")

    world.reach(behind[2], "cancelled")
    world.reach(slow, "in_progress")
    world.open("behind")
    world.reach([slow, *behind[:2], *behind[3:]], "succeeded")
    assert world.starts(behind[2]) == []
    assert len(world.starts(slow)) == 1


def test_a_task_that_waits_for_its_retry_is_cancelled(world: World) -> None:
    task = world.enqueue("later", {"s": 600})
    world.reach(task, "retry_scheduled")

    assert world.client.cancel(task) == "cancelled"

    assert world.state(task) == "cancelled"


def test_what_is_finished_cannot_be_cancelled(world: World) -> None:
    task = world.enqueue("mark")
    world.reach(task, "succeeded")

    with pytest.raises(Conflict):
        world.client.cancel(task)


def test_an_operators_retry_runs_a_cancelled_task_however_soon_it_comes(world: World) -> None:
    task = world.enqueue("gate", {"gate": "revived"})

    for attempt in range(1, 11):
        world.started(task, attempt)
        world.client.cancel(task)
        world.reach(task, "cancelled")
        world.client.retry(task)
    world.started(task, attempt=11)
    world.open("revived")

    assert world.reach(task, "succeeded")["result"] == {"attempt": 11}
    assert world.outcomes(task) == ["cancelled"] * 10 + ["succeeded"]
