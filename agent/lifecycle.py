"""The law: the eight states of a task and every move between them.

The store's verbs, the schema's checks, the conformance tests and the diagram in the README all follow `MOVES`.
The numbers are what the store keeps; they are ordered so that each group is one comparison.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class State(IntEnum):
    """Where a task stands."""

    SCHEDULED = 1  # asked for, but not before its time
    RETRY_SCHEDULED = 2  # an attempt failed; another follows when it is due
    QUEUED = 3  # may be claimed
    RESERVED = 4  # claimed by a worker; whether its handler began, the worker's slot tells
    IN_PROGRESS = 5  # its handler has begun
    SUCCEEDED = 6  # its handler returned, and the result is stored
    FAILED = 7  # no attempt is left, or none was wanted
    CANCELLED = 8  # somebody asked for that

    @property
    def word(self) -> str:
        """The state as people and JSON spell it."""
        return self.name.lower()


WAITING = frozenset({State.SCHEDULED, State.RETRY_SCHEDULED})
HELD = frozenset({State.RESERVED, State.IN_PROGRESS})
FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
UNFINISHED = frozenset(State) - FINISHED


class Move(NamedTuple):
    """One verb of the lifecycle: from which states, to which, and why."""

    verb: str
    frm: frozenset[State]
    to: State
    why: str


MOVES = (
    Move("promote", WAITING, State.QUEUED, "its time has come"),
    Move("claim", frozenset({State.QUEUED}), State.RESERVED, "a worker took it"),
    Move("begin", frozenset({State.RESERVED}), State.IN_PROGRESS, "its handler was called"),
    Move("release", HELD, State.QUEUED, "its handler never began; no attempt is counted"),
    Move("rescue", HELD, State.QUEUED, "its worker is gone; the attempt is kept as lost"),
    Move("succeed", HELD, State.SUCCEEDED, "its handler returned"),
    Move("fail", HELD, State.FAILED, "the attempt failed, and no other is to follow"),
    Move("retry", HELD, State.RETRY_SCHEDULED, "the attempt failed, and another is to follow"),
    Move("cancel", UNFINISHED, State.CANCELLED, "somebody asked for it"),
    Move("retry by an operator", frozenset({State.FAILED, State.CANCELLED}), State.QUEUED, "somebody asked for it"),
)


def bit(frm: State, to: State) -> int:
    """The place of a move in `LAW`."""
    return 1 << ((frm - 1) * 8 + to - 1)


def _law() -> int:
    law = 0
    for move in MOVES:
        for frm in move.frm:
            law |= bit(frm, move.to)
    return law


LAW = _law()
"""Every legal move as one integer, 8 bits for each state a task can leave: what the schema's trigger asks."""


def is_legal(frm: State, to: State) -> bool:
    """Whether some verb moves a task from `frm` to `to`."""
    return bool(LAW & bit(frm, to))
