"""What supervisor and workers say to each other: frozen values, sent as JSON objects with an `op`.

Down: `target` (the newest wins), `wake`. Up: `ready`, `idle` (with the number of messages heard before the look that
found nothing), `counts`, `bye`. Nothing in a running handler depends on the pipe: it is read between handlers and while
idle.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Mode = Literal["run", "park", "drain"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs of the configuration; times in seconds."""

    retry_attempts: int
    retry_delay_s: float
    retry_max_delay_s: float
    max_result_bytes: int
    max_tasks: int  # 0: the worker is never recycled for its age
    tells_all: bool = False  # of successes too, one by one


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to do from now on.

    `version`: of the admission that its claims must meet. `share`: how many workers may run beside each other.
    `mode`: run, park (live on, claim nothing) or drain (finish and leave).
    """

    version: int
    share: int
    mode: Mode
    settings: Settings
    paused: tuple[str, ...] = ()  # types; "*": all

    def message(self) -> dict[str, Any]:
        """As it goes through the pipe."""
        return {"op": "target", **msgspec.to_builtins(self)}


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is born with."""

    worker: int
    database: str
    slot: str
    target: Target


class Count(msgspec.Struct, frozen=True, array_like=True):
    """Attempts of one type that ended since the last message; `version` is the admission they were claimed under."""

    type: str
    version: int
    ok: int
    errors: int
    seconds: float


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """One attempt that ended and is recorded: failures always, successes when everything is told."""

    task: int
    type: str
    attempt: int
    state: int
    error: str | None
    version: int
    due_at: int | None = None
