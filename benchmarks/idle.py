"""What does an agent with eight idle workers cost?

Some seconds of rest, then CPU time and wake-ups (voluntary context switches) of all its processes over twenty seconds.
Who watches reads the processes' own CPU clocks, in nanoseconds, and does nothing in between. What the kernel writes to
the disk for them is not counted. Huey in the same way: eight worker processes that poll.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import peers
from benchmarks.options import Options
from benchmarks.peers import Peer
from benchmarks.report import Figure, Report, Series, at_most
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import Scene

WORKERS = 8
CPU_PCT = 0.1  # of one core, the most that the whole agent may use
WAKES_HZ = 1.0  # the most of any process but the supervisor
PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of linux/posix-timers.h: what clock_getcpuclockid(3) makes of a pid
WARM_UP = 5 * WORKERS

CPU, SUPERVISORS_CPU, OTHERS_CPU = "CPU, all processes", "CPU, the supervisor", "CPU, fork server and workers"
WAKES, SUPERVISORS_WAKES = "wake-ups, all processes", "wake-ups, the supervisor"
OTHERS_WAKES = "wake-ups, the liveliest other process"
HUEYS_CPU, HUEYS_WAKES = "Huey's CPU", "Huey's wake-ups"

Values = Mapping[str, float]


class Use(NamedTuple):
    """What one process used: percent of a core, wake-ups a second."""

    cpu_pct: float
    wakes_hz: float


def run(options: Options) -> Report:
    """Shares and rates over some rounds."""
    measures: list[Measure] = [lambda: _agent(options)]
    if not peers.missing("huey"):
        measures.append(lambda: _huey(options))
    runs = interleave(options.rounds_or(full=3), *measures)
    shares = (CPU, SUPERVISORS_CPU, OTHERS_CPU, HUEYS_CPU)
    cpu = {name: Series(name, "%", values) for name, values in runs.items() if name in shares}
    wakes = {name: Series(name, "/s", values) for name, values in runs.items() if name not in shares}
    return Report(
        (
            Figure(cpu[CPU], Series("limit", "%", (CPU_PCT,)), at_most(1)),
            Figure(wakes[OTHERS_WAKES], Series("limit", "/s", (WAKES_HZ,)), at_most(1)),
            Figure(cpu[CPU], cpu.get(HUEYS_CPU)),
            Figure(wakes[WAKES], wakes.get(HUEYS_WAKES)),
            Figure(cpu[SUPERVISORS_CPU]),
            Figure(cpu[OTHERS_CPU]),
            Figure(wakes[SUPERVISORS_WAKES]),
        ),
        (f"{WORKERS} workers, {_watched_s(options):g} s of each round; percent of one core", *_without_huey()),
    )


def _agent(options: Options) -> Values:
    with Scene(options, workers=WORKERS) as scene, scene.resumed() as running:
        workers = [worker["pid"] for worker in scene.agent.workers()]
        used = _watch({running.pid, psutil.Process(workers[0]).ppid(), *workers}, options)
    supervisor = used.pop(running.pid)
    others_pct = sum(use.cpu_pct for use in used.values())
    return {
        CPU: supervisor.cpu_pct + others_pct,
        SUPERVISORS_CPU: supervisor.cpu_pct,
        OTHERS_CPU: others_pct,
        WAKES: supervisor.wakes_hz + sum(use.wakes_hz for use in used.values()),
        SUPERVISORS_WAKES: supervisor.wakes_hz,
        OTHERS_WAKES: max(use.wakes_hz for use in used.values()),
    }


def _huey(options: Options) -> Values:
    with Peer("huey", options, WORKERS) as peer:
        peer.enqueue(WARM_UP)
        with peer.working() as running:
            peer.wait(WARM_UP, running)
            consumer = psutil.Process(running[0].pid)
            used = _watch({consumer.pid, *(child.pid for child in consumer.children(recursive=True))}, options)
    return {
        HUEYS_CPU: sum(use.cpu_pct for use in used.values()),
        HUEYS_WAKES: sum(use.wakes_hz for use in used.values()),
    }


def _watch(pids: Iterable[int], options: Options) -> dict[int, Use]:
    """What each process uses in a while, once they have come to rest."""
    time.sleep(options.pick(5, 2))
    before = {pid: (_cpu_ns(pid), _switches(pid)) for pid in pids}
    began_ns = time.monotonic_ns()
    time.sleep(_watched_s(options))
    after = {pid: (_cpu_ns(pid), _switches(pid)) for pid in before}
    took_ns = time.monotonic_ns() - began_ns
    return {
        pid: Use(100 * (cpu_ns - before[pid][0]) / took_ns, (switches - before[pid][1]) * 1e9 / took_ns)
        for pid, (cpu_ns, switches) in after.items()
    }


def _cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process, in user and kernel mode."""
    return time.clock_gettime_ns((~pid << 3) | PROCESS_CLOCK)


def _switches(pid: int) -> int:
    """Voluntary context switches of all threads: how often one of them has gone to sleep."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines())
        found += int(lines["voluntary_ctxt_switches"])
    return found


def _watched_s(options: Options) -> float:
    return options.pick(20, 4)


def _without_huey() -> tuple[str, ...]:
    needs = peers.missing("huey")
    return (f"Huey is not measured, as it needs {' and '.join(needs)}",) if needs else ()
