"""The wall clock as the supervisor follows it: when it is set, what was to last so long still does.

Why it is so: what runs goes by the monotonic clock; what stands in the store goes by the wall clock. A step is known by
the wall time of the machine's boot, which it moves; a suspension of the machine moves the wall clock against the
monotonic one alone, which leaves our timers behind.
"""

from __future__ import annotations

from agent.clock import SECOND, Clock
from agent.maintenance.clock_watch import STEP
from agent.steering.standing import StandingOrders
from agent.store.custody import Custody
from agent.telemetry.logs import log

SETTLES_WITHIN_S = 1.0  # what workers reckoned by the clock as it was before has been recorded by then


class WallClock:
    """Sees to back-offs and standing orders when the clock is set."""

    def __init__(self, clock: Clock, custody: Custody, standing: StandingOrders) -> None:
        self._clock = clock
        self._custody = custody
        self._standing = standing
        self._seen = self._look()
        self._settles_ns: int | None = None

    def follow(self) -> bool:
        """Do what follows from a step or a suspension; whether there was one. To be repeated if the store refuses."""
        seen = self._look()
        step, moved = (now - before for now, before in zip(seen, self._seen, strict=True))
        has_stepped = abs(moved) > STEP
        if has_stepped or self._is_settled():
            self._custody.hasten(self._clock.now())
            self._settles_ns = None
        if has_stepped:
            self._adjust(step if abs(step) > STEP else 0, moved)
            self._settles_ns = self._clock.monotonic() + int(SETTLES_WITHIN_S * 1e9)
        self._seen = seen
        return has_stepped

    def _adjust(self, step: int, moved: int) -> None:
        if step:
            self._standing.shift(step)
            log("clock.stepped", by_s=step / SECOND)
        else:
            log("machine.resumed", suspended_s=moved / SECOND)

    def _is_settled(self) -> bool:
        return self._settles_ns is not None and self._clock.monotonic() > self._settles_ns

    def _look(self) -> tuple[int, int]:
        """The wall times at which the uptime and the monotonic clock began, by what the clock says now."""
        return self._clock.booted_at(), self._clock.now() - self._clock.monotonic() // 1000
