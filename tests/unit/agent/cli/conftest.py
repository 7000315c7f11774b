"""The command line, called on a stand-in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.cli.main import run
from tests.unit.agent.cli.port import Answer, FakeAgent


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent()


@pytest.fixture
def call(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Calls the command line with the words given, on `agent`."""

    def called(*words: str) -> Answer:
        capsys.readouterr()
        code = run(words, agent.build)
        return Answer(code, *capsys.readouterr())

    return called
