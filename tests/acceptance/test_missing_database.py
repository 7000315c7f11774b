"""In a directory without a database, who only asks is told so; nothing is made that would look like lost tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import StoreError, Unavailable
from enhanced_automation_agent import EnhancedAutomationAgent
from tests.acceptance.home import Home

COMMANDS = [
    ["stats"], ["stats", "--json"], ["stats", "--watch"], ["tasks"], ["inspect", "1"], ["cancel", "1"], ["retry", "1"],
    ["workers"], ["freeze", "1"], ["thaw", "1"], ["unpause"],
]  # fmt: skip

CALLS: dict[str, Callable[[EnhancedAutomationAgent], object]] = {
    "stats": lambda agent: agent.stats(),
    "tasks": lambda agent: agent.tasks(),
    "inspect": lambda agent: agent.inspect(1),
    "result": lambda agent: agent.result(1, timeout=0),
    "cancel": lambda agent: agent.cancel(1),
    "retry": lambda agent: agent.retry(1),
    "unhandled": lambda agent: agent.unhandled("demo"),
    "workers": lambda agent: agent.workers(),
    "unpause": lambda agent: agent.unpause(),
}


def beside(home: Home) -> set[str]:
    return {each.name for each in home.directory.iterdir()} - {"config.yml", "handlers.py"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_that_adds_nothing_makes_no_database_and_says_where_there_is_none(
    home: Home, words: list[str]
) -> None:
    path = home.directory / "state.db"
    cure = "`enqueue` or `resume` makes one; or name another in persistence.db_path"
    assert home.refused(69, *words) == f"there is no database at {path}: {cure}"
    assert beside(home) == set()


@pytest.mark.parametrize("name", CALLS)
def test_nor_does_a_call_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unavailable, match=f"there is no database at {tmp_path}/state.db: "):
        CALLS[name](EnhancedAutomationAgent())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["pause"], ["pause", "echo"], ["scale", "3"]], ids=" ".join)
def test_an_order_for_the_first_supervisor_has_a_database_made(home: Home, words: list[str]) -> None:
    assert home.json(*words)["applied"] is False
    assert "state.db" in beside(home)


def test_an_agent_that_found_none_uses_the_one_that_is_made_later(home: Home) -> None:
    with pytest.raises(StoreError):
        home.agent.stats()
    task = int(home.call("enqueue", "echo", "{}").out)
    assert home.agent.inspect(task)["state"] == "queued"


def test_a_log_without_its_database_is_told_of(home: Home) -> None:
    (home.directory / "state.db-wal").write_bytes(b"committed tasks")
    assert "but its log" in home.refused(69, "stats")
    assert beside(home) == {"state.db-wal"}
