"""What a worker's attempts came to, by type, until the supervisor is told."""

from __future__ import annotations

import msgspec

from workers.messages import Count, Ended

SAY_EVERY_NS = 250_000_000  # successes are told this often at most, failures at once


class Tally:
    """Attempts that ended since the last message."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], tuple[int, int, float]] = {}  # (type, version) → ended, errors, seconds
        self._ended: list[Ended] = []
        self._said_ns = 0

    def add(self, type_: str, version: int, ended: int, errors: int, seconds: float) -> None:
        """`ended` attempts of a type, claimed under `version`, of which `errors` failed, took `seconds`."""
        before = self._counts.get((type_, version), (0, 0, 0.0))
        self._counts[type_, version] = (before[0] + ended, before[1] + errors, before[2] + seconds)

    def tell(self, ended: Ended) -> None:
        """Tell of this attempt by itself."""
        self._ended.append(ended)

    def is_due(self, now_ns: int) -> bool:
        """Whether there is something to say by now."""
        return bool(self._ended) or (bool(self._counts) and now_ns - self._said_ns >= SAY_EVERY_NS)

    def take(self, now_ns: int) -> dict[str, object] | None:
        """The message, and a fresh start; None when nothing has ended."""
        if not self._counts and not self._ended:
            return None
        counts = [
            Count(type_, version, ended - errors, errors, seconds)
            for (type_, version), (ended, errors, seconds) in self._counts.items()
        ]
        message = {"op": "counts", "counts": msgspec.to_builtins(counts), "ended": msgspec.to_builtins(self._ended)}
        self._counts, self._ended, self._said_ns = {}, [], now_ns
        return message
