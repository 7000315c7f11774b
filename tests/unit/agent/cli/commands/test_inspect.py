"""`inspect`: the record for people and for programs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import NotFound
from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]
LOST = {
    "attempt": 1,
    "worker": "00ab",
    "started_at": "2026-11-22T10:00:00.000000Z",
    "ended_at": "2026-11-22T10:00:01.000000Z",
    "outcome": "lost",
    "error": "the worker was killed\n  by SIGKILL\x1b[2J",
}
RUNNING = {"attempt": 2, "worker": None, "started_at": None, "ended_at": None, "outcome": None, "error": None}
RECORD = {
    "id": 7,
    "type": "demo",
    "state": "in_progress",
    "payload": {"name": "Zoë\x1b"},
    "result": None,
    "error": "first\nsecond",
    "priority": 0,
    "key": None,
    "attempts": [LOST, RUNNING],
}


@pytest.fixture(autouse=True)
def one_task(agent: FakeAgent) -> None:
    agent.answers["inspect"] = RECORD


def test_json_is_the_record_as_it_is(call: Called, agent: FakeAgent) -> None:
    assert call("inspect", "7", "--json").json == RECORD
    assert agent.given_to("inspect") == {"task": 7}


def test_people_see_a_line_for_each_field_that_has_a_value(call: Called) -> None:
    assert call("inspect", "7").out.splitlines() == [
        "task          7",
        "type          demo",
        "state         in_progress",
        'payload       {"name":"Zoë\\u001b"}',
        "error         first",
        "              second",
        "priority      0",
        "attempts      2 attempts; --attempts shows them",
    ]


def test_attempts_are_shown_with_their_whole_errors(call: Called) -> None:
    lines = call("inspect", "7", "--attempts").out.splitlines()

    assert lines[-6:] == [
        "",
        "attempt 1: lost, on worker 00ab from 2026-11-22T10:00:00.000000Z to 2026-11-22T10:00:01.000000Z",
        "    the worker was killed",
        "      by SIGKILL\\x1b[2J",
        "",
        "attempt 2: running",
    ]


def test_no_such_task_is_exit_code_3(call: Called, agent: FakeAgent) -> None:
    agent.answers["inspect"] = NotFound("there is no task 7")

    assert call("inspect", "7", "--json") == (3, "", "error: there is no task 7\n")


def test_an_id_beyond_all_ids_is_not_found_without_asking(call: Called, agent: FakeAgent) -> None:
    assert call("inspect", "99999999999999999999").code == 3
    assert agent.calls == []


@pytest.mark.parametrize("word", ["abc", "0", "1.5", "-1", ""])
def test_what_is_no_id_is_misuse(word: str, call: Called, agent: FakeAgent) -> None:
    answer = call("inspect", word)

    assert (answer.code, answer.out, agent.calls) == (2, "", [])
