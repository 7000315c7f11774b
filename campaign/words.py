"""A report for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from campaign.run import Figure, Report


def table(report: Report, took_s: float) -> str:
    """The report in lines of text."""
    verdict = report.verdict
    lines = [f"  {name:44} {n:>12,}" for name, n in sorted(report.faults.items())]
    if verdict.acknowledged:
        lines += [f"  {name:44} {n:>12,}" for name, n in asdict(verdict).items()]
    lines += [_line(figure) for figure in report.figures]
    lines += [f"  BROKEN: {breach}" for breach in report.breaches]
    lines.append(f"  {'every promise held' if not report.breaches else 'promises were broken'}; {took_s:.0f} s")
    return "\n".join(lines)


def document(report: Report, took_s: float) -> dict[str, Any]:
    """The report as JSON has it."""
    return {"seconds": round(took_s, 1), **asdict(report)}


def _line(figure: Figure) -> str:
    limit = ""
    if figure.limit is not None:
        sign = "≥" if figure.higher_is_better else "≤"
        limit = f"{sign} {figure.limit:g} {'' if figure.is_met else 'MISSED'}"
    return f"  {figure.name:56} {figure.value:>10.4g} {figure.unit:4} {limit}".rstrip()
