"""What a slot tells: outcomes that nobody has committed, the attempt under way. Nothing in it is taken on trust.

The process that wrote it may have been killed in the midst, and the machine may have lost power before all of it was
on the disk: what is not whole, or cannot be, ends the list, and the rows in the store tell the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from agent.clock import LATEST, wall_ns
from agent.task import Outcome, Start
from workers.messages import ENDINGS
from workers.slot import ATTEMPT, CLAIMS, DEADLINE_NS, STARTED_AT, STARTED_NS, TASK, Slot


@dataclass(frozen=True, slots=True)
class Running:
    """The attempt that a slot names: times monotonic in nanoseconds, but `started_at` (wall, µs)."""

    task: int
    claims: int
    attempt: int
    started_ns: int
    deadline_ns: int
    started_at: int

    @property
    def began_at(self) -> int:
        """When it started, by the wall clock (µs); now, where what stands there cannot be."""
        return self.started_at if 0 <= self.started_at <= LATEST else wall_ns() // 1000

    def start(self, worker: int) -> Start:
        """As the store takes it."""
        return Start(worker, self.task, self.claims, self.attempt, self.began_at)


def outcomes_of(slot: Slot) -> tuple[list[Outcome], int]:
    """Outcomes published and not committed, oldest first, and the offset to commit them by."""
    outcomes, offset = [], slot.committed
    for blob, following in slot.pending():
        try:
            outcome = msgspec.json.decode(blob, type=Outcome)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            break
        if outcome.state not in ENDINGS:
            break
        outcomes.append(outcome)
        offset = following
    return outcomes, offset


def running_of(slot: Slot) -> Running | None:
    """The attempt that a slot names, if there is one; read again when it changed meanwhile."""
    words = slot.words
    while task := words[TASK]:
        seen = Running(
            task, words[CLAIMS], words[ATTEMPT], words[STARTED_NS], words[DEADLINE_NS], words[STARTED_AT]
        )
        if words[TASK] == task and words[CLAIMS] == seen.claims:
            return seen
    return None


def unless_ended(running: Running | None, outcomes: Sequence[Outcome]) -> Running | None:
    """The attempt that a slot names, unless its outcome was published: then its handler had returned."""
    if running is None:
        return None
    ended = any((outcome.task, outcome.claims) == (running.task, running.claims) for outcome in outcomes)
    return None if ended else running
