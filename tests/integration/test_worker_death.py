"""A worker killed at any moment costs at most the attempt it was at."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.world import World, gone_within, kill
from tests.support.processes import is_alive
from tests.support.waiting import until


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with two workers."""
    world = World(tmp_path_factory.mktemp("death"))
    world.start()
    yield world
    assert world.agents[0].process.poll() is None
    world.close()


@pytest.fixture
def lone_world(world: World) -> Iterator[World]:
    """With one worker, which knows that `crash` and `gate` are quick, and so claims chunks of them."""
    world.client.scale(1)
    until(lambda: len(world.workers()) == 1, what="one worker")
    quick = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 40)
    quick += world.client.enqueue_many("crash", [{"how": "kill", "times": 0}] * 40)
    world.reach(quick, "succeeded")
    yield world
    world.client.scale(2)


def test_a_killed_workers_task_starts_again_within_a_second_and_no_other_does(world: World) -> None:
    victim = world.enqueue("gate", {"gate": "open", "first": True})
    other = world.enqueue("gate", {"gate": "open"})
    first, beside = world.started(victim), world.started(other)

    killed_at = kill(first.pid)
    again = world.started(victim, attempt=2)
    world.open("open")

    assert again.at - killed_at < 1.0
    assert again.pid != first.pid
    record = world.reach(victim, "succeeded")
    assert [each["outcome"] for each in record["attempts"]] == ["killed", "succeeded"]
    assert "SIGKILL" in record["attempts"][0]["error"]
    assert record["result"] == {"attempt": 2}
    assert (record["attempt"], record["crashes"]) == (2, 0)
    world.reach(other, "succeeded")
    assert world.starts(other) == [beside]
    until(lambda: len(world.workers()) == 2, what="the pool to be full again")


def test_what_stands_behind_in_the_chunk_of_a_killed_worker_runs_once(lone_world: World) -> None:
    world = lone_world
    world.client.pause()
    slow = world.enqueue("gate", {"gate": "never", "first": True})
    behind = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 10)
    world.client.unpause()

    kill(world.started(slow).pid)

    world.reach([slow, *behind], "succeeded")
    assert [len(world.starts(task)) for task in (slow, *behind)] == [2] + [1] * 10
    assert [world.outcomes(task) for task in behind] == [["succeeded"]] * 10


def test_an_attempt_counts_whose_worker_is_killed_while_it_records_what_is_too_large_for_its_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, bulk__max_concurrent=1)
    fired = tmp_path / "fired"
    monkeypatch.setenv("SANAAGENT_FAILPOINTS", f"before_commit:kill:by=worker:n=2:once={fired}")  # 1: its claim
    world.start()
    world.idle(1)

    record = world.reach(world.enqueue("mark", {"kilobytes": 200}), "succeeded")
    world.close()

    assert fired.exists()
    assert [each["outcome"] for each in record["attempts"]] == ["killed", "succeeded"]
    assert [effect.attempt for effect in world.starts(record["id"])] == [1, 2]


def test_outcomes_that_are_not_committed_survive_their_worker(lone_world: World) -> None:
    world = lone_world
    (pid,) = world.workers()
    world.client.pause()
    quick = world.client.enqueue_many("crash", [{"how": "kill", "times": 0}] * 5)
    last = world.enqueue("crash", {"how": "kill", "times": 1})
    world.client.unpause()

    world.reach([*quick, last], "succeeded")

    assert [len(world.starts(task)) for task in quick] == [1] * 5
    assert world.outcomes(last) == ["killed", "succeeded"]
    assert world.event("worker.exited", pid=pid, status=-signal.SIGKILL)["recorded"] >= 1


def test_killing_idle_workers_runs_nothing_again(world: World) -> None:
    done = [world.enqueue("mark") for _ in range(20)]
    world.reach(done, "succeeded")
    idle, lost = world.idle(2), len(world.events("task.lost"))

    for pid in idle:
        kill(pid)
    gone_within(idle, 1)

    until(lambda: len(set(world.workers()) - set(idle)) == 2, what="two new workers")
    world.reach(world.enqueue("mark"), "succeeded")
    assert [len(world.starts(task)) for task in done] == [1] * 20
    assert len(world.events("task.lost")) == lost


def test_killing_workers_at_random_under_load_costs_one_attempt_each(world: World) -> None:
    tasks = world.client.enqueue_many("nap", [{"s": 0.003}] * 400)
    dice = random.Random(7)
    kills = 0
    while world.state(tasks[-1]) != "succeeded" and kills < 60:
        before = len(world.events("worker.ready"))
        victim = dice.choice(sorted(world.workers()) or [0])
        if victim and is_alive(victim):
            kill(victim)
            kills += 1
            world.happened("worker.ready", before + 1)

    world.reach(tasks, "succeeded", timeout=20)

    starts = [len(world.starts(task)) for task in tasks]
    assert kills >= 5
    assert sum(starts) - len(tasks) <= kills
    assert {tuple(world.outcomes(task)).count("succeeded") for task in tasks} == {1}
