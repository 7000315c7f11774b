"""What the store's verbs take and give beside the values of `agent/task.py`: frozen, the same for every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from agent.lifecycle import State
from agent.task import Claimed, Outcome

if TYPE_CHECKING:
    from agent.host import Identity

CRASH_LIMIT = 3  # a task whose handler killed its process this often is poison
KILL_LIMIT = 10  # bare SIGKILLs may come from anywhere, so they count apart


class Totals(msgspec.Struct, frozen=True):
    """How many tasks stand where. `types` maps a type to its states; `oldest_due_at` is of the queued tasks."""

    states: dict[State, int]
    types: dict[str, dict[State, int]]
    oldest_due_at: int | None


class Ending(msgspec.Struct, frozen=True):
    """A task's state, with the result or the error that it has."""

    state: State
    result: str | None
    error: str | None


class Admission(msgspec.Struct, frozen=True):
    """What a worker may claim: types it handles that are not paused, as the supervisor last said in `version`.

    `limits` holds the types with a `max_concurrent`; `size` tells how many tasks of a type to take when so many of all
    these types are queued.
    """

    version: int
    kinds: frozenset[int]
    size: Callable[[int, int], int]
    limits: Mapping[int, int] = msgspec.field(default_factory=dict)


class Chunk(msgspec.Struct, frozen=True):
    """What an exchange gave. `stale`: outcomes that somebody else's claim had overtaken.

    `outdated`: nothing was claimed because the admission has a newer version than the worker was told.
    """

    kind: int = 0
    tasks: Sequence[Claimed] = ()
    stale: Sequence[Outcome] = ()
    outdated: bool = False


class Death(Enum):
    """What a worker's death says of the task whose handler was running."""

    CRASHED = "crashed"  # the handler did it: its own signal, exit, or memory
    KILLED = "killed"  # a bare SIGKILL
    LOST = "lost"  # supervisor's death, shutdown or eviction: counts nothing
    CANCELLED = "cancelled"  # killed because somebody cancelled the task


class WorkerRow(msgspec.Struct, frozen=True):
    """A worker as the store knows it."""

    id: int
    identity: Identity
    state: str
    born_at: int
    since: int
    heartbeat_at: int
    rss_bytes: int


class Return(msgspec.Struct, frozen=True):
    """What to take back from a live worker: tasks with ids above `after`, if `still()` holds inside the transaction."""

    worker: int
    after: int
    still: Callable[[], bool]


class Waiting(msgspec.Struct, frozen=True):
    """What there is to do: queued tasks by type, when the next one is due, whether somebody has left a command.

    `data_version` changes whenever somebody else has committed.
    """

    queued: Mapping[str, int]
    next_due: int | None
    has_commands: bool
    data_version: int


class CaughtUp(msgspec.Struct, frozen=True):
    """What catching up found stale, and how many tasks it took back."""

    stale: Sequence[Outcome]
    released: int


class Burial(msgspec.Struct, frozen=True):
    """What was done for a dead worker: numbers of tasks, and the id and fate of the one that ran."""

    recorded: int = 0
    released: int = 0
    rescued: int = 0
    running: int | None = None
    fate: State | None = None
    stale: Sequence[Outcome] = ()


class Standing(msgspec.Struct, frozen=True):
    """Operators' standing orders: `scale`'s number until a time; `paused`: type or "*" → until (µs). None: for ever."""

    version: int
    max: int | None
    max_until: int | None
    paused: Mapping[str, int | None]


class Command(msgspec.Struct, frozen=True):
    """An operator's command that waits. `flaw`: why it cannot be carried out, whatever it was meant to be."""

    id: int
    verb: str
    detail: dict[str, object]
    created_at: int
    flaw: str = ""


class Note(msgspec.Struct, frozen=True):
    """A decision as it is kept: what was done and why. `detail` is JSON."""

    deed: str
    why: str
    detail: str


class Pruned(msgspec.Struct, frozen=True):
    """What one batch of retention did. `more`: another batch would find work."""

    tasks: int
    more: bool
