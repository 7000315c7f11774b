"""One round of a scenario: what it is given, and what comes of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """`directory` is empty and the round's own; `is_short`: a few seconds, as in the test suite.

    `only`: words by which some of what the scenario is made of are chosen, where it has `parts`; empty: all of it.
    """

    seed: int
    directory: Path
    is_short: bool = False
    only: str = ""
    derived: dict[str, Any] = field(default_factory=dict)

    def rng(self, purpose: str) -> random.Random:
        """Chance for one purpose: the same for the same seed, whatever the other purposes draw."""
        return random.Random(f"{self.seed} {purpose}")

    def pick(self, full: int, short: int) -> int:
        """A size of the round: the second where it has to be short."""
        return short if self.is_short else full

    def means(self, part: str) -> bool:
        """Whether a part is to be played, by its name."""
        return self.only in part

    def derive(self, **facts: Any) -> None:
        """Keep what was made of the seed, for the report."""
        self.derived.update(facts)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value; with a `limit`, one that is published beside it. A figure beyond its limit is no breach."""

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    higher_is_better: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the value keeps to its limit, if it has one."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.higher_is_better else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the tasks, in the words of Jepsen's queue tests.

    `lost`: acknowledged, and not in the store or not finished; `unexpected`: in the store, and asked for by nobody;
    `duplicated`: succeeded more than once, or ran again after success; `recovered`: ran again, as it had to, after its
    worker was lost. `attempts` counts handlers' starts.
    """

    acknowledged: int = 0
    lost: int = 0
    unexpected: int = 0
    duplicated: int = 0
    recovered: int = 0
    attempts: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        names = self.__dataclass_fields__
        return Verdict(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True)
class Report:
    """`faults` counts what was done to the agent, by kind. No breach: every promise held."""

    faults: Mapping[str, int]
    breaches: tuple[str, ...] = ()
    verdict: Verdict = Verdict()
    figures: tuple[Figure, ...] = ()


def total(reports: Iterable[Report]) -> Report:
    """Several rounds as one: faults and verdicts added up, breaches in order, figures side by side."""
    faults: Counter[str] = Counter()
    verdict = Verdict()
    breaches: list[str] = []
    figures: list[Figure] = []
    for report in reports:
        faults.update(report.faults)
        verdict += report.verdict
        breaches += report.breaches
        figures += report.figures
    return Report(dict(faults), tuple(breaches), verdict, tuple(figures))
