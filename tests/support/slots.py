"""What a worker does with its slot, for tests that are no worker."""

from __future__ import annotations

from workers.slot import Slot


def begins(slot: Slot, position: int) -> bool:
    """Whether the task at `position` of the open chunk, with the id 100 + position, may begin; it is named then."""
    return slot.begin(position, 100 + position, claims=1, attempt=1, started_ns=5, started_at=6, deadline_ns=0)
