"""What the governor gives: decisions, each with its deed and its reason."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class LimitChanged(msgspec.Struct, frozen=True, kw_only=True, tag="limit_changed", tag_field="decision"):
    """At most `limit` tasks may run at once.

    `measured` is the mean, in percent, of those readings of the window that lay beyond `threshold`: above it for a cut;
    below it, of the resource nearer to its threshold, for a recovery. Both are None when the configuration changed.
    """

    limit: int
    previous: int
    reason: Literal["cpu", "memory", "recovered", "configured"]
    measured: float | None = None
    threshold: float | None = None

    @property
    def deed(self) -> str:
        """`throttle` or `recover`; `scale` when it was set, and not measured."""
        if self.reason == "configured":
            return "scale"
        return "throttle" if self.limit < self.previous else "recover"

    @property
    def why(self) -> str:
        """The reason in one sentence."""
        if self.measured is None or self.threshold is None:
            return f"limit {self.previous} → {self.limit}: the number of workers was set"
        recovered = self.reason == "recovered"
        subject, side = ("the busier of cpu and memory", "below") if recovered else (self.reason, "above")
        level = f"at {percent(self.measured)} across the window, {side} {percent(self.threshold)}"
        return f"limit {self.previous} → {self.limit}: {subject} was {level}"


class Paused(msgspec.Struct, frozen=True, kw_only=True, tag="paused", tag_field="decision"):
    """Nothing starts until `until` (wall seconds), `duration` seconds from now, because of `errors` failed attempts."""

    until: float
    duration: float
    errors: int
    cause: str

    deed = "pause"

    @property
    def why(self) -> str:
        """The reason in one sentence."""
        return f"{self.cause}: nothing starts for {self.duration:g} s"


class Probing(msgspec.Struct, frozen=True, kw_only=True, tag="probing", tag_field="decision"):
    """The pause is over; one task at a time may start, until `until` (wall seconds) at the latest."""

    until: float

    deed = "probe"
    why = "the pause is over: tasks start one at a time until enough of them succeed"


ResumeReason = Literal["pause_over", "probes_succeeded", "probe_timed_out"]
RESUME_WHYS: dict[ResumeReason, str] = {
    "pause_over": "the pause is over: tasks start as the limit allows",
    "probes_succeeded": "enough tasks succeeded one at a time: tasks start as the limit allows",
    "probe_timed_out": "no task failed while probing: tasks start as the limit allows",
}


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resumed", tag_field="decision"):
    """Tasks start again as the limit allows."""

    reason: ResumeReason

    deed = "resume"

    @property
    def why(self) -> str:
        """The reason in one sentence."""
        return RESUME_WHYS[self.reason]


class Escalate(msgspec.Struct, frozen=True, kw_only=True, tag="escalate", tag_field="decision"):
    """A human is to look; `payload` is ready for JSON, `episode` names it and never comes twice."""

    episode: str
    payload: dict[str, Any]

    deed = "escalate"

    @property
    def why(self) -> str:
        """The reason in one sentence."""
        pauses, window = len(self.payload["pauses"]), self.payload["review_window_s"]
        return f"{counted(pauses, 'pause')} within {window:g} s: a human is asked to look"


Decision = LimitChanged | Paused | Probing | Resumed | Escalate


def percent(value: float) -> str:
    """A percentage as people read it, with one decimal where it matters."""
    return f"{round(value, 1):g} %"


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where due."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
