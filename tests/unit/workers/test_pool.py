"""The pool: how it answers a death, its workers being processes and whatever was said before."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agent.clock import Clock
from agent.host import Identity, identity
from agent.store import open_store
from workers import pool as module
from workers.burial import Undertaker
from workers.channel import Channel
from workers.fork_client import ForkServer
from workers.messages import Report, Settings
from workers.orders import Orders
from workers.pool import WorkerPool
from workers.process import WorkerProcess

SETTINGS = Settings(retry_attempts=0, retry_delay_s=1, retry_max_delay_s=1, max_result_bytes=1000, max_tasks=0)


class Wire:
    """In a fork server's place: its workers are sleeping processes, and it keeps their ends of the pipes."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ends: dict[int, Channel] = {}
        self.children: list[subprocess.Popen[bytes]] = []

    def fork(self, worker: int, boot: dict[str, Any], fds: Iterable[int]) -> None:
        self.asked.append(worker)
        self.ends[worker] = Channel(socket.socket(fileno=os.dup(next(iter(fds)))))

    def signal(self, worker: int, number: int) -> None:
        """Nobody hears it."""

    def child(self) -> subprocess.Popen[bytes]:
        self.children.append(subprocess.Popen(["/bin/sleep", "600"]))
        return self.children[-1]


class Scene:
    """A pool of one worker over a store, and what a fork server would report to it."""

    def __init__(self, database: Path) -> None:
        self.wire = Wire()
        self.selector = selectors.DefaultSelector()
        self.store = open_store(database)
        clock, fork_server = Clock(), cast(ForkServer, self.wire)
        undertaker = Undertaker(self.store, clock, SETTINGS)
        nobody = Orders(0, 0, frozenset(), SETTINGS)
        self.pool = WorkerPool(self.store, fork_server, self.selector, undertaker, clock, nobody, 1, lambda: 1)
        self.pool.order(Orders(1, 1, frozenset(), SETTINGS))

    def fill(self) -> None:
        self.pool.fill(time.monotonic_ns())

    def bear(self) -> tuple[WorkerProcess, subprocess.Popen[bytes]]:
        """The worker that was asked for last, born and enrolled."""
        child, worker = self.wire.child(), self.pool.workers[self.wire.asked[-1]]
        self.pool.on_report(Report(op="forked", worker=worker.id, pid=child.pid), [os.pidfd_open(child.pid)])
        self.pool.enrol()
        return worker, child

    def die(self, worker: WorkerProcess, child: subprocess.Popen[bytes]) -> None:
        """It is killed, and reported; nobody buries it yet."""
        child.kill()
        child.wait()
        self.pool.on_report(Report(op="exited", worker=worker.id, status=-9), [])

    def close(self) -> None:
        for child in self.wire.children:
            child.kill()
            child.wait()
        for worker in list(self.pool.workers.values()):
            worker.close()
        for end in self.wire.ends.values():
            end.close()
        self.selector.close()
        self.store.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path / "state.db")
    scene.fill()
    yield scene
    scene.close()


@pytest.fixture
def immortals(monkeypatch: pytest.MonkeyPatch) -> list[Identity]:
    """Whom the kernel does not let go of: there are no such processes to be had for a test."""
    found: list[Identity] = []

    def kill_and_wait(meant: Iterable[Identity], timeout_s: float) -> list[Identity]:
        return [who for who in meant if who in found]

    monkeypatch.setattr(module, "kill_and_wait", kill_and_wait)
    return found


def test_another_worker_is_asked_for_before_a_dead_one_is_buried(scene: Scene) -> None:
    worker, child = scene.bear()
    scene.wire.ends[worker.id].send({"op": "ready"})  # its last words: nobody has read them when its end is reported

    scene.die(worker, child)
    scene.fill()

    assert len(scene.wire.asked) == 2
    assert worker.id in scene.pool.workers


def test_who_is_born_before_a_burial_is_to_run_as_any_other(scene: Scene) -> None:
    worker, child = scene.bear()
    scene.wire.ends[worker.id].send({"op": "ready"})
    scene.die(worker, child)
    scene.fill()

    successor, _ = scene.bear()

    assert worker.id in scene.pool.workers, "the database may have refused its burial"
    assert successor.target is not None
    assert successor.target.mode == "run"
    assert not successor.is_draining


def test_a_worker_that_dies_before_it_is_ready_is_replaced_after_a_delay(scene: Scene) -> None:
    worker, child = scene.bear()

    scene.die(worker, child)
    scene.fill()

    assert scene.wire.asked == [worker.id]
    assert scene.pool.birth_due_ns(time.monotonic_ns())


def test_so_is_one_that_takes_its_fork_server_along(scene: Scene, immortals: list[Identity]) -> None:
    worker, _ = scene.bear()

    scene.pool.lose_all()
    scene.fill()

    assert scene.wire.asked == [worker.id]


def test_a_worker_that_outlives_its_fork_server_is_replaced_at_once_and_buried_when_it_dies(
    scene: Scene, immortals: list[Identity]
) -> None:
    worker, child = scene.bear()
    immortals.append(cast(Identity, identity(child.pid)))
    scene.pool.lose_all()
    assert not scene.pool.bury_dead(), "it may still write"

    scene.fill()
    assert len(scene.wire.asked) == 2

    child.kill()
    hear(scene.selector, lambda: worker.end is not None)
    assert scene.pool.bury_dead() == 1
    assert worker.id not in scene.pool.workers
    assert [row.id for row in scene.store.custody.workers()] == []
    hear(scene.selector)


def hear(selector: selectors.BaseSelector, until: Callable[[], bool] = lambda: True) -> None:
    """As the supervisor does."""
    while True:
        for key, _ in selector.select(0.1):
            key.data()
        if until():
            return


def test_a_worker_that_could_not_be_asked_for_leaves_nothing_and_its_place_is_filled_later(scene: Scene) -> None:
    worker, child = scene.bear()
    child.kill()
    child.wait()
    scene.pool.on_report(Report(op="exited", worker=worker.id, status=-9), [])
    scene.pool.bury_dead()
    scene.pool.spacing.forget()
    before = set(os.listdir("/proc/self/fd"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    highest = max(int(name) for name in before)
    fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest + 1 - len(before) + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(fillers) + 7, hard))  # for its pipes, not to pass one on
    try:
        scene.fill()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)

    assert scene.pool.workers == {}
    assert set(os.listdir("/proc/self/fd")) == before
    scene.pool.spacing.forget()
    scene.fill()
    assert len(scene.pool.workers) == 1
