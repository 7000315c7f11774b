"""The pool grows and shrinks while handlers run, and none is disturbed."""

from __future__ import annotations

import time

from tests.integration.world import MakeWorld, most_at_once, pass_time, said
from tests.support.waiting import until


def test_scaling_down_lets_every_handler_finish(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=8)
    world.start()
    tasks = [world.enqueue("gate", {"gate": "open"}) for _ in range(8)]
    more = [world.enqueue("mark") for _ in range(5)]
    for task in tasks:
        world.started(task)

    world.client.scale(1)
    until(lambda: sum(each["state"] == "draining" for each in world.workers().values()) == 7, what="seven to drain")
    pass_time(0.3)
    assert len(world.workers()) == 8
    world.open("open")

    world.reach([*tasks, *more], "succeeded")
    assert [len(world.starts(task)) for task in tasks + more] == [1] * 13
    until(lambda: len(world.workers()) == 1, what="one worker to be left")
    assert world.events("worker.killed") == []
    assert len({world.starts(task)[0].pid for task in more}) == 1


def test_scaling_up_and_back_down_follows_at_once(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    world.start()
    tasks = [world.enqueue("gate", {"gate": "open"}) for _ in range(4)]
    world.started(tasks[0])

    world.client.scale(4)

    for task in tasks:
        world.started(task)
    world.open("open")
    world.reach(tasks, "succeeded")
    assert most_at_once(world.effects(), tasks) == 4


def test_an_operators_scale_is_told_as_such_and_warns_of_nothing(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=3)
    agent = world.start()

    world.client.scale(2)

    told = world.event("governance.scale")
    assert (told["level"], told["limit"]) == ("info", 2)
    assert told["why"] == "limit 3 → 2: the number of workers was set"
    said(agent, "info governance.scale")
    assert world.events("governance.throttle") == []


def test_a_scale_for_a_time_ends(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    world.start()
    asked = time.monotonic()

    world.client.scale(3, duration="700ms")

    until(lambda: len(world.workers()) == 3, what="three workers")
    until(lambda: len(world.workers()) == 1, what="one worker again")
    assert time.monotonic() - asked >= 0.7
    assert world.limit() == 1


def test_a_lowered_limit_parks_workers_and_lets_them_live(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=4, governance__mem_high_pct=1, governance__window_s=0.4)
    agent = world.start()
    pids = until(lambda: len(workers := set(world.workers())) == 4 and workers, what="four workers")
    until(lambda: world.limit() == 1, what="the governor to throttle")
    tasks = [world.enqueue("nap", {"s": 0.02}) for _ in range(8)]

    world.reach(tasks, "succeeded")

    assert most_at_once(world.effects(), tasks) == 1
    assert set(world.workers()) == pids
    limits = [event["limit"] for event in world.events("governance.throttle")]
    assert limits == [3, 2, 1]
    assert agent.process.poll() is None
