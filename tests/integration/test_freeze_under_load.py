"""Freezing in the thick of it: never inside a transaction, and nothing runs twice."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from agent.errors import Conflict
from agent.store.locks import WriteLock
from tests.integration.world import MakeWorld, World, kill
from tests.support.processes import is_stopped
from tests.support.waiting import until
from workers.assembly import PATIENCE_S


def test_a_worker_frozen_under_load_never_holds_up_the_others(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    world.start()
    tasks: list[int] = []
    froze = 0
    for _ in range(20):
        tasks += world.client.enqueue_many("mark", [{}] * 300)
        froze += freeze_and_thaw(world, sorted(world.workers())[0])
    world.reach(tasks, "succeeded", timeout=30)

    starts = Counter(effect.task for effect in world.effects() if effect.word == "start")
    assert starts == dict.fromkeys(tasks, 1)
    assert froze >= 15
    assert world.events("store.degraded") == []


def test_a_worker_stopped_from_outside_with_the_write_lock_is_ended_and_its_work_goes_on(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    lock = WriteLock.of(world.directory / "state.db.run")
    tasks: list[int] = []

    def caught() -> bool:
        tasks.extend(world.client.enqueue_many("mark", [{}] * 200))
        pid = sorted(world.workers())[0]
        any(lock.holder() == pid for _ in range(5000))  # some 10 ms: stopped right after, it has the lock more often
        kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid), what="the worker to stop")
        if lock.holder() == pid:
            return True
        kill(pid, signal.SIGCONT)
        return False

    until(caught, timeout=20, what="a worker to be stopped while it holds the write lock")

    world.reach(tasks, "succeeded", timeout=20)
    assert world.event("worker.killed")["why"] == "it stood still holding the write lock"
    until(lambda: len(world.idle(2)) == 2, what="two workers again")
    extra = [task for task in tasks if len(world.starts(task)) > 1]
    assert len(extra) <= 1
    assert agent.process.poll() is None


def test_whoever_stands_still_in_a_transaction_is_ended_when_the_supervisors_patience_is_over(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "stopped"
    waits = f"in_transaction:sleep=0.5:by=worker:once={tmp_path / 'slow'}"  # the supervisor waits for the lock by then
    monkeypatch.setenv("SANAAGENT_FAILPOINTS", f"{waits}; before_commit:stop:by=worker:once={mark}")
    world = make_world(bulk__max_concurrent=2)
    world.start()
    world.client.enqueue_many("mark", [{}] * 200)
    pid = until(lambda: mark.exists() and int(mark.read_text() or 0), what="a worker to come to a transaction")
    until(lambda: is_stopped(pid), what="it to stop")
    stopped_at = time.monotonic()
    world.enqueue("mark")

    assert time.monotonic() - stopped_at < 10 * PATIENCE_S
    assert world.event("worker.killed", pid=pid)["why"] == "it stood still holding the write lock"


def freeze_and_thaw(world: World, pid: int) -> bool:
    """Freeze a worker, see that others write on, thaw it; False when it could not be frozen."""
    try:
        world.client.freeze(str(pid))
    except Conflict:
        return False
    assert is_stopped(pid)
    world.reach(world.enqueue("noop", priority=9), "succeeded")
    world.client.thaw(str(pid))
    return True
