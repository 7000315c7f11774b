"""Whoever is stopped by somebody else is neither dead nor late, and goes on where it stood."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from functools import partial

from agent.store.locks import WriteLock
from tests.integration.world import MakeWorld, World, kill, pass_time
from tests.support.processes import family, is_stopped
from tests.support.waiting import until
from workers.stops import GLANCE_S

TIMEOUT_S = 0.6


def test_an_attempt_is_not_late_for_the_time_in_which_everybody_stood_still(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    tasks = [world.enqueue("gate", {"gate": "open"}, timeout=TIMEOUT_S, max_attempts=1) for _ in range(2)]
    for task in tasks:
        world.started(task)
    everybody = [agent.pid, *family(agent.pid)]  # the supervisor first: it lets its fork server go on

    stop(everybody)
    pass_time(3 * TIMEOUT_S)
    go_on(everybody)
    pass_time(TIMEOUT_S / 6)  # many ticks: time enough to end what is taken for late
    world.open("open")

    world.reach(tasks, "succeeded")
    assert [len(world.starts(task)) for task in tasks] == [1, 1]
    assert world.events("worker.killed") == []


def test_once_everybody_goes_on_the_rest_of_the_deadline_counts(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    task = world.enqueue("gate", {"gate": "never"}, timeout=TIMEOUT_S, max_attempts=1)
    world.started(task)
    everybody = [agent.pid, *family(agent.pid)]  # the supervisor first: it lets its fork server go on

    stop(everybody)
    pass_time(2 * TIMEOUT_S)
    go_on(everybody)

    world.reach(task, "failed")
    assert world.outcomes(task) == ["timed_out"]


def test_a_stopped_fork_server_is_let_go_on_for_nobody_else_sees_who_dies(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    fork_server = world.fork_server(agent)
    task = world.enqueue("gate", {"gate": "open"})
    pid = world.started(task).pid

    stop_fork_server(world, fork_server)
    kill(pid)

    world.started(task, attempt=2)
    assert world.event("fork_server.stopped")["pid"] == fork_server
    world.open("open")
    world.reach(task, "succeeded")
    until(lambda: len(world.idle(2)) == 2, what="two workers again")
    assert agent.process.poll() is None


def test_an_attempt_is_not_late_for_what_a_stopped_fork_server_could_not_see(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    task = world.enqueue("gate", {"gate": "open"}, timeout=TIMEOUT_S, max_attempts=1)
    pid = world.started(task).pid

    stop_fork_server(world, world.fork_server(agent))
    stop([pid])
    world.event("worker.frozen", pid=pid, by="outside")
    pass_time(2 * TIMEOUT_S)
    go_on([pid])
    pass_time(TIMEOUT_S / 6)
    world.open("open")

    world.reach(task, "succeeded")
    assert len(world.starts(task)) == 1


def test_a_worker_that_goes_on_while_nobody_can_write_is_not_said_to_stand_still_for_ever(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.start()
    pid = world.idle(2)[0]
    stop([pid])
    world.event("worker.frozen", pid=pid)

    with WriteLock.of(world.directory / "state.db.run"):
        go_on([pid])
        world.event("store.degraded")

    until(lambda: world.workers()[pid]["state"] == "idle", what="its row to say that it goes on")
    stop([pid])
    until(lambda: world.workers()[pid]["state"] == "frozen", what="its row to say that it stands still")


def test_a_task_that_comes_while_the_idle_stand_still_begins_as_they_go_on(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    pids = world.idle(2)
    stop(pids)
    for pid in pids:
        world.event("worker.frozen", pid=pid)

    task = world.enqueue("gate", {"gate": "open"})
    pass_time(1.2 * GLANCE_S)  # who looks by himself has looked
    go_on(pids)

    world.started(task)
    world.open("open")
    world.reach(task, "succeeded")


def stop(pids: Iterable[int]) -> None:
    """SIGSTOP to each in turn, once the one before stands still."""
    for pid in pids:
        kill(pid, signal.SIGSTOP)
        until(partial(is_stopped, pid), what=f"process {pid} to stand still")


def stop_fork_server(world: World, pid: int) -> None:
    """SIGSTOP to it; the supervisor may have let it go on before anybody has seen it stand still."""
    kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid) or world.events("fork_server.stopped"), what="the fork server to stand still")


def go_on(pids: Iterable[int]) -> None:
    """SIGCONT to each."""
    for pid in pids:
        kill(pid, signal.SIGCONT)
