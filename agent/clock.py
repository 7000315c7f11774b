"""Wall and monotonic time behind one object, so that tests can move it.

A fault test moves the wall clock of a whole family of processes: SANAAGENT_FAILPOINT_CLOCK names a file whose first
eight bytes are the nanoseconds to add, a signed number in the machine's byte order that may change at any moment.

Wall time is integer microseconds since 1970, UTC: what the store keeps and people read.
Monotonic time is integer nanoseconds: what deadlines and ages are judged by.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

SECOND = 1_000_000  # of wall time, in microseconds
LATEST = 253_402_300_799_999_999  # the end of the year 9999, the last that ISO 8601 spells


def _moved(path: str) -> Callable[[], int]:
    import mmap

    try:
        with open(path, "rb") as file:
            ahead = memoryview(mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)).cast("q")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SystemExit(
            f"error: SANAAGENT_FAILPOINT_CLOCK={path}: {reason}; name a file of 8 bytes, or unset the variable"
        ) from error
    return lambda: time.time_ns() + ahead[0]


_moved_by = os.environ.get("SANAAGENT_FAILPOINT_CLOCK")
wall_ns: Callable[[], int] = _moved(_moved_by) if _moved_by else time.time_ns
"""Wall time in nanoseconds."""


class Clock:
    """The machine's clock."""

    def now(self) -> int:
        """Wall time in microseconds."""
        return wall_ns() // 1000

    def monotonic(self) -> int:
        """Nanoseconds on a clock that is never set and stands still while the machine is suspended."""
        return time.monotonic_ns()

    def uptime(self) -> int:
        """Microseconds since the machine was booted, those included in which it was suspended."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def booted_at(self) -> int:
        """The wall time at which the machine was booted, by what the clock says now: it changes when that is set."""
        return self.now() - self.uptime()


def to_iso(wall: int | None) -> str | None:
    """Wall time as UTC ISO 8601 with microseconds, or None."""
    if wall is None:
        return None
    seconds, rest = divmod(wall, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:06d}Z"


def from_iso(text: str) -> int:
    """The wall time of an ISO 8601 text; one without an offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * SECOND)
