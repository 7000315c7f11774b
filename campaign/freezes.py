"""Is a worker ever frozen in the midst of a transaction, however often it is in one?

The tasks are next to nothing, so that every worker is at the database most of the time. While one is frozen, the others
write on at once; nobody has to be ended for holding the write lock, as nobody but the agent stops anybody here.
"""

from __future__ import annotations

import json
import time

from agent.errors import Conflict, NotFound
from campaign.effects import percentile
from campaign.run import Figure, Report, Run
from campaign.world import World

FREEZES, TASKS, WORKERS = 250, 400, 3
WRITES_WITHIN_S = 1.0  # half of the supervisor's patience with whoever holds the lock


def run(run: Run) -> Report:
    """One round."""
    rng, waits, missed = run.rng("whom"), [], 0
    with World(run.directory / "world", WORKERS) as world:
        world.start()
        for _ in range(run.pick(FREEZES, 25)):
            world.enqueue("nap", [{"s": 0}] * TASKS)
            pid = str(rng.choice(world.pids("worker")))
            try:
                world.client.freeze(pid)
            except (Conflict, NotFound):
                missed += 1
                continue
            began = time.monotonic()
            world.enqueue("nap", [{"s": 0}])
            waits.append(time.monotonic() - began)
            world.client.thaw(pid)
        world.finish()
        breaches = [f"freeze: a worker was ended: {event['why']}" for event in _ended(world)]
        figures = [
            Figure("freezes asked for in vain", missed),
            Figure("enqueue beside a frozen worker, p50", percentile(waits, 0.5) * 1e3, "ms"),
            Figure("enqueue beside a frozen worker, slowest", max(waits) * 1e3, "ms", WRITES_WITHIN_S * 1e3),
        ]
        return world.judge({"freeze": len(waits)}, 0, breaches, figures)


def _ended(world: World) -> list[dict[str, str]]:
    lines = (world.directory / "logs" / "agent.jsonl").read_text("utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "worker.killed"]
