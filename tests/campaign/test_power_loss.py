"""Power losses, a short round; and disks, stores and promises that are not as they should be: it has to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from agent.store import SqliteStore, open_store
from agent.store.connection import Connection, Cursor
from agent.store.locks import WriteLock
from campaign import power_loss
from campaign.examination import Examiner
from campaign.lives import Life, live
from campaign.power_loss import Tally, attack
from campaign.recorder import Sync, Write
from tests.campaign.scenario import SEED, play

VERBS, IMAGES = 40, 40


def test_a_power_loss_loses_tears_and_invents_nothing(data_dir: Path) -> None:
    report = play(power_loss.run, data_dir)

    assert sum(report.faults.values()) == 100
    assert report.verdict.acknowledged > 1000
    assert (report.verdict.lost, report.verdict.unexpected) == (0, 0)


def lying(life: Life) -> Life:
    """The disk says that it has written what it was asked to sync, and has not."""
    events = [Write(each.file, 0, b"") if isinstance(each, Sync) else each for each in life.events]
    return replace(life, events=events)


def hasty(life: Life) -> Life:
    """What a verb does is acknowledged when it has only begun to write."""
    return replace(life, marks=[mark._replace(place=min(mark.begun + 1, mark.place)) for mark in life.marks])


@pytest.mark.parametrize("fault", [lying, hasty])
def test_an_acknowledgement_that_does_not_hold_is_noticed(fault: Callable[[Life], Life], tmp_path: Path) -> None:
    tally = lose_the_power(fault(_lived(tmp_path)), tmp_path)

    assert any("had returned; of" in breach for breach in tally.breaches)
    assert tally.verdict.lost > 0
    assert (tmp_path / "kept" / "image-1").is_dir(), "what shows it is kept"


class _Loose(Connection):
    """Each statement is a transaction of its own."""

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        with self.excluding_writers() as handle:
            yield handle.cursor()


def _open_loosely(path: Path) -> SqliteStore:
    store = open_store(path)
    store.close()
    store._connection = _Loose(path, WriteLock.of(store.run_directory))
    store.data_version()  # opens it
    return store


def test_half_a_verb_is_noticed(tmp_path: Path) -> None:
    tally = lose_the_power(_lived(tmp_path, _open_loosely), tmp_path)

    assert any("it is neither as before verb" in breach for breach in tally.breaches)


def test_the_same_life_is_sound_without_a_fault(tmp_path: Path) -> None:
    assert not lose_the_power(_lived(tmp_path), tmp_path).breaches


def lose_the_power(life: Life, directory: Path) -> Tally:
    """Many times."""
    (directory / "kept").mkdir()
    tally = Tally(directory / "kept")
    attack(life, Examiner(directory / "life"), Random(SEED), IMAGES, tally, "a life")
    return tally


def _lived(directory: Path, opener: Callable[[Path], SqliteStore] = open_store) -> Life:
    (directory / "life").mkdir()
    return live(directory / "life", {}, Random(SEED), VERBS, opener=opener)
