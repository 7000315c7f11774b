"""`pause`, `unpause` and `scale`: the new target in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import TryLater
from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]
UNTIL = "2026-11-22T10:00:00.000000Z"


@pytest.mark.parametrize(
    ("words", "verb", "given"),
    [
        (["pause"], "pause", {"type": None, "duration": None}),
        (["pause", "demo", "--for", "10m"], "pause", {"type": "demo", "duration": 600.0}),
        (["unpause"], "unpause", {"type": None}),
        (["unpause", "demo"], "unpause", {"type": "demo"}),
        (["scale", "4"], "scale", {"max_concurrent": 4, "duration": None}),
        (["scale", "4", "--for", "90"], "scale", {"max_concurrent": 4, "duration": 90.0}),
    ],
)
def test_the_order_reaches_the_agent(
    words: list[str], verb: str, given: dict[str, Any], call: Called, agent: FakeAgent
) -> None:
    target = {"applied": True, "paused": {"demo": None}, "max": 8}
    agent.answers[verb] = target

    assert call(*words, "--json").json == target
    assert agent.given_to(verb) == given


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"applied": True, "paused": {}, "max": 8}, "at most 8 workers; nothing is paused"),
        ({"applied": True, "paused": {}, "max": None}, "nothing is paused"),
        ({"applied": True, "paused": {"*": None}, "max": 1}, "at most 1 worker; every type is paused until `unpause`"),
        (
            {"applied": True, "paused": {"a": UNTIL, "*": None}, "max": 8},
            f"at most 8 workers; every type is paused until `unpause`; type a is paused until {UNTIL}",
        ),
        (
            {"applied": False, "paused": {}, "max": 4},
            "at most 4 workers; nothing is paused (no supervisor has applied it; it waits for the next one)",
        ),
    ],
)
def test_the_new_target_is_a_sentence(
    target: dict[str, Any], sentence: str, call: Called, agent: FakeAgent
) -> None:
    agent.answers["scale"] = target

    assert call("scale", "4") == (0, f"{sentence}\n", "")


@pytest.mark.parametrize(
    "words",
    [["scale"], ["scale", "0"], ["scale", "513"], ["scale", "many"], ["pause", "--for", "soon"], ["unpause", "a", "b"]],
)
def test_misuse_orders_nothing(words: list[str], call: Called, agent: FakeAgent) -> None:
    answer = call(*words)

    assert (answer.code, answer.out, agent.calls) == (2, "", [])


def test_a_refused_order_has_its_exit_code(call: Called, agent: FakeAgent) -> None:
    agent.answers["pause"] = TryLater("the database is locked")

    assert call("pause", "--json") == (75, "", "error: the database is locked\n")
