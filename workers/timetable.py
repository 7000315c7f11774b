"""When the supervisor's loop has to do what: a due time for each duty, in monotonic nanoseconds; and clock steps."""

from __future__ import annotations

from agent.clock import SECOND, Clock
from agent.telemetry.logs import log

STEP_S = 5.0  # a wall clock that moved by more than this against the monotonic one was set


class Timetable:
    """Due times by name; what is not in it is not due."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}

    def at(self, duty: str, due_ns: int | None) -> None:
        """Have a duty at a time; None: not at all."""
        if due_ns is None:
            self._due.pop(duty, None)
        else:
            self._due[duty] = due_ns

    def by(self, duty: str, due_ns: int) -> None:
        """Have a duty at a time, or earlier if it was to be earlier."""
        self._due[duty] = min(due_ns, self._due.get(duty, due_ns))

    def is_due(self, duty: str, now_ns: int) -> bool:
        """Whether it is time; the duty is taken off the table then."""
        if self._due.get(duty, now_ns + 1) > now_ns:
            return False
        del self._due[duty]
        return True

    def wait_s(self, now_ns: int) -> float | None:
        """Seconds until the next duty; None: there is none."""
        return max(0.0, (min(self._due.values()) - now_ns) / 1e9) if self._due else None


class WallClock:
    """Notices when the wall clock is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._now()

    def has_stepped(self) -> bool:
        """Whether it was set since the last time somebody asked."""
        before, self._offset = self._offset, self._now()
        step = self._offset - before
        if abs(step) <= STEP_S * SECOND:
            return False
        log("clock.stepped", by_s=step / SECOND)
        return True

    def _now(self) -> int:
        return self._clock.now() - self._clock.monotonic() // 1000
