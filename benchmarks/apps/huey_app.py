"""Huey on SQLite, results kept."""

from __future__ import annotations

import os
from typing import Any

from huey import SqliteHuey

from benchmarks.apps.marks import mark

huey = SqliteHuey(filename=os.environ["BENCH_DIRECTORY"] + "/huey.db", results=True)


def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """The handler."""
    mark(payload["at"])
    return {"result": payload["value"]}


task = huey.task()(noop)


def enqueue(value: int, at: float) -> None:
    """One task."""
    task({"value": value, "at": at})
