"""The chore thread: wakes when poked, or when a chore has asked for it; one that fails is logged and tried again."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.clock import SECOND, Clock
from agent.errors import AgentError
from agent.failpoints import ARMED, reach
from agent.maintenance.clock_watch import ClockWatch
from agent.store import SqliteStore

PAGE_BYTES = 4096
CHECKPOINT_AT_BYTES = 4 * 1024 * 1024
WATCH_LOG_S = 0.05  # while workers write
TROUBLE_S = 1.0  # … and the last look failed
AGAIN_S = 2.0  # after a chore that failed, or has not come to its end
PRUNE_EVERY_S = 60.0
BATCHES_A_TURN = 20
IDLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept, in seconds; 0: for ever."""

    finished_s: float
    keys_s: float
    metrics_s: float


class Chores(threading.Thread):
    """Runs until `stop`. `deliver` sends what the outbox holds; it says in how many seconds to call it again."""

    def __init__(
        self, store: SqliteStore, clock: Clock, retention: Retention, deliver: Callable[[], float | None]
    ) -> None:
        super().__init__(name="chores", daemon=True)
        self.retention = retention
        self.deliver = deliver
        self._store = store
        self._clock = clock
        self._clock_watch = ClockWatch(store.upkeep, clock)
        self._poked = threading.Event()
        self._stopping = False
        self._is_active = False
        self._prune_due_ns = 0
        self._refused: set[str] = set()  # chores that the store refused the last time, which was told

    def poke(self, is_active: bool) -> None:
        """Look around now. `is_active`: workers write, so the log is watched."""
        self._is_active = is_active
        self._poked.set()

    def sampled(self, is_active: bool, is_news: bool) -> None:
        """With every sample, which is worth a look around while workers write, just after, and if there is news."""
        if is_active or self._is_active or is_news:
            self.poke(is_active)

    def stop(self, timeout: float) -> None:
        """End after the chore under way; a last checkpoint comes with the store's closing."""
        self._stopping = True
        self._poked.set()
        if self.is_alive():
            self.join(timeout)

    def run(self) -> None:
        """The thread."""
        while not self._stopping:
            chores = {"checkpoint": self._checkpoint, "outbox": self.deliver, "retention": self._prune}
            rest_s = min(self._attempt(name, chore) for name, chore in chores.items())
            while self._is_active and not self._poked.wait(self._watch_s()) and not self._stopping:
                self._attempt("checkpoint", self._checkpoint)
            self._poked.wait(rest_s)
            self._poked.clear()
        self._store.close()

    def _attempt(self, name: str, chore: Callable[[], float | None]) -> float:
        """In how many seconds there is more to do."""
        rest_s: float | None = AGAIN_S
        try:
            rest_s = chore()
        except AgentError as error:
            if name not in self._refused:
                _log().error("store.degraded", chore=name, error=str(error))
            self._refused.add(name)
        except Exception as error:  # a thread that ended would be missed by nobody, and its chores by everybody
            _log().error("chore.failed", chore=name, error=repr(error), traceback=traceback.format_exc())
        else:
            if name in self._refused:
                self._refused.remove(name)
                _log().info("store.recovered", chore=name)
        return IDLE_S if rest_s is None else min(IDLE_S, rest_s)

    def _watch_s(self) -> float:
        return TROUBLE_S if "checkpoint" in self._refused else WATCH_LOG_S

    def _checkpoint(self) -> None:
        frames, copied = self._store.upkeep.log_frames()
        if (frames - copied) * PAGE_BYTES >= CHECKPOINT_AT_BYTES:
            self._store.upkeep.checkpoint(finish=False)
            if ARMED:
                reach("during_checkpoint")
            self._store.upkeep.checkpoint(finish=True)

    def _prune(self) -> float | None:
        now = self._clock.now()  # first: should the clock be set right after, it is looked at below
        if not self._clock_watch.is_trusted():
            return None
        if (wait_ns := self._prune_due_ns - self._clock.monotonic()) > 0:
            return wait_ns / 1e9
        self._prune_due_ns = self._clock.monotonic() + int(PRUNE_EVERY_S * 1e9)
        tasks = self._prune_tasks(now)
        rest = self._store.upkeep.prune_rest(
            _before(now, self.retention.metrics_s) or 0, _before(now, self.retention.keys_s)
        )
        if tasks or rest:
            _log().info("retention.done", tasks=tasks, rows=rest)
        return None if self._prune_due_ns else AGAIN_S

    def _prune_tasks(self, now: int) -> int:
        finished_before = _before(now, self.retention.finished_s)
        tasks = 0
        if finished_before is None:
            return tasks
        for _ in range(BATCHES_A_TURN):
            pruned = self._store.upkeep.prune_tasks(finished_before, now)
            tasks += pruned.tasks
            if not pruned.more or self._stopping:
                return tasks
        self._prune_due_ns = 0  # there is more: next turn
        return tasks


def _log() -> Any:
    from structlog import get_logger  # whoever sets logging up imports it first, and leanly

    return get_logger()


def _before(now: int, seconds: float) -> int | None:
    """The time before which something is old; None: it never is."""
    return now - int(seconds * SECOND) if seconds else None
