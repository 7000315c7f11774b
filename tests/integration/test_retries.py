"""What follows a failed attempt, and when."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent for all statements; the first retry after 0.2 s, two retries."""
    world = World(tmp_path_factory.mktemp("retries"), bulk__retry_delay_seconds=0.2)
    world.start()
    yield world
    world.close()


def test_a_failure_is_tried_again_and_its_error_kept(world: World) -> None:
    task = world.enqueue("fails", {"times": 1, "text": "the disk was full"})

    record = world.reach(task, "succeeded")

    assert record["attempt"] == 2
    assert record["error"] is None
    first, second = record["attempts"]
    assert (first["outcome"], second["outcome"]) == ("failed", "succeeded")
    assert "ValueError: the disk was full" in first["error"]
    assert "Traceback" in first["error"]


def test_the_gaps_between_attempts_double_and_jitter_by_a_quarter_at_most(world: World) -> None:
    task = world.enqueue("fails")

    record = world.reach(task, "failed")

    times = [start.at for start in world.starts(task)]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) == 2
    assert 0.2 <= gaps[0] < 0.25 + 5
    assert 0.4 <= gaps[1] < 0.5 + 5
    assert record["error"] == "ValueError: no luck"
    assert record["attempt"] == 3


def test_a_tasks_own_number_of_attempts_wins(world: World) -> None:
    task = world.enqueue("fails", max_attempts=1)

    assert world.reach(task, "failed")["attempt"] == 1


def test_fail_ends_a_task_at_once(world: World) -> None:
    task = world.enqueue("hopeless")

    record = world.reach(task, "failed")

    assert record["attempt"] == 1
    assert "the account is closed" in record["error"]


def test_retry_after_sets_the_time_of_the_next_attempt(world: World) -> None:
    task = world.enqueue("later", {"s": 0.6})

    world.reach(task, "succeeded")

    first, second = world.starts(task)
    assert 0.6 <= second.at - first.at < 5


def test_only_the_errors_a_type_names_are_worth_another_attempt(world: World) -> None:
    worth_it = world.enqueue("picky", {"worth_it": True})
    useless = world.enqueue("picky", {"worth_it": False})

    assert world.reach(useless, "failed")["attempt"] == 1
    assert world.reach(worth_it, "failed")["attempt"] == 3


def test_an_operators_retry_gives_a_failed_task_all_its_attempts_again(world: World) -> None:
    task = world.enqueue("fails", {"times": 3}, max_attempts=2)
    world.reach(task, "failed")

    assert world.client.retry(task) == "queued"

    record = world.reach(task, "succeeded")
    assert record["attempt"] == 4
    assert [each["attempt"] for each in record["attempts"]] == [1, 2, 3, 4]


def test_what_waits_for_its_retry_survives_a_restart(tmp_path: Path) -> None:
    other = World(tmp_path, bulk__retry_delay_seconds=1)
    agent = other.start()
    task = other.enqueue("fails", {"times": 1})
    due_at = other.reach(task, "retry_scheduled")["due_at"]

    agent.stop()
    assert other.client.inspect(task)["due_at"] == due_at
    other.start()

    record = other.reach(task, "succeeded")
    assert record["started_at"] >= due_at
    other.close()
