"""Playing a short round of a scenario, as the suite does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from campaign.run import Report, Run

SEED = 20_261_122  # the suite plays the same rounds each time; `scripts/campaign` draws others


def play(run: Callable[[Run], Report], directory: Path, seed: int = SEED) -> Report:
    """One short round; whatever promise it found broken fails the test."""
    report = run(Run(seed, directory, is_short=True))
    assert not report.breaches, "\n".join(report.breaches)
    assert sum(report.faults.values()) > 0, "nothing was done to the agent"
    return report
