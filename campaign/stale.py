"""Is a stale worker's outcome ever accepted, whatever claimed the task since?

Workers here are ids that drive the real store: some are given up for dead while they hold a chunk, their tasks go to
others, or to themselves by a later claim, and then they record what they have after all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from agent.clock import Clock
from agent.errors import StoreError
from agent.lifecycle import State
from agent.store import SqliteStore, open_store
from agent.store.values import Admission, Death
from agent.task import Claimed, NewTask, Outcome
from campaign.run import Report, Run

TASKS, CHUNK = 10_000, 40
SUCCEEDED, FAILED, RETRIED = (int(state) for state in (State.SUCCEEDED, State.FAILED, State.RETRY_SCHEDULED))
TYPE = "nap"


def run(run: Run) -> Report:
    """One round: as many stale outcomes as tasks, and then some."""
    store = open_store(run.directory / "state.db", supervises=True)
    try:
        return _Takeovers(store, run.rng("take-overs")).play(run.pick(TASKS, 600))
    finally:
        store.close()


class _Takeovers:
    """Chunks that change hands."""

    def __init__(self, store: SqliteStore, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self._clock = Clock()
        self._stale = 0
        self._breaches: list[str] = []

    def play(self, tasks: int) -> Report:
        """Take over chunk after chunk, until all tasks are finished."""
        now = self._clock.now()
        for _ in range(0, tasks, 1000):
            self._store.tasks.enqueue([NewTask(TYPE, "{}")] * min(1000, tasks), now)
        self._store.custody.announce({TYPE: None})
        while chunk := self._claim(self._new_worker(), CHUNK):
            self._take_over(*chunk)
        states = self._store.tasks.totals().states
        if states.get(State.QUEUED) or states.get(State.RESERVED):
            self._breaches.append(f"lost: at rest there are {states}")
        return Report({"stale outcomes": self._stale}, tuple(self._breaches))

    def _take_over(self, first: int, held: Sequence[Claimed]) -> None:
        """`first` is given up; somebody else ends its tasks, or holds them still; then `first` brings its outcomes."""
        self._store.custody.bury(first, (), None, Death.LOST, "given up", self._clock.now())
        second = self._rng.choice([first, self._new_worker()])
        taken = self._claim(second, len(held))
        again = list(taken[1]) if taken else []
        has_ended = self._rng.random() < 0.5
        if has_ended:
            self._record(second, [self._outcome(task, "second") for task in again])
        self._bring_late(first, held, "an earlier claim")
        if has_ended:
            self._bring_late(second, again, "a claim whose outcome stands already")
        else:
            self._record(second, [self._outcome(task, "second", SUCCEEDED) for task in again])

    def _bring_late(self, worker: int, held: Sequence[Claimed], whose: str) -> None:
        """Outcomes that come too late change nothing."""
        ids = [task[0] for task in held]
        before = self._standing(ids)
        self._stale += len(held)
        try:
            self._record(worker, [self._outcome(task, "late") for task in held])
        except StoreError as error:
            self._breaches.append(f"stale: only the schema refused the late outcomes of {whose}: {error}")
        if self._standing(ids) != before:
            self._breaches.append(f"stale: late outcomes of {whose} changed some of tasks {ids[0]} to {ids[-1]}")

    def _record(self, worker: int, outcomes: Sequence[Outcome]) -> None:
        """By the worker itself or, from its slot, by the supervisor."""
        claims = self._store.claims(worker)
        if self._rng.random() < 0.3:
            self._store.custody.catch_up({worker: outcomes}, (), ())
        else:
            claims.exchange(claims.kinds([TYPE])[TYPE], outcomes, None, None)

    def _claim(self, worker: int, most: int) -> tuple[int, Sequence[Claimed]] | None:
        claims = self._store.claims(worker)
        kinds = frozenset(claims.kinds([TYPE]).values())
        admission = Admission(self._store.oversight.standing().version, kinds, lambda _, queued: min(most, queued))
        tasks = claims.exchange(0, (), None, admission).tasks
        return (worker, [Claimed(*task) for task in tasks]) if tasks else None

    def _outcome(self, task: Claimed, by: str, state: int = 0) -> Outcome:
        now = self._clock.now()
        state = state or self._rng.choice([SUCCEEDED, SUCCEEDED, FAILED])
        result = json.dumps({"by": by}) if state == SUCCEEDED else None
        error = None if state == SUCCEEDED else by
        return Outcome(task[0], task[1], task[2] + 1, state, now, now, None, result, error, None, "failed")

    def _standing(self, ids: Sequence[int]) -> list[object]:
        found = [self._store.tasks.find(id_) for id_ in ids]
        return [(task.state, task.attempt, task.claims, task.worker, task.result, task.error) for task in found]

    def _new_worker(self) -> int:
        return self._rng.getrandbits(62) + 1
