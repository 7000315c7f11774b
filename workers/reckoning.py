"""From what workers tell of ended attempts to what the governor is to see, and to log lines."""

from __future__ import annotations

from collections.abc import Sequence

from agent.governance.observation import ErrorSignature, merge_signatures
from agent.governance.state import GovernorState
from agent.lifecycle import State
from agent.steering.governing import Attempts, PoolView
from agent.telemetry.logs import log
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


class Summary:
    """Attempts that have ended since the last summary."""

    def __init__(self) -> None:
        self._ok = self._errors = 0

    def add(self, attempts: Attempts) -> None:
        """These have ended, too."""
        self._ok += attempts.ok
        self._errors += attempts.errors + attempts.late

    def tell(self, view: PoolView, state: GovernorState, limit: int) -> str:
        """Log the summary, and begin the next; a line of status."""
        log(
            "telemetry.summary", ok=self._ok, errors=self._errors, inflight=view.inflight, workers=len(view.workers),
            queued=view.queued, limit=limit, frozen=view.frozen, paused=list(view.paused), reasons=list(state.reasons),
        )  # fmt: skip
        self._ok = self._errors = 0
        return "; ".join([f"{view.inflight}/{len(view.workers)} workers busy, {view.queued} queued", *state.reasons])


def tell(ended: Sequence[Ended]) -> None:
    """Log attempts one by one."""
    for each in ended:
        log(EVENTS[State(each.state)], task=each.task, type=each.type, attempt=each.attempt, error=each.error)
