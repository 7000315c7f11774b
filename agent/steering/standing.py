"""Operators' standing orders: `scale`, `pause` and `unpause`, with the times at which they end."""

from __future__ import annotations

from msgspec.structs import replace

from agent.clock import Clock
from agent.overview import EVERYTHING, changed, lasting
from agent.store.oversight import Oversight
from agent.store.values import Command

__all__ = ["EVERYTHING", "StandingOrders"]


class StandingOrders:
    """The orders in force, kept in the store. Operators' pauses are theirs: the governor never lifts one."""

    def __init__(self, oversight: Oversight, clock: Clock) -> None:
        self._oversight = oversight
        self._clock = clock
        self.now = oversight.standing()

    def apply(self, command: Command) -> None:
        """Carry out pause, unpause or scale."""
        self.now = self._oversight.admit(changed(self.now, command))

    def touch(self) -> int:
        """Raise the version, so that claims made under an older one fail; the new one."""
        self.now = self._oversight.admit(self.now)
        return self.now.version

    def next_end(self) -> int | None:
        """When the next order ends (wall µs)."""
        ends = [until for until in (*self.now.paused.values(), self.now.max_until) if until is not None]
        return min(ends, default=None)

    def shift(self, step: int) -> None:
        """The wall clock was set by so many microseconds: orders that were to last so long still do."""
        paused = {scope: until and until + step for scope, until in self.now.paused.items()}
        shifted = replace(self.now, paused=paused, max_until=self.now.max_until and self.now.max_until + step)
        if shifted != self.now:
            self.now = self._oversight.admit(shifted)

    def end_what_is_over(self) -> None:
        """Lift orders whose time has passed."""
        kept = lasting(self.now, self._clock.now())
        if kept != self.now:
            self.now = self._oversight.admit(kept)
