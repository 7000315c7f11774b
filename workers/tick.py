"""The tick: what the supervisor does for workers that a handler holds up, in one transaction for all of them.

It ticks only while a worker is at work. An attempt that lasts gets its start written; what ended before it is recorded;
what was claimed with it and has not begun is taken back; an attempt beyond its deadline is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from agent.failpoints import ARMED, reach
from agent.store.custody import Custody
from agent.store.values import CaughtUp, Return
from agent.task import Outcome, Start
from workers.harvest import Running
from workers.process import WorkerProcess
from workers.slot import CLOSED, LAST

START_AFTER_NS = 25_000_000
VISIBLE_AFTER_NS = 1_000_000  # a limit that was written is seen by then, whatever the processor (see slot.py)
TAKE_BACK_AFTER_NS = 40_000_000  # with the tick that must pass before the release: 50 ms after the attempt's start


@dataclass(slots=True)
class Findings:
    """What one look found to do."""

    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    overdue: list[tuple[WorkerProcess, Running]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.outcomes or self.starts or self.returns)


def look(workers: Iterable[WorkerProcess], now_ns: int) -> Findings:
    """Look at every slot; nothing is written to the store here."""
    found = Findings()
    for worker in workers:
        running = worker.running()
        age = now_ns - running.started_ns if running else 0
        if worker.is_frozen or age > START_AFTER_NS:
            _hold_up(found, worker, running)
        if running and _is_overdue(worker, running, now_ns):
            found.overdue.append((worker, running))
        _take_back(found, worker, worker.is_frozen or age > TAKE_BACK_AFTER_NS, now_ns)
    return found


def catch_up(custody: Custody, found: Findings, workers: dict[int, WorkerProcess]) -> CaughtUp:
    """Write what was found."""
    if ARMED:
        reach("before_record")
    done = custody.catch_up(found.outcomes, found.starts, found.returns)
    for start in found.starts:
        workers[start.worker].written = (start.task, start.claims)
    for worker, offset in found.offsets.items():
        workers[worker].slot.commit_to(offset)
    for each in found.returns:
        workers[each.worker].returned_at = workers[each.worker].limited_at
        workers[each.worker].limited_at = None
    return done


def forbid(worker: WorkerProcess) -> None:
    """Take back at once what has not begun; `look` releases it a tick later."""
    seen = worker.slot.take_back()
    if seen and seen & CLOSED != CLOSED and seen != worker.returned_at:  # 0: it has opened no chunk yet
        worker.limited_at, worker.limited_ns = seen, time.monotonic_ns()


def _is_overdue(worker: WorkerProcess, running: Running, now_ns: int) -> bool:
    deadline = worker.deadline_ns(running)
    return bool(deadline) and now_ns > deadline and not worker.is_frozen and worker.halt is None


def _hold_up(found: Findings, worker: WorkerProcess, running: Running | None) -> None:
    if running and worker.written != (running.task, running.claims):
        found.starts.append(running.start(worker.id))
    outcomes, offset = worker.pending()
    if outcomes:
        found.outcomes[worker.id] = list(outcomes)
        found.offsets[worker.id] = offset


def _take_back(found: Findings, worker: WorkerProcess, is_held_up: bool, now_ns: int) -> None:
    if worker.limited_at is not None:
        seen = worker.limited_at
        if now_ns - worker.limited_ns < VISIBLE_AFTER_NS:
            return
        if worker.slot.taken_back(seen):
            found.returns.append(Return(worker.id, worker.slot.words[LAST], partial(worker.slot.taken_back, seen)))
        else:
            worker.limited_at = None  # it went on meanwhile, and steps back by itself
    elif is_held_up and worker.slot.unbegun():
        forbid(worker)
