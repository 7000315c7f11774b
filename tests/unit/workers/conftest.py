"""Fork servers of both forms and slots, for the tests of the process primitives."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.handlers import Registry
from tests.support.fork_servers import FRESH_MAIN, Harness, Report
from workers.channel import Channel
from workers.fork_client import ForkServer
from workers.process import WorkerProcess
from workers.slot import Slot

OPTIONS = {"max_attempts": None, "timeout": None, "max_concurrent": None}


@pytest.fixture
def start() -> Iterator[Callable[..., Harness]]:
    """Starts fork servers of the forked form, whose workers run the given function."""
    harnesses: list[Harness] = []

    def start(main: Callable[[Report, Registry, socket.socket], int], registry: Registry | None = None) -> Harness:
        harness = Harness(ForkServer.start_forked(registry or Registry(), main))
        harnesses.append(harness)
        assert harness.report("types")["types"] == dict.fromkeys((registry or Registry()).types(), OPTIONS)
        return harness

    yield start
    for harness in harnesses:
        harness.close()


@pytest.fixture
def start_fresh(tmp_path: Path) -> Iterator[Callable[[], Harness]]:
    """Starts fork servers of the fresh form in `tmp_path`, with `handlers.py` and `mains.py` from there."""
    harnesses: list[Harness] = []
    (tmp_path / "mains.py").write_text(FRESH_MAIN)

    def start_fresh() -> Harness:
        harness = Harness(ForkServer.start_fresh([], tmp_path, "mains:main"))
        harnesses.append(harness)
        return harness

    yield start_fresh
    for harness in harnesses:
        harness.close()


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    slot = Slot.create(tmp_path / "slot", 7)
    yield slot
    slot.close()


@pytest.fixture
def worker(slot: Slot) -> Iterator[Slot]:
    """The worker's mapping of the same slot."""
    opened = Slot.open(slot.path)
    yield opened
    opened.close()


@pytest.fixture
def process(slot: Slot) -> Iterator[WorkerProcess]:
    """The supervisor's view of the worker that has `slot`."""
    ours, theirs = Channel.pair()
    output = os.open(os.devnull, os.O_RDONLY)
    yield WorkerProcess(7, slot, ours, output, time.monotonic_ns())
    ours.close()
    theirs.close()
    os.close(output)
