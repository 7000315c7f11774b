"""Region L, the limit: throttle when CPU or memory is hot across the window, recover in steps when both are healthy.

*Across the window* means: the latest reading says so, a quorum of the readings says so, and they cover enough of the
time asked for. Readings are judged only once the last change has settled. Between hot and healthy lies a dead band.
The limit at which a series of cuts began is the *ceiling*: until it expires, recovery stays below it; when a raise
fails at once, it holds twice as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Literal

from msgspec.structs import replace

from agent.governance.decision import Decision, LimitChanged, percent
from agent.governance.observation import Observation, mean
from agent.governance.settings import Resource, Settings
from agent.governance.state import GovernorState, Regulator, Sample

RESOURCES: tuple[Resource, ...] = ("cpu", "memory")
ROUNDING = 1e-9  # summed spans of 0.2 s fall short of their sum on paper

Verdict = Callable[[Sample], bool | None]


def adopt(
    settings: Settings, state: GovernorState, _observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    """Follow a changed `max_concurrent` or `min_concurrent`; what the governor throttled to stays as it was."""
    regulator = state.regulator
    wanted = settings.max_concurrent if regulator.throttled_to is None else regulator.throttled_to
    limit = max(settings.lowest_limit, min(wanted, settings.max_concurrent))
    if limit == regulator.limit:
        return state, ()
    changed = replace(regulator, limit=limit, direction=0, changed=state.now)
    decision = LimitChanged(limit=limit, previous=regulator.limit, reason="configured")
    return replace(state, regulator=changed), (decision,)


def regulate(
    settings: Settings, state: GovernorState, observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    """Cut or raise the limit by one step, or leave it."""
    regulator, samples = state.regulator, _settled(settings, state)
    hot = _hot_resource(settings, regulator, samples)
    if hot is not None:
        actuated = observation.inflight <= regulator.limit
        if not actuated or regulator.limit <= settings.lowest_limit:
            return state, ()
        return _cut(settings, state, samples, hot)
    if regulator.limit < settings.max_concurrent and _healthy(settings, samples):
        return _raise(settings, state, samples)
    return state, ()


def _settled(settings: Settings, state: GovernorState) -> Sequence[Sample]:
    changed = state.regulator.changed
    if changed is None:
        return state.samples
    return [sample for sample in state.samples if sample.t > changed + settings.settle_s]


def _hot_resource(settings: Settings, regulator: Regulator, samples: Sequence[Sample]) -> Resource | None:
    need = settings.redown_s if regulator.direction < 0 else settings.window_s
    for resource in RESOURCES:
        if _across(settings, need, samples, _is_hot(settings, resource)):
            return resource
    return None


def _healthy(settings: Settings, samples: Sequence[Sample]) -> bool:
    return _across(settings, settings.window_s, samples, _is_healthy(settings))


def _across(settings: Settings, need: float, samples: Sequence[Sample], verdict: Verdict) -> bool:
    """Whether the verdict holds for the latest sample and a quorum of samples that cover enough of `need` seconds."""
    if not samples or verdict(samples[-1]) is not True:
        return False
    known = [(judged, sample.span) for sample in samples if (judged := verdict(sample)) is not None]
    share = sum(judged for judged, _ in known) / len(known)
    covered = sum(span for _, span in known)
    return share >= settings.window_quorum and covered >= settings.window_coverage * need - ROUNDING


def _is_hot(settings: Settings, resource: Resource) -> Verdict:
    def verdict(sample: Sample) -> bool | None:
        reading = sample.reading(resource)
        return None if reading is None else reading > settings.high(resource)

    return verdict


def _is_healthy(settings: Settings) -> Verdict:
    def verdict(sample: Sample) -> bool | None:
        if sample.cpu is None or sample.memory is None:
            return None
        return sample.cpu < settings.low("cpu") and sample.memory < settings.low("memory")

    return verdict


def _cut(
    settings: Settings, state: GovernorState, samples: Sequence[Sample], resource: Resource
) -> tuple[GovernorState, tuple[Decision, ...]]:
    before, threshold = state.regulator, settings.high(resource)
    limit = max(settings.lowest_limit, min(before.limit - 1, int(before.limit * settings.throttle_factor)))
    measured = mean(value for value in _readings(samples, resource) if value > threshold)
    decision = LimitChanged(limit=limit, previous=before.limit, reason=resource, measured=measured, threshold=threshold)
    after = _moved(_with_ceiling(settings, state), state.now, limit, -1)
    cause = f"{resource} {percent(measured)} > {percent(threshold)}"
    return replace(state, regulator=replace(after, throttled_to=limit, cause=cause)), (decision,)


def _with_ceiling(settings: Settings, state: GovernorState) -> Regulator:
    """Remember the limit that a series of cuts begins at; a further cut of the series leaves it."""
    regulator, now = state.regulator, state.now
    if regulator.direction < 0:
        return regulator
    hold = settings.ceiling_hold_s
    changed = regulator.changed if regulator.changed is not None else now
    if regulator.direction > 0 and now - changed < 2 * settings.window_s:
        hold = min(settings.ceiling_cap_s, max(hold, 2 * regulator.ceiling_hold))
    return replace(regulator, ceiling=regulator.limit, ceiling_hold=hold, ceiling_until=now + hold)


def _raise(
    settings: Settings, state: GovernorState, samples: Sequence[Sample]
) -> tuple[GovernorState, tuple[Decision, ...]]:
    before = state.regulator
    limit = _raised(settings, before, state.now)
    if limit <= before.limit:
        return state, ()
    measured, threshold = _nearest_to_hot(settings, samples)
    decision = LimitChanged(
        limit=limit, previous=before.limit, reason="recovered", measured=measured, threshold=threshold
    )
    throttled_to = limit if limit < settings.max_concurrent else None
    after = replace(_moved(before, state.now, limit, 1), throttled_to=throttled_to)
    return replace(state, regulator=after), (decision,)


def _raised(settings: Settings, regulator: Regulator, now: float) -> int:
    """The next limit up: the larger of a share of the maximum and half of the limit more, below a live ceiling."""
    by_share = regulator.limit + ceil(settings.recover_fraction * settings.max_concurrent)
    limit = min(settings.max_concurrent, max(by_share, ceil(1.5 * regulator.limit)))
    if regulator.ceiling is not None and now < regulator.ceiling_until:
        limit = min(limit, regulator.ceiling - 1)
    return limit


def _moved(regulator: Regulator, now: float, limit: int, direction: Literal[-1, 1]) -> Regulator:
    return replace(regulator, limit=limit, direction=direction, changed=now)


def _nearest_to_hot(settings: Settings, samples: Sequence[Sample]) -> tuple[float, float]:
    """Mean healthy reading and healthy threshold of the resource that is nearer to its threshold."""
    means = []
    for resource in RESOURCES:
        low = settings.low(resource)
        means.append((mean(value for value in _readings(samples, resource) if value < low), low))
    return max(means, key=lambda pair: pair[0] - pair[1])


def _readings(samples: Sequence[Sample], resource: Resource) -> list[float]:
    return [value for sample in samples if (value := sample.reading(resource)) is not None]
