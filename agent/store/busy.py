"""How many transactions of this process are under way, for whoever would freeze it in the midst of one."""

from __future__ import annotations

import threading
from typing import Protocol


class Words(Protocol):
    """Numbers by place, such as a slot's words."""

    def __getitem__(self, at: int, /) -> int:
        """The number there."""

    def __setitem__(self, at: int, number: int, /) -> None:
        """Put a number there."""


class BusyCount:
    """A number, in a word that others may read."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may begin one in the midst of this
        self._under_way: dict[object, None] = {}
        self._words: Words = [0]
        self._at = 0

    def publish(self, words: Words, at: int) -> None:
        """From now on count in `words[at]`: a word of the worker's slot."""
        words[at] = 0
        self._words, self._at = words, at

    def renew(self) -> None:
        """In a forked child, which counts for itself: two processes would lose count in one word, and a child that was
        killed in the midst would never be done. Whether one writes, the lock tells (workers/stops.py)."""
        self._lock = threading.RLock()
        self._under_way = {}
        self._words, self._at = [0], 0

    def begin(self, one: object) -> None:
        """One more."""
        with self._lock:
            self._under_way[one] = None
            self._words[self._at] = len(self._under_way)

    def end(self, one: object) -> None:
        """That one is over, if it has begun; may be said again, by whoever was interrupted in the midst of it."""
        with self._lock:
            self._under_way.pop(one, None)
            self._words[self._at] = len(self._under_way)


busy = BusyCount()
