"""What the governor sees: one sample of the machine and of the attempts that ended."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, isfinite
from typing import NamedTuple

import msgspec

MOST_SIGNATURES = 5
LONGEST_MESSAGE = 200


class ErrorSignature(NamedTuple):
    """One kind of error: the task type, how many times it came, one task it happened to, and its message."""

    type: str
    times: int
    sample_task_id: int
    message: str


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One sample, taken every `sample_interval_s`.

    - `at`: wall time, seconds since 1970; only what is persisted or shown depends on it.
    - `elapsed`: monotonic seconds since the previous observation; None for the first after a start.
    - `cpu_pct`, `mem_pct`: 0 to 100; None or NaN when the reading is missing.
    - `inflight`: attempts running now.
    - `ok`, `errors`: attempts that ended since the previous observation and began after admission last reopened, by a
      `Probing` or `Resumed` decision. Errors of earlier attempts are `late_errors`, which are never judged.
    - `error_signatures`: the most frequent kinds among `errors`.
    """

    at: float
    elapsed: float | None
    cpu_pct: float | None
    mem_pct: float | None
    inflight: int
    ok: int = 0
    errors: int = 0
    late_errors: int = 0
    error_signatures: tuple[ErrorSignature, ...] = ()


def finite(value: float | None) -> float | None:
    """The value, or None if it is missing, infinite or not a number."""
    return value if value is not None and isfinite(value) else None


def mean(values: Iterable[float]) -> float:
    """Of at least one value. The module `statistics` would cost a start 5 ms."""
    known = list(values)
    return fsum(known) / len(known)


def merge_signatures(groups: Iterable[Iterable[ErrorSignature]]) -> tuple[ErrorSignature, ...]:
    """The most frequent signatures of all groups together; equal type and message are one, with the first task kept."""
    merged: dict[tuple[str, str], ErrorSignature] = {}
    for kind, times, task_id, message in (signature for group in groups for signature in group):
        key = (kind, message[:LONGEST_MESSAGE])
        known = merged.get(key, ErrorSignature(kind, 0, task_id, key[1]))
        merged[key] = known._replace(times=known.times + times)
    ranked = sorted(merged.values(), key=lambda signature: (-signature.times, signature.type, signature.message))
    return tuple(ranked[:MOST_SIGNATURES])
