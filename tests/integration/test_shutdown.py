"""The agent ends as it is asked to: what runs may finish, what has not begun is queued, a second signal forces."""

from __future__ import annotations

import signal
import time

import pytest

from tests.integration.world import MakeWorld, gone_within, kill
from tests.support.processes import family
from tests.support.waiting import until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(make_world: MakeWorld, number: signal.Signals) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    running = [world.enqueue("gate", {"gate": "open"}) for _ in range(2)]
    waiting = [world.enqueue("gate", {"gate": "open"}) for _ in range(5)]
    for task in running:
        world.started(task)

    kill(agent.pid, number)
    world.event("supervisor.draining")
    world.open("open")

    assert agent.wait() == 0
    assert [world.state(task) for task in running] == ["succeeded"] * 2
    records = [world.client.inspect(task) for task in waiting]
    assert [(record["state"], record["attempt"], record["worker"]) for record in records] == [("queued", 0, None)] * 5
    assert world.client.workers() == []


def test_a_drain_gives_back_what_a_chunk_has_not_begun(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    world.reach(world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 40), "succeeded")
    world.client.pause()
    slow = world.enqueue("gate", {"gate": "open"})
    behind = world.client.enqueue_many("gate", [{"gate": "open"}] * 10)
    world.client.unpause()
    world.started(slow)

    kill(agent.pid, signal.SIGTERM)
    world.event("supervisor.draining")
    world.open("open")

    assert agent.wait() == 0
    assert world.state(slow) == "succeeded"
    assert [(world.state(task), world.client.inspect(task)["attempt"]) for task in behind] == [("queued", 0)] * 10


def test_what_outlives_the_grace_is_killed_and_queued_at_no_cost(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2, bulk__drain_grace_s=0.3)
    agent = world.start()
    tasks = [world.enqueue("stubborn"), world.enqueue("parent")]
    child = world.child(tasks[1])
    world.started(tasks[0])
    left = family(agent.pid)

    asked = kill(agent.pid, signal.SIGTERM)

    assert agent.wait() == 0
    assert 0.3 <= time.monotonic() - asked < 10
    gone_within([*left, child], 0.1)
    for task in tasks:
        record = world.client.inspect(task)
        assert (record["state"], record["crashes"], record["worker"]) == ("queued", 0, None)
        assert world.outcomes(task) == ["lost"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_forces(make_world: MakeWorld, number: signal.Signals) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    task = world.enqueue("stubborn")
    world.started(task)
    kill(agent.pid, number)
    world.event("supervisor.draining")

    kill(agent.pid, number)

    assert agent.wait() == 130
    assert world.state(task) == "queued"


def test_a_signal_ends_idle_and_paused_agents_at_once(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    world.client.pause()
    world.enqueue("mark")
    world.idle(2)

    asked = kill(agent.pid, signal.SIGTERM)

    assert agent.wait() == 0
    assert time.monotonic() - asked < 10
    assert world.effects() == []


def test_a_drain_thaws_what_is_frozen_and_lets_it_finish(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    task = world.enqueue("nap", {"s": 0.2})
    world.client.freeze(str(world.started(task).pid))

    assert agent.stop(5) == 0

    assert world.state(task) == "succeeded"
    assert len(world.starts(task)) == 1


def test_a_frozen_agent_that_is_forced_leaves_nobody_behind(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    task = world.enqueue("stubborn")
    pid = world.started(task).pid
    kill(agent.pid, signal.SIGTERM)
    world.event("supervisor.draining")
    kill(pid, signal.SIGSTOP)
    world.event("worker.frozen", by="outside")

    kill(agent.pid, signal.SIGTERM)

    assert agent.wait() == 130
    gone_within([pid], 0.1)


def test_a_drain_ends_once_scheduled_tasks_and_retries_have_run(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    tasks = [
        world.enqueue("mark", delay="300ms"),
        world.enqueue("fails", {"times": 2}),
        world.enqueue("nobody-handles-this"),
    ]

    agent = world.start("--drain", ready=0)

    assert agent.wait(10) == 0
    assert [world.state(task) for task in tasks] == ["succeeded", "succeeded", "queued"]
    assert world.starts(tasks[0])[0].at > 0
    until(lambda: world.client.stats()["supervisor_pid"] is None, what="the lock to be free")
