"""Do a few long tasks hold up the many short ones, and does the whole take longer than it has to?

99 % of the tasks compute for 1 ms, 1 % last 2 s, in an order drawn once; four workers. The long ones sleep: computing
for 80 s would be all that two cores do, and short ones would wait for a core, not for the agent. Measured twice: with
all tasks of one type, where nobody can know which will last, and with a type of their own for the long ones.

- Waiting for the commit: from a short task's finish to when a reader sees it succeeded. The reader is no part of the
  agent: it looks at `PRAGMA data_version` each 2 ms, and at the rows when that has changed.
- Waiting for the start: every task is in line before the agent starts, and waits until its `started_at`. A worker is
  free while fewer handlers run than there are workers, by `started_at` and `finished_at` of all tasks; a free time is a
  stretch without a break in which that is so. What counts is the longest that a short task sat out: of those after
  every worker has started a task, and up to the start of the last short one. Several workers' exchanges can make one
  free time, one after the other; so the longest stretch of one worker between two handlers stands beside it.
- The whole: from the first start to the last finish. Beside it a list schedule of the same tasks: as many machines as
  workers, tasks in the order of their ids, each to the machine that is free first, for as long as its handler took.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heapreplace
from itertools import pairwise
from typing import Any, NamedTuple

import apsw
import msgspec

from agent.lifecycle import State
from benchmarks import Broken
from benchmarks.options import Options
from benchmarks.report import Figure, Report, Series, at_most
from benchmarks.rounds import Measure, interleave
from benchmarks.scene import Scene

WORKERS = 4
SHORT_S, LONG_S = 0.001, 2.0
LONG_IN_A_HUNDRED = 1
SEED = 1
LONGEST_WAIT_MS = 100.0
LOOK_S = 0.002
ONE_TYPE, TWO_TYPES = "one type", "two types"
HANDLERS = """\
import time

from enhanced_automation_agent import handler


@handler("short")
def short(payload):
    until = time.thread_time() + payload["seconds"]
    while time.thread_time() < until:
        pass
    return {}


@handler("long")
def long(payload):
    time.sleep(payload["seconds"])
    return {}


@handler("any")
def short_or_long(payload):
    return long(payload) if payload["is_long"] else short(payload)
"""
COMMIT, FREE = "longest wait for a commit", "longest free time sat out"
STRETCH = "a worker's longest stretch without a handler"
WHOLE, IDEAL = "the whole", "list schedule"
RAN = "SELECT id, worker, started_at, finished_at FROM task ORDER BY id"
SEEN = "SELECT id FROM task WHERE id >= ? AND state = ?"

Values = Mapping[str, float]


class Ran(NamedTuple):
    """What became of a task; times in microseconds."""

    id: int
    worker: int
    started_at: int
    finished_at: int


def run(options: Options) -> Report:
    """Waits and the whole over some rounds, for both kinds of types."""
    is_long = _drawn(options.tasks_or(2_000, 400))
    kinds = (ONE_TYPE, TWO_TYPES)
    runs = interleave(options.rounds_or(), *(_measure(options, kind, is_long) for kind in kinds))
    figures = [figure for kind in kinds for figure in _figures(kind, runs)]
    note = f"{len(is_long):,} tasks, {sum(is_long)} of them long; {WORKERS} workers; the reader looks each 2 ms"
    return Report(tuple(figures), (note,))


def free_times(ran: Sequence[Ran], workers: int, began: int, ended: int) -> list[int]:
    """The stretches between two times, in microseconds, in which fewer handlers ran than there are workers."""
    changes = sorted([(each.started_at, 1) for each in ran] + [(each.finished_at, -1) for each in ran])
    running, free_since, found = 0, None, [0]
    for at, change in changes:
        running += change
        if running < workers and free_since is None:
            free_since = at
        elif running >= workers and free_since is not None:
            found.append(min(at, ended) - max(free_since, began))
            free_since = None
    return found + ([ended - max(free_since, began)] if free_since is not None else [])


def list_schedule(lengths: Sequence[int], machines: int) -> int:
    """When the last of the tasks ends, each given in turn to the machine that is free first."""
    free_at = [0] * machines
    for length in lengths:
        heapreplace(free_at, free_at[0] + length)
    return max(free_at)


def _drawn(tasks: int) -> list[bool]:
    """Which of the tasks are long."""
    is_long = [at < max(1, tasks * LONG_IN_A_HUNDRED // 100) for at in range(tasks)]
    random.Random(SEED).shuffle(is_long)
    return is_long


def _measure(options: Options, kind: str, is_long: Sequence[bool]) -> Measure:
    def measure() -> Values:
        with Scene(options, HANDLERS, WORKERS) as scene:
            ids = scene.agent.enqueue_lines([_line(kind, each) for each in is_long])
            with _watched(scene, len(ids)) as seen:
                scene.drain()
            scene.span(len(ids))
            ran = [Ran(*row) for row in scene.rows(RAN)]
        shorts = [each for each, long in zip(ran, is_long, strict=True) if not long]
        return {f"{kind}: {name}": value for name, value in _values(ran, shorts, seen).items()}

    return measure


def _line(kind: str, is_long: bool) -> bytes:
    own = "long" if is_long else "short"
    payload = {"seconds": LONG_S if is_long else SHORT_S, "is_long": is_long}
    return msgspec.json.encode({"type": "any" if kind is ONE_TYPE else own, "payload": payload})


def _values(ran: Sequence[Ran], shorts: Sequence[Ran], seen: Mapping[int, int]) -> Values:
    everybody_at_work = max(_first_starts(ran).values())
    last_short = max(each.started_at for each in shorts)
    whole = max(each.finished_at for each in ran) - min(each.started_at for each in ran)
    return {
        COMMIT: max(seen[each.id] - each.finished_at for each in shorts) / 1e3,
        FREE: max(free_times(ran, WORKERS, everybody_at_work, last_short)) / 1e3,
        STRETCH: max(_stretches(ran, last_short)) / 1e3,
        WHOLE: whole / 1e6,
        IDEAL: list_schedule([each.finished_at - each.started_at for each in ran], WORKERS) / 1e6,
    }


def _first_starts(ran: Sequence[Ran]) -> dict[int, int]:
    """When each worker started its first task."""
    return {each.worker: each.started_at for each in sorted(ran, key=lambda each: -each.started_at)}


def _stretches(ran: Sequence[Ran], ended: int) -> Iterator[int]:
    """Each worker's times between two handlers, up to a time."""
    for one, other in pairwise(sorted(ran, key=lambda each: (each.worker, each.started_at))):
        if one.worker == other.worker and one.finished_at < ended:
            yield min(other.started_at, ended) - one.finished_at


@contextmanager
def _watched(scene: Scene, tasks: int) -> Iterator[Mapping[int, int]]:
    """When each task, of ids from 1, was first seen to have succeeded; complete after the block."""
    seen: dict[int, int] = {}
    is_over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(scene, seen, is_over))
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()
    if len(seen) != tasks:
        raise Broken(f"{len(seen)} of {tasks} tasks were seen to succeed")


def _watch(scene: Scene, seen: dict[int, int], is_over: threading.Event) -> None:
    handle = apsw.Connection(str(scene.database), flags=apsw.SQLITE_OPEN_READONLY)
    version, first_unseen, is_last = -1, 1, False
    while not is_last:
        is_last = is_over.wait(LOOK_S)
        before, version = version, handle.pragma("data_version")
        if version == before:
            continue
        succeeded: list[Any] = handle.execute(SEEN, (first_unseen, int(State.SUCCEEDED))).fetchall()
        now = time.time_ns() // 1000
        for (task,) in succeeded:
            seen.setdefault(task, now)
        while first_unseen in seen:
            first_unseen += 1
    handle.close()


def _figures(kind: str, runs: Mapping[str, tuple[float, ...]]) -> list[Figure]:
    def series(name: str, unit: str) -> Series:
        return Series(f"{kind}: {name}", unit, runs[f"{kind}: {name}"])

    limit = Series("limit", "ms", (LONGEST_WAIT_MS,))
    return [
        Figure(series(COMMIT, "ms"), limit, at_most(1)),
        Figure(series(FREE, "ms"), limit, at_most(1)),
        Figure(series(STRETCH, "ms")),
        Figure(series(WHOLE, "s"), Series(IDEAL, "s", runs[f"{kind}: {IDEAL}"]), at_most(1.02)),
    ]
