"""What is said when the database refuses, and when it takes writes again: each once, however often it is met."""

from __future__ import annotations

from agent.telemetry.logs import log


class Trouble:
    """Whether the database is known to refuse."""

    def __init__(self) -> None:
        self._is_known = False

    def met(self, error: str) -> None:
        """It has refused."""
        if not self._is_known:
            self._is_known = True
            log("store.degraded", error=error)

    def judge(self, complaint: str | None) -> None:
        """It has taken a write of ours; `complaint`: what a worker says of it, if anything."""
        if complaint:
            self.met(complaint)
        elif self._is_known:
            self._is_known = False
            log("store.recovered")
