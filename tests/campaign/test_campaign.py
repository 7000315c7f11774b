"""Random kills, a short round: nothing is lost, nothing runs twice, nobody is left."""

from __future__ import annotations

from pathlib import Path

from campaign import hogs, hostile, keys, kills, stale
from tests.campaign.scenario import play


def test_random_kills_lose_nothing(data_dir: Path) -> None:
    report = play(kills.run, data_dir)

    assert report.verdict.acknowledged > 100
    assert report.verdict.lost == 0


def test_a_stale_workers_outcome_is_never_accepted(data_dir: Path) -> None:
    report = play(stale.run, data_dir)

    assert report.faults["stale outcomes"] >= 600


def test_a_key_succeeds_once(data_dir: Path) -> None:
    report = play(keys.run, data_dir)

    assert report.faults["retention"] > 10


def test_hostile_handlers_harm_nobody_else(data_dir: Path) -> None:
    report = play(hostile.run, data_dir)

    assert len(report.faults) >= 20


def test_handlers_that_take_their_worker_for_long_keep_nobody_else_waiting(data_dir: Path) -> None:
    report = play(hogs.run, data_dir)

    assert len(report.faults) == 6
