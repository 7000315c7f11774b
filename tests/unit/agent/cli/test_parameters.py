"""Durations, moments and task ids as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from agent.cli.parameters import LARGEST_ID, duration, moment, possible, task_id
from agent.errors import NotFound


def test_a_duration_is_read_as_seconds() -> None:
    assert (duration("500ms"), duration("1h30m"), duration("2.5")) == (0.5, 5400.0, 2.5)


@pytest.mark.parametrize("text", ["", "soon", "-5s", "3x", "99999d"])
def test_what_is_no_duration_is_refused_with_a_cure(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        duration(text)


def test_a_moment_without_an_offset_is_utc() -> None:
    assert moment("2026-12-24T18:00") == datetime(2026, 12, 24, 18, tzinfo=UTC)


def test_a_moment_keeps_its_offset() -> None:
    assert moment("2026-12-24T18:00:00+02:00").tzinfo == timezone(timedelta(hours=2))


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "1795000000", "x" * 5000])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="use ISO 8601, as in 2026-12-24T18:00:00Z") as caught:
        moment(text)

    assert len(caught.value.message) < 150


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "abc", "", "٣", "0x10", "9" * 5000])
def test_what_is_no_task_id_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="ids are whole numbers from 1 up") as caught:
        task_id(text)

    assert len(caught.value.message) < 150


def test_an_id_that_no_task_can_have_is_not_found() -> None:
    assert possible(task_id(str(LARGEST_ID))) == LARGEST_ID
    with pytest.raises(NotFound, match="there is no task 9223372036854775808"):
        possible(task_id(str(LARGEST_ID + 1)))
