"""Celery on Redis, acknowledged late, results kept."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from benchmarks.apps.marks import mark

app = Celery("benchmark", broker=os.environ["BENCH_REDIS"] + "/0", backend=os.environ["BENCH_REDIS"] + "/1")
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=4)


def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """The handler."""
    mark(payload["at"])
    return {"result": payload["value"]}


task = app.task(noop)


def enqueue(value: int, at: float) -> None:
    """One task."""
    task.delay({"value": value, "at": at})
