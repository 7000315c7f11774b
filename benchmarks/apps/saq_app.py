"""SAQ on Redis."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any

from saq import Queue

from benchmarks.apps.marks import mark

queue = Queue.from_url(os.environ["BENCH_REDIS"] + "/4")


async def noop(_context: object, *, value: int, at: float) -> dict[str, Any]:
    """The handler."""
    mark(at)
    return {"result": value}


settings = {"queue": queue, "functions": [noop], "concurrency": 10}


def enqueue(value: int, at: float) -> None:
    """One task."""
    _loop().run_until_complete(queue.enqueue("noop", value=value, at=at))


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(queue.connect())
    return loop
