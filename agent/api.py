"""What the command line and a dashboard may ask of the agent: the facade implements it, they know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

Duration = float | str | timedelta


class AgentApi(Protocol):
    """The verbs. Records are JSON-ready dicts in the shapes of the command line's `--json`; errors are AgentError's."""

    def enqueue(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        priority: int = 0,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
    ) -> int:
        """Store a task; its id, or the id of the task that has the key."""

    def enqueue_text(
        self,
        type: str,
        payload: str | bytes,
        *,
        where: str = "payload",
        idempotency_key: str | None = None,
        priority: int = 0,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
    ) -> int:
        """The same from JSON text, which is checked as it stands; `where` names the text in errors."""

    def enqueue_lines(
        self, lines: Iterable[bytes], type: str | None, where: str, *, seen_types: set[str] | None = None
    ) -> list[int]:
        """Store one task a line: {"type"?, "payload", "key"?, "priority"?}.

        Every line is checked before the first is stored; each thousand is atomic. An error on the way carries the ids
        stored so far in its `ids`. The tasks' types are added to `seen_types`.
        """

    def resume(self, *, drain: bool = False, max_concurrent: int | None = None) -> int:
        """Supervise until told to stop (or, with `drain`, until nothing is left to run); an exit code."""

    def inspect(self, task: int) -> dict[str, Any]:
        """The task's record. Raises NotFound."""

    def tasks(self, state: str | None = None, type: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Records of the newest tasks, newest first. Raises UsageError for a state there is not."""

    def stats(self) -> dict[str, Any]:
        """Counts by state and type, the oldest wait, the governor, the supervisor's pid."""

    def result(
        self, task: int, timeout: Duration | None = None, *, meanwhile: Callable[[], object] | None = None
    ) -> dict[str, Any]:
        """Wait for a task's result, calling `meanwhile` once a second. Raises TaskFailed, WaitTimeout and NotFound."""

    def held_up(self, task: int) -> str | None:
        """Why an unfinished task does not go on, in a sentence that stays the same for as long as that lasts."""

    def cancel(self, task: int) -> str:
        """Cancel a task: "cancelled", or "requested" when a worker has it. Raises NotFound and Conflict."""

    def retry(self, task: int) -> str:
        """Queue a failed or cancelled task again: "queued". Raises NotFound and Conflict."""

    def pause(self, type: str | None = None, duration: Duration | None = None) -> dict[str, Any]:
        """Pause all types or one: {"applied", "paused", "max"}.

        `applied`: whether a supervisor has obeyed; `paused`: type or "*" → until, or null; `max`: of workers.
        """

    def unpause(self, type: str | None = None) -> dict[str, Any]:
        """End an operator's pause; the same shape."""

    def scale(self, max_concurrent: int, duration: Duration | None = None) -> dict[str, Any]:
        """Set the number of workers; the same shape."""

    def workers(self) -> list[dict[str, Any]]:
        """{"worker", "pid", "state", "task", "type", "since", "heartbeat_at", "rss_bytes"} of each."""

    def freeze(self, worker: str) -> dict[str, Any]:
        """Stop a worker where it stands; its record. Raises NotFound, Conflict; Unavailable without a supervisor."""

    def thaw(self, worker: str) -> dict[str, Any]:
        """Let a frozen worker go on; the same."""

    def unhandled(self, type: str) -> str | None:
        """A warning (with "did you mean") when nobody is known to handle a type, else None."""

    def demo(self) -> Path:
        """The directory of the demo's examples."""

    def close(self) -> None:
        """Close the store."""
