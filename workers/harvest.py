"""What a slot tells: outcomes that nobody has committed, the attempt under way. Nothing in it is taken on trust.

The process that wrote it may have been killed in the midst, and the machine may have lost power before all of it was
on the disk: what is not whole, or cannot be, ends the list, and the rows in the store tell the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.clock import LATEST
from agent.task import Outcome, Start
from workers.messages import ENDINGS
from workers.slot import ATTEMPT, CLAIMS, STARTED_AT, TASK, Slot


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


def left_running(slot: Slot, worker: int, outcomes: Sequence[Outcome], now: int) -> Start | None:
    """The attempt that a dead worker's slot names, unless its outcome was published: then its handler had returned."""
    words = slot.words
    task, claims, started_at = words[TASK], words[CLAIMS], words[STARTED_AT]
    if not task or any((outcome.task, outcome.claims) == (task, claims) for outcome in outcomes):
        return None
    return Start(worker, task, claims, words[ATTEMPT], started_at if 0 <= started_at <= LATEST else now)
