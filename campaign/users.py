"""Callers, workers and a supervisor of one database, played by chance in one process: what they do, and what they know.

Each of some stores has a connection of its own, as a process has; any of them may be asked next. Time passes only
between verbs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.clock import SECOND
from agent.errors import Conflict
from agent.host import Identity
from agent.lifecycle import UNFINISHED, WAITING, State
from agent.store import SqliteStore, open_store
from agent.store.values import Admission, Death, Note, Return, Standing
from agent.task import Claimed, Enqueued, NewTask, Outcome, Start
from campaign.ledger import Ledger, Told

TYPES = ("mail", "report", "sync")
STORES = 4
WORKERS = 3
DEATHS = (Death.CRASHED, Death.CRASHED, Death.KILLED, Death.LOST, Death.CANCELLED)
ENDS = (State.SUCCEEDED, State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.RETRY_SCHEDULED)

Opener = Callable[[Path], SqliteStore]


@dataclass(slots=True)
class Hold:
    """A claim that its worker has not given back."""

    kind: int
    claim: Claimed
    has_begun: bool = False


@dataclass(slots=True)
class Worker:
    """What one worker holds, by task."""

    id: int
    holds: dict[int, Hold] = field(default_factory=dict)


class Users:
    """Each verb of theirs is one transaction, and enters into the ledger what it was told."""

    def __init__(self, path: Path, rng: Random, now: int, opener: Opener = open_store) -> None:
        self.ledger = Ledger()
        self.merging: SqliteStore | None = None  # asked for nothing else while it copies its log
        self._path = path
        self._rng = rng
        self._opener = opener
        self._now = now
        self._stores: list[SqliteStore] = []
        self._workers: list[Worker] = []

    # -- Opening

    def open(self) -> None:
        """The first to come makes or upgrades the schema."""
        supervisor = open_store(self._path, supervises=True)
        self._stores = [self._opener(self._path) for _ in range(STORES)]
        supervisor.supervisor_lock.close()
        supervisor.close()

    def close(self) -> None:
        """The last connection that is closed copies its log, and deletes it."""
        for store in self._stores:
            store.close()

    def restart(self) -> None:
        """All go, and come again."""
        self.close()
        self.open()

    # -- Who and when

    @property
    def store(self) -> SqliteStore:
        """Whoever acts next."""
        return self._rng.choice([store for store in self._stores if store is not self.merging])

    def let_time_pass(self, seconds: int = 5) -> None:
        """Some time goes by."""
        self._now += self._rng.randint(1, seconds) * SECOND

    def _worker(self) -> Worker:
        return self._rng.choice(self._workers)

    def _task(self, states: frozenset[State]) -> int | None:
        found = [task for task, told in self.ledger.tasks.items() if told.state in states]
        return self._rng.choice(found) if found else None

    def _some(self, holds: Sequence[Hold]) -> list[Hold]:
        return [each for each in holds if self._rng.random() < 0.7]

    # -- Callers

    def enqueue(self, n: int) -> None:
        """So many tasks, all or none."""
        new = [self._new_task() for _ in range(n)]
        self._stored(new, self.store.tasks.enqueue(new, self._now))

    def enqueue_one(self) -> None:
        """One task."""
        self.enqueue(1)

    def enqueue_some(self) -> None:
        """A few."""
        self.enqueue(self._rng.randint(2, 30))

    def enqueue_with_keys(self) -> None:
        """Tasks under keys, some of which are known already."""
        keys = self._rng.sample(range(40), self._rng.randint(1, 4))
        new = [NewTask(TYPES[key % 3], json.dumps({"key": key}), f"key {key}") for key in keys]
        self._stored(new, self.store.tasks.enqueue(new, self._now))

    def cancel(self) -> None:
        """A task that waits is cancelled at once; for one that is held the supervisor is asked."""
        task = self._task(UNFINISHED)
        if task is not None and self.store.tasks.cancel(task, self._now):
            self.ledger.move(task, State.CANCELLED)

    def retry(self) -> None:
        """Queue one again that ended badly."""
        task = self._task(frozenset({State.FAILED, State.CANCELLED}))
        if task is None:
            return
        try:
            self.store.tasks.retry(task, self._now)
        except Conflict:  # its key belongs to another task now
            return
        self.ledger.move(task, State.QUEUED, due_at=self._now)

    def _new_task(self) -> NewTask:
        payload = json.dumps({"value": self._rng.getrandbits(30), "text": "x" * self._rng.choice([0, 0, 20, 300])})
        due_at = self._now + self._rng.randint(1, 60) * SECOND if self._rng.random() < 0.1 else None
        return NewTask(self._rng.choice(TYPES), payload, None, self._rng.choice([0, 0, 0, 5]), due_at)

    def _stored(self, new: Sequence[NewTask], answers: Sequence[Enqueued]) -> None:
        for task, answer in zip(new, answers, strict=True):
            if not answer.existing:
                self.ledger.tasks[answer.id] = Told(answer.state, task.payload, task.due_at or self._now)

    # -- Workers

    def claim(self) -> None:
        """A worker takes a chunk."""
        self._exchange(self._worker(), 0, [], None, claims=True)

    def exchange(self) -> None:
        """A worker records what has ended, perhaps gives the rest back, and claims."""
        worker = self._worker()
        kinds = sorted({each.kind for each in worker.holds.values()})
        kind = self._rng.choice(kinds) if kinds else 0
        done = self._some([each for each in worker.holds.values() if each.kind == kind])
        after = self._rng.choice([None, None, 0, *worker.holds])
        self._exchange(worker, kind, done, after, claims=self._rng.random() < 0.7)

    def catch_up(self) -> None:
        """The supervisor records, begins and takes back for two workers that are held up."""
        outcomes, starts, returns = {}, [], []
        for worker in self._rng.sample(self._workers, 2):
            done = self._some(list(worker.holds.values()))
            outcomes[worker.id] = self._outcomes(worker, done)
            begun = self._some([each for each in worker.holds.values() if not each.has_begun])[:1]
            starts += [self._start(worker, each) for each in begun]
            for each in begun:
                each.has_begun = True
                self.ledger.move(each.claim.id, State.IN_PROGRESS)
            if self._rng.random() < 0.5:
                after = self._rng.choice([0, *worker.holds])
                returns.append(Return(worker.id, after, lambda: True))
                self._release(worker, after)
        self.store.custody.catch_up(outcomes, starts, returns)

    def name_types(self) -> None:
        """A worker's handlers are known, and so are the numbers of their types."""
        self.store.claims(1).kinds(TYPES)

    def be_born(self) -> None:
        """Another worker."""
        worker = Worker(self._rng.getrandbits(62) | 1)
        self.store.custody.add_worker(worker.id, Identity("boot", 1, self._rng.randrange(1, 9999), 5), self._now)
        self._workers.append(worker)

    def bury(self) -> None:
        """A worker has died; another takes its place."""
        worker = self._worker()
        outcomes = self._outcomes(worker, self._some(list(worker.holds.values())))
        running = self._rng.choice([None, *worker.holds.values()])
        start = self._start(worker, running) if running else None
        buried = self.store.custody.bury(worker.id, outcomes, start, self._rng.choice(DEATHS), "it is gone", self._now)
        for task in worker.holds:
            self.ledger.move(task, buried.fate if task == buried.running and buried.fate else State.QUEUED)
        self._workers.remove(worker)

    def strangers(self) -> list[int]:
        """Workers that nobody of this life knows."""
        custody = self.store.custody
        known = {worker.id for worker in self._workers}
        return sorted({each.id for each in custody.workers()}.union(custody.unknown_owners()) - known)

    def bury_stranger(self, worker: int, holds: Sequence[int]) -> None:
        """Recovery of what a worker of an earlier life held."""
        self.store.custody.bury(worker, (), None, Death.LOST, "the power was lost", self._now)
        for task in holds:
            self.ledger.move(task, State.QUEUED)

    def _exchange(self, worker: Worker, kind: int, done: Sequence[Hold], after: int | None, claims: bool) -> None:
        claimant = self.store.claims(worker.id)
        admission = self._admission() if claims else None
        outcomes = self._outcomes(worker, done)
        chunk = claimant.exchange(kind, outcomes, after, admission)
        if after is not None:
            self._release(worker, after)
        for task in chunk.tasks:
            claim = Claimed(*task)
            worker.holds[claim.id] = Hold(chunk.kind, claim)
            self.ledger.move(claim.id, State.RESERVED)

    def _admission(self) -> Admission:
        kinds = self.store.claims(1).kinds(TYPES)
        size = self._rng.choice([1, 4, 16, 64])
        return Admission(self.store.oversight.standing().version, frozenset(kinds.values()), lambda kind, queued: size)

    def _outcomes(self, worker: Worker, done: Sequence[Hold]) -> list[Outcome]:
        """How some attempts ended; told as soon as the verb has returned, since only then anybody looks."""
        return [self._outcome(worker, each) for each in done]

    def _outcome(self, worker: Worker, hold: Hold) -> Outcome:
        claim, state = hold.claim, self._rng.choice(ENDS)
        due_at = self._now + self._rng.randint(1, 30) * SECOND if state is State.RETRY_SCHEDULED else None
        result = json.dumps({"of": claim.id, "luck": self._rng.getrandbits(20)}) if state is State.SUCCEEDED else None
        error = None if result else "it broke"
        word = "succeeded" if result else "failed"
        del worker.holds[claim.id]
        self.ledger.move(claim.id, state, result, due_at)
        numbers = (claim.id, claim.claims, claim.attempt + 1, int(state), self._now - SECOND, self._now)
        return Outcome(*numbers, due_at, result, error, error and f"Traceback\n{error}", word)

    def _start(self, worker: Worker, hold: Hold) -> Start:
        return Start(worker.id, hold.claim.id, hold.claim.claims, hold.claim.attempt + 1, self._now)

    def _release(self, worker: Worker, after: int) -> None:
        for task in [task for task, hold in worker.holds.items() if task > after and not hold.has_begun]:
            del worker.holds[task]
            self.ledger.move(task, State.QUEUED)

    # -- The supervisor and its chores

    def promote(self) -> None:
        """Queue what is due."""
        self.let_time_pass(60)
        self.store.custody.promote(self._now)
        for task, told in list(self.ledger.tasks.items()):
            if told.state in WAITING and told.due_at <= self._now:
                self.ledger.move(task, State.QUEUED)

    def prune(self) -> None:
        """Retention."""
        self.let_time_pass(7200)
        before = self._now - self._rng.choice([0, 1000, 3600]) * SECOND
        self.ledger.pruned = self.store.upkeep.prune_tasks(before, self._now).tasks

    def prune_rest(self) -> None:
        """Retention of everything but tasks."""
        self.store.upkeep.prune_rest(self._now - 3600 * SECOND, self._now - 7200 * SECOND)

    def observe(self) -> None:
        """The governor's turn."""
        notes = [Note("limit", "the processor is busy", "{}")] * self._rng.randint(0, 2)
        letters = [(f"episode {self._rng.randrange(9)}", "webhook", "{}")]
        beats = {worker.id: self._rng.randrange(10**6) for worker in self._workers}
        self.store.oversight.observe(self._now, '{"cpu":1}', json.dumps({"at": self._now}), notes, letters, beats)

    def command(self) -> None:
        """An operator asks, or is answered."""
        oversight = self.store.oversight
        waiting = oversight.commands()
        if waiting and self._rng.random() < 0.5:
            oversight.answer(waiting[0].id, "done", self._now)
        else:
            oversight.ask("scale", {"n": self._rng.randrange(9)}, self._now)

    def admit(self) -> None:
        """New standing orders."""
        self.store.oversight.admit(Standing(0, self._rng.randrange(1, 9), None, {}))

    def merge(self) -> None:
        """Copy the log into the database, beside writers."""
        self.merging = self.store
        try:
            self.merging.upkeep.checkpoint(finish=False)
        finally:
            self.merging = None

    def merge_wholly(self) -> None:
        """Copy the log into the database, to its end: the next writer begins it anew."""
        self.store.upkeep.checkpoint(finish=True)
