"""What is told on stderr while a command waits for a task: why it has not ended yet, a line for each change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.cli.output import note, seconds

if TYPE_CHECKING:
    from agent.api import AgentApi


class Watch:
    """Looks at a task that somebody waits for."""

    def __init__(self, agent: AgentApi, task: int) -> None:
        self._agent = agent
        self._task = task
        self._ended = 0  # the last attempt that was told of
        self._why: str | None = None

    def look(self) -> None:
        """Tell what has changed since the last look. Raises NotFound."""
        record = self._agent.inspect(self._task)
        ended = [attempt for attempt in record["attempts"] if attempt["outcome"]]
        if ended and ended[-1]["attempt"] > self._ended:
            self._ended = ended[-1]["attempt"]
            note(_failure(record, ended[-1]))
        why, before = self._agent.held_up(self._task), self._why
        self._why = why
        if why != before:
            note(why or "work goes on")


def _failure(record: Mapping[str, Any], attempt: Mapping[str, Any]) -> str:
    """`attempt 1 failed: KeyError: 'value'; the next is due in 15 s`."""
    outcome, error = attempt["outcome"].replace("_", " "), record["error"] or ""
    why = f": {error.removeprefix(f'{outcome}: ')}" if error else ""
    then = f"; the next is due in {_until(record['due_at'])}" if record["state"] == "retry_scheduled" else ""
    return f"attempt {attempt['attempt']} {outcome}{why}{then}"


def _until(moment: str) -> str:
    return seconds(max(0.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()))
