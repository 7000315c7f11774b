"""Who has nothing to do sleeps: nothing polls fast, whatever the number of workers."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.world import MakeWorld, pass_time
from tests.support.waiting import until

LOOKED_S = 4.0


def wake_ups(pid: int) -> int:
    """How often a process has gone to sleep so far, by all of its threads."""
    statuses = [path.read_text("ascii") for path in Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for status in statuses for line in status.splitlines() if line.startswith("voluntary_ctxt_switches")]
    return sum(int(line.split()[1]) for line in lines)


def test_an_idle_family_sleeps(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=8, telemetry__sample_interval_s=60, governance__window_s=180)
    agent = world.start()
    workers = world.idle(8)
    everybody = {"supervisor": agent.pid, "fork server": world.fork_server(agent)} | {str(pid): pid for pid in workers}

    def calm() -> bool:
        before = {name: wake_ups(pid) for name, pid in everybody.items()}
        began = time.monotonic()
        pass_time(LOOKED_S)
        woken = {name: wake_ups(pid) - before[name] for name, pid in everybody.items()}
        seconds = time.monotonic() - began
        safety_net = woken.pop("supervisor")
        return sum(woken.values()) == 0 and safety_net <= 3 * seconds

    until(calm, 30, "workers and fork server to sleep, and the supervisor to wake no more than its safety net does")
