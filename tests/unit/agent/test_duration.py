"""Durations: what people write, in seconds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.duration import Duration, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (1.5, 1.5),
        (timedelta(minutes=2), 120.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("7d", 604800.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (" 45 ", 45.0),
    ],
)
def test_a_duration_is_read_in_seconds(value: Duration, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "fast",
        "30 s",
        "-1s",
        "30x",
        "1h30",
        "٣s",
        -1,
        float("nan"),
        float("inf"),
        10**400,
        "9" * 400,
        True,
        None,
        [],
    ],
)
def test_anything_else_is_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration") as caught:
        parse_duration(value)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", ["4000d", timedelta(days=4000), timedelta(seconds=-1)])
def test_a_duration_lies_between_nothing_and_ten_years(value: Duration) -> None:
    with pytest.raises(ValueError, match="from 0 seconds to ten years"):
        parse_duration(value)
