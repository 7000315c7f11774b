"""Who waits is told why a task has not ended yet: a line for each change, and none while all goes as it should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.cli.waiting import Watch
from tests.unit.agent.cli.port import FakeAgent


def record(state: str, *outcomes: str | None, error: str | None = None, due_in_s: float = 0) -> dict[str, Any]:
    due_at = datetime.now(UTC) + timedelta(seconds=due_in_s)
    attempts = [{"attempt": number, "outcome": outcome} for number, outcome in enumerate(outcomes, 1)]
    return {"state": state, "error": error, "due_at": due_at.isoformat(), "attempts": attempts}


BOOM = record("retry_scheduled", "failed", error="KeyError: 'value'", due_in_s=2.02 * 86_400)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (BOOM, "attempt 1 failed: KeyError: 'value'; the next is due in 2 d"),
        (record("in_progress", "failed", None, error="boom"), "attempt 1 failed: boom"),
        (record("queued", "failed", "lost", error="the worker was lost"), "attempt 2 lost: the worker was lost"),
        (
            record("queued", "timed_out", error="timed out: the handler ran longer than 1 s and was killed"),
            "attempt 1 timed out: the handler ran longer than 1 s and was killed",
        ),
        (record("queued", "failed"), "attempt 1 failed"),
    ],
)
def test_the_last_attempt_that_ended_is_told_once(found: dict[str, Any], line: str, capsys: Any) -> None:
    agent = FakeAgent()
    agent.answers |= {"inspect": found, "held_up": None}
    watch = Watch(agent, 7)

    watch.look()
    watch.look()

    assert capsys.readouterr() == ("", f"{line}\n")


def test_what_holds_it_up_is_told_when_it_changes_and_when_it_ends(capsys: Any) -> None:
    agent = FakeAgent()
    agent.answers["inspect"] = record("queued")
    watch = Watch(agent, 7)

    for why in (None, "no supervisor runs", "no supervisor runs", "paused", None, None):
        agent.answers["held_up"] = why
        watch.look()

    assert capsys.readouterr() == ("", "no supervisor runs\npaused\nwork goes on\n")
