"""A worker killed at any moment costs at most the attempt it was at."""

from __future__ import annotations

import signal

from tests.integration.world import MakeWorld, gone_within, kill
from tests.support.processes import is_alive
from tests.support.waiting import until


def test_a_killed_workers_task_starts_again_within_a_second_and_no_other_does(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
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
    assert agent.process.poll() is None


def test_what_stands_behind_in_the_chunk_of_a_killed_worker_runs_once(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    world.start()
    paced = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 40)  # short ones teach it to take chunks
    world.reach(paced, "succeeded")
    world.client.pause()
    slow = world.enqueue("gate", {"gate": "open", "first": True})
    behind = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 10)
    world.client.unpause()

    kill(world.started(slow).pid)

    world.reach([slow, *behind], "succeeded")
    assert [len(world.starts(task)) for task in (slow, *behind)] == [2] + [1] * 10
    assert [world.outcomes(task) for task in behind] == [["succeeded"]] * 10


def test_outcomes_that_are_not_committed_survive_their_worker(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    world.start()
    world.reach(world.client.enqueue_many("crash", [{"how": "kill", "times": 0}] * 40), "succeeded")
    world.client.pause()
    quick = world.client.enqueue_many("crash", [{"how": "kill", "times": 0}] * 5)
    last = world.enqueue("crash", {"how": "kill", "times": 1})
    world.client.unpause()

    world.reach([*quick, last], "succeeded")

    assert [len(world.starts(task)) for task in quick] == [1] * 5
    assert world.outcomes(last) == ["killed", "succeeded"]
    assert world.event("worker.exited", status=-signal.SIGKILL)["recorded"] >= 1


def test_killing_idle_workers_runs_nothing_again(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=3)
    world.start()
    done = [world.enqueue("mark") for _ in range(20)]
    world.reach(done, "succeeded")
    idle = world.idle(3)

    for pid in idle:
        kill(pid)
    gone_within(idle, 1)

    until(lambda: len(set(world.workers()) - set(idle)) == 3, what="three new workers")
    assert not any(is_alive(pid) for pid in idle)
    world.reach(world.enqueue("mark"), "succeeded")
    assert [len(world.starts(task)) for task in done] == [1] * 20
    assert world.events("task.lost") == []
