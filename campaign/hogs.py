"""Does a handler that takes its worker for long, floods or hoards keep the others waiting?

One after the other, on one of two workers: handlers that hold the interpreter's lock in C, write hundreds of megabytes
to stdout by three ways, stop themselves, keep 300 MB. What a hog costs is its worker, until it returns or its deadline
ends it. Meanwhile healthy tasks come one at a time, and each is timed from the asking to its end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from campaign.effects import percentile, starts_by_task
from campaign.hostile import HANDLERS, held
from campaign.pack import POISONS, Poison
from campaign.processes import came_true, until
from campaign.run import Figure, Report, Run
from campaign.world import Settings, World

WORKERS = 2
SETTINGS: Settings = {"bulk": {"retry_attempts": 0, "max_worker_rss_mb": 250}, "governance": {"freeze_max_s": 0.5}}
PATIENCE_S = 60.0
WAITS_S = 5.0  # a healthy task, at most: longer is a breach
WAITS_MS = 100  # as published
MORE_RSS_MB = 8


def run(run: Run) -> Report:
    """One round."""
    with World(run.directory / "world", WORKERS, SETTINGS, handlers=HANDLERS) as world:
        return _Beside(run, world).play()


class _Beside:
    """A world, and how long its healthy tasks took beside hogs."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._payload = {"s": run.pick(20, 1), "mb": run.pick(300, 8)}
        self._hogs = [each for each in POISONS.values() if each.kind == "slow"]
        run.rng("order").shuffle(self._hogs)
        self._took_s: list[float] = []
        self._faults: Counter[str] = Counter()
        self._breaches: list[str] = []

    def play(self) -> Report:
        """All of them."""
        supervisor = self._world.start()
        alone = [self._healthy("nobody") for _ in range(50)]
        before = held(supervisor.pid)[1]
        for hog in self._hogs:
            self._play(hog)
        if not came_true(self._has_let_go, WAITS_S):
            self._breaches.append("a worker that keeps 300 MB, and may keep 250, was not replaced")
        more_mb = held(supervisor.pid)[1] - before
        self._world.finish()
        return self._world.judge(self._faults, 10_000, self._breaches, self._figures(alone, more_mb))

    def _play(self, hog: Poison) -> None:
        world = self._world
        (task,) = world.enqueue(hog.type, [self._payload])
        until(lambda: starts_by_task(world.effects())[task], f"{hog.name!r} to start")
        ends_by = time.monotonic() + PATIENCE_S
        self._took_s.append(self._healthy(hog.name))
        while not self._has_ended(task) and time.monotonic() < ends_by:
            self._took_s.append(self._healthy(hog.name))
        record = world.client.inspect(task)
        if (record["state"], record["attempt"]) != (hog.end, hog.starts) or hog.evidence not in (record["error"] or ""):
            self._breaches.append(f"{hog.name}: {record['state']}, attempt {record['attempt']}: {record['error']}")
        self._faults[hog.name] += 1

    def _healthy(self, beside: str) -> float:
        """How long the next healthy task takes, in seconds."""
        world, began = self._world, time.monotonic()
        (task,) = world.enqueue("well", [{"s": 0}])
        if not came_true(lambda: self._has_ended(task), WAITS_S):
            self._breaches.append(f"healthy task {task} waits for {WAITS_S:g} s and more beside {beside!r}")
            until(lambda: self._has_ended(task), f"task {task} to end", PATIENCE_S)
        took_s, record = time.monotonic() - began, world.client.inspect(task)
        if (record["state"], record["attempt"]) != ("succeeded", 1):
            self._breaches.append(f"healthy task {task} is {record['state']} beside {beside!r}: {record['error']}")
        return took_s

    def _has_let_go(self) -> bool:
        """Whether a worker had to leave for its memory."""
        return any(each["event"] == "worker.recycled" and "it holds" in each["why"] for each in self._world.events())

    def _has_ended(self, task: int) -> bool:
        return self._world.client.inspect(task)["state"] in ("succeeded", "failed", "cancelled")

    def _figures(self, alone: list[float], more_mb: float) -> Iterator[Figure]:
        yield Figure("a healthy task alone, p50", 1000 * percentile(alone, 0.5), "ms")
        yield Figure("beside a hog, p50", 1000 * percentile(self._took_s, 0.5), "ms")
        yield Figure("beside a hog, p99", 1000 * percentile(self._took_s, 0.99), "ms", WAITS_MS)
        yield Figure("beside a hog, slowest", 1000 * max(self._took_s), "ms")
        yield Figure("supervisor's memory, more than before", more_mb, "MB", MORE_RSS_MB)
