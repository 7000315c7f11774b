"""One step of the governor: its own time first, then the regions in order."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from agent.governance import bursts, limit, review
from agent.governance.decision import Decision
from agent.governance.observation import Observation, finite
from agent.governance.settings import Settings
from agent.governance.state import GovernorState, Sample

Region = Callable[[Settings, GovernorState, Observation], tuple[GovernorState, tuple[Decision, ...]]]

REGIONS: tuple[Region, ...] = (limit.adopt, limit.regulate, bursts.watch, review.consider)
"""In the order in which they are asked; a later one sees what an earlier one did in the same step."""

GAP_INTERVALS = 3  # beyond so many, readings on both sides do not belong to one window


def step(
    settings: Settings, state: GovernorState, observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    """The state after an observation, and what is to be done; pure, and the same after a restart at any point."""
    state = _advance(settings, state, observation)
    decisions: tuple[Decision, ...] = ()
    for region in REGIONS:
        state, made = region(settings, state, observation)
        decisions += made
    return state, decisions


def _advance(settings: Settings, state: GovernorState, observation: Observation) -> GovernorState:
    elapsed = _elapsed(state, observation)
    if elapsed is None or elapsed > GAP_INTERVALS * settings.sample_interval_s:
        state = replace(state, samples=(), breaker=replace(state.breaker, outcomes=()))
        span = settings.sample_interval_s
    else:
        span = elapsed
    now = state.now + (elapsed or 0.0)
    sample = Sample(now, span, finite(observation.cpu_pct), finite(observation.mem_pct))
    kept = tuple(earlier for earlier in state.samples if earlier.t > now - settings.window_s)
    return replace(state, now=now, at=observation.at, elapsed=elapsed, samples=(*kept, sample))


def _elapsed(state: GovernorState, observation: Observation) -> float | None:
    """Seconds since the previous observation, across a restart by the wall clock; None if nobody can tell.

    A wall clock that went back across a restart tells nothing, so timers stand where they stood: a pause lasts no
    longer than it still had to.
    """
    elapsed = finite(observation.elapsed)
    if elapsed is None and state.at is not None:
        elapsed = observation.at - state.at
    return elapsed if elapsed is not None and elapsed >= 0 else None
