"""A producer: `python -m benchmarks.apps.produce APP COUNT EVERY_S` enqueues one by one; prints the seconds it took."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

from benchmarks.apps import marks


def main() -> None:
    """With EVERY_S over 0, one task each so many seconds."""
    name, count, every_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    app = importlib.import_module(f"benchmarks.apps.{name}_app")
    directory = Path(os.environ["BENCH_DIRECTORY"])
    before = marks.count(directory)
    getattr(app, "prepare", lambda: None)()
    began = time.perf_counter()
    for value in range(count):
        app.enqueue(value, time.time())
        if every_s:
            time.sleep(every_s)
    print(time.perf_counter() - began, flush=True)
    while getattr(app, "RUNS_IN_THE_PRODUCER", False) and marks.count(directory) < before + count:
        time.sleep(0.02)
    os._exit(0)  # threads of a peer's client do not hold it up


if __name__ == "__main__":
    main()
