"""What every way to tell a human has in common; apart from the ways, which take 60 ms to import."""

from __future__ import annotations

from typing import Protocol

from agent.errors import AgentError
from agent.outbox import Delivery


class ChannelError(AgentError):
    """The message could not be delivered."""

    exit_code = 69

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """A way to tell a human."""

    def deliver(self, delivery: Delivery) -> str:
        """Deliver once; what the other side said. Raises ChannelError, whatever is wrong with the network."""
        ...
