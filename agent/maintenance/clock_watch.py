"""Whether the wall clock may tell what is old: not for a day after it was set, also where that fell between two runs.

The store keeps, as marks, the boot of the machine, the wall time of that boot (which changes when the clock is set, and
not when the machine is suspended), and until when, in the machine's uptime, nothing is to be deleted. After another
boot nobody can tell whether the clock was set, unless it shows a time before the earlier boot.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.clock import SECOND, Clock
from agent.host import boot_number
from agent.store.interface import Upkeep

STEP = 5 * SECOND  # a clock that is adjusted little by little was not set
DRIFT = SECOND  # beyond which what is kept is brought up to date
SUSPENSION = 24 * 3600 * SECOND

QUIET_UNTIL, BOOTED_AT, BOOT = "clock_quiet_until", "clock_booted_at", "clock_boot"


class _Kept(NamedTuple):
    boot: int  # 0: nothing is kept yet
    booted_at: int
    quiet_until: int  # of the uptime, in microseconds; 0: the clock is trusted


class ClockWatch:
    """Keeps an eye on the wall clock, for whoever deletes what is old."""

    def __init__(self, upkeep: Upkeep, clock: Clock) -> None:
        self._upkeep = upkeep
        self._clock = clock
        self._kept: _Kept | None = None

    def is_trusted(self) -> bool:
        """Whether the clock was not set for a day. Raises StoreError and StoreLocked."""
        before = self._kept or _kept(self._upkeep)
        now = _judge(before, self._clock)
        if now != before:
            self._keep(now)
        self._kept = now
        return not now.quiet_until

    def _keep(self, kept: _Kept) -> None:
        # In this order: should we end in between, the step is seen again.
        for name, value in ((QUIET_UNTIL, kept.quiet_until), (BOOTED_AT, kept.booted_at), (BOOT, kept.boot)):
            self._upkeep.set_mark(name, value)


def set_since(upkeep: Upkeep, clock: Clock) -> int:
    """By how many microseconds the wall clock was set since it was last looked at; 0 as well where nobody can tell."""
    kept = _kept(upkeep)
    step = clock.booted_at() - kept.booted_at
    return step if kept.boot == boot_number() and abs(step) > STEP else 0


def _kept(upkeep: Upkeep) -> _Kept:
    return _Kept(upkeep.mark(BOOT), upkeep.mark(BOOTED_AT), upkeep.mark(QUIET_UNTIL))


def _judge(kept: _Kept, clock: Clock) -> _Kept:
    """What is to be kept now."""
    boot, booted_at, uptime = boot_number(), clock.booted_at(), clock.uptime()
    if kept.boot == 0:
        return _Kept(boot, booted_at, 0)
    if kept.boot == boot:
        was_set = abs(booted_at - kept.booted_at) > STEP
        quiet_until = kept.quiet_until if uptime < kept.quiet_until else 0
    else:
        was_set = clock.now() < kept.booted_at or bool(kept.quiet_until)
        quiet_until = 0
    if was_set:
        return _Kept(boot, booted_at, uptime + SUSPENSION)
    has_drifted = abs(booted_at - kept.booted_at) > DRIFT
    return _Kept(boot, booted_at if has_drifted else kept.booted_at, quiet_until)
