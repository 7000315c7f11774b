"""What any process may ask of the store: enqueue, look up, wait, cancel, retry. Opens the database on first use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from agent.clock import SECOND, Clock
from agent.config import Config
from agent.doorbell import ring
from agent.duration import Duration
from agent.errors import TaskFailed, UsageError, WaitTimeout
from agent.handlers import check_type, did_you_mean
from agent.lifecycle import FINISHED, State
from agent.new_tasks import new_task, seconds, tasks_of_lines, thousands
from agent.payload import dump_payload, parse_payload
from agent.store import SqliteStore, open_store
from agent.task import NewTask, Task

PATIENCE_S = 30.0  # for the write lock
SHORTEST_LOOK_S, LONGEST_LOOK_S = 0.002, 0.05  # while waiting for a result; a look costs 4 µs
MEANWHILE_S = 1.0


class Client:
    """One process's access to the agent's database."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = Clock()
        self._most_bytes = config.persistence.max_payload_bytes

    @cached_property
    def store(self) -> SqliteStore:
        """The store, open; its database is made when there is none."""
        return self._open(makes=True)

    @property
    def existing(self) -> SqliteStore:
        """The store of a database that is there, for whoever adds nothing to it. Raises StoreError."""
        if "store" not in self.__dict__:
            self.store = self._open(makes=False)
        return self.store

    def payload(self, value: Mapping[str, Any]) -> str:
        """A payload given as a mapping, checked. Raises PayloadError."""
        return dump_payload(value, self._most_bytes)

    def payload_text(self, text: str | bytes, where: str) -> str:
        """A payload given as text, checked. Raises PayloadError."""
        return parse_payload(text, self._most_bytes, where)

    def enqueue(self, type_: str, payload: str, **options: Any) -> int:
        """Store one task; its id, or that of the task that has the key."""
        now = self.clock.now()
        return self._store_tasks([new_task(type_, payload, now, **options)], now)[0]

    def enqueue_many(self, type_: str, payloads: Iterable[Mapping[str, Any]], priority: int) -> list[int]:
        """Store a task for each payload, atomically by the thousand."""
        asked = new_task(type_, "{}", 0, priority=priority)  # checks once what is the same for all
        texts = map(self.payload, payloads)  # each as it comes: a generator may use its dict again
        return self._store_thousands(thousands(NewTask(asked.type, text, None, asked.priority) for text in texts))

    def enqueue_lines(
        self, lines: Iterable[bytes], type_: str | None, where: str, seen_types: set[str] | None = None
    ) -> list[int]:
        """Store a task for each line of a file; every line is checked before the first is stored.

        The tasks' types are added to `seen_types`.
        """
        tasks = tasks_of_lines(lines, type_, where, self._most_bytes)
        if seen_types is not None:
            seen_types.update(map(attrgetter("type"), tasks))
        return self._store_thousands(thousands(tasks))

    def inspect(self, task: int) -> dict[str, Any]:
        """A task's record. Raises NotFound."""
        task = _checked(task)
        return self._record(self.existing.tasks.find(task))

    def tasks(self, state: str | None, type_: str | None, limit: int) -> list[dict[str, Any]]:
        """Records of the newest tasks."""
        known = {each.word: each for each in State}
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise UsageError(f"limit takes a whole number from 1, not {limit!r}")
        if state is not None and state not in known:
            raise UsageError(f"there is no state {state!r}{did_you_mean(state, known)}: use one of {', '.join(known)}")
        if type_ is not None:
            check_type(type_)
        found = self.existing.tasks.list(known[state] if state else None, type_, limit)
        return [self._record(task) for task in found]

    def stats(self) -> dict[str, Any]:
        """Counts, the governor, the supervisor, and why it cannot work, if so."""
        from agent.overview import degraded_of, governor_of

        totals = self.existing.tasks.totals()
        oldest = totals.oldest_due_at
        return {
            "states": {state.word: n for state, n in totals.states.items()},
            "types": {
                name: {state.word: n for state, n in sorted(states.items()) if n}
                for name, states in sorted(totals.types.items())
            },
            "oldest_queued_s": None if oldest is None else max(0.0, (self.clock.now() - oldest) / SECOND),
            "governor": governor_of(self.existing, self.config),
            "supervisor_pid": self.existing.supervisor_pid(),
            "degraded": degraded_of(self.existing, self.config, self.clock.now()),
        }

    def result(
        self, task: int, timeout: Duration | None, meanwhile: Callable[[], object] | None = None
    ) -> dict[str, Any]:
        """Wait for a task's result, calling `meanwhile` once a second. Raises TaskFailed, WaitTimeout and NotFound."""
        _checked(task)
        began = time.monotonic()
        limit_s = None if timeout is None else seconds(timeout, "timeout")
        seen, due_s = -1, 0.0
        while True:
            version = self.existing.data_version()
            if version != seen:
                seen = version
                found = self._finished(task)
                if found is not None:
                    return found
            waited_s = time.monotonic() - began
            if limit_s is not None and waited_s >= limit_s:
                raise WaitTimeout(f"task {task} has not ended within {limit_s:g} s: wait longer, or inspect it")
            if meanwhile is not None and waited_s >= due_s:
                meanwhile()
                due_s = waited_s + MEANWHILE_S
            time.sleep(max(SHORTEST_LOOK_S, min(LONGEST_LOOK_S, waited_s / 10)))

    def held_up(self, task: int) -> str | None:
        """Why an unfinished task does not go on."""
        from agent.overview import held_up

        found = self.existing.tasks.find(_checked(task))
        is_running = found.state in (State.RESERVED, State.IN_PROGRESS)
        if found.state in FINISHED:
            return None
        return held_up(self.existing, self.config, None if is_running else found.type, self.clock.now())

    def cancel(self, task: int) -> str:
        """Cancel a task: "cancelled", or "requested" when a worker has it."""
        task = _checked(task)
        if self.existing.tasks.cancel(task, self.clock.now()):
            return "cancelled"
        self.ring()
        return "requested"

    def retry(self, task: int) -> str:
        """Queue a failed or cancelled task again."""
        task = _checked(task)
        self.existing.tasks.retry(task, self.clock.now())
        self.ring()
        return "queued"

    def unhandled(self, type_: str) -> str | None:
        """A warning when nobody is known to handle a type."""
        types = self.existing.tasks.types()
        handled = [name for name, is_handled in types.items() if is_handled]
        if types.get(type_) or not handled:
            return None
        meant = did_you_mean(type_, handled)
        return f"nobody is known to handle {type_!r}, whose tasks wait until somebody does{meant}"

    def ring(self, tasks: int = 0) -> None:
        """Tell the supervisor that there is something to do: so many new tasks may run at once, or anything else."""
        ring(self.existing.doorbell_path, tasks)

    def close(self) -> None:
        """Close the database."""
        if "store" in self.__dict__:
            self.store.close()

    def _open(self, makes: bool) -> SqliteStore:
        return open_store(Path(self.config.persistence.db_path), patience_s=PATIENCE_S, makes=makes)

    def _store_tasks(self, tasks: list[NewTask], now: int) -> list[int]:
        stored = self.store.tasks.enqueue(tasks, now, self.config.bulk.max_queued)
        may_run_at_once = set(map(attrgetter("state"), stored)) == {State.QUEUED}
        self.ring(len(stored) if may_run_at_once else 0)
        return [each.id for each in stored]

    def _store_thousands(self, batches: Iterable[list[NewTask]]) -> list[int]:
        ids: list[int] = []
        try:
            for tasks in batches:
                ids += self._store_tasks(tasks, self.clock.now())
        except Exception as error:  # also what the caller's own iterable raises
            error.ids = ids  # type: ignore[attr-defined]
            raise
        return ids

    def _record(self, task: Task) -> dict[str, Any]:
        return task.record(1 + self.config.bulk.retry_attempts)

    def _finished(self, task: int) -> dict[str, Any] | None:
        found = self.existing.tasks.ending(task)
        if found.state is State.SUCCEEDED and found.result is not None:
            result: dict[str, Any] = msgspec.json.decode(found.result)
            return result
        if found.state in FINISHED:
            raise TaskFailed(f"task {task} {found.state.word}: {found.error or 'no reason is known'}")
        return None


def _checked(task: Any) -> int:
    """A task's id. Raises UsageError for what is none."""
    if isinstance(task, bool) or not isinstance(task, int):
        raise UsageError(f"a task's id is a whole number, not {task!r}")
    return task
