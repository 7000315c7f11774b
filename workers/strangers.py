"""Threads that handlers have left behind: harmless while they sleep, and worth a new worker when they do not.

A thread of Python that works on takes the interpreter's lock from every handler after it, 5 ms at a time. So the
processor time of other threads is looked at where no handler runs: while the worker records, claims or waits.
"""

from __future__ import annotations

import threading
import time

MOST = 64  # that sleep
TOO_MUCH_NS = 50_000_000  # of processor time, in looks one after the other at each of which they were busy
BUSY = 0.5  # of the time that passed
LOOK_AGAIN_S = 0.5


class Strangers:
    """Counts from the number of threads there are now: the start hooks' are at home here."""

    def __init__(self) -> None:
        self._at_home = threading.active_count()
        self._number = 0
        self._since: tuple[int, int] | None = None  # time, and the others' processor time, when the last handler ended
        self._taken_ns = 0

    def look(self) -> str:
        """After a chunk; why the worker has to leave, if it has to."""
        self._number = threading.active_count() - self._at_home
        if self._number <= 0:
            self._since, self._taken_ns = None, 0
            return ""
        self._since = (time.monotonic_ns(), _others_ns())
        if self._number > MOST:
            return f"its handlers have left {self._number} threads behind"
        return ""

    def watch(self) -> str:
        """With the next chunk, or when there is none for a while: why the worker has to leave, if they work on."""
        if self._since is None:
            return ""
        now = (time.monotonic_ns(), _others_ns())
        passed, taken = now[0] - self._since[0], now[1] - self._since[1]
        are_busy = taken > BUSY * passed
        self._taken_ns = self._taken_ns + taken if are_busy else 0
        self._since = now if are_busy else None
        return "threads that its handlers have left behind work on" if self._taken_ns > TOO_MUCH_NS else ""

    def patience_s(self) -> float | None:
        """How long the worker may sleep before it is to look at them again; None: there are none, or they sleep too."""
        return None if self._since is None else LOOK_AGAIN_S


def _others_ns() -> int:
    """The processor time of this process's other threads."""
    return time.process_time_ns() - time.thread_time_ns()
