"""Dramatiq on Redis, results kept."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.apps.marks import mark

broker = RedisBroker(url=os.environ["BENCH_REDIS"] + "/2")
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_REDIS"] + "/3")))
dramatiq.set_broker(broker)


def noop(payload: dict[str, Any]) -> dict[str, Any]:
    """The handler."""
    mark(payload["at"])
    return {"result": payload["value"]}


task = dramatiq.actor(noop, store_results=True)


def enqueue(value: int, at: float) -> None:
    """One task."""
    task.send({"value": value, "at": at})
