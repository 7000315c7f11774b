"""`tasks`: the newest, filtered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]
RECORD = {
    "id": 7,
    "type": "demo",
    "state": "failed",
    "attempt": 4,
    "created_at": "2026-11-22T10:00:00.000000Z",
    "error": "ValueError: no\x1b[2J",
    "payload": {},
}


def test_people_see_a_line_for_each(call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = [RECORD, {**RECORD, "id": 6, "state": "queued", "error": None}]

    assert call("tasks").out.splitlines() == [
        "id  type  state   attempt  created_at                   error",
        " 7  demo  failed        4  2026-11-22T10:00:00.000000Z  ValueError: no\\x1b[2J",
        " 6  demo  queued        4  2026-11-22T10:00:00.000000Z  –",
    ]


def test_json_is_a_list_of_records(call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = [RECORD]

    assert call("tasks", "--json").json == [RECORD]


def test_the_filters_reach_the_agent(call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = []

    assert call("tasks", "--state", "retry_scheduled", "--type", "demo", "--limit", "3").code == 0
    assert agent.given_to("tasks") == {"state": "retry_scheduled", "type": "demo", "limit": 3}


def test_without_filters_the_newest_fifty_are_asked_for(call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = []

    assert call("tasks") == (0, "no tasks\n", "")
    assert agent.given_to("tasks") == {"state": None, "type": None, "limit": 50}


@pytest.mark.parametrize("words", [["--state", "done"], ["--limit", "0"], ["--limit", "-1"], ["--limit", "many"]])
def test_misuse_asks_for_nothing(words: list[str], call: Called, agent: FakeAgent) -> None:
    answer = call("tasks", *words)

    assert (answer.code, answer.out, agent.calls) == (2, "", [])
    assert words[0] in answer.err


def test_a_wrong_state_is_answered_with_the_right_ones(call: Called) -> None:
    assert "'retry_scheduled'" in call("tasks", "--state", "done").err
