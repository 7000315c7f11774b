"""What a database holds, and what its users were told that it holds.

Why it is so: the rows after a verb's return are what it acknowledged, whole; but that they say what the verb said is
believed only because of the second account, which knows nothing but the verbs' answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from agent.lifecycle import FINISHED, State
from agent.store.connection import Cursor

Rows = dict[str, list[tuple[Any, ...]]]  # all there is in a database, by table

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_stat1' ORDER BY name"
SCHEMA = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
TOLD = "SELECT id, state, payload, result, due_at, type FROM task"
_COUNTED = {State.IN_PROGRESS: State.RESERVED}


class Told(NamedTuple):
    """What users know of a task. `state` is the number of a State."""

    state: int
    payload: str
    due_at: int
    result: str | None = None

    def __str__(self) -> str:
        return f"{State(self.state).word}, payload {self.payload[:80]}, due at {self.due_at}, result {self.result}"


class Ledger:
    """The tasks that users know of. A verb's user enters what the answer said; `settle` compares."""

    def __init__(self) -> None:
        self.tasks: dict[int, Told] = {}
        self.pruned = 0  # how many finished tasks retention said it has deleted

    def move(self, task: int, state: State, result: str | None = None, due_at: int | None = None) -> None:
        """Somebody was told that a task is in another state."""
        told = self.tasks[task]
        self.tasks[task] = Told(state, told.payload, told.due_at if due_at is None else due_at, result)

    def learn(self, rows: Rows) -> None:
        """Begin with what is there."""
        self.tasks = _tasks(rows)

    def settle(self, rows: Rows) -> list[str]:
        """What is there, otherwise than was told; from now on what is there counts."""
        found = _tasks(rows)
        complaints = list(self._unpruned(found)) + list(_unlawful(rows))
        for task in sorted(found.keys() | self.tasks.keys()):
            if found.get(task) != self.tasks.get(task):
                said, there = (where.get(task, "nowhere") for where in (self.tasks, found))
                complaints.append(f"task {task} was said to be {said}; it is {there}")
        self.tasks = found
        return complaints

    def _unpruned(self, found: dict[int, Told]) -> Iterator[str]:
        """Which finished tasks a batch of retention takes is its own choice; how many, and no others, is not."""
        if not self.pruned:
            return
        gone = {task: self.tasks.pop(task) for task in self.tasks.keys() - found.keys()}
        if len(gone) != self.pruned:
            yield f"retention said that it has deleted {self.pruned} tasks, and {len(gone)} are gone"
        alive = {task: told for task, told in gone.items() if told.state not in FINISHED}
        yield from (f"retention deleted task {task}, {told}" for task, told in alive.items())
        self.pruned = 0


def look(cursor: Cursor) -> Rows:
    """All there is."""
    names = [row[0] for row in cursor.execute(TABLES).fetchall()]
    rows = {name: cursor.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608  our own names
    rows["told"] = cursor.execute(TOLD).fetchall() if "task" in rows else []
    rows["schema"] = cursor.execute(SCHEMA).fetchall()
    rows["version"] = cursor.execute("PRAGMA user_version").fetchall()
    return rows


def _tasks(rows: Rows) -> dict[int, Told]:
    return {task: Told(state, payload, due, result) for task, state, payload, result, due, _ in rows["told"]}


def _unlawful(rows: Rows) -> Iterator[str]:
    """The counts are those of the rows; reserved and in progress are counted together."""
    there = Counter((kind, _COUNTED.get(state, state)) for _, state, _, _, _, kind in rows["told"])
    counted = Counter({(kind, state): n for state, kind, n in rows["counts"] if n})
    if there != counted:
        yield f"the counts say {dict(counted - there)} more and {dict(there - counted)} less than the rows"
