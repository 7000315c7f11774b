"""Procrastinate on PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import procrastinate

from benchmarks.apps.marks import mark

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_POSTGRES"]))


def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """The handler."""
    mark(payload["at"])
    return {"result": payload["value"]}


task = app.task(noop, name="noop")


def prepare() -> None:
    """Before the first task of a producer: the schema, once for a database, and the connection."""
    schema = Path(os.environ["BENCH_DIRECTORY"]) / "schema"
    if not schema.exists():
        sync = app.with_connector(app.connector.get_sync_connector())
        sync.open()
        sync.schema_manager.apply_schema()
        schema.touch()
    app.open()


def enqueue(value: int, at: float) -> None:
    """One task."""
    task.defer(payload={"value": value, "at": at})
