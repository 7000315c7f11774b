"""Five hundred hostile cases: each is refused clearly or kept exactly, and nothing of ours breaks."""

from __future__ import annotations

from pathlib import Path

from campaign import fuzz
from tests.campaign.scenario import play


def test_nothing_hostile_breaks_the_agent_or_is_stored_in_part(data_dir: Path) -> None:
    report = play(fuzz.run, data_dir)

    assert sum(report.faults.values()) >= 500
    assert set(report.faults) == set(fuzz.parts())
    assert min(report.faults.values()) >= fuzz.LEAST
