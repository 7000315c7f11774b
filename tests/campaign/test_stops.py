"""Stops, a short round: what stands still is neither dead nor late, and holds nobody up."""

from __future__ import annotations

from pathlib import Path

from campaign import holders, stops
from tests.campaign.scenario import play


def test_who_stands_still_is_neither_dead_nor_late(data_dir: Path) -> None:
    report = play(stops.run, data_dir)

    assert set(report.faults) >= {*stops.WEIGHTS, "freezes inside a handler"}
    assert report.verdict.lost == report.verdict.duplicated == 0


def test_who_is_stopped_inside_a_transaction_holds_writers_up_for_a_moment(data_dir: Path) -> None:
    report = play(holders.run, data_dir)

    assert all(figure.is_met for figure in report.figures)
