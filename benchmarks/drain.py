"""How fast do two workers drain a queue of no-op tasks?

The agent: all tasks are enqueued first; its rate is that from the first start to the last finish, as its database
tells. Huey in the same way; it and the executor get fewer tasks, for they take longer. Raw SQLite is one connection
that only claims and records, a hundred tasks with each COMMIT.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import peers, pools, raw_sqlite
from benchmarks.options import Options
from benchmarks.peers import Peer
from benchmarks.report import Figure, Report, Series, Wanted, at_least
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import Scene

WORKERS = 2
AGENT, WALL = "the agent", "resume --drain"
POOL, EXECUTOR, RAW = "Pool.map(chunksize=1)", "ProcessPoolExecutor.submit", "raw SQLite, hundreds"

Values = Mapping[str, float]


def run(options: Options) -> Report:
    """Rates over some rounds, and the time of the whole command."""
    tasks = options.tasks_or(100_000, 3_000)
    fewer = options.pick(20_000, 1_000)
    runs = interleave(
        options.rounds_or(),
        lambda: _agent(options, tasks),
        lambda: _pool(tasks),
        lambda: {RAW: raw_sqlite.drain(options, tasks)},
        lambda: _executor(fewer),
        *(_peer(name, options) for name in peers.available()),
    )
    wanted: dict[str, Wanted] = {peers.PROGRAMS["huey"].label: at_least(50), POOL: at_least(3), RAW: at_least(1)}
    others = [*wanted, *(name for name in runs if name not in (AGENT, WALL, *wanted))]
    measured = Series(f"{tasks:,} no-ops drained", "tasks/s", runs[AGENT])
    figures = [Figure(measured, Series(name, "tasks/s", runs[name]), wanted.get(name)) for name in others]
    whole = Figure(Series("the whole of `resume --drain`", "s", runs[WALL]))
    return Report((*figures, whole), peers.absent())


def _agent(options: Options, tasks: int) -> Values:
    with Scene(options, workers=WORKERS) as scene:
        scene.agent.enqueue_many("noop", ({"value": value} for value in range(tasks)))
        wall_s = scene.drain()
        return {AGENT: scene.span(tasks).rate, WALL: wall_s}


def _pool(tasks: int) -> Values:
    payloads = [{"value": value} for value in range(tasks)]
    return {POOL: tasks / pools.pool_map(pools.noop, payloads, WORKERS)}


def _executor(tasks: int) -> Values:
    payloads = [{"value": value} for value in range(tasks)]
    return {EXECUTOR: tasks / pools.executor(pools.noop, payloads, WORKERS)}


def _peer(name: str, options: Options) -> Measure:
    def measure() -> Values:
        with Peer(name, options, WORKERS) as peer:
            return {peer.label: peer.drain(options.pick(5_000, 300))}

    return measure
