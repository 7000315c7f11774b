"""Operators pause and unpause; what runs goes on, and nothing begins."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.world import MakeWorld, World, pass_time
from tests.support.processes import run_cli
from tests.support.waiting import until


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with two workers."""
    world = World(tmp_path_factory.mktemp("pauses"))
    world.start()
    yield world
    world.close()


def test_while_everything_is_paused_nothing_begins_and_what_runs_ends(world: World) -> None:
    running = world.enqueue("gate", {"gate": "open"})
    world.started(running)
    world.reach(running, "in_progress")

    assert world.client.pause()["paused"] == {"*": None}
    assert world.client.held_up(running) is None
    tasks = [world.enqueue("mark") for _ in range(10)]
    world.open("open")
    world.reach(running, "succeeded")
    pass_time(0.3)

    assert [world.state(task) for task in tasks] == ["queued"] * 10
    assert world.client.unpause()["paused"] == {}
    world.reach(tasks, "succeeded")


def test_once_a_pause_is_answered_nothing_more_of_a_chunk_begins(world: World) -> None:
    tasks = world.client.enqueue_many("nap", [{"s": 0.001}] * 400)  # quick enough for chunks of a dozen
    until(lambda: world.starts(tasks[100]), what="a hundred tasks to begin")

    world.client.pause()
    answered = time.monotonic()
    pass_time(0.2)

    begun = [task for task in tasks if world.starts(task)]
    assert sum(world.starts(task)[0].at > answered for task in begun) <= 2  # two workers: what was just beginning
    assert len(begun) < 400
    world.reach([task for task in tasks if task not in begun], "queued")
    world.client.unpause()
    world.reach(tasks, "succeeded")
    assert [len(world.starts(task)) for task in tasks] == [1] * 400


def test_a_pause_of_one_type_leaves_the_others_alone(world: World) -> None:
    assert world.client.pause("mark")["paused"] == {"mark": None}
    paused = [world.enqueue("mark") for _ in range(5)]
    assert world.client.held_up(paused[0]) == "paused by an operator until `unpause`"
    assert world.client.held_up(world.enqueue("nap", {"s": 0}, delay=600)) is None

    world.reach([world.enqueue("nap", {"s": 0}) for _ in range(5)], "succeeded")

    assert [world.state(task) for task in paused] == ["queued"] * 5
    world.client.unpause("mark")
    world.reach(paused, "succeeded")


def test_a_pause_for_a_time_ends(world: World) -> None:
    asked = time.monotonic()
    world.client.pause(duration="500ms")
    task = world.enqueue("mark")

    world.reach(task, "succeeded")

    assert 0.5 <= world.starts(task)[0].at - asked < 15
    assert world.client.stats()["governor"]["reasons"] == []


def test_the_command_line_pauses_too(world: World) -> None:
    config = str(world.directory / "config.yml")
    done = run_cli("--config", config, "pause", "mark", "--for", "10m", "--json", cwd=world.directory)
    assert done.code == 0, done.err
    assert list(done.json["paused"]) == ["mark"]
    assert done.json["applied"] is True

    again = run_cli("--config", config, "unpause", "mark", "--json", cwd=world.directory)

    assert again.json["paused"] == {}
    world.reach(world.enqueue("mark"), "succeeded")


def test_a_pause_outlives_the_supervisor(make_world: MakeWorld) -> None:
    world = make_world()
    world.client.pause()  # nobody runs yet: it waits
    tasks = [world.enqueue("mark") for _ in range(5)]
    first = world.start()
    pass_time(0.2)
    first.kill_everything()
    second = world.start()
    pass_time(0.2)

    assert [world.state(task) for task in tasks] == ["queued"] * 5
    assert "control.applied verb=pause" in first.err
    assert "warning control.paused scopes=everything cure=unpause" in second.err
    assert world.effects() == []
    world.client.unpause()
    world.reach(tasks, "succeeded")
