"""Region E, error bursts: pause when too many attempts fail within the window, then probe, then let go.

    closed --burst--> paused --duration_s--> probing --successes, or probe_max_s--> closed
                        ^----------- any error ----------'

While paused nothing is counted: what ends then began before, and would start the next pause. With
`half_open_probes: 0` a pause ends without probing. There is one gate for all types.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.governance.decision import Decision, Paused, Probing, Resumed, ResumeReason, counted
from agent.governance.observation import ErrorSignature, Observation, merge_signatures
from agent.governance.settings import Settings
from agent.governance.state import Breaker, GovernorState, Outcomes, Pause


def watch(
    settings: Settings, state: GovernorState, observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    """Pause, probe or resume, or leave the gate as it is."""
    phase = state.breaker.phase
    if phase == "paused":
        return _sit_out(settings, state, observation)
    if phase == "probing":
        return _probe(settings, state, observation)
    return _count(settings, state, observation)


def _count(
    settings: Settings, state: GovernorState, observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    outcomes = _within_window(settings, state, observation)
    state = replace(state, breaker=replace(state.breaker, outcomes=outcomes))
    errors = sum(outcome.errors for outcome in outcomes)
    ended = errors + sum(outcome.ok for outcome in outcomes)
    burst = errors >= settings.pause_threshold and errors >= settings.error_min_ratio * ended
    if not burst or observation.errors == 0:
        return state, ()
    cause = f"{counted(errors, 'error')} in {settings.window_s:g} s"
    signatures = merge_signatures(outcome.signatures for outcome in outcomes)
    return _pause(settings, state, observation.at, errors, cause, signatures)


def _within_window(settings: Settings, state: GovernorState, observation: Observation) -> tuple[Outcomes, ...]:
    """The outcomes of the window; those of an observation that covers more than that cannot be placed in it."""
    kept = tuple(outcome for outcome in state.breaker.outcomes if outcome.t > state.now - settings.window_s)
    overlong = state.elapsed is not None and state.elapsed > settings.window_s
    if overlong or not (observation.ok or observation.errors):
        return kept
    signatures = merge_signatures([observation.error_signatures])
    return (*kept, Outcomes(state.now, observation.ok, observation.errors, signatures))


def _pause(
    settings: Settings, state: GovernorState, at: float, errors: int, cause: str, signatures: tuple[ErrorSignature, ...]
) -> tuple[GovernorState, tuple[Decision, ...]]:
    duration = settings.pause_duration_s
    breaker = Breaker(phase="paused", until=state.now + duration, cause=cause)
    pause = Pause(state.now, at, duration, errors, signatures)
    review = replace(state.review, pauses=(*state.review.pauses, pause))
    decision = Paused(until=at + duration, duration=duration, errors=errors, cause=cause)
    return replace(state, breaker=breaker, review=review), (decision,)


def _sit_out(
    settings: Settings, state: GovernorState, observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    until = min(state.breaker.until, state.now + settings.pause_duration_s)  # the configured duration may have shrunk
    if state.now < until:
        return replace(state, breaker=replace(state.breaker, until=until)), ()
    if settings.half_open_probes <= 0:
        return _resume(state, "pause_over")
    breaker = Breaker(phase="probing", until=state.now + settings.probe_max_s, cause="tasks start one at a time")
    return replace(state, breaker=breaker), (Probing(until=observation.at + settings.probe_max_s),)


def _probe(
    settings: Settings, state: GovernorState, observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    if observation.errors > 0:
        cause = f"{counted(observation.errors, 'error')} while probing"
        signatures = merge_signatures([observation.error_signatures])
        return _pause(settings, state, observation.at, observation.errors, cause, signatures)
    successes = state.breaker.successes + observation.ok
    if successes >= settings.half_open_probes:
        return _resume(state, "probes_succeeded")
    until = min(state.breaker.until, state.now + settings.probe_max_s)
    if state.now >= until:
        return _resume(state, "probe_timed_out")
    return replace(state, breaker=replace(state.breaker, successes=successes, until=until)), ()


def _resume(state: GovernorState, reason: ResumeReason) -> tuple[GovernorState, tuple[Decision, ...]]:
    return replace(state, breaker=Breaker()), (Resumed(reason=reason),)
