"""After deaths all is well again soon, and the figures of that are measured."""

from __future__ import annotations

import math
from pathlib import Path

from campaign import recovery
from tests.campaign.scenario import play


def test_deaths_and_stale_rows_are_recovered_from(data_dir: Path) -> None:
    report = play(recovery.run, data_dir)

    assert report.faults["kill supervisor"] == 2
    assert report.faults["stale rows by 32 workers"] == recovery.SHORT_STALE
    assert all(figure.limit is not None for figure in report.figures)
    assert not any(math.isnan(figure.value) for figure in report.figures)
