"""`resume`: what reaches the agent, and its exit code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import AlreadySupervised
from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]


@pytest.mark.parametrize(
    ("words", "drain", "limit"),
    [([], False, None), (["--drain"], True, None), (["--drain", "--max-concurrent", "2"], True, 2)],
)
def test_the_options_reach_the_agent(
    words: list[str], drain: bool, limit: int | None, call: Called, agent: FakeAgent
) -> None:
    agent.answers["resume"] = 0

    assert call("resume", *words) == (0, "", "")
    assert agent.given_to("resume") == {"drain": drain, "max_concurrent": limit}


def test_the_exit_code_is_the_agents(call: Called, agent: FakeAgent) -> None:
    agent.answers["resume"] = 130

    assert call("resume").code == 130
    answer = call("resume", "--json")
    assert (answer.code, answer.json) == (130, {"exit_code": 130})


def test_a_second_supervisor_is_told_to_try_later(call: Called, agent: FakeAgent) -> None:
    agent.answers["resume"] = AlreadySupervised("process 4711 supervises state.db")

    assert call("resume") == (75, "", "error: process 4711 supervises state.db\n")


@pytest.mark.parametrize("number", ["0", "513", "-1", "many"])
def test_a_limit_that_makes_no_sense_is_misuse(number: str, call: Called, agent: FakeAgent) -> None:
    assert call("resume", "--max-concurrent", number).code == 2
    assert agent.calls == []
