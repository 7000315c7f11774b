"""Moved clocks, a short round: nothing is lost, late, or deleted as old."""

from __future__ import annotations

from pathlib import Path

from campaign import clocks
from tests.campaign.scenario import play


def test_a_wall_clock_that_is_set_harms_nothing(data_dir: Path) -> None:
    report = play(clocks.run, data_dir)

    assert set(report.faults) >= set(clocks.WEIGHTS)
    assert report.verdict.lost == 0
