"""Stops on their way: a report may be older than the order it meets, and others send signals too."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from agent.clock import Clock
from agent.store import open_store
from tests.support.slots import begins
from workers.fork_client import ForkServer
from workers.process import WorkerProcess
from workers.slot import BUSY, Slot
from workers.stops import Stops


class Wire:
    """In a fork server's place: what it was asked to send."""

    def __init__(self) -> None:
        self.sent: list[signal.Signals] = []

    def signal(self, worker: int, number: int) -> None:
        self.sent.append(signal.Signals(number))

    def is_stopped(self) -> bool:
        return False


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def stops(process: WorkerProcess, worker: Slot, wire: Wire, tmp_path: Path) -> Stops:
    """Over one worker, which runs task 101."""
    worker.open_chunk(1, 2)
    assert begins(worker, 1)
    return Stops({process.id: process}, cast(ForkServer, wire), open_store(tmp_path / "state.db"), Clock())


def test_a_report_of_a_stop_that_was_let_go_since_freezes_nobody(stops: Stops, process: WorkerProcess) -> None:
    stops.freeze(process, "pause")
    stops.thaw_all("pause")
    stops.freeze(process, "pause")

    stops.on_stopped(process, conts=0, at_ns=time.monotonic_ns())
    assert not process.is_frozen, "it was the first stop, and the worker goes on before the second"

    stops.on_stopped(process, conts=1, at_ns=time.monotonic_ns())
    assert process.is_frozen


def test_a_stop_that_is_heard_of_late_counts_against_no_deadline(stops: Stops, process: WorkerProcess) -> None:
    running = process.running()
    assert running is not None
    running = replace(running, deadline_ns=running.started_ns + 10**9)
    before = process.deadline_ns(running)
    stops.freeze(process, "pause")

    stops.on_stopped(process, conts=0, at_ns=time.monotonic_ns() - 3 * 10**9)
    stops.thaw_all("pause")

    assert process.deadline_ns(running) >= before + 3 * 10**9


def test_nobody_is_killed_upon_a_report_of_a_stop_that_was_let_go_since(
    stops: Stops, process: WorkerProcess, wire: Wire
) -> None:
    stops.freeze(process, "pause")
    stops.thaw_all("pause")
    assert stops.cancel(101, is_still_asked=lambda: True)

    stops.on_stopped(process, conts=0, at_ns=time.monotonic_ns())
    assert signal.SIGKILL not in wire.sent

    stops.on_stopped(process, conts=1, at_ns=time.monotonic_ns())
    assert wire.sent[-1] is signal.SIGKILL


def test_who_goes_on_by_an_outsiders_hand_while_he_is_being_stopped_is_stopped_again(
    stops: Stops, process: WorkerProcess, wire: Wire
) -> None:
    assert stops.cancel(101, is_still_asked=lambda: True)
    stops.on_continued(process)
    assert wire.sent == [signal.SIGSTOP, signal.SIGSTOP]


def test_who_is_let_go_because_it_writes_is_not_stopped_before_it_has_written(
    stops: Stops, process: WorkerProcess, worker: Slot, wire: Wire
) -> None:
    stops.freeze(process, "operator")
    worker.words[BUSY] = 1
    stops.on_stopped(process, conts=0, at_ns=time.monotonic_ns())
    stops.on_continued(process)
    assert wire.sent == [signal.SIGSTOP, signal.SIGCONT]

    worker.words[BUSY] = 0
    stops.retry()
    assert wire.sent[-1] is signal.SIGSTOP


def test_nobody_is_stopped_while_a_child_of_its_handler_writes(
    stops: Stops, process: WorkerProcess, wire: Wire, tmp_path: Path
) -> None:
    """A stop goes to the whole group: all who write would wait for the child."""
    hears, tells = os.pipe()
    ready, done = os.pipe()
    process.pid = os.fork()
    if process.pid == 0:  # the worker
        os.setsid()
        if os.fork() == 0:
            with open_store(tmp_path / "state.db")._connection.writing():
                os.write(done, b"!")
                os.read(hears, 1)
            os.write(done, b"!")
            os._exit(0)
        os.wait()
        signal.pause()
    os.read(ready, 1)

    stops.freeze(process, "operator")
    stops.retry()
    assert wire.sent == []

    os.write(tells, b"!")
    os.read(ready, 1)
    stops.retry()
    assert wire.sent == [signal.SIGSTOP]

    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
    for descriptor in (hears, tells, ready, done):
        os.close(descriptor)
