"""When the supervisor's loop has to do what: a due time for each duty, in monotonic nanoseconds."""

from __future__ import annotations

from agent.clock import SECOND, Clock

LONGEST_WAIT_S = 3600.0


class Timetable:
    """Due times by duty; what is not in it is not due. Of two times for a duty, the sooner counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, int] = {}

    def now(self, *duties: str) -> None:
        """These are due."""
        for duty in duties:
            self.at(duty, self._clock.monotonic())

    def after(self, duty: str, seconds: float) -> None:
        """It is due in so many seconds."""
        self.at(duty, self._clock.monotonic() + int(seconds * 1e9))

    def every(self, duty: str, seconds: float) -> None:
        """It is due at a multiple of so many seconds, half to one and a half of them from now: duties of a like rhythm
        share a wake-up."""
        period, now = max(1, int(seconds * 1e9)), self._clock.monotonic()
        due = now - now % period + period
        self.at(duty, due if due - now > period // 2 else due + period)

    def at_wall(self, duty: str, *walls: int | None) -> None:
        """It is due at the first of some wall times (µs), if any; looked at again within an hour, for the clock may be
        set."""
        for wall in walls:
            if wall is not None:
                self.after(duty, min(LONGEST_WAIT_S, max(0.0, (wall - self._clock.now()) / SECOND)))

    def at(self, duty: str, due_ns: int | None) -> None:
        """It is due at a monotonic time; None: not any more."""
        if due_ns is None:
            self._due.pop(duty, None)
        else:
            self._due[duty] = min(due_ns, self._due.get(duty, due_ns))

    def put_off(self, seconds: float, *duties: str) -> None:
        """These are due in so many seconds, and not before."""
        for duty in duties:
            self._due[duty] = self._clock.monotonic() + int(seconds * 1e9)

    def is_due(self, duty: str) -> bool:
        """Whether it is time; the duty is taken off the table then."""
        now = self._clock.monotonic()
        if self._due.get(duty, now + 1) > now:
            return False
        del self._due[duty]
        return True

    def late_s(self, duty: str) -> float:
        """Seconds since it was due; 0 when it is not."""
        now = self._clock.monotonic()
        return max(0, now - self._due.get(duty, now)) / 1e9

    def wait_s(self) -> float | None:
        """Seconds until the next duty; None: there is none."""
        return max(0.0, (min(self._due.values()) - self._clock.monotonic()) / 1e9) if self._due else None
