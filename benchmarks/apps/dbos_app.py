"""DBOS on SQLite: its workers are threads of the producer."""

from __future__ import annotations

import os
from typing import Any

from dbos import DBOS

from benchmarks.apps.marks import mark

RUNS_IN_THE_PRODUCER = True

DBOS(
    config={
        "name": "benchmark",
        "system_database_url": f"sqlite:///{os.environ['BENCH_DIRECTORY']}/dbos.db",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
)


def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """The handler."""
    mark(payload["at"])
    return {"result": payload["value"]}


workflow = DBOS.workflow()(noop)


def prepare() -> None:
    """Before the first task."""
    DBOS.launch()
    DBOS.register_queue("benchmark")


def enqueue(value: int, at: float) -> None:
    """One task."""
    DBOS.enqueue_workflow("benchmark", workflow, {"value": value, "at": at})
