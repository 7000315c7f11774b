"""Whose turn it is among a process's threads: a lock that is let go of by whoever has it, however often he says so.

Why it is so: a signal's handler may raise at any moment (Ctrl-C, a time limit by SIGALRM), also between a lock's being
had and anybody's knowing it, or in the midst of what was to let go of it. So the lock itself is asked whose it is, and
whoever was interrupted lets go of everything a second time.
"""

from __future__ import annotations

import threading


class Turn:
    """One thread's at a time. A signal's handler that wants it in the midst of its own thread's turn is refused."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # which refuses to be let go of by whoever has it not
        self._user = 0

    def take(self, timeout_s: float | None) -> bool:
        """Wait for it, None: for as long as it takes; whether it is had."""
        if self.is_mine() or not self._lock.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return False
        self._user = threading.get_ident()
        return True

    def let_go(self) -> None:
        """If it is this thread's, it is not any more."""
        if self.is_mine():
            self._user = 0
        try:  # noqa: SIM105  # each transaction passes here three times, and `suppress` takes longer than the lock
            self._lock.release()
        except RuntimeError:
            pass

    def is_mine(self) -> bool:
        """Whether it is this thread's."""
        return self._user == threading.get_ident()

    def is_taken(self) -> bool:
        """Whether it is anybody's."""
        return self._user != 0
