"""A stand-in for the agent at the command line's only door, and the command line called on it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.api import AgentApi


class Call(NamedTuple):
    """One verb with everything it was given, by the names of `AgentApi`."""

    verb: str
    given: dict[str, Any]


class Answer(NamedTuple):
    """What one command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it has to be."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)


class FakeAgent:
    """Answers each verb with `answers[verb]`: an exception is raised, a function is called, anything else returned.

    A verb that `AgentApi` has not, or arguments that it does not take, fail the test.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"unhandled": None}
        self.calls: list[Call] = []
        self.builds: list[tuple[str | None, Sequence[str] | None, Mapping[str, object]]] = []
        self.closed = 0

    def build(self, config: str | None, handlers: Sequence[str] | None, overrides: Mapping[str, object]) -> Any:
        self.builds.append((config, handlers, overrides))
        return self

    def close(self) -> None:
        self.closed += 1

    def given_to(self, verb: str) -> dict[str, Any]:
        """What the one call of a verb was given."""
        (given,) = [call.given for call in self.calls if call.verb == verb]
        return given

    def __getattr__(self, verb: str) -> Any:
        signature = inspect.signature(getattr(AgentApi, verb))

        def answer(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            self.calls.append(Call(verb, {name: value for name, value in bound.arguments.items() if name != "self"}))
            prepared = self.answers[verb]
            if isinstance(prepared, BaseException):
                raise prepared
            return prepared(*args, **kwargs) if callable(prepared) else prepared

        return answer
