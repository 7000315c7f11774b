"""Ill file systems and spoiled databases, short rounds: shown while it lasts, nothing lost, work goes on after it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from campaign import Broken, spoiled, storage
from campaign.disks import memory
from campaign.run import Report
from tests.campaign.scenario import play

NOT_PLAYED = "only root may mount|root may not mount|^mount |there is no (strace|mkfs.ext4|mount)|may not trace"


def played(directory: Path) -> Report | str:
    """A short round, or why there is none."""
    try:
        return play(storage.run, directory)
    except Broken as error:
        return str(error)


@pytest.mark.timeout(180)
def test_an_ill_file_system_loses_nothing_and_is_told_of(data_dir: Path) -> None:
    found = played(data_dir)

    if isinstance(found, str):  # not root, or a machine that forbids it
        assert re.search(NOT_PLAYED, found)
    else:
        assert set(found.faults) == {"full disk", "failing sync", "read-only disk"}
        assert found.verdict.lost == found.verdict.duplicated == 0
        assert len(found.figures) == 3


@pytest.mark.timeout(180)
@pytest.mark.parametrize("illness", ["damaged", "torn", "removed", "exchanged"])
def test_a_spoiled_database_loses_nothing_and_is_told_of(data_dir: Path, illness: str) -> None:
    report = play(getattr(spoiled, illness), data_dir)

    assert report.verdict.lost == report.verdict.duplicated == 0


@pytest.mark.timeout(180)
def test_a_program_that_keeps_the_lock_is_named_and_loses_nothing(data_dir: Path) -> None:
    report = play(spoiled.held, data_dir)

    assert report.verdict.lost == report.verdict.duplicated == 0


def test_what_was_mounted_is_gone_whatever_happens(tmp_path: Path) -> None:
    place, seen = tmp_path / "place", []

    def mount_and_be_interrupted() -> None:
        with memory(place, "1m"):
            seen.append(os.path.ismount(place))
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Broken)) as ended:
        mount_and_be_interrupted()

    assert all(seen)
    assert not os.path.ismount(place)
    assert seen or re.search(NOT_PLAYED, str(ended.value))
