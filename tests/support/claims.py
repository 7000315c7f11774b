"""What a worker claims and runs, for tests that are no worker."""

from __future__ import annotations

from agent.store import SqliteStore
from agent.store.values import Admission
from agent.task import Claimed, NewTask
from workers.slot import Slot


def enqueued(store: SqliteStore, number: int = 1) -> list[int]:
    """The ids of new tasks."""
    return [each.id for each in store.tasks.enqueue([NewTask("demo", "{}")] * number, 1)]


def claimed(store: SqliteStore, worker: int, most: int = 1) -> list[Claimed]:
    """A worker's next chunk."""
    claims = store.claims(worker)
    (kind,) = claims.kinds(["demo"]).values()
    admission = Admission(store.oversight.standing().version, frozenset({kind}), lambda *_: most, {})
    return [Claimed(*each) for each in claims.exchange(kind, (), None, admission).tasks]


def run(slot: Slot, task: Claimed) -> None:
    """Let the slot say what it says while a task runs."""
    slot.open_chunk(1, 2)
    assert slot.begin(task.id, task.id, task.claims, task.attempt + 1, started_ns=5, started_at=6, deadline_ns=9)
