"""From what workers tell of ended attempts to what the governor is to see, and to log lines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from agent.errors import StoreError, TryLater
from agent.governance.decision import Decision
from agent.governance.observation import ErrorSignature, merge_signatures
from agent.lifecycle import State
from agent.steering.governing import Attempts
from agent.store.values import Waiting
from agent.systemd import Notifier
from agent.telemetry.logs import log
from agent.telemetry.sensors import Reading
from workers.assembly import Parts
from workers.messages import Count, Ended

EVENTS = {State.SUCCEEDED: "task.succeeded", State.RETRY_SCHEDULED: "task.retry", State.FAILED: "task.failed"}


def reckon(counts: Sequence[Count], ended: Sequence[Ended], reopened: int) -> Attempts:
    """The attempts of a sample. `reopened`: the admission's version since it last opened; what began before is late."""
    current = [count for count in counts if count.version >= reopened]
    signatures = merge_signatures(
        [ErrorSignature(each.type, 1, each.task, each.error or "")]
        for each in ended
        if each.version >= reopened and each.state != State.SUCCEEDED
    )
    return Attempts(
        ok=sum(count.ok for count in current),
        errors=sum(count.errors for count in current),
        late=sum(count.errors for count in counts if count.version < reopened),
        signatures=signatures,
    )


class Reckoning:
    """The samples and summaries of what workers have told. `reopened`: the admission's version since it last opened."""

    def __init__(self, parts: Parts, notifier: Notifier) -> None:
        self.reopened = 0
        self._parts = parts
        self._told = parts.pool.told
        self._notifier = notifier
        self._ok = self._errors = 0  # since the last summary

    def sample(self, waiting: Waiting) -> tuple[Sequence[Decision], Reading]:
        """Take a sample and let the governor decide; then tell of the attempts one by one."""
        attempts = reckon(self._told.counts, self._told.ended, self.reopened)
        decisions, reading = self._parts.governing.sample(self._parts.view(waiting), attempts)
        tell(self._told.take_ended())  # only now: what the database refused is told with the next sample
        self._ok += attempts.ok
        self._errors += attempts.errors + attempts.late
        return decisions, reading

    def sum_up(self) -> None:
        """Log what has ended since the last summary, and begin the next; systemd hears how things stand."""
        view = self._parts.view(self._parts.store.custody.waiting())
        state, limit = self._parts.governing.state, self._parts.governing.limit
        log(
            "telemetry.summary", ok=self._ok, errors=self._errors, inflight=view.inflight, workers=len(view.workers),
            queued=view.queued, limit=limit, frozen=view.frozen, paused=list(view.paused), reasons=list(state.reasons),
        )  # fmt: skip
        self._ok = self._errors = 0
        status = f"{view.inflight}/{len(view.workers)} workers busy, {view.queued} queued"
        self._notifier.tell(STATUS="; ".join([status, *state.reasons]))

    def close(self) -> None:
        """A last sample and summary; of what the database refuses to hear, the log has a line at least."""
        with suppress(StoreError, TryLater):
            if self._told.counts or self._told.ended:
                self.sample(self._parts.store.custody.waiting())
            self.sum_up()
        tell(self._told.take_ended())


def tell(ended: Sequence[Ended]) -> None:
    """Log attempts one by one."""
    for each in ended:
        log(EVENTS[State(each.state)], task=each.task, type=each.type, attempt=each.attempt, error=each.error)
