"""Signals as something to select on: handlers only record, the loop asks when it is ready."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps makes an Enum of each number: 1 µs, not 0.06
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Self

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None

ALL: frozenset[int] = frozenset(_signal.valid_signals())
disposition: Callable[[int], Handler] = _signal.getsignal
"""What is done when the signal comes: SIG_IGN and SIG_DFL as numbers; None, when Python did not set it."""

KEPT_FROM_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})  # ignored by every interpreter; code relies on it


class SignalInbox:
    """Records the given signals while it is entered, on the main thread, and gives back what it replaced.

    `fileno()` becomes readable as a signal arrives; `take()` empties it.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._arrived: deque[signal.Signals] = deque()
        self._replaced: dict[signal.Signals, Handler] = {}
        self._replaced_wakeup = -1
        self._read_end = self._write_end = -1

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._replaced_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in self._numbers:
            self._replaced[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._replaced.items():
            # None is a handler that was not set from Python: it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._replaced_wakeup, warn_on_full_buffer=False)
        self.abandon()

    def fileno(self) -> int:
        """For a selector: readable once a signal has arrived."""
        return self._read_end

    def take(self) -> list[signal.Signals]:
        """The signals since the last time, in the order of their arrival; equal ones may have merged."""
        # The wake-up is emptied first: a signal in between leaves it readable, none is left unseen.
        try:
            while os.read(self._read_end, 4096):
                pass
        except BlockingIOError:
            pass
        arrived = []
        while self._arrived:
            arrived.append(self._arrived.popleft())
        return arrived

    def abandon(self) -> None:
        """Closes the descriptors and touches no handler: for a forked child, whose handlers `set_dispositions` sets."""
        for descriptor in (self._read_end, self._write_end):
            if descriptor >= 0:
                os.close(descriptor)
        self._read_end = self._write_end = -1

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(signal.Signals(number))


def set_dispositions(ignored: Iterable[signal.Signals]) -> None:
    """The defaults for every signal that Python code handles, `ignored` ignored, nothing blocked, no wake-up."""
    signal.set_wakeup_fd(-1)
    unwanted = set(ignored)
    for number in ALL:
        if number in unwanted:
            signal.signal(number, signal.SIG_IGN)
        elif callable(disposition(number)) or _is_ignored_by_inheritance(number):
            signal.signal(number, signal.SIG_DFL)
    _signal.pthread_sigmask(signal.SIG_SETMASK, ())


def fork_with_signals_blocked() -> int:
    """os.fork, with every signal blocked in the child until it calls `set_dispositions`: no handler of ours runs there.

    Raises OSError as os.fork does.
    """
    before = _signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            _signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _is_ignored_by_inheritance(number: int) -> bool:
    return number not in KEPT_FROM_PYTHON and disposition(number) == signal.SIG_IGN
