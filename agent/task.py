"""The values that travel between the store and everybody else: frozen, without behaviour of their own.

Times are wall time in microseconds, JSON is text, worker ids are random 64-bit numbers (people see 16 hex digits).
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import msgspec

from agent.clock import to_iso
from agent.lifecycle import State


def new_worker_id() -> int:
    """A random positive 63-bit number, never 0: with the claim number it is the fence."""
    return int.from_bytes(os.urandom(8), "big") >> 1 | 1


def worker_word(worker: int | None) -> str | None:
    """A worker's id as people and JSON see it: text, so that no reader rounds it to a float."""
    return None if worker is None else f"{worker:016x}"


class NewTask(msgspec.Struct, frozen=True, gc=False):
    """What a caller asks for. `payload` is validated JSON text; `due_at` None means now."""

    type: str
    payload: str
    key: str | None = None
    priority: int = 0
    due_at: int | None = None
    max_attempts: int | None = None
    timeout_us: int | None = None


class Enqueued(msgspec.Struct, frozen=True, gc=False):
    """What became of a `NewTask`: its id, or the id (and result) of the task that has its key already."""

    id: int
    existing: bool = False
    state: State = State.QUEUED
    result: str | None = None


class Claimed(NamedTuple):
    """One task of a chunk, as a worker gets it."""

    id: int
    claims: int
    attempt: int
    failures: int
    payload: str
    max_attempts: int | None
    timeout_us: int | None
    key: str | None


class Outcome(NamedTuple):
    """How one attempt ended, fenced by worker and claim. `state` is SUCCEEDED, FAILED or RETRY_SCHEDULED."""

    task: int
    claims: int
    attempt: int
    state: int
    started_at: int
    ended_at: int
    due_at: int | None
    result: str | None
    error: str | None  # one line, kept on the task
    traceback: str | None  # the whole of it, kept on the attempt
    word: str  # what the attempt is called in the task's history: succeeded, failed, timed_out, crashed …


class Start(NamedTuple):
    """An attempt whose handler has begun, fenced by worker and claim."""

    worker: int
    task: int
    claims: int
    attempt: int
    started_at: int


class Attempt(msgspec.Struct, frozen=True):
    """One run of a task. `outcome` None: it runs still."""

    attempt: int
    worker: int | None
    started_at: int | None
    ended_at: int | None
    outcome: str | None
    error: str | None

    def record(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "attempt": self.attempt,
            "worker": worker_word(self.worker),
            "started_at": to_iso(self.started_at),
            "ended_at": to_iso(self.ended_at),
            "outcome": self.outcome,
            "error": self.error,
        }


class Task(msgspec.Struct, frozen=True):
    """A stored task with its ended attempts, oldest first."""

    id: int
    type: str
    state: State
    priority: int
    attempt: int
    failures: int
    claims: int
    crashes: int
    kills: int
    worker: int | None
    max_attempts: int | None
    timeout_us: int | None
    created_at: int
    due_at: int
    started_at: int | None
    finished_at: int | None
    key: str | None
    payload: str
    result: str | None
    error: str | None
    attempts: tuple[Attempt, ...] = ()

    def history(self) -> tuple[Attempt, ...]:
        """Every attempt, with the one that runs or that succeeded, which the store keeps in the task's own row."""
        if self.state not in (State.IN_PROGRESS, State.SUCCEEDED):
            return self.attempts
        outcome = "succeeded" if self.state is State.SUCCEEDED else None
        last = Attempt(self.attempt, self.worker, self.started_at, self.finished_at, outcome, None)
        return (*self.attempts, last)

    def record(self, default_max_attempts: int) -> dict[str, Any]:
        """The task record of the command line's `--json`."""
        return {
            "id": self.id,
            "type": self.type,
            "state": self.state.word,
            "payload": msgspec.json.decode(self.payload),
            "result": None if self.result is None else msgspec.json.decode(self.result),
            "error": self.error,
            "attempt": self.attempt,
            "max_attempts": self.max_attempts or default_max_attempts,
            "claims": self.claims,
            "crashes": self.crashes,
            "priority": self.priority,
            "key": self.key,
            "worker": worker_word(self.worker),
            "created_at": to_iso(self.created_at),
            "due_at": to_iso(self.due_at),
            "started_at": to_iso(self.started_at),
            "finished_at": to_iso(self.finished_at),
            "attempts": [attempt.record() for attempt in self.history()],
        }
