"""After a worker's proven death: read its slot, do for its tasks what is due, say what came of it."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

from agent.clock import Clock
from agent.errors import NotFound
from agent.failpoints import ARMED, reach
from agent.lifecycle import State
from agent.retry import Failed
from agent.store import SqliteStore
from agent.store.values import Burial, Death
from agent.task import Outcome
from agent.telemetry.kept_files import KeptFiles
from agent.telemetry.logs import log
from agent.telemetry.proc import out_of_memory_kills
from workers.attempt import Failure, Run, fail
from workers.deaths import End, judge_end
from workers.harvest import Running, unless_ended
from workers.messages import Settings
from workers.process import WorkerProcess


class Undertaker:
    """Buries workers."""

    def __init__(self, store: SqliteStore, clock: Clock, settings: Settings) -> None:
        self.settings = settings
        self._store = store
        self._clock = clock
        self._rng = random.Random()  # nosec B311  # spreads retries
        self._files = KeptFiles()
        self._kills = 0  # of processes, for want of memory
        self._kills = self._kills_before = self._out_of_memory_kills()

    def bury(self, worker: WorkerProcess, end: End) -> Burial:
        """Do all that is due for a dead worker's tasks."""
        outcomes, _ = worker.pending()
        running = unless_ended(worker.running(), outcomes)
        halt = worker.killed_for
        if halt and running != halt.running:  # let go by somebody else, it went on to another attempt before it died
            halt, end = None, replace(end, is_ours=True)
        death, why = judge_end(replace(end, is_out_of_memory=self._is_out_of_memory(end.status)))
        if halt and running and halt.purpose == "cancel":
            death, why = Death.CANCELLED, halt.why
        elif halt and running and halt.purpose == "time_out":
            with suppress(NotFound):  # a handler has written into the slot: there is no such task
                outcomes = [*outcomes, self._timed_out(running)]
            running = None
        start = running.start(worker.id) if running else None
        if ARMED:
            reach("before_requeue")
        burial = self._store.custody.bury(worker.id, outcomes, start, death, why, self._clock.now())
        if ARMED:
            reach("after_requeue")
        _tell(worker, end.status, burial, death, why)
        return burial

    def _timed_out(self, running: Running) -> Outcome:
        """The outcome of an attempt that was killed at its deadline: a failed one. Raises NotFound."""
        task = self._store.tasks.find(running.task)
        seconds = (running.deadline_ns - running.started_ns) / 1e9
        line = f"timed out: the handler ran longer than {seconds:g} s and was killed"
        tries = task.max_attempts or 1 + self.settings.retry_attempts
        began_at, now = running.began_at, self._clock.now()
        run = Run(running.task, running.claims, running.attempt, task.failures, tries, began_at, now)
        log("task.timed_out", task=running.task, type=task.type, attempt=running.attempt, after_s=seconds)
        return fail(run, Failure(line, None, Failed(line)), self.settings, self._rng, word="timed_out")

    def close(self) -> None:
        """Close what it keeps open."""
        self._files.close()

    def watch_memory(self) -> None:
        """With every sample: a kill for want of memory before the last one explains no worker's death."""
        self._kills_before, self._kills = self._kills, self._out_of_memory_kills()

    def _is_out_of_memory(self, status: int | None) -> bool:
        return status == -9 and self._out_of_memory_kills() > self._kills_before

    def _out_of_memory_kills(self) -> int:
        vmstat = self._files.text("/proc/vmstat")
        return self._kills if vmstat is None else out_of_memory_kills(vmstat)


def _tell(worker: WorkerProcess, status: int | None, burial: Burial, death: Death, why: str) -> None:
    log(
        "worker.exited", worker=worker.word, pid=worker.pid, status=status, recorded=burial.recorded,
        released=burial.released, rescued=burial.rescued,
    )  # fmt: skip
    for outcome in burial.stale:
        log("task.stale_outcome", task=outcome.task, attempt=outcome.attempt)
    event = {State.QUEUED: "task.lost", State.FAILED: "task.poisoned", State.CANCELLED: "task.cancelled"}
    if burial.running is not None and burial.fate is not None:
        log(event[burial.fate], task=burial.running, worker=worker.word, death=death.value, why=why)
