"""What the outbox holds and what its reader may do with it: escalations that are durable, and not yet delivered.

The store writes a delivery in the transaction that decides it, one for each channel; the escalator delivers it at least
once. A payload is a JSON object. Channels understand these keys, all of them optional, and pass on every other:
`event`, `summary` (one sentence for a human), `episode`, `host`, `since` (UTC ISO 8601), `pauses` (a list of {"at",
"duration_s", "errors"}), `errors` (a list of {"error", "count"}), `tasks` (ids), `limit`, `max_concurrent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one channel. `attempts` were made already; times are wall time in microseconds."""

    id: int
    episode: str
    channel: Literal["webhook", "email"]
    payload: str
    attempts: int
    created_at: int
    due_at: int


class Outbox(Protocol):
    """The deliveries that are still to be made."""

    def due(self, now_us: int, limit: int, /) -> list[Delivery]:
        """At most `limit` deliveries whose time has come, the longest due first."""
        ...

    def next_due(self) -> int | None:
        """When the next delivery's time comes; None: there is none."""
        ...

    def delivered(self, delivery: int, now_us: int, /) -> None:
        """It has arrived."""
        ...

    def postpone(self, delivery: int, due_at_us: int, error: str, /) -> None:
        """One more attempt failed; the next is due then."""
        ...

    def give_up(self, delivery: int, now_us: int, error: str, /) -> None:
        """It will never arrive."""
        ...
