"""What a benchmark answers: figures, each beside what it is compared with; as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

COLUMNS = ("figure", "measured", "compared with", "ratio", "wanted", "met")


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured, its unit, and every single run; a limit that is only a number is a series of one."""

    what: str
    unit: str
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle run."""
        return median(self.runs)

    @property
    def value(self) -> str:
        """The median with its unit, as people read it."""
        return f"{number(self.median)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bound for a ratio."""

    sign: str
    bound: float

    def is_met_by(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound."""
        return ratio >= self.bound if self.sign == "≥" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def at_least(bound: float) -> Wanted:
    """More is better: the ratio has to reach the bound."""
    return Wanted("≥", bound)


def at_most(bound: float) -> Wanted:
    """Less is better: the ratio may not exceed the bound."""
    return Wanted("≤", bound)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what was measured, the peer or limit of the same run, and the ratio (of the medians) that is wanted."""

    measured: Series
    compared: Series | None = None
    wanted: Wanted | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the compared median the measured median is."""
        if self.compared is None or not self.compared.median:
            return None
        return self.measured.median / self.compared.median

    @property
    def met(self) -> bool | None:
        """Whether the ratio is as wanted; None where nothing is wanted, or nothing could be compared."""
        return None if self.wanted is None or self.ratio is None else self.wanted.is_met_by(self.ratio)


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a benchmark's question. A note is a line below the table: what is missing, what to mind."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def table(self) -> str:
        """The figures in aligned columns, then the notes."""
        rows = [COLUMNS, *(_cells(figure) for figure in self.figures)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, tuple("-" * width for width in widths))
        lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([*(line.rstrip() for line in lines), *(f"note: {note}" for note in self.notes)])

    def document(self) -> dict[str, Any]:
        """The same for JSON, with every single run."""
        return {"figures": [_figure(figure) for figure in self.figures], "notes": list(self.notes)}


def number(value: float) -> str:
    """Three digits that count: 61,234 · 512 · 4.56 · 0.0123."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(figure: Figure) -> tuple[str, ...]:
    compared = f"{figure.compared.what}: {figure.compared.value}" if figure.compared else "-"
    ratio = "-" if figure.ratio is None else number(figure.ratio)
    met = {True: "yes", False: "NO", None: "-"}[figure.met]
    return (figure.measured.what, figure.measured.value, compared, ratio, str(figure.wanted or "-"), met)


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "figure": figure.measured.what,
        "measured": _series(figure.measured),
        "compared_with": figure.compared and {"what": figure.compared.what, **_series(figure.compared)},
        "ratio": figure.ratio,
        "wanted": figure.wanted and str(figure.wanted),
        "met": figure.met,
    }


def _series(series: Series) -> dict[str, Any]:
    return {"median": series.median, "unit": series.unit, "runs": list[float](_rounded(series.runs))}


def _rounded(runs: Sequence[float]) -> list[float]:
    return [float(f"{run:.6g}") for run in runs]
