"""What all code of a worker stands on, put back after each chunk where a handler has changed it.

Why it is so: a handler that changes directory, or leaves an alarm behind, must cost its neighbours nothing. What the
process is left with is compared with what it was born with (its start hooks included), 20 µs for a chunk, and put back;
where that cannot be done, another worker takes its place. Left alone is what belongs to Python code, which may mean it
to stay: the environment, `sys.path`, the locale, seeds and defaults of modules.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys

from agent.host import move_out_of_the_way
from workers.signals import ALL, disposition
from workers.strangers import Strangers

SIGNALS = sorted(ALL - {signal.SIGKILL, signal.SIGSTOP})
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CPU)


class Footing:
    """Taken once, when the worker is ready; `outlet`: the descriptor by which it prints."""

    def __init__(self, outlet: int, strangers: Strangers) -> None:
        self._umask = os.umask(0o77)
        os.umask(self._umask)
        self._directory = move_out_of_the_way(os.open(".", os.O_PATH | os.O_CLOEXEC))
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._signals = [(number, disposition(number)) for number in SIGNALS]
        self._limits = [(limit, resource.getrlimit(limit)) for limit in LIMITS]
        self._switch_interval = sys.getswitchinterval()
        self._streams = (sys.stdout, sys.stderr)
        self._files = [(number, _file(number)) for number in (0, 1, 2, outlet, self._directory)]
        self._most_descriptors = self._limits[0][1][0] // 2
        self._strangers = strangers

    def put_back(self) -> str:
        """Put back what was changed; why the worker has to leave, if that cannot be done; else nothing."""
        try:
            for timer in TIMERS:
                signal.setitimer(timer, 0)
            faulthandler.cancel_dump_traceback_later()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
            sys.setswitchinterval(self._switch_interval)
            self._put_back_signals()
            self._put_back_limits()
            os.umask(self._umask)
            if any(_file(number) != file for number, file in self._files):
                return "a handler has closed or replaced descriptors that are not its own"
            os.fchdir(self._directory)
            return self._look_at_descriptors() or self._look_at_streams() or self._strangers.look()
        except (OSError, ValueError) as error:
            return f"what its handlers have changed cannot be put back: {error}"

    def _put_back_signals(self) -> None:
        for number, meant in self._signals:
            if disposition(number) is not meant and meant is not None:  # None: nothing of Python's
                signal.signal(number, meant)

    def _put_back_limits(self) -> None:
        for limit, meant in self._limits:
            if resource.getrlimit(limit) != meant:
                resource.setrlimit(limit, meant)

    def _look_at_descriptors(self) -> str:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        return "its handlers have left too many descriptors open" if lowest_free >= self._most_descriptors else ""

    def _look_at_streams(self) -> str:
        sys.stdout, sys.stderr = self._streams
        return "a handler has closed sys.stdout or sys.stderr" if sys.stdout.closed or sys.stderr.closed else ""


def _file(number: int) -> tuple[int, int]:
    """Which file a descriptor leads to."""
    stat = os.fstat(number)
    return stat.st_ino, stat.st_dev
