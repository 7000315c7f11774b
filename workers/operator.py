"""What an operator asks of a running supervisor: standing orders, freezes; and how its workers are."""

from __future__ import annotations

import time
from typing import Any

from agent.client import Client
from agent.clock import SECOND, to_iso
from agent.duration import Duration
from agent.errors import Conflict, NotFound, Unavailable, UsageError
from agent.handlers import check_type
from agent.host import is_alive
from agent.new_tasks import seconds
from agent.overview import EVERYTHING, lasting, target_of, wanted
from agent.store import SqliteStore
from agent.store.commands import MOST_WORKERS
from agent.store.oversight import Oversight
from agent.store.values import Command, WorkerRow
from agent.task import worker_word
from workers.harvest import running_of
from workers.slot import BEAT, Slot

ANSWER_WITHIN_S = 10.0
LOOK_AGAIN_S = 0.005


class Operator:
    """The operators' verbs: rows in the control table, and the supervisor's answers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def _oversight(self) -> Oversight:
        return self._client.existing.oversight

    def pause(self, type_: str | None, duration: Duration | None) -> dict[str, Any]:
        """Pause all types or one; for the first supervisor, too, if there has been none."""
        _check_scope(type_)
        return self._order(self._client.store, "pause", {"type": type_, "until": self._until(duration)})

    def unpause(self, type_: str | None) -> dict[str, Any]:
        """End a pause."""
        _check_scope(type_)
        return self._order(self._client.existing, "unpause", {"type": type_})

    def scale(self, most: int, duration: Duration | None) -> dict[str, Any]:
        """Set the number of workers."""
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_WORKERS:
            raise UsageError(f"scale takes 1 to {MOST_WORKERS} workers, not {most!r}; to stop everything, pause")
        return self._order(self._client.store, "scale", {"max": most, "until": self._until(duration)})

    def freeze(self, worker: str) -> dict[str, Any]:
        """Stop a worker where it stands."""
        return self._halt("freeze", worker)

    def thaw(self, worker: str) -> dict[str, Any]:
        """Let it go on."""
        return self._halt("thaw", worker)

    def workers(self) -> list[dict[str, Any]]:
        """Every worker that lives, as rows and slots tell."""
        return [
            self._record(row) for row in self._client.existing.custody.workers() if is_alive(row.identity) is not False
        ]

    def _order(self, store: SqliteStore, verb: str, detail: dict[str, Any]) -> dict[str, Any]:
        command = self._ask(verb, detail)
        is_applied = store.supervisor_pid() is not None and self._answer(command.id) is not None
        standing = self._oversight.standing()
        if not is_applied:
            standing = wanted(store, standing)
        return target_of(lasting(standing, self._client.clock.now()), self._client.config, is_applied)

    def _halt(self, verb: str, worker: str) -> dict[str, Any]:
        if self._client.existing.supervisor_pid() is None:
            raise Unavailable(
                f"no supervisor serves {self._client.existing.path}: there is nobody to {verb}; start `resume`"
            )
        command = self._ask(verb, {"worker": worker})
        answer = self._answer(command.id)
        if answer is None:
            self._oversight.withdraw(command.id)
            raise Unavailable(f"the supervisor has not answered within {ANSWER_WITHIN_S:g} s: look at logs/agent.jsonl")
        kind, _, text = answer.partition(": ")
        if kind == "not found":
            raise NotFound(f"{worker}: {text}")
        if kind == "conflict":
            raise Conflict(f"{worker}: {text}")
        return next(
            (each for each in self.workers() if worker in (each["worker"], str(each["pid"]))), {"worker": worker}
        )

    def _ask(self, verb: str, detail: dict[str, Any]) -> Command:
        given = {name: value for name, value in detail.items() if value is not None}
        now = self._client.clock.now()
        command = Command(self._oversight.ask(verb, given, now), verb, given, now)
        self._client.ring()
        return command

    def _answer(self, command: int) -> str | None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while (answer := self._oversight.answer_of(command)) is None:
            if time.monotonic() > deadline or self._client.existing.supervisor_pid() is None:
                return None
            time.sleep(LOOK_AGAIN_S)
        if answer.startswith("refused: "):
            raise UsageError(f"the supervisor has refused: {answer.removeprefix('refused: ')}")
        return answer

    def _until(self, duration: Duration | None) -> int | None:
        if duration is None:
            return None
        return self._client.clock.now() + round(seconds(duration, "--for") * SECOND)

    def _record(self, row: WorkerRow) -> dict[str, Any]:
        state, task, since = self._by_slot(row)
        type_ = self._client.existing.tasks.find(task).type if task else None
        return {
            "worker": worker_word(row.id), "pid": row.identity.pid, "state": state, "task": task, "type": type_,
            "since": to_iso(since), "heartbeat_at": to_iso(row.heartbeat_at), "rss_bytes": row.rss_bytes,
        }  # fmt: skip

    def _by_slot(self, row: WorkerRow) -> tuple[str, int | None, int]:
        """State, task and since when, by the worker's slot where the row knows no better."""
        try:
            slot = Slot.open(self._client.existing.slots_directory / f"{row.id:016x}")
        except Unavailable:
            return row.state, None, row.since
        try:
            running, has_begun = running_of(slot), slot.words[BEAT] > 0
        finally:
            slot.close()
        if row.state in ("frozen", "draining"):
            return row.state, running.task if running else None, row.since
        if running:
            return "busy", running.task, running.began_at
        return ("idle" if has_begun else "starting"), None, row.since


def _check_scope(type_: str | None) -> None:
    if type_ not in (None, EVERYTHING):
        check_type(type_)
