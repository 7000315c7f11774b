"""Operators' standing orders: `scale`, `pause` and `unpause`, with the times at which they end."""

from __future__ import annotations

from msgspec.structs import replace

from agent.clock import Clock
from agent.store.oversight import Oversight
from agent.store.values import Command, Standing

EVERYTHING = "*"


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

    def end_what_is_over(self) -> None:
        """Lift orders whose time has passed."""
        kept = lasting(self.now, self._clock.now())
        if kept != self.now:
            self.now = self._oversight.admit(kept)


def changed(standing: Standing, command: Command) -> Standing:
    """The orders after a command. Pure."""
    detail = command.detail
    until = detail.get("until")
    until = until if isinstance(until, int) else None
    scope = str(detail.get("type") or EVERYTHING)
    if command.verb == "scale":
        most = detail.get("max")
        return replace(standing, max=most if isinstance(most, int) else None, max_until=until)
    if command.verb == "pause":
        return replace(standing, paused={**standing.paused, scope: until})
    paused = {} if scope == EVERYTHING else {each: end for each, end in standing.paused.items() if each != scope}
    return replace(standing, paused=paused)


def lasting(standing: Standing, now: int) -> Standing:
    """The orders that have not ended. Pure."""
    paused = {scope: until for scope, until in standing.paused.items() if until is None or until > now}
    if standing.max_until is not None and standing.max_until <= now:
        standing = replace(standing, max=None, max_until=None)
    return standing if len(paused) == len(standing.paused) else replace(standing, paused=paused)
