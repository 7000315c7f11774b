"""How much of two cores do handlers get that compute for 10 ms or for 100 ms, and do two workers double one?

The work is a fixed number of turns of pure Python, measured once at the beginning so that one call alone takes that
long; the same function with the same number serves the agent, the pools and the plain processes. The agent: all tasks
are enqueued first; its rate is that from the first start to the last finish, as its database tells. The pools: from the
first call to the last result. Beside the step from one worker to two stands what this very machine gives: plain
processes that start together and each call the function so and so often, two against one, from the first's start to the
last's end (two cores may share a core of the host, and neighbours take their part). What such neighbours do not change:
the share of the workers' time, from first start to last finish, that is spent in handlers; the rest is the agent's own.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from multiprocessing import Barrier, Pipe, Pool, Process
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier as BarrierType
from statistics import median
from typing import Any

from benchmarks import pools
from benchmarks.options import Options
from benchmarks.report import Figure, Report, Series, at_least
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import Scene

LENGTHS_MS = (10, 100)
WORKERS = 2
CALIBRATIONS = 50  # calls of about 20 ms each, of which the middle one counts
CALIBRATION_TURNS = 300_000

Values = Mapping[str, float]
Payload = dict[str, Any]


def burn(payload: Payload) -> Payload:
    """The handler: computes for so many turns."""
    total = 0
    for turn in range(payload["turns"]):
        total = (total * 31 + turn) % 1000003
    return {"result": total}


HANDLERS = f"""\
from typing import Any

from enhanced_automation_agent import handler

Payload = dict[str, Any]


@handler("burn")
{inspect.getsource(burn)}"""


def run(options: Options) -> Report:
    """Rates over some rounds."""
    turns_a_second = _calibrated()
    seconds = options.pick(5, 1)
    turns = {length: round(turns_a_second * length / 1000) for length in LENGTHS_MS}
    counts = {length: max(WORKERS, (options.tasks or seconds * 1000) // length) for length in LENGTHS_MS}
    runs = interleave(
        options.rounds_or(),
        *(each for length in LENGTHS_MS for each in _contenders(options, length, counts[length], turns[length])),
    )
    notes = [
        f"{length} ms: {turns[length]:,} turns a call, {counts[length]:,} calls for each process in a round"
        for length in LENGTHS_MS
    ]
    figures = [figure for length in LENGTHS_MS for figure in _figures(length, runs)]
    return Report(tuple(figures), tuple(notes))


def _calibrated() -> float:
    """Turns a second of one process alone."""
    burn({"turns": CALIBRATION_TURNS})
    took = []
    for _ in range(CALIBRATIONS):
        began = time.perf_counter()
        burn({"turns": CALIBRATION_TURNS})
        took.append(time.perf_counter() - began)
    return CALIBRATION_TURNS / median(took)


def _contenders(options: Options, length: int, count: int, turns: int) -> list[Measure]:
    """Every measurement of one length of handlers; `count` calls for each process."""

    def agent(workers: int) -> Values:
        rate, share = _agent(options, workers, count * workers, turns)
        return {_agent_of(length, workers): rate, _share_of(length, workers): share}

    def plain(processes: int) -> Values:
        return {_plain_of(length, processes): _plain(processes, count, turns)}

    payloads = [{"turns": turns}] * (count * WORKERS)
    return [
        lambda: agent(1),
        lambda: agent(WORKERS),
        lambda: {_map_of(length): len(payloads) / pools.pool_map(burn, payloads, WORKERS)},
        lambda: {_unordered_of(length): len(payloads) / _imap_unordered(payloads)},
        lambda: plain(WORKERS),
        lambda: plain(1),
    ]


def _agent(options: Options, workers: int, tasks: int, turns: int) -> tuple[float, float]:
    """Tasks a second, and the percentage of the time between first start and last finish that was handlers'."""
    with Scene(options, HANDLERS, workers) as scene:
        scene.agent.enqueue_many("burn", ({"turns": turns} for _ in range(tasks)))
        scene.drain()
        span = scene.span(tasks)
        in_handlers_us = scene.rows("SELECT sum(finished_at - started_at) FROM task")[0][0]
        return span.rate, in_handlers_us / 1e4 / (span.seconds * workers)


def _imap_unordered(payloads: list[Payload]) -> float:
    """Seconds until a pool has given the last result, its start not counted."""
    with Pool(WORKERS) as pool:
        pool.map(burn, payloads[:1] * pools.WARM_UP, chunksize=1)
        began = time.perf_counter()
        for _ in pool.imap_unordered(burn, payloads, chunksize=1):
            pass
        return time.perf_counter() - began


def _plain(processes: int, calls: int, turns: int) -> float:
    """Calls a second of processes that share nothing."""
    barrier = Barrier(processes)
    pipes = [Pipe(duplex=False) for _ in range(processes)]
    children = [Process(target=_call, args=(barrier, sender, calls, turns)) for _, sender in pipes]
    for child in children:
        child.start()
    times: list[tuple[float, float]] = [receiver.recv() for receiver, _ in pipes]
    for child in children:
        child.join()
    return processes * calls / (max(ended for _, ended in times) - min(began for began, _ in times))


def _call(barrier: BarrierType, sender: Connection[Any, Any], calls: int, turns: int) -> None:
    burn({"turns": turns})
    barrier.wait()
    began = time.perf_counter()
    for _ in range(calls):
        burn({"turns": turns})
    sender.send((began, time.perf_counter()))


def _figures(length: int, runs: dict[str, tuple[float, ...]]) -> list[Figure]:
    """What is wanted of one length of handlers."""
    rates = {name: Series(name, "tasks/s", values) for name, values in runs.items()}
    two, one = rates[_agent_of(length, WORKERS)], rates[_agent_of(length, 1)]
    mapped, unordered = rates[_map_of(length)], rates[_unordered_of(length)]
    faster = max(mapped, unordered, key=lambda series: series.median)
    agent = _step(f"{length} ms: the agent's step from one worker to two", two, one)
    machine = _step("the machine's own step", rates[_plain_of(length, WORKERS)], rates[_plain_of(length, 1)])
    return [
        Figure(two, mapped, at_least(0.97)),
        Figure(two, unordered, at_least(0.97) if faster is unordered else None),
        Figure(two, one, at_least(1.95)),
        Figure(rates[_plain_of(length, WORKERS)], rates[_plain_of(length, 1)]),
        Figure(agent, machine),
        *(Figure(_share(runs, length, workers)) for workers in (1, WORKERS)),
    ]


def _share(runs: Mapping[str, tuple[float, ...]], length: int, workers: int) -> Series:
    name = _share_of(length, workers)
    return Series(name, "%", runs[name])


def _step(what: str, two: Series, one: Series) -> Series:
    """How many times the rate of one the rate of two is, round by round."""
    return Series(what, "times", tuple(a / b for a, b in zip(two.runs, one.runs, strict=True)))


def _agent_of(length: int, workers: int) -> str:
    return f"{length} ms: the agent, {_number(workers, 'worker')}"


def _share_of(length: int, workers: int) -> str:
    return f"{_agent_of(length, workers)}: in handlers"


def _plain_of(length: int, processes: int) -> str:
    return f"{length} ms: {_number(processes, 'plain process', 'es')}"


def _map_of(length: int) -> str:
    return f"{length} ms: Pool({WORKERS}).map(chunksize=1)"


def _unordered_of(length: int) -> str:
    return f"{length} ms: Pool({WORKERS}).imap_unordered(chunksize=1)"


def _number(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number > 1 else ''}"
