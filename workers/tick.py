"""The tick: what the supervisor does for workers that a handler holds up, in one transaction for all of them.

It ticks only while a worker is at work: when something is due, and after 25 ms, as of what begins nobody tells. An
attempt that lasts gets its start written; what ended before it is recorded; what was claimed with it and has not begun
is taken back; an attempt beyond its deadline is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from agent.failpoints import ARMED, reach
from agent.store.custody import Custody
from agent.store.values import CaughtUp, Return
from agent.task import Outcome, Start
from agent.telemetry.logs import log
from workers.harvest import Running
from workers.process import WorkerProcess
from workers.slot import CLOSED, LAST
from workers.stops import Stops

CLOSELY_NS = 10_000_000  # from one tick to the next while a stop or a release is under way
START_AFTER_NS = 25_000_000
VISIBLE_AFTER_NS = 1_000_000  # a limit that was written is seen by then, whatever the processor (see slot.py)
TAKE_BACK_AFTER_NS = 40_000_000  # with the tick that must pass before the release: 50 ms after the attempt's start


@dataclass(slots=True)
class Findings:
    """What one look found to do. `next_ns`: nothing more can be due before, unless somebody stops a worker."""

    next_ns: int
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
    found = Findings(next_ns=now_ns + START_AFTER_NS)  # what begins from now on
    for worker in workers:
        running = worker.running()
        age = now_ns - running.started_ns if running else 0
        if worker.is_frozen or age >= START_AFTER_NS:
            _hold_up(found, worker, running)
        if running and _is_overdue(worker, running, now_ns):
            found.overdue.append((worker, running))
        _take_back(found, worker, worker.is_frozen or age >= TAKE_BACK_AFTER_NS, now_ns)
        if running:
            found.next_ns = min([found.next_ns, *_due_ns(worker, running, now_ns)])
    return found


class Ticker:
    """Ticks over the pool's workers. `left_asleep`: there is work for some who were not woken, as others look for it;
    should those have looked just before, the next tick finds it."""

    def __init__(self, workers: Mapping[int, WorkerProcess], stops: Stops, custody: Custody) -> None:
        self.left_asleep = False
        self._workers = workers
        self._stops = stops
        self._custody = custody
        self._calm_until_ns = 0

    def due_ns(self, now_ns: int) -> int | None:
        """When the next tick is due; None: nobody runs anything, or is being stopped."""
        at_work = [worker for worker in self._workers.values() if worker.is_at_work]
        if not at_work and not self.left_asleep:
            return None
        has_to_go_on = self.left_asleep or any(each.halt or each.limited_at is not None for each in at_work)
        return now_ns + CLOSELY_NS if has_to_go_on or self._calm_until_ns < now_ns else self._calm_until_ns

    def tick(self, now_ns: int) -> int:
        """Do what workers cannot do for themselves; 0: nothing came of it that is worth another look."""
        self._stops.retry()
        asleep = self.left_asleep + sum([worker.oversleeps() for worker in self._workers.values()])
        self.left_asleep = False
        found = look(self._workers.values(), now_ns)
        self._calm_until_ns = found.next_ns
        for worker, running in found.overdue:
            self._stops.time_out(worker, running)
        if found.is_empty:
            return asleep
        done = catch_up(self._custody, found, self._workers)
        for outcome in done.stale:
            log("task.stale_outcome", task=outcome.task, attempt=outcome.attempt)
        return asleep + done.released + sum(map(len, found.outcomes.values()))


def catch_up(custody: Custody, found: Findings, workers: Mapping[int, WorkerProcess]) -> CaughtUp:
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


def _due_ns(worker: WorkerProcess, running: Running, now_ns: int) -> Iterator[int]:
    """When an attempt is to be looked at again, should it last."""
    began_ns = running.started_ns
    moments = (began_ns + START_AFTER_NS, began_ns + TAKE_BACK_AFTER_NS, worker.deadline_ns(running))
    return (moment for moment in moments if moment > now_ns)


def _is_overdue(worker: WorkerProcess, running: Running, now_ns: int) -> bool:
    deadline = worker.deadline_ns(running)
    return bool(deadline) and now_ns >= deadline and not worker.is_frozen and worker.halt is None


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
