"""`stats`: once, and again each second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.cli.commands import stats as module
from tests.unit.agent.cli.port import Answer, FakeAgent
from tests.unit.agent.cli.terminal import on_a_terminal

Called = Callable[..., Answer]
QUIET = {"limit": 8, "max": 8, "paused_until": None, "reasons": []}
STATS: dict[str, Any] = {
    "states": {"queued": 1200, "scheduled": 1, "in_progress": 2, "succeeded": 5, "failed": 0, "cancelled": 0},
    "types": {"thumbnail": {"queued": 1200, "in_progress": 2}, "demo": {"scheduled": 1, "succeeded": 5}},
    "oldest_queued_s": 65.2,
    "governor": QUIET,
    "supervisor_pid": 4711,
    "degraded": None,
}


def looks(number: int) -> Callable[[], dict[str, Any]]:
    """So many answers, then Ctrl-C."""
    left: Iterator[int] = iter(range(number))

    def look() -> dict[str, Any]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return STATS

    return look


def test_json_is_what_the_agent_says(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = STATS

    assert call("stats", "--json").json == STATS


def test_people_see_types_by_states_that_occur_and_the_whole(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = STATS

    assert call("stats").out.splitlines() == [
        "type       scheduled  queued  in_progress  succeeded  failed",
        "demo               1       0            0          5       0",
        "thumbnail          0    1200            2          0       0",
        "all                1    1200            2          5       0",
        "",
        "the oldest queued task waits for 1 m 5 s",
        "governor: at most 8 of 8 workers run tasks",
        "supervisor: process 4711",
    ]


def test_a_paused_governor_says_until_when_and_why(call: Called, agent: FakeAgent) -> None:
    governor = {"limit": 4, "max": 8, "paused_until": "2026-11-22T10:00:00.000000Z", "reasons": ["10 errors in 30 s"]}
    agent.answers["stats"] = {**STATS, "governor": governor}

    line = "at most 4 of 8 workers run tasks; paused until 2026-11-22T10:00:00.000000Z; 10 errors in 30 s"
    assert f"governor: {line}" in call("stats").out.splitlines()


def test_without_a_supervisor_the_cure_is_named(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = {**STATS, "supervisor_pid": None, "oldest_queued_s": None, "types": {}}

    assert call("stats").out.endswith("\nno supervisor runs: start one with `resume`\n")


def test_watching_prints_a_document_a_second_to_a_program(
    call: Called, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0)
    agent.answers["stats"] = looks(3)

    answer = call("stats", "--watch", "--json")

    assert answer.code == 130
    assert len(answer.out.splitlines()) == 3


def test_watching_prints_a_block_a_second_to_a_pipe(
    call: Called, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0)
    agent.answers["stats"] = looks(2)

    assert call("stats", "--watch").out.count("supervisor: process 4711\n\n") == 2


def test_watching_on_a_terminal_stays_in_its_place() -> None:
    program = """
import sys
from agent.cli.commands import stats as module
from agent.cli.main import run
from tests.unit.agent.cli.commands.test_stats import looks
from tests.unit.agent.cli.port import FakeAgent

module.WATCH_S = 0
agent = FakeAgent()
agent.answers["stats"] = looks(3)
sys.exit(run(["stats", "--watch"], agent.build))
"""

    shown = on_a_terminal(program, "stdout")

    assert (shown.code, shown.other.strip()) == (130, "")
    assert shown.terminal.count("supervisor: process 4711") >= 3
    assert "\x1b[1A" in shown.terminal  # the cursor goes up, over the block before
