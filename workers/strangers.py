"""Threads that handlers have left behind: harmless while they sleep, and worth a new worker when they do not.

A thread of Python that works on takes the interpreter's lock from every handler after it, 5 ms at a time. So the
processor time of other threads is looked at where no handler runs: while the worker records, claims or waits. Whoever
is new is looked at first of all, for so long as it does nothing but work: to find that out by and by, between chunks,
took 0.2 s of the handlers' time.
"""

from __future__ import annotations

import threading
import time

MOST = 64  # that sleep
WINDOW_NS = 100_000_000  # without a handler, over which they are judged
BUSY = 0.25  # of the window, on a processor
LOOK_AGAIN_S = 0.2
FIRST_LOOK_S, GLANCE_S = 0.015, 0.001  # at those who are new; it ends when they have slept

WORK_ON = "threads that its handlers have left behind work on"


class Strangers:
    """Counts from the number of threads there are now: the start hooks' are at home here."""

    def __init__(self) -> None:
        self._at_home = threading.active_count()
        self._known = 0
        self._since: tuple[int, int] | None = None  # time, and the others' processor time; None: nobody is watched
        self._passed_ns = self._taken_ns = 0

    def look(self) -> str:
        """After a chunk; why the worker has to leave, if it has to."""
        number = threading.active_count() - self._at_home
        if number > MOST:
            return f"its handlers have left {number} threads behind"
        are_new, self._known = number > self._known, number
        if are_new and _work_on():
            return WORK_ON
        self._since = _now() if number > 0 else None
        return ""

    def watch(self) -> str:
        """With the next chunk, or when there is none for a while: why the worker has to leave, if they work on."""
        if self._since is None:
            return ""
        before, self._since = self._since, _now()
        self._passed_ns += self._since[0] - before[0]
        self._taken_ns += self._since[1] - before[1]
        if self._passed_ns < WINDOW_NS:
            return ""
        are_busy = self._taken_ns > BUSY * self._passed_ns
        self._passed_ns = self._taken_ns = 0
        self._since = None
        return WORK_ON if are_busy else ""

    def patience_s(self) -> float | None:
        """How long the worker may sleep before it is to watch them again; None: as long as it likes."""
        return None if self._since is None else LOOK_AGAIN_S


def _now() -> tuple[int, int]:
    """The time, and the processor time of this process's other threads."""
    return time.monotonic_ns(), time.process_time_ns() - time.thread_time_ns()


def _work_on() -> bool:
    """Whether the other threads do not sleep, for as long as we look."""
    began, taken = _now()
    until = began + FIRST_LOOK_S * 1e9
    while True:
        time.sleep(GLANCE_S)
        now, taken_now = _now()
        if taken_now - taken <= BUSY * (now - began):
            return False
        if now > until:
            return True
