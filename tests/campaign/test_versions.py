"""Old code, newer code, backups put back, a short round: nobody writes what he does not know, nothing is lost."""

from __future__ import annotations

from pathlib import Path

from campaign import versions
from tests.campaign.scenario import play


def test_versions_and_restored_backups_lose_nothing(data_dir: Path) -> None:
    report = play(versions.run, data_dir)

    assert report.verdict.acknowledged > 300
    assert report.verdict.lost == 0
