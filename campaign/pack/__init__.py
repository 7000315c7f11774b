"""The fault pack: handlers that no agent deserves, each with what is to become of its task.

`campaign/hostile_handlers.py` brings them all into a world. Each runs as a task type of its own, `hostile: <name>`.
What it changes in its process it leaves as it is: to cope with that is the agent's business.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from campaign import handlers as plain
from campaign.handlers import Payload, effect, told
from enhanced_automation_agent import handler

Act = Callable[[Payload], Any]


@dataclass(frozen=True, slots=True)
class Poison:
    """A hostile handler, and the end of its task: state, starts of the handler, words in its error.

    `kind`: quick; timed, which only its deadline ends; slow, which takes its worker for a while; apart, which needs a
    world of its own.
    """

    name: str
    end: str
    starts: int
    evidence: str
    kind: str

    @property
    def type(self) -> str:
        """The task type."""
        return f"hostile: {self.name}"


POISONS: dict[str, Poison] = {}


def poison(
    name: str, end: str = "succeeded", starts: int = 1, evidence: str = "", kind: str = "quick", timeout: str = ""
) -> Callable[[Act], Act]:
    """Register a hostile handler: it gets one attempt, and if it returns something, that is its result."""

    def mark(act: Act) -> Act:
        POISONS[name] = Poison(name, end, starts, evidence, kind)

        @handler(POISONS[name].type, max_attempts=1, timeout=timeout or None)
        def run(payload: Payload) -> Any:
            effect("start")
            result = act(payload)
            effect("end")
            return told(payload) if result is None else result

        return act

    return mark


def crashes(name: str, evidence: str, kind: str = "quick") -> Callable[[Act], Act]:
    """One that ends its process: with the third time it is poison."""
    return poison(name, "failed", 3, evidence, kind)


def killed(name: str, evidence: str, kind: str = "quick") -> Callable[[Act], Act]:
    """One that ends by a signal that anybody may have sent: with the tenth time it is poison."""
    return poison(name, "failed", 10, evidence, kind)


def fails(name: str, evidence: str, kind: str = "quick", timeout: str = "") -> Callable[[Act], Act]:
    """One whose only attempt fails."""
    return poison(name, "failed", 1, evidence, kind, timeout)


def forget_files() -> None:
    """The descriptors by which effects are written are closed, or not ours any more."""
    plain._files.clear()


def lower(limit: int, value: int) -> None:
    """Lower a limit of this process, so that it could be raised again."""
    resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
