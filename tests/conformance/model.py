"""What a store should do, in plain dictionaries: the reference that random histories are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.lifecycle import FINISHED, HELD, UNFINISHED, WAITING, State
from agent.store.values import CRASH_LIMIT, KILL_LIMIT, Death
from agent.task import Claimed, Enqueued, NewTask, Outcome, Start, Task


@dataclass
class ModelTask:
    """A task with all that changes about it."""

    id: int
    new: NewTask
    state: State
    due_at: int
    attempt: int = 0
    failures: int = 0
    claims: int = 0
    crashes: int = 0
    kills: int = 0
    worker: int | None = None
    result: str | None = None
    history: list[tuple[int, str]] = field(default_factory=list)

    def holds(self, worker: int, claims: int) -> bool:
        """Whether this claim is the last one on the task."""
        return (self.worker, self.claims) == (worker, claims)

    def release(self) -> None:
        """Back to the queue."""
        self.state, self.worker = State.QUEUED, None

    def face(self) -> tuple[object, ...]:
        """What is to be seen of it."""
        counts = (self.attempt, self.failures, self.claims, self.crashes, self.kills)
        said = (self.new.type, self.new.payload, self.new.key, self.new.priority)
        return (self.id, self.state, *said, self.worker, *counts, self.due_at, self.result, tuple(self.history))


def face_of(task: Task) -> tuple[object, ...]:
    """The same of a stored task."""
    counts = (task.attempt, task.failures, task.claims, task.crashes, task.kills)
    said = (task.type, task.payload, task.key, task.priority)
    history = tuple((each.attempt, each.outcome) for each in task.attempts)
    return (task.id, task.state, *said, task.worker, *counts, task.due_at, task.result, history)


@dataclass
class Key:
    """Whose a key is; `result` once its task is deleted."""

    task: int
    new: NewTask
    result: str | None = None


class Refused(Exception):
    """The store has to refuse this, and to change nothing."""


class Model:
    """A store without durability, concurrency or speed."""

    def __init__(self) -> None:
        self.tasks: dict[int, ModelTask] = {}
        self.keys: dict[str, Key] = {}

    def enqueue(self, new: Sequence[NewTask], now: int) -> list[Enqueued | NewTask]:
        """The answer for each; a NewTask where a new task is to be stored under an id that the store chooses."""
        answers: list[Enqueued | NewTask] = []
        fresh: dict[str, NewTask] = {}
        for each in new:
            known = fresh.get(each.key or "")
            if known is not None:
                self._same(known, each)
                answers.append(known)
                continue
            answer = self._existing(each)
            answers.append(answer or each)
            if answer is None and each.key is not None:
                fresh[each.key] = each
        return answers

    def store(self, id_: int, new: NewTask, now: int) -> None:
        """A new task has this id."""
        due_at = now if new.due_at is None else new.due_at
        self.tasks[id_] = ModelTask(id_, new, State.SCHEDULED if due_at > now else State.QUEUED, due_at)
        if new.key is not None:
            self.keys[new.key] = Key(id_, new)

    def claim(self, worker: int, types: Sequence[str], size: int, limits: Mapping[str, int]) -> list[Claimed]:
        """The chunk that has to be given."""
        holders = {name: {task.worker for task in self._in(HELD) if task.new.type == name} for name in types}
        admitted = {name for name in types if len(holders[name]) < limits.get(name, 99)}
        line = sorted(
            (task for task in self._in({State.QUEUED}) if task.new.type in admitted),
            key=lambda task: (-task.new.priority, task.id),
        )
        if not line:
            return []
        head = line[0]
        place = (head.new.type, head.new.priority)
        calm = [task for task in line if (task.new.type, task.new.priority) == place and not task.crashes + task.kills]
        chunk = [head] if head.crashes + head.kills else calm[:size]
        for task in chunk:
            task.state, task.worker, task.claims = State.RESERVED, worker, task.claims + 1
        return [
            Claimed(task.id, task.claims, task.attempt, task.failures, task.new.payload, None, None, task.new.key)
            for task in chunk
        ]

    def record(self, worker: int, outcome: Outcome) -> bool:
        """Whether it is stale."""
        task = self.tasks.get(outcome.task)
        if task is None or not task.holds(worker, outcome.claims):
            return True
        if task.state in HELD:
            task.state, task.attempt = State(outcome.state), outcome.attempt
            if task.state is State.SUCCEEDED:
                task.result = outcome.result
            else:
                task.failures += 1
                task.history.append((outcome.attempt, outcome.word))
            task.due_at = task.due_at if outcome.due_at is None else outcome.due_at
        return False

    def release(self, worker: int, after: int) -> int:
        """How many go back."""
        back = [task for task in self._in({State.RESERVED}) if task.worker == worker and task.id > after]
        for task in back:
            task.release()
        return len(back)

    def begin(self, start: Start) -> None:
        """A handler has begun."""
        task = self.tasks.get(start.task)
        if task and task.state is State.RESERVED and task.holds(start.worker, start.claims):
            task.state, task.attempt = State.IN_PROGRESS, start.attempt

    def bury(self, worker: int, running: Start | None, death: Death) -> State | None:
        """The fate of the task that ran, once its worker's outcomes are recorded."""
        fate = self._end(running, death) if running else None
        for task in self._in({State.IN_PROGRESS}):
            if task.worker == worker:
                task.history.append((task.attempt, Death.LOST.value))
                task.release()
        self.release(worker, 0)
        return fate

    def promote(self, now: int) -> int:
        """How many are due."""
        due = [task for task in self._in(WAITING) if task.due_at <= now]
        for task in due:
            task.state = State.QUEUED
        return len(due)

    def cancel(self, id_: int) -> bool:
        """Whether it is done; else somebody holds it."""
        task = self.tasks[id_]
        if task.state in FINISHED:
            raise Refused
        if task.state in HELD:
            return False
        task.state = State.CANCELLED
        return True

    def retry(self, id_: int, now: int) -> None:
        """An operator wants it to run again."""
        task = self.tasks[id_]
        key = task.new.key
        if task.state not in (State.FAILED, State.CANCELLED) or (key in self.keys and self.keys[key].task != id_):
            raise Refused
        task.release()
        task.failures = task.crashes = task.kills = 0
        task.due_at = now
        if key is not None:
            self.keys[key] = Key(id_, task.new)

    def delete(self, id_: int) -> None:
        """Retention has taken it."""
        task = self.tasks.pop(id_)
        assert task.state in FINISHED
        key = task.new.key
        if key in self.keys and self.keys[key].task == id_:
            if task.state is State.SUCCEEDED:
                self.keys[key].result = task.result
            else:
                del self.keys[key]

    def queued(self) -> bool:
        """Whether anything is queued."""
        return bool(self._in({State.QUEUED}))

    def faces(self) -> list[tuple[object, ...]]:
        """All that is to be seen, newest first."""
        return [self.tasks[id_].face() for id_ in sorted(self.tasks, reverse=True)]

    def _in(self, states: set[State] | frozenset[State]) -> list[ModelTask]:
        return [task for task in self.tasks.values() if task.state in states]

    def _existing(self, new: NewTask) -> Enqueued | None:
        key = self.keys.get(new.key) if new.key is not None else None
        if key is None:
            return None
        task = self.tasks.get(key.task)
        if task and task.state not in UNFINISHED | {State.SUCCEEDED}:
            return None
        self._same(key.new, new)
        state, result = (task.state, task.result) if task else (State.SUCCEEDED, key.result)
        return Enqueued(key.task, True, state, result)

    def _same(self, old: NewTask, new: NewTask) -> None:
        if (old.type, old.payload) != (new.type, new.payload):
            raise Refused

    def _end(self, running: Start, death: Death) -> State | None:
        task = self.tasks.get(running.task)
        if task is None or task.state not in HELD or not task.holds(running.worker, running.claims):
            return None
        task.attempt = running.attempt
        task.history.append((running.attempt, death.value))
        task.crashes += int(death is Death.CRASHED)
        task.kills += int(death is Death.KILLED)
        if death is Death.CANCELLED:
            task.state = State.CANCELLED
        elif task.crashes >= CRASH_LIMIT or task.kills >= KILL_LIMIT:
            task.state = State.FAILED
        else:
            task.release()
        return task.state
