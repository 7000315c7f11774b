"""What follows an attempt: its task is finished, or due again after a delay that doubles with every failure.

Pure: the random numbers and the time are passed in. tenacity counts; it takes 60 ms to import, so it waits for the
first failure, and no process that only enqueues ever pays for it.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent.clock import SECOND
from agent.lifecycle import State

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity.wait import wait_exponential

JITTER = 0.25
"""The most that chance adds to a delay, as a share of it: enough to part tasks that failed together."""


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    """The handler returned; `result` is the JSON to store."""

    result: bytes


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The attempt failed; `error` is what is kept of it."""

    error: str
    final: bool = False
    """Whether another attempt is out of the question, however many are left."""
    retry_after: float | None = None
    """Seconds the handler asked to wait, instead of the growing delay."""


Verdict = Succeeded | Failed


class NextMove(NamedTuple):
    """The state a task goes to, and when it is due (wall time, µs), if it is to run again."""

    state: State
    due_at: int | None = None


def decide(
    verdict: Verdict, failures_before: int, max_attempts: int, base: float, cap: float, rng: Random, now_us: int
) -> NextMove:
    """What becomes of a task after an attempt; `max_attempts` counts the first, `base` and `cap` are seconds."""
    if isinstance(verdict, Succeeded):
        return NextMove(State.SUCCEEDED)
    failures = failures_before + 1
    if verdict.final or failures >= max_attempts:
        return NextMove(State.FAILED)
    delay = backoff(failures, base, cap, rng) if verdict.retry_after is None else verdict.retry_after
    return NextMove(State.RETRY_SCHEDULED, now_us + round(delay * SECOND))


def backoff(failures: int, base_s: float, cap_s: float, rng: Random) -> float:
    """Seconds to wait after the nth failure: base · 2^(n-1), at most the cap, and up to a quarter of that on top.

    Never less than the nominal delay, never more than 1.25 times the cap.
    """
    if base_s <= 0 or cap_s <= 0:
        return 0.0
    nominal = _strategy(base_s, cap_s)(_after(failures))
    return nominal + rng.uniform(0, JITTER * nominal)


@cache
def _strategy(base_s: float, cap_s: float) -> wait_exponential:
    from tenacity.wait import wait_exponential

    return wait_exponential(multiplier=base_s, max=cap_s)


def _after(failures: int) -> RetryCallState:
    """What a wait strategy looks at: how many attempts were made."""
    from tenacity import RetryCallState, Retrying

    state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = failures
    return state
