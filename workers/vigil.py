"""How long the supervisor itself did not run: what workers did meanwhile it cannot tell, nor whether they could.

Why it is so: a SIGCONT proves that we were stopped, whatever we were doing; a cgroup's freezer and a paused machine
send none, but then a tick comes late. That a write took long proves nothing, and counts for nothing: the next tick is
put on the timetable after it.
"""

from __future__ import annotations

LATE_S = 0.25  # a tick as late as this: we did not run


class Vigil:
    """Keeps the time of the last look at the workers."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns
        self._was_stopped = False

    def go_on(self) -> None:
        """A SIGCONT has come."""
        self._was_stopped = True

    def look(self, began_ns: int, now_ns: int, late_s: float) -> float:
        """Workers are looked at, `late_s` later than they should; for how many seconds before we did not run.

        The signals were asked for between the two times: of a stop within them they may have told or not. Told of, it
        is counted whole; else it is the next look's.
        """
        before, was_stopped = self._looked_ns, self._was_stopped
        self._looked_ns, self._was_stopped = now_ns if was_stopped else began_ns, False
        if was_stopped:
            return (now_ns - before) / 1e9
        return late_s if late_s >= LATE_S else 0.0
