"""Do more workers than cores cost throughput, and how long does a worker wait for its next tasks?

No-ops with 2, 8 and 32 workers, and handlers that sleep with 32: the rate from the first start to the last finish, as
the database tells.

What a claim takes stands nowhere; it is derived from the rows. A worker records what has ended and claims the next
chunk in one exchange, the waiting for the write lock included: after it has finished a chunk's last task, before it
starts the next one's first, with nothing else in between. Tasks of one chunk follow each other within microseconds. So,
of each worker's tasks in the order of their starts, a gap of more than 100 µs between a finish and the next start is
taken for an exchange. That is unkind in three ways: where the kernel ran somebody else in the midst of a chunk, that
counts; so do an exchange that only records (it follows a handler of 10 ms) and the idleness of a worker that found
nothing in line and was woken later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from benchmarks.options import Options
from benchmarks.report import Figure, Report, Series, at_least, at_most
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import HANDLERS, Scene

WORKERS = (2, 8, 32)
MOST = WORKERS[-1]
LENGTHS_MS = (10, 100)
WITHIN_A_CHUNK_US = 100
LONGEST_UNDER_NOOPS_MS, LONGEST_MS = 150, 25
SLEEP = """

import time


@handler("sleep")
def sleep(payload):
    time.sleep(payload["seconds"])
    return {}
"""
RAN = "SELECT worker, started_at, finished_at FROM task"
RATE, EXCHANGES = "", ": exchanges"
MIDDLE, P99, LONGEST = ": an exchange, p50", ": an exchange, p99", ": an exchange, longest"
UNITS = {RATE: "tasks/s", MIDDLE: "ms", P99: "ms", LONGEST: "ms", EXCHANGES: "counted"}

Values = Mapping[str, float]


def run(options: Options) -> Report:
    """Rates and waits over some rounds."""
    noops = options.tasks_or(300_000, 10_000)
    runs = interleave(
        options.rounds_or(),
        *(_measure(options, _noops(workers), workers, "noop", _values(noops)) for workers in WORKERS),
        *(_measure(options, _sleeps(length), MOST, "sleep", _seconds(options, length)) for length in LENGTHS_MS),
    )
    best = max((_series(runs, _noops(workers), RATE) for workers in WORKERS), key=lambda series: series.median)
    figures = [Figure(_series(runs, _noops(workers), RATE), best, at_least(0.75)) for workers in WORKERS]
    figures += _waits(runs, _noops(MOST), LONGEST_UNDER_NOOPS_MS)
    for length in LENGTHS_MS:
        ideal = Series(f"{MOST} workers that never wait", "tasks/s", (MOST * 1000 / length,))
        figures.append(Figure(_series(runs, _sleeps(length), RATE), ideal))
        figures += _waits(runs, _sleeps(length), LONGEST_MS)
    figures += [Figure(_series(runs, _noops(workers), P99)) for workers in WORKERS[:-1]]
    return Report(tuple(figures), ("an exchange records a chunk and claims the next; see the docstring",))


def exchanges(ran: Sequence[tuple[int, int, int]]) -> list[float]:
    """Milliseconds of each exchange, ascending, by worker, start and finish (µs) of tasks; none: 0.0 alone."""
    gaps = sorted(
        started - finished
        for (worker, _, finished), (next_worker, started, _) in pairwise(sorted(ran))
        if worker == next_worker and started - finished > WITHIN_A_CHUNK_US
    )
    return [gap / 1000 for gap in gaps] or [0.0]


def percentile(ascending: list[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    return ascending[max(0, -int(-len(ascending) * percent // 100) - 1)]


def _measure(options: Options, what: str, workers: int, type_: str, payloads: list[dict[str, float]]) -> Measure:
    def measure() -> Values:
        with Scene(options, HANDLERS + SLEEP, workers) as scene:
            scene.agent.enqueue_many(type_, payloads)
            scene.drain()
            took = exchanges([(worker, began, ended) for worker, began, ended in scene.rows(RAN)])
            rate = scene.span(len(payloads)).rate
            found = (rate, percentile(took, 50), percentile(took, 99), took[-1], float(len(took)))
            return {what + name: value for name, value in zip(UNITS, found, strict=True)}

    return measure


def _values(tasks: int) -> list[dict[str, float]]:
    return [{"value": value} for value in range(tasks)]


def _seconds(options: Options, length: int) -> list[dict[str, float]]:
    """Enough of them to keep the workers asleep for some seconds."""
    return [{"seconds": length / 1000}] * (options.pick(4_000, 500) * MOST // length)


def _waits(runs: Mapping[str, tuple[float, ...]], what: str, most_ms: float) -> list[Figure]:
    """What exchanges took, beside the most that is wanted."""
    wanted = Figure(_series(runs, what, P99), Series("limit", "ms", (most_ms,)), at_most(1))
    return [wanted, *(Figure(_series(runs, what, name)) for name in (MIDDLE, LONGEST, EXCHANGES))]


def _series(runs: Mapping[str, tuple[float, ...]], what: str, name: str) -> Series:
    return Series(what + name, UNITS[name], runs[what + name])


def _noops(workers: int) -> str:
    return f"no-ops, {workers} workers"


def _sleeps(length: int) -> str:
    return f"{length} ms asleep, {MOST} workers"
