"""Does a key ever let its task succeed twice, also when tasks are deleted, fail, are cancelled or retried meanwhile?

A few keys are asked for again and again through the real store, while workers end tasks as chance has it and retention
deletes what is finished. What has to come back for each key is known from what was acknowledged before.
"""

from __future__ import annotations

import json
import random
from collections import Counter, deque

from agent.clock import SECOND, Clock
from agent.errors import Conflict, IdempotencyConflict, NotFound
from agent.lifecycle import State
from agent.store import SqliteStore, open_store
from agent.store.values import Admission
from agent.task import Claimed, NewTask, Outcome
from campaign.run import Report, Run

STEPS, KEYS, WORKER, TYPE = 5_000, 40, 7, "nap"
RECENT = 10
ENDS = (State.SUCCEEDED, State.SUCCEEDED, State.FAILED)


def run(run: Run) -> Report:
    """One round."""
    store = open_store(run.directory / "state.db", supervises=True)
    try:
        return _Asking(store, run.rng("steps")).play(run.pick(STEPS, 400))
    finally:
        store.close()


class _Asking:
    """Keys, and what is known of each: the task that has it, and its result once it has succeeded."""

    def __init__(self, store: SqliteStore, rng: random.Random) -> None:
        self._store, self._rng = store, rng
        self._now = Clock().now()
        self._owners: dict[str, int] = {}
        self._lately: deque[str] = deque(maxlen=2)
        self._given: deque[int] = deque(maxlen=RECENT)  # tasks that got a key, and may have lost it since
        self._results: dict[str, str] = {}
        self._faults: Counter[str] = Counter()
        self._breaches: list[str] = []

    def play(self, steps: int) -> Report:
        """Step by step, as chance has it."""
        self._store.custody.announce({TYPE: None})
        for _ in range(steps):
            self._now += SECOND
            step = self._rng.choice([self._ask, self._ask, self._ask, self._work, self._retention, self._operate])
            self._faults[step.__name__.strip("_")] += 1
            step()
        return Report(dict(self._faults), tuple(self._breaches[:20]))

    def _ask(self) -> None:
        """The same key again: its task or its result come back, or it is free for a new task."""
        key = self._rng.choice([f"key-{self._rng.randrange(KEYS)}", *self._lately])
        self._lately.append(key)
        (given,) = self._store.tasks.enqueue([NewTask(TYPE, self._payload(key), key)], self._now)
        owner = self._owners.get(key)
        if key in self._results and (given.id, given.result) != (owner, self._results[key]):
            self._breaches.append(f"keys: {key} had succeeded as task {owner}; now task {given.id} came back")
        elif owner is not None and self._is_open(owner) and given.id != owner:
            self._breaches.append(f"keys: {key} belonged to task {owner}; task {given.id} was stored besides")
        self._owners[key] = given.id
        self._given.append(given.id)
        other = NewTask(TYPE, '{"another": "payload"}', key)
        try:
            self._store.tasks.enqueue([other], self._now)
            self._breaches.append(f"keys: {key} was given to another payload while task {given.id} had it")
        except IdempotencyConflict:
            self._faults["refused"] += 1

    def _work(self) -> None:
        """A worker takes some tasks and ends them one way or the other."""
        claims = self._store.claims(WORKER)
        kinds = claims.kinds([TYPE])
        version = self._store.oversight.standing().version
        admission = Admission(version, frozenset(kinds.values()), lambda _, queued: min(queued, 5))
        tasks = [Claimed(*task) for task in claims.exchange(0, (), None, admission).tasks]
        claims.exchange(kinds[TYPE], [self._end(task) for task in tasks], None, None)

    def _end(self, task: Claimed) -> Outcome:
        state = self._rng.choice(ENDS)
        result = json.dumps({"task": task.id}) if state is State.SUCCEEDED else None
        if result is not None and task.key is not None:
            if task.key in self._results:
                self._breaches.append(f"keys: {task.key} succeeded again, as task {task.id}")
            self._results[task.key] = result
        error = None if result else "no luck"
        times = (self._now, self._now)
        return Outcome(task.id, task.claims, task.attempt + 1, int(state), *times, None, result, error, None, "failed")

    def _retention(self) -> None:
        """What is finished is deleted; keys stay."""
        self._store.upkeep.prune_tasks(self._now + SECOND, self._now + SECOND)
        self._store.upkeep.set_mark("pruned", 0)

    def _operate(self) -> None:
        """Somebody cancels, or tries again, what a key belongs to, or has belonged to."""
        if self._owners:
            task = self._rng.choice(sorted(self._rng.choice([self._given, self._owners.values()])))
            try:
                self._rng.choice([self._store.tasks.cancel, self._store.tasks.retry])(task, self._now)
            except (Conflict, NotFound):
                self._faults["refused"] += 1

    def _is_open(self, task: int) -> bool:
        try:
            return self._store.tasks.find(task).state < State.SUCCEEDED
        except NotFound:
            return False

    def _payload(self, key: str) -> str:
        return json.dumps({"key": key})
