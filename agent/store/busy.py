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
        self._lock = threading.Lock()
        self._words: Words = [0]
        self._at = 0

    def publish(self, words: Words, at: int) -> None:
        """From now on count in `words[at]`: a word of the worker's slot."""
        words[at] = 0
        self._words, self._at = words, at

    def renew(self) -> None:
        """In a forked child, which counts in its parent's word: a thread that was just counting is not here to end."""
        self._lock = threading.Lock()

    def add(self, n: int) -> None:
        """One more (1) or one fewer (-1)."""
        with self._lock:
            self._words[self._at] += n


busy = BusyCount()
