"""What the governor remembers between two observations, and how that is stored.

Times called `now`, `t`, `until`, `changed` or `began` are seconds of the governor's own time, which starts at 0 and is
moved by elapsed time alone. `GovernorState.at` ties it to the wall clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.errors import StoreError
from agent.governance.observation import ErrorSignature
from agent.governance.settings import Resource, Settings

Phase = Literal["closed", "paused", "probing"]


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """The readings taken at `t`, which stand for the `span` seconds before; None where one is missing."""

    t: float
    span: float
    cpu: float | None
    memory: float | None

    def reading(self, resource: Resource) -> float | None:
        """The reading of one resource, in percent."""
        return self.cpu if resource == "cpu" else self.memory


class Outcomes(msgspec.Struct, frozen=True, array_like=True):
    """How the attempts ended that one observation told of."""

    t: float
    ok: int
    errors: int
    signatures: tuple[ErrorSignature, ...] = ()


class Pause(msgspec.Struct, frozen=True, array_like=True):
    """One pause: when it began in the governor's time and on the wall clock, how long it was meant to last, and why."""

    began: float
    began_at: float
    duration: float
    errors: int
    signatures: tuple[ErrorSignature, ...] = ()


class Regulator(msgspec.Struct, frozen=True, kw_only=True):
    """Region L: the limit, what the governor itself throttled it to (None: nothing), and what the last steps taught."""

    limit: int
    throttled_to: int | None = None
    cause: str = ""
    direction: Literal[-1, 0, 1] = 0
    changed: float | None = None
    ceiling: int | None = None
    ceiling_until: float = 0.0
    ceiling_hold: float = 0.0


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Region E: whether tasks may start, until when that holds, and the outcomes it is judged by."""

    phase: Phase = "closed"
    until: float = 0.0
    successes: int = 0
    cause: str = ""
    outcomes: tuple[Outcomes, ...] = ()


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """Region R: the latest pauses, and the episode a human was asked about, if one is open."""

    pauses: tuple[Pause, ...] = ()
    episode: str | None = None
    episodes: int = 0


class GovernorState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the governor knows; a value, complete in its JSON text."""

    regulator: Regulator
    breaker: Breaker = Breaker()
    review: Review = Review()
    now: float = 0.0
    at: float | None = None
    elapsed: float | None = None
    samples: tuple[Sample, ...] = ()

    @classmethod
    def initial(cls, settings: Settings) -> GovernorState:
        """The state before the first observation of a new database: nothing throttled, nothing paused."""
        return cls(regulator=Regulator(limit=settings.max_concurrent))

    @classmethod
    def from_json(cls, text: str) -> GovernorState:
        """The state that `to_json` wrote. Raises StoreError when the text is none."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            cure = "restore a backup, or delete the stored state to let the governor start afresh"
            raise StoreError(f"the stored state of the governor cannot be read ({error}): {cure}") from error

    def to_json(self) -> str:
        """The state as JSON text."""
        return msgspec.json.encode(self).decode()

    @property
    def limit(self) -> int:
        """How many tasks may run at once, apart from pauses."""
        return self.regulator.limit

    @property
    def probing(self) -> bool:
        """Whether tasks start one at a time, after a pause."""
        return self.breaker.phase == "probing"

    @property
    def paused_until(self) -> float | None:
        """When the pause ends, in seconds since 1970 by the wall clock as last observed; None without a pause."""
        if self.breaker.phase != "paused" or self.at is None:
            return None
        return self.at + self.breaker.until - self.now

    def effective_limit(self, settings: Settings) -> int:
        """How many tasks may run at once: none while paused, one while probing, else the limit."""
        if self.breaker.phase == "paused":
            return 0
        limit = min(self.limit, settings.max_concurrent)
        return min(1, limit) if self.probing else limit

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why less runs than could, one text for each reason."""
        found = []
        if self.regulator.throttled_to == self.limit:
            found.append(f"throttled: {self.regulator.cause}")
        if self.breaker.phase != "closed":
            found.append(f"{self.breaker.phase}: {self.breaker.cause}")
        if self.review.episode is not None:
            found.append(f"waiting for review: {self.review.episode}")
        return tuple(found)
