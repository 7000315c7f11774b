"""The chore thread goes on, whatever a chore meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.errors import StoreError
from agent.maintenance.chores import Chores, Retention
from agent.store import open_store
from tests.support.waiting import until

Deliver = Callable[[], object]


@pytest.fixture
def chores(tmp_path: Path) -> Iterator[Chores]:
    """A chore thread that is not started yet, over a new database."""
    chores = Chores(open_store(tmp_path / "state.db"), Clock(), Retention(0, 0, 0), lambda: None)
    yield chores
    chores.stop(5)


@pytest.mark.parametrize("error", [StoreError("no space is left"), ZeroDivisionError("nobody thought of it")])
def test_a_chore_that_fails_is_told_of_and_tried_again(
    chores: Chores, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    def deliver() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise error

    chores.deliver = deliver
    chores.start()
    until(lambda: calls, what="the first delivery")
    chores.poke(is_active=False)

    until(lambda: len(calls) > 1, what="the chore to be tried again")
    assert chores.is_alive()
    assert str(error) in capsys.readouterr().out


def test_what_is_to_be_delivered_later_is_without_anybody_asking(chores: Chores) -> None:
    calls: list[int] = []

    def deliver() -> float:
        calls.append(1)
        return 0.02

    chores.deliver = deliver
    chores.start()

    until(lambda: len(calls) > 2, what="two more rounds")


def test_a_disk_that_refuses_a_chore_is_told_of_once_and_so_is_its_end(
    chores: Chores, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    def deliver() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise StoreError("no space is left")

    chores.deliver = deliver
    chores.start()
    for number in (1, 2, 3):
        until(lambda number=number: len(calls) >= number, what="another delivery")
        chores.poke(is_active=False)
    chores.stop(5)

    said = capsys.readouterr().out
    assert (said.count("store.degraded"), said.count("store.recovered")) == (1, 1)
