"""What may be typed: durations, moments and task ids, and the option that every command has."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from agent.errors import NotFound

LARGEST_ID = 2**63 - 1  # of an INTEGER PRIMARY KEY: https://sqlite.org/autoinc.html
LONGEST = 40  # characters of what is repeated in an error


class Whole(click.IntRange):
    """A whole number within bounds, and called so in errors."""

    name = "whole number"


WORKERS = Whole(1, 512)  # as bulk.max_concurrent

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def duration(text: str) -> float:
    """The seconds of "500ms", "30s", "10m", "2h", "7d", "1h30m" or a bare number."""
    from agent.duration import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def moment(text: str) -> datetime:
    """An ISO 8601 date and time; one without an offset is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        cure = "use ISO 8601, as in 2026-12-24T18:00:00Z"
        raise click.BadParameter(f"{shortened(text)} is not a date and time: {cure}.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def task_id(text: str) -> int:
    """A task's id; one that no task can have is let through, and not found later."""
    if len(text) > LONGEST or not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise click.BadParameter(f"{shortened(text)} is not a task id: ids are whole numbers from 1 up.")
    return int(text)


def possible(task: int) -> int:
    """The id, if a task can have it. Raises NotFound."""
    if task > LARGEST_ID:
        raise NotFound(f"there is no task {task}: `tasks` lists the newest")
    return task


def shortened(text: str) -> str:
    """What was typed, quoted, at a length that fits a sentence."""
    return repr(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
