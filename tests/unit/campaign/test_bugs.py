"""Every seeded bug fits the code as it stands, and names a scenario that there is."""

from __future__ import annotations

import subprocess

import pytest

from campaign.__main__ import scenarios
from campaign.bugs import CHECKOUT, Bug, bugs


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_seeded_bug_can_be_put_in(bug: Bug) -> None:
    words = ["patch", "--dry-run", "--quiet", "--fuzz=2", "-p1", "-i", str(bug.patch)]

    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 0, done.stdout
    assert bug.scenario in scenarios()
    assert bug.what.endswith(".")


def test_there_are_at_least_twenty() -> None:
    assert len(bugs()) >= 20
