"""How many tasks to claim at once: as many as make a short stretch of work, by what the type's tasks took before."""

from __future__ import annotations

from math import ceil

AIM_S = 0.045  # of work in a chunk: fewer commits; within the 50 ms after which a worker gives back what has not begun
LARGEST_CHUNK = 1000
LARGEST_LINE = 16384  # tasks that all workers together may claim in turn: so long the last of them waits for the lock
WEIGHT = 0.3  # of the newest measurement in the moving mean


class Pace:
    """The mean run time of each type, as one worker has seen it."""

    def __init__(self) -> None:
        self._mean_s: dict[int, float] = {}

    def measured(self, kind: int, tasks: int, seconds: float) -> None:
        """`tasks` of a type ran in `seconds`. A slower chunk counts at once, a faster one by and by."""
        if not tasks:
            return
        mean, known = seconds / tasks, self._mean_s.get(kind)
        self._mean_s[kind] = mean if known is None else max(mean, known + WEIGHT * (mean - known))

    def size(self, kind: int, queued: int, share: int) -> int:
        """Tasks to claim, of so many queued for `share` workers; a type not yet measured, or slow, goes alone."""
        mean = self._mean_s.get(kind)
        if mean is None or mean >= AIM_S:
            return 1
        share = max(1, share)
        fair = ceil(queued / share)
        return max(1, min(LARGEST_CHUNK, LARGEST_LINE // share, fair, int(AIM_S / max(mean, 1e-7))))
