"""The agents that a command asks for."""

from __future__ import annotations

from agent.cli.invocation import Invocation
from tests.unit.agent.cli.port import FakeAgent


def test_every_agent_asked_for_is_closed_at_the_end() -> None:
    agent = FakeAgent()

    with Invocation(agent.build) as invocation:
        invocation.agent()
        invocation.agent_of("other.yml", ["a.py"], {"bulk.max_concurrent": 2})
        assert agent.closed == 0

    assert agent.closed == 2
    assert agent.builds == [(None, None, {}), ("other.yml", ["a.py"], {"bulk.max_concurrent": 2})]
