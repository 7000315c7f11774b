"""`workers`, `freeze` and `thaw`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import Conflict, NotFound, Unavailable
from tests.unit.agent.cli.port import Answer, FakeAgent

Called = Callable[..., Answer]
BUSY = {
    "worker": "00000000000000ab",
    "pid": 4711,
    "state": "busy",
    "task": 7,
    "type": "demo",
    "since": "2026-11-22T10:00:00.000000Z",
    "heartbeat_at": "2026-11-22T10:00:01.000000Z",
    "rss_bytes": 25_400_000,
}
IDLE = {**BUSY, "worker": "00000000000000cd", "state": "idle", "task": None, "type": None, "rss_bytes": 0}


def test_people_see_a_line_for_each(call: Called, agent: FakeAgent) -> None:
    agent.answers["workers"] = [BUSY, IDLE]

    heading, busy, idle = call("workers").out.splitlines()

    assert heading.split() == ["worker", "pid", "state", "task", "type", "since", "heartbeat_at", "memory"]
    assert busy.split()[:5] == ["00000000000000ab", "4711", "busy", "7", "demo"]
    assert busy.endswith("25 MB")
    assert idle.split()[3:5] == ["–", "–"]
    assert idle.endswith("–")


def test_json_is_the_list(call: Called, agent: FakeAgent) -> None:
    agent.answers["workers"] = [BUSY, IDLE]

    assert call("workers", "--json").json == [BUSY, IDLE]


def test_without_workers_the_cure_is_named(call: Called, agent: FakeAgent) -> None:
    agent.answers["workers"] = []

    assert call("workers") == (0, "no workers: start some with `resume`\n", "")
    assert call("workers", "--json").json == []


@pytest.mark.parametrize(("verb", "state"), [("freeze", "frozen"), ("thaw", "busy")])
def test_the_new_state_is_told(verb: str, state: str, call: Called, agent: FakeAgent) -> None:
    agent.answers[verb] = {**BUSY, "state": state}

    assert call(verb, "00000000000000ab").out == f"worker 00000000000000ab (process 4711) is {state}\n"
    assert agent.given_to(verb) == {"worker": "00000000000000ab"}
    assert call(verb, "00000000000000ab", "--json").json["state"] == state


@pytest.mark.parametrize("verb", ["freeze", "thaw"])
@pytest.mark.parametrize(("error", "code"), [(NotFound("n"), 3), (Conflict("c"), 4), (Unavailable("u"), 69)])
def test_each_refusal_has_its_exit_code(verb: str, error: Exception, code: int, call: Called, agent: FakeAgent) -> None:
    agent.answers[verb] = error

    assert call(verb, "00ab", "--json") == (code, "", f"error: {error}\n")


@pytest.mark.parametrize("verb", ["freeze", "thaw"])
def test_a_worker_has_to_be_named(verb: str, call: Called, agent: FakeAgent) -> None:
    assert call(verb).code == 2
    assert agent.calls == []
