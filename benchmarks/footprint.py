"""How much memory does an agent take, and how soon is it there?

Memory: eight idle workers; what a worker shares with nobody (its private pages), and supervisor and fork server
together with all that they share. Start: `resume` as a command, from its start to that of a task that waits. A dead
worker's successor: of an agent with one worker, which gets SIGKILL; from there to the start of a task that only the
successor can run: busy, the task is queued before and passes by the one that hangs; idle, it is enqueued right after
the kill. `enqueue` as a command, beside Python that does nothing, and that imports the packages which it cannot do
without. A MB is 10⁶ bytes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from benchmarks.options import Options
from benchmarks.processes import timed, until
from benchmarks.report import Figure, Report, Series, at_most
from benchmarks.rounds import interleave
from benchmarks.scene import HANDLERS, Scene

WORKERS = 8
TASKS = 10_000
REST_S = 3.0  # longer than the interval between two samples of telemetry
LULL_S = 0.05  # nobody is at work on what was done before
NOTHING = [sys.executable, "-c", "pass"]
PACKAGES = [sys.executable, "-c", "import click, yaml, msgspec, apsw"]
HANDLERS_THAT_HANG = f"""\
import time

from enhanced_automation_agent import current_attempt
{HANDLERS}

@handler("hang")
def hang(payload):
    if current_attempt().attempt == 1:
        time.sleep(3600)
    return {{}}
"""
UNHURT = {"governance": {"pause_after_error_burst": {"threshold": 1_000_000, "duration_s": 1}}}

WORKER, WORKED = "an idle worker's unshared memory", f"an idle worker's after {TASKS:,} no-ops"
PARENTS, PARENTS_OWN = "supervisor and fork server, resident", "supervisor and fork server, unshared"
START = "`resume`, from its start to the first task's"
BUSY = "from a busy worker's SIGKILL to its successor's task"
IDLE = "from an idle worker's SIGKILL to its successor's task"
ENQUEUE, PASS, IMPORTS = "`enqueue TYPE JSON`, the whole process", "python -c pass", "python -c 'import its packages'"
WANTED = {WORKER: 6.0, PARENTS: 60.0, START: 500.0, BUSY: 50.0, IDLE: 50.0, ENQUEUE: 120.0}

Values = Mapping[str, float]


class Memory(NamedTuple):
    """Of one process, in MB: resident, and of that what no other process has."""

    resident: float
    unshared: float


def run(options: Options) -> Report:
    """Medians of each round, over some rounds."""
    runs = interleave(
        options.rounds_or(),
        lambda: _memory(options),
        lambda: {START: _median(options.pick(5, 2), lambda: _start_ms(options))},
        lambda: _successors(options),
        lambda: _commands(options),
    )
    memory = (WORKER, WORKED, PARENTS, PARENTS_OWN)
    series = {name: Series(name, "MB" if name in memory else "ms", values) for name, values in runs.items()}
    limits = {name: Series("limit", series[name].unit, (limit,)) for name, limit in WANTED.items()}
    return Report(
        (
            *(Figure(series[name], limits[name], at_most(1)) for name in WANTED),
            *(Figure(series[name]) for name in (WORKED, PARENTS_OWN)),
            *(Figure(series[ENQUEUE], series[name]) for name in (PASS, IMPORTS)),
        ),
    )


def _memory(options: Options) -> Values:
    with Scene(options, workers=WORKERS) as scene, scene.resumed() as running:
        time.sleep(REST_S)
        workers = [worker["pid"] for worker in scene.agent.workers()]
        parents = [_memory_of(pid) for pid in (running.pid, psutil.Process(workers[0]).ppid())]
        idle = median(_memory_of(pid).unshared for pid in workers)
        scene.agent.enqueue_many("noop", ({"value": value} for value in range(TASKS)))
        scene.wait(TASKS, running)
        worked = median(_memory_of(pid).unshared for pid in workers)
    return {
        WORKER: idle,
        WORKED: worked,
        PARENTS: sum(memory.resident for memory in parents),
        PARENTS_OWN: sum(memory.unshared for memory in parents),
    }


def _memory_of(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    bytes_ = {name: int(words.split()[0]) * 1024 for name, _, words in (line.partition(":") for line in lines)}
    return Memory(bytes_["Rss"] / 1e6, (bytes_["Private_Clean"] + bytes_["Private_Dirty"]) / 1e6)


def _start_ms(options: Options) -> float:
    with Scene(options) as scene:
        task = scene.agent.enqueue("noop", {"value": 0})
        began_ns = time.time_ns()
        with scene.resumed() as running:
            scene.wait(1, running)
        return _ms_until_started(scene, task, began_ns)


def _successors(options: Options) -> Values:
    kills = options.pick(20, 5)
    with Scene(options, HANDLERS_THAT_HANG, 1, UNHURT) as scene, scene.resumed():
        return {
            BUSY: _median(kills, lambda: _after_a_busy_workers_death_ms(scene)),
            IDLE: _median(kills, lambda: _after_an_idle_workers_death_ms(scene)),
        }


def _after_a_busy_workers_death_ms(scene: Scene) -> float:
    hanging = scene.agent.enqueue("hang", {})
    until(lambda: [worker["task"] for worker in scene.agent.workers()] == [hanging], "a task hung")
    urgent = scene.agent.enqueue("noop", {"value": 0}, priority=1)
    killed_ns = _kill_the_worker(scene)
    scene.agent.result(hanging)  # its second attempt, after the urgent task
    return _ms_until_started(scene, urgent, killed_ns)


def _after_an_idle_workers_death_ms(scene: Scene) -> float:
    killed_ns = _kill_the_worker(scene)
    task = scene.agent.enqueue("noop", {"value": 0})
    scene.agent.result(task)
    return _ms_until_started(scene, task, killed_ns)


def _kill_the_worker(scene: Scene) -> int:
    """When."""
    time.sleep(LULL_S)
    [worker] = scene.agent.workers()
    killed_ns = time.time_ns()
    os.kill(worker["pid"], signal.SIGKILL)
    return killed_ns


def _commands(options: Options) -> Values:
    """Each a few times, in turn; the middle one of each."""
    took_ms: dict[str, list[float]] = {ENQUEUE: [], PASS: [], IMPORTS: []}
    with Scene(options) as scene:
        scene.agent.enqueue("noop", {"value": 0})  # makes the database
        scene.agent.close()
        for _ in range(options.pick(20, 5)):
            took_ms[ENQUEUE].append(1000 * scene.command("enqueue", "noop", '{"value": 42}'))
            took_ms[PASS].append(1000 * timed(NOTHING, scene.directory))
            took_ms[IMPORTS].append(1000 * timed(PACKAGES, scene.directory))
    return {name: median(each) for name, each in took_ms.items()}


def _ms_until_started(scene: Scene, task: int, since_ns: int) -> float:
    """From a wall time to a task's start."""
    [(started_at_us,)] = scene.rows("SELECT started_at FROM task WHERE id = ?", task)
    return float(started_at_us * 1000 - since_ns) / 1e6


def _median(times: int, measure: Callable[[], float]) -> float:
    return median(measure() for _ in range(times))
