"""A frozen worker is neither dead nor late: its task waits with it, and is run once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from agent.errors import Conflict, NotFound, Unavailable
from tests.integration.world import MakeWorld, World, kill, pass_time
from tests.support.processes import is_stopped
from tests.support.waiting import until


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with two workers."""
    world = World(tmp_path_factory.mktemp("freeze"))
    world.start()
    yield world
    world.close()


def test_a_frozen_workers_task_waits_with_it_and_succeeds_once(world: World) -> None:
    task = world.enqueue("nap", {"s": 0.3})
    pid = world.started(task).pid

    record = world.client.freeze(str(pid))

    assert is_stopped(pid)
    assert (record["pid"], record["state"], record["task"]) == (pid, "frozen", task)
    world.reach(world.enqueue("mark"), "succeeded")  # the other worker goes on
    pass_time(4 * 0.2)  # twice what makes a heartbeat old, twice
    assert is_stopped(pid)
    assert world.state(task) == "in_progress"
    assert world.client.thaw(record["worker"])["state"] in ("busy", "idle")
    world.reach(task, "succeeded")
    assert [effect.word for effect in world.effects() if effect.task == task] == ["start", "end"]


def test_the_deadline_stands_still_with_the_worker(world: World) -> None:
    task = world.enqueue("gate", {"gate": "patient"}, timeout="400ms", max_attempts=1)
    pid = world.started(task).pid
    world.client.freeze(str(pid))
    pass_time(0.6)
    world.client.thaw(str(pid))
    pass_time(0.1)  # many ticks: time enough to end what is taken for late
    world.open("patient")

    assert world.outcomes(world.reach(task, "succeeded")["id"]) == ["succeeded"]


def test_after_a_thaw_the_rest_of_the_deadline_counts(world: World) -> None:
    task = world.enqueue("gate", {"gate": "never"}, timeout="300ms", max_attempts=1)
    start = world.started(task)
    world.client.freeze(str(start.pid))
    pass_time(0.3)
    world.client.thaw(str(start.pid))

    world.reach(task, "failed")

    assert world.outcomes(task) == ["timed_out"]


def test_an_idle_worker_can_be_frozen_and_takes_no_task_until_it_is_thawed(world: World) -> None:
    frozen, other = world.idle(2)[:2]
    world.client.freeze(str(frozen))
    tasks = [world.enqueue("mark") for _ in range(20)]

    world.reach(tasks, "succeeded")

    assert {world.starts(task)[0].pid for task in tasks} == {other}
    world.client.thaw(str(frozen))
    both = [world.enqueue("gate", {"gate": "both"}) for _ in range(2)]
    assert {world.started(task).pid for task in both} == {frozen, other}
    world.open("both")
    world.reach(both, "succeeded")


def test_a_worker_that_somebody_else_stops_is_not_taken_for_dead(world: World) -> None:
    task = world.enqueue("nap", {"s": 0.2})
    pid = world.started(task).pid

    kill(pid, signal.SIGSTOP)
    world.event("worker.frozen", pid=pid, by="outside", task=task)
    pass_time(0.6)
    assert world.workers()[pid]["state"] == "frozen"
    kill(pid, signal.SIGCONT)

    world.reach(task, "succeeded")
    assert len(world.starts(task)) == 1
    until(lambda: world.workers()[pid]["state"] == "idle", what="the worker to be idle")


def test_a_frozen_worker_that_is_killed_gives_its_task_back(world: World) -> None:
    task = world.enqueue("gate", {"gate": "given", "first": True})
    pid = world.started(task).pid
    world.client.freeze(str(pid))

    kill(pid)

    world.reach(task, "succeeded")
    assert world.outcomes(task) == ["killed", "succeeded"]


def test_a_frozen_workers_task_can_be_cancelled(world: World) -> None:
    task = world.enqueue("gate", {"gate": "never"})
    world.client.freeze(str(world.started(task).pid))

    world.client.cancel(task)

    world.reach(task, "cancelled")
    assert world.outcomes(task) == ["cancelled"]


def test_orders_that_make_no_sense_are_refused(world: World) -> None:
    pid = world.idle(2)[0]

    with pytest.raises(NotFound):
        world.client.freeze("4711nobody")
    with pytest.raises(Conflict):
        world.client.thaw(str(pid))
    world.client.freeze(str(pid))
    with pytest.raises(Conflict):
        world.client.freeze(str(pid))
    world.client.thaw(str(pid))


def test_without_a_supervisor_nobody_freezes(make_world: MakeWorld) -> None:
    with pytest.raises(Unavailable):
        make_world().client.freeze("1")


def test_every_freeze_ends(make_world: MakeWorld) -> None:
    world = make_world(governance__freeze_max_s=0.5, bulk__max_concurrent=1)
    world.start()
    task = world.enqueue("gate", {"gate": "open"})
    pid = world.started(task).pid
    world.client.freeze(str(pid))
    frozen_at = time.monotonic()
    world.open("open")

    world.reach(task, "succeeded")

    assert 0.5 <= time.monotonic() - frozen_at < 15
    assert len(world.starts(task)) == 1


def test_what_a_frozen_workers_chunk_has_not_begun_is_run_by_others(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    world.start()
    world.reach(world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 80), "succeeded")
    world.client.pause()
    slow = [world.enqueue("gate", {"gate": "open"}) for _ in range(2)]
    behind = world.client.enqueue_many("gate", [{"gate": "config.yml"}] * 12)
    world.client.unpause()
    pid = world.started(slow[0]).pid
    world.client.freeze(str(pid))
    world.open("open")

    world.reach([slow[1], *behind], "succeeded")

    assert world.state(slow[0]) == "in_progress"
    assert pid not in {world.starts(task)[0].pid for task in behind}
    world.client.thaw(str(pid))
    world.reach(slow[0], "succeeded")
    assert [len(world.starts(task)) for task in slow + behind] == [1] * 14


def test_with_pause_mode_freeze_an_error_bursts_pause_stops_what_runs(make_world: MakeWorld) -> None:
    world = make_world(
        governance__pause_mode="freeze",
        governance__pause_after_error_burst={"threshold": 3, "duration_s": 0.8},
        governance__freeze_max_s=0.2,
    )
    world.start()
    task = world.enqueue("nap", {"s": 0.5})
    pid = world.started(task).pid
    world.client.enqueue_many("hopeless", [{}] * 3)

    frozen = world.event("worker.frozen", pid=pid, by="pause")
    assert is_stopped(pid)
    thawed = world.event("worker.thawed", pid=pid)

    world.reach(task, "succeeded")
    lasted = datetime.fromisoformat(thawed["at"]) - datetime.fromisoformat(frozen["at"])
    assert lasted.total_seconds() >= 0.6
    assert [effect.word for effect in world.effects() if effect.task == task] == ["start", "end"]
