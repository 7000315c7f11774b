"""Runs in turn, so that what the machine does besides falls on all of them alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from benchmarks.report import number

Measure = Callable[[], Mapping[str, float]]
"""Measures once: values by name."""


def interleave(rounds: int, *measures: Measure) -> dict[str, tuple[float, ...]]:
    """Every measure once a round; all values by name. What was measured is told on stderr while it goes on."""
    runs: dict[str, list[float]] = {}
    for at in range(rounds):
        for measure in measures:
            os.sync()  # what the one before left to be written is not for this one to wait for
            values = measure()
            for name, value in values.items():
                runs.setdefault(name, []).append(value)
            told = ", ".join(f"{name} {number(value)}" for name, value in values.items())
            print(f"  round {at + 1} of {rounds}: {told}", file=sys.stderr, flush=True)
    return {name: tuple(values) for name, values in runs.items()}
