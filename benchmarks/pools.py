"""The standard library's pools of processes: they keep nothing, and lose everything with their parent."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool
from typing import Any

Payload = dict[str, Any]
Handler = Callable[[Payload], Any]

WARM_UP = 20  # tasks that run before the clock starts: every process is there


def noop(payload: Payload) -> Payload:
    """The handler of a scene, for a pool."""
    return {"result": payload["value"]}


def pool_map(handler: Handler, payloads: list[Payload], workers: int = 2) -> float:
    """Seconds of `multiprocessing.Pool(workers).map(handler, payloads, chunksize=1)`; its start is not counted.

    `handler` has to be a function that a module names.
    """
    with Pool(workers) as pool:
        pool.map(handler, payloads[:1] * WARM_UP, chunksize=1)
        began = time.perf_counter()
        pool.map(handler, payloads, chunksize=1)
        took = time.perf_counter() - began
        pool.close()
        pool.join()  # else leaving the block terminates processes that read still, and may wait for ever
    return took


def executor(handler: Handler, payloads: list[Payload], workers: int = 2) -> float:
    """Seconds of one `submit` a payload to a `ProcessPoolExecutor`, until all have their result; the same."""
    with ProcessPoolExecutor(workers) as pool:
        for future in [pool.submit(handler, payload) for payload in payloads[:1] * WARM_UP]:
            future.result()
        began = time.perf_counter()
        for future in [pool.submit(handler, payload) for payload in payloads]:
            future.result()
        return time.perf_counter() - began
