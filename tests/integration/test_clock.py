"""The wall clock is set under a running agent, and between two runs: nothing waits for it, ends or is deleted by it."""

from __future__ import annotations

import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.world import MakeWorld, World, pass_time
from tests.support.processes import run_cli
from tests.support.waiting import until

HOUR, YEARS = 3600, 10 * 365 * 86400


class MovedClock:
    """The wall clock of the agents of a test."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8))
        self._file = path.open("r+b", buffering=0)

    def set(self, seconds: float) -> None:
        """So far it is ahead of the true time."""
        self._file.seek(0)
        self._file.write(struct.pack("q", round(seconds * 1e9)))

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MovedClock]:
    clock = MovedClock(tmp_path / "clock")
    monkeypatch.setenv("SANAAGENT_FAILPOINT_CLOCK", str(tmp_path / "clock"))
    yield clock
    clock.close()


def stepped(world: World, times: int) -> None:
    """Wait until the agent has noticed."""
    world.happened("clock.stepped", times)


@pytest.mark.parametrize("back", [HOUR, YEARS])
def test_what_fails_after_the_clock_was_set_back_is_tried_again_when_it_should(
    make_world: MakeWorld, clock: MovedClock, back: float
) -> None:
    world = make_world()
    clock.set(back)
    world.start()
    tasks = [world.enqueue("fails", {"times": 1, "gate": "open"}) for _ in range(2)]
    for task in tasks:
        world.started(task)
    clock.set(0)
    stepped(world, 1)
    pass_time(1.5)  # whatever follows from the step has been done
    world.open("open")

    world.reach(tasks, "succeeded")


def test_what_has_failed_before_the_clock_is_set_back_is_tried_again_soon(
    make_world: MakeWorld, clock: MovedClock
) -> None:
    world = make_world(bulk__retry_delay_seconds=600)
    clock.set(YEARS)
    world.start()
    task = world.enqueue("fails", {"times": 1})
    world.reach(task, "retry_scheduled")
    clock.set(0)

    world.reach(task, "succeeded")


@pytest.mark.parametrize("step", [-YEARS, -HOUR, YEARS])
def test_an_operators_pause_lasts_as_long_as_it_was_to(make_world: MakeWorld, clock: MovedClock, step: float) -> None:
    world = make_world()
    world.start()
    world.client.pause(duration=1.5)
    clock.set(step)
    stepped(world, 1)
    task = world.enqueue("mark")

    pass_time(0.3)
    assert world.state(task) == "queued"
    world.reach(task, "succeeded")


def test_an_order_lasts_as_long_also_when_the_clock_is_set_between_two_runs(
    make_world: MakeWorld, clock: MovedClock
) -> None:
    world = make_world()
    first = world.start()
    until(lambda: world.client._client.store.upkeep.mark("clock_boot"), what="the agent to look at its clock")
    world.client.pause(duration=4)
    first.process.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    clock.set(-YEARS)
    world.start()
    task = world.enqueue("mark")

    pass_time(0.3)
    assert world.state(task) == "queued"
    world.reach(task, "succeeded", timeout=10)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_deleted_as_old_when_the_clock_was_set_between_two_runs(
    make_world: MakeWorld, clock: MovedClock, end: signal.Signals
) -> None:
    world = make_world()
    first = world.start()
    until(lambda: world.client._client.store.upkeep.mark("clock_boot"), what="the agent to look at its clock")
    task = world.enqueue("mark")
    world.reach(task, "succeeded")
    first.process.send_signal(end)
    first.wait()
    clock.set(YEARS)
    world.start()
    until(
        lambda: world.client._client.store.upkeep.mark("clock_quiet_until"), what="the agent to look at its clock again"
    )
    pass_time(0.5)  # the chores are done many times over

    assert world.state(task) == "succeeded"
    assert world.events("retention.done") == []


@pytest.mark.parametrize("step", [YEARS, -YEARS])
def test_commands_bear_with_any_time(make_world: MakeWorld, clock: MovedClock, step: float) -> None:
    world = make_world()
    world.start()
    world.reach(world.enqueue("fails"), "failed")
    world.client.pause(duration=600)
    world.enqueue("mark")
    clock.set(step)
    stepped(world, 1)
    for words in (["stats"], ["tasks"], ["workers"], ["inspect", "1", "--attempts"], ["enqueue", "mark", "{}"]):
        done = run_cli(*words, cwd=world.directory)
        assert (done.code, done.err) == (0, "")
    assert world.client.stats()["oldest_queued_s"] >= 0
