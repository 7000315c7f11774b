"""RQ on Redis."""

from __future__ import annotations

import functools
import os
from typing import Any

import redis
import rq

from benchmarks.apps.marks import mark


def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """The handler."""
    mark(payload["at"])
    return {"result": payload["value"]}


@functools.cache
def _queue() -> Any:
    return rq.Queue(connection=redis.Redis.from_url(os.environ["BENCH_REDIS"] + "/5"))


def enqueue(value: int, at: float) -> None:
    """One task."""
    _queue().enqueue(noop, {"value": value, "at": at})
