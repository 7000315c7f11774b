"""What is said when the database refuses, and when it takes writes again: each once, however often it is met."""

from __future__ import annotations

from pathlib import Path

from setproctitle import getproctitle, setproctitle

from agent.clock import Clock, to_iso
from agent.degraded import title
from agent.errors import StoreError
from agent.systemd import Notifier
from agent.telemetry.logs import log


class Trouble:
    """Whether the database is known to refuse: told by the log, to systemd, and by the process's title.

    `stats` reads the title: see agent/degraded.py.
    """

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._error = ""
        self._since = 0
        self._notifier = notifier
        self._clock = clock
        self._title = ""  # what it is while all is well

    def met(self, error: str) -> None:
        """It has refused."""
        if not self._error:
            self._title, self._since = getproctitle(), self._clock.now()
            log("store.degraded", error=error)
        if self._error != error:
            self._error = error
            setproctitle(title(self._since, error))
            self._notifier.tell(STATUS=f"degraded: {error}")

    def check_end(self, left: int, slots: Path) -> None:
        """Raises StoreError when it refuses still, and `left` workers are not buried."""
        if self._error and left:
            raise StoreError(f"{self._error}; what could not be recorded waits in {slots} for the next start")

    def judge(self, complaint: str | None) -> bool:
        """It has taken a write of ours; `complaint`: what a worker says of it. Whether all is well again."""
        if complaint:
            self.met(complaint)
        elif self._error:
            setproctitle(self._title)
            self._notifier.tell(STATUS="running")
            log("store.recovered", since=to_iso(self._since), error=self._error)  # a log on that disk has not heard yet
            self._error = ""
            return True
        return False
