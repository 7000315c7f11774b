"""A door: somewhere hostile input arrives; and how it is seen from outside that nothing came in but what may."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from hypothesis.strategies import SearchStrategy

from agent.errors import AgentError
from campaign import PromiseBroken

LONGEST_SENTENCE = 1000  # characters


@dataclass(frozen=True, slots=True)
class Door:
    """Somewhere hostile input arrives. `attack` plays one case: it returns when the case ended well, else it raises.

    `share`: how many of 10,000 cases; `ends` is called after the last.
    """

    name: str
    share: int
    cases: SearchStrategy[Any]
    attack: Callable[[Any], None]
    ends: Callable[[], None] = lambda: None


def check(holds: bool, sentence: str) -> None:
    """Raise PromiseBroken with that sentence unless it holds."""
    if not holds:
        raise PromiseBroken(sentence)


def check_told(error: AgentError, code: int, lines: int = 1) -> None:
    """A refusal is one sentence that can be shown, under its exit code."""
    text = str(error)
    check(error.exit_code == code, f"refused under exit code {error.exit_code}, not {code}: {text}")
    check(0 < len(text) <= LONGEST_SENTENCE * lines, f"a refusal of {len(text)} characters")
    check(lines > 1 or "\n" not in text, f"a refusal of several lines: {text}")


class Watcher:
    """Another process's view of the database: what was stored, and whether anything was."""

    def __init__(self, database: Path) -> None:
        self._handle = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)

    def version(self) -> int:
        """It changes when anybody commits anything."""
        return int(self._handle.pragma("data_version"))

    def one(self, query: str, *bindings: Any) -> Any:
        """The first value of a query."""
        return self._handle.execute(query, bindings).fetchall()[0][0]

    def payload(self, task: int) -> Any:
        """What was stored as a task's payload, read by nobody of ours."""
        return json.loads(self.one("SELECT payload FROM task WHERE id = ?", task))

    def close(self) -> None:
        """Let go of the database."""
        self._handle.close()


class Untouched:
    """In its `with` block nothing may be stored, should it end in a refusal."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._before = watcher.version()

    def check(self) -> None:
        """Nobody has stored anything since."""
        check(self._watcher.version() == self._before, "something was stored though it was refused")
