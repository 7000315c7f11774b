"""What supervisor and workers say to each other: frozen values, sent as JSON objects with an `op`.

Down: `target` (the newest wins), `wake`. Up: `ready`, `idle` (with the number of messages heard before the look that
found nothing), `counts`, `bye`. Nothing in a running handler depends on the pipe: it is read between handlers and while
idle. What a fork server is asked and reports stands in its own module.

What comes in is read as one of these values or not at all: handlers run beside whoever sends it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agent.lifecycle import State

ENDINGS = frozenset({State.SUCCEEDED, State.RETRY_SCHEDULED, State.FAILED})
"""Where an attempt that ended leaves its task."""

Mode = Literal["run", "park", "drain"]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


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
    version: Number
    ok: Number
    errors: Number
    seconds: Annotated[float, msgspec.Meta(ge=0)]


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """One attempt that ended and is recorded: failures always, successes when everything is told."""

    task: Number
    type: str
    attempt: Number
    state: int
    error: str | None
    version: Number
    due_at: Number | None = None

    def __post_init__(self) -> None:
        if self.state not in ENDINGS:
            raise ValueError(f"no attempt ends in {self.state}")


class Said(msgspec.Struct, frozen=True):
    """What a worker says, with what belongs to it."""

    op: Literal["ready", "idle", "counts", "stale", "gave back", "trouble", "broken", "bye"]
    counts: list[Count] = []
    ended: list[Ended] = []
    tasks: list[Number] = []
    error: str = ""
    heard: Number = 0
    why: str = ""


class Handled(msgspec.Struct, frozen=True):
    """What a fork server tells of a type that it has a handler for."""

    max_attempts: Number | None = None


class Report(msgspec.Struct, frozen=True):
    """What a fork server reports, with what belongs to it; see there."""

    op: Literal["types", "import_error", "forked", "fork_failed", "gone", "stopped", "continued", "exited"]
    types: dict[str, Handled] = {}
    text: str = ""
    worker: Number = 0
    pid: Number = 0
    error: str = ""
    status: int = 0
    conts: Number = 0
    at_ns: Number = 0


class Request(msgspec.Struct, frozen=True):
    """What a supervisor asks of a fork server, with what belongs to it."""

    op: Literal["fork", "signal"]
    worker: Number
    boot: dict[str, Any] = {}
    signal: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class Load(msgspec.Struct, frozen=True):
    """What a supervisor asks of a fork server first of all."""

    op: Literal["load"]
    handlers: list[str]
    cwd: str
    worker_main: str | None = None


msgspec.json.Decoder(Boot)  # looks at all of these types once, in the fork server: each worker would
