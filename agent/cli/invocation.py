"""One call of the command line: what stands before the command, and the agent it leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from agent.api import AgentApi


class Build(Protocol):
    """Makes the agent of a configuration file, handlers and overrides (dotted keys of the configuration)."""

    def __call__(
        self, config: str | None, handlers: Sequence[str] | None, overrides: Mapping[str, object]
    ) -> AgentApi: ...


class Invocation:
    """The options of the group, and the agents that a command asked for; leaving its `with` block closes them."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._agents: list[AgentApi] = []
        self.config: str | None = None
        self.handlers: Sequence[str] | None = None
        self.debug = False

    def agent(self) -> AgentApi:
        """The agent that the group's options name. Raises ConfigError and StoreError."""
        return self.agent_of(self.config, self.handlers)

    def agent_of(
        self, config: str | None, handlers: Sequence[str] | None, overrides: Mapping[str, object] | None = None
    ) -> AgentApi:
        """An agent of another configuration."""
        made = self._build(config, handlers, overrides or {})
        self._agents.append(made)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._agents:
            self._agents.pop().close()
