"""When the next worker may be forked: at once, or after a growing delay while they die before they are ready."""

from __future__ import annotations

from agent.clock import Clock
from agent.telemetry.logs import log

FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 30.0


class Spacing:
    """The delay before the next birth: a broken start hook forks no storm."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stillborn = 0
        self._due_ns = 0

    def went_well(self) -> None:
        """A worker is ready."""
        self._stillborn = 0

    def went_wrong(self, why: str) -> None:
        """A worker could not be forked, or ended before it was ready."""
        self._stillborn += 1
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(self._stillborn - 1, 20))
        self._due_ns = self._clock.monotonic() + int(delay_s * 1e9)
        log("worker.exited", level="error", why=why, next_birth_in_s=delay_s)

    def forget(self) -> None:
        """What was in the way has gone: the next may be forked at once."""
        self._stillborn = self._due_ns = 0

    def due_ns(self, now_ns: int) -> int | None:
        """When the next may be forked; None: now."""
        return self._due_ns if self._due_ns > now_ns else None
