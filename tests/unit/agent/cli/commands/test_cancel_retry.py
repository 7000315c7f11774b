"""`cancel` and `retry`: one line for each task, and the first error's exit code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import Conflict, NotFound
from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]


def outcome_of(task: int) -> str:
    """What becomes of each of these tasks."""
    if task == 4:
        raise Conflict("task 4 is succeeded already")
    if task == 3:
        raise NotFound("there is no task 3")
    return "requested" if task == 2 else "cancelled"


@pytest.mark.parametrize(
    ("words", "outcome", "line"),
    [
        (["cancel", "7"], "cancelled", "7 cancelled\n"),
        (["cancel", "7"], "requested", "7 requested; a worker has it and is told to end it\n"),
        (["retry", "7"], "queued", "7 queued again\n"),
    ],
)
def test_the_outcome_is_told(words: list[str], outcome: str, line: str, call: Called, agent: FakeAgent) -> None:
    agent.answers[words[0]] = outcome

    assert call(*words) == (0, line, "")
    assert agent.given_to(words[0]) == {"task": 7}


def test_an_error_does_not_keep_the_others_from_their_turn(call: Called, agent: FakeAgent) -> None:
    agent.answers["cancel"] = outcome_of

    answer = call("cancel", "1", "4", "3", "2")

    assert answer.code == 4
    assert answer.out == "1 cancelled\n2 requested; a worker has it and is told to end it\n"
    assert answer.err == "error: task 4 is succeeded already\nerror: there is no task 3\n"


def test_json_tells_the_outcome_or_the_error_of_each(call: Called, agent: FakeAgent) -> None:
    agent.answers["cancel"] = outcome_of

    answer = call("cancel", "--json", "1", "3", "99999999999999999999", "2")

    assert answer.code == 3
    assert answer.json == [
        {"id": 1, "outcome": "cancelled"},
        {"id": 3, "error": "there is no task 3"},
        {"id": 99999999999999999999, "error": "there is no task 99999999999999999999: `tasks` lists the newest"},
        {"id": 2, "outcome": "requested"},
    ]


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize("words", [[], ["abc"], ["1", "0"]])
def test_misuse_touches_no_task(verb: str, words: list[str], call: Called, agent: FakeAgent) -> None:
    answer = call(verb, *words)

    assert (answer.code, answer.out, agent.calls) == (2, "", [])
