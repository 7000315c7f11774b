"""Durations as people write them, in seconds."""

from __future__ import annotations

import re
from datetime import timedelta

Duration = float | int | timedelta | str
"""Seconds, a timedelta, or text: "500ms", "30s", "10m", "2h", "7d", "1h30m"; a number without a unit is seconds."""

LONGEST_S = 10 * 365 * 86400.0
"""Ten years: what lies beyond is a mistake in the unit."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])", re.ASCII)
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[smhd]))+", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)


def parse_duration(value: Duration) -> float:
    """The seconds that a duration stands for, 0 to LONGEST_S. Raises ValueError with one sentence."""
    seconds = _seconds(value)
    if not 0 <= seconds <= LONGEST_S:  # so that NaN is refused too
        raise ValueError(f"{_shown(value)} is not a duration from 0 seconds to ten years")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return _seconds_of_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(min(value, LONGEST_S + 1))  # an int may be too long for a float
    raise ValueError(f"{_shown(value)} is not a duration: {_CURE}")


def _seconds_of_text(text: str) -> float:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a duration: {_CURE}")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > 10**18:
        return "a number of more than 18 digits"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"


_CURE = 'use seconds, a timedelta, or text such as "500ms", "30s", "10m", "2h", "7d" or "1h30m"'
