"""What holds for the governor whatever it is shown: limits, exits, restarts, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import isfinite, nan
from typing import Any, NamedTuple

import hypothesis.strategies as st
from hypothesis import given, settings
from msgspec import structs

from agent.governance import Decision, Escalate, GovernorState, LimitChanged, Observation, Paused, Settings, step
from agent.governance.state import Regulator

START = 1_700_000_000.0
TEN_YEARS = 10 * 365 * 86400


class Moment(NamedTuple):
    """One step: what it was given and what it gave."""

    settings: Settings
    before: GovernorState
    seen: Observation
    after: GovernorState
    decisions: tuple[Decision, ...]


readings = st.sampled_from([None, nan, 0.0, 50.0, 74.9, 75.0, 80.0, 85.0, 85.1, 95.0, 100.0])
stretches = st.tuples(
    st.integers(1, 25),  # samples alike
    readings,
    readings,
    st.sampled_from([0, 1, 3, 6, 20]),  # inflight
    st.sampled_from([0, 0, 0, 1, 5]),  # ok
    st.sampled_from([0, 0, 0, 1, 4, 12]),  # errors
    st.sampled_from([2.0, 2.0, 2.0, 0.0, 1.5, 5.0, 6.5, 40.0]),  # elapsed
)
episodes = st.lists(stretches, min_size=1, max_size=12)
configurations = st.builds(
    Settings,
    max_concurrent=st.integers(1, 20),
    min_concurrent=st.integers(1, 4),
    window_s=st.sampled_from([6.0, 10.0, 30.0]),
    window_quorum=st.sampled_from([0.3, 0.8, 1.0]),
    throttle_factor=st.sampled_from([0.01, 0.75, 0.99]),
    recover_fraction=st.sampled_from([0.01, 0.125, 1.0]),
    ceiling_hold_s=st.sampled_from([0.0, 20.0, 120.0]),
    pause_threshold=st.sampled_from([1, 5, 10]),
    pause_duration_s=st.sampled_from([1.0, 9.0, 60.0]),
    error_min_ratio=st.sampled_from([0.0, 0.5]),
    half_open_probes=st.sampled_from([0, 1, 3]),
    probe_max_s=st.sampled_from([3.0, 30.0]),
    human_review_after_pause_bursts=st.integers(1, 3),
    human_review_window_s=st.sampled_from([30.0, 540.0]),
)


def observations(stretched: list[tuple[Any, ...]]) -> Iterator[Observation]:
    """Every sample of the stretches, on a wall clock that keeps pace."""
    at, elapsed = START, None
    for samples, cpu, mem, inflight, ok, errors, spacing in stretched:
        for _ in range(samples):
            at += elapsed or 0.0
            yield Observation(at=at, elapsed=elapsed, cpu_pct=cpu, mem_pct=mem, inflight=inflight, ok=ok, errors=errors)
            elapsed = spacing


def walk(
    configuration: Settings, stretched: list[tuple[Any, ...]], state: GovernorState | None = None
) -> Iterator[Moment]:
    state = state or GovernorState.initial(configuration)
    for seen in observations(stretched):
        after, decisions = step(configuration, state, seen)
        yield Moment(configuration, state, seen, after, decisions)
        state = after


def throttled(configuration: Settings) -> GovernorState:
    """A state from which recovery has some way to go, for a while below a ceiling."""
    lowest, most = configuration.lowest_limit, configuration.max_concurrent
    return GovernorState(regulator=Regulator(limit=lowest, throttled_to=lowest, ceiling=most, ceiling_until=60.0))


def changes(moment: Moment) -> list[LimitChanged]:
    return [decision for decision in moment.decisions if isinstance(decision, LimitChanged)]


def of(seen: Observation, resource: str) -> float | None:
    value = seen.cpu_pct if resource == "cpu" else seen.mem_pct
    return value if value is not None and isfinite(value) else None


@given(configurations, episodes)
def test_the_limit_stays_between_minimum_and_maximum(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched):
        assert configuration.lowest_limit <= moment.after.limit <= configuration.max_concurrent
        assert 0 <= moment.after.effective_limit(configuration) <= moment.after.limit
        assert all(change.limit != change.previous for change in changes(moment))


@given(st.lists(st.tuples(st.integers(0, 12), episodes), min_size=1, max_size=4))
def test_the_limit_stays_in_bounds_when_an_operator_scales(scaled: list[tuple[int, list[Any]]]) -> None:
    state, now = GovernorState.initial(Settings()), Settings()
    for maximum, stretched in scaled:
        now = now.scaled(maximum)
        for seen in observations(stretched):
            state, _ = step(now, state, structs.replace(seen, elapsed=2.0))
            assert now.lowest_limit <= state.limit <= maximum


@given(configurations, episodes)
def test_only_a_reading_that_is_there_and_hot_lowers_the_limit(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched):
        for change in changes(moment):
            if change.reason in ("cpu", "memory"):
                reading = of(moment.seen, change.reason)
                assert reading is not None
                assert reading > 85
                assert change.measured is not None
                assert change.measured > 85


@given(configurations, episodes)
def test_nothing_is_raised_while_a_reading_is_hot_or_missing(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched, throttled(configuration)):
        for change in changes(moment):
            if change.limit > change.previous:
                current = [of(moment.seen, "cpu"), of(moment.seen, "memory")]
                assert all(reading is not None and reading < 75 for reading in current)


@given(configurations, episodes)
def test_no_cut_follows_a_cut_that_has_not_happened_yet(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched):
        if moment.after.limit < moment.before.limit:
            assert moment.seen.inflight <= moment.before.limit


@given(configurations, episodes)
def test_recovery_stays_below_a_live_ceiling(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched, throttled(configuration)):
        regulator = moment.before.regulator
        live = regulator.ceiling is not None and moment.after.now < regulator.ceiling_until
        if live and moment.after.limit > moment.before.limit:
            assert regulator.ceiling is not None
            assert moment.after.limit < regulator.ceiling


@given(configurations, episodes)
def test_missing_readings_alone_change_no_limit(configuration: Settings, stretched: list[Any]) -> None:
    blind = [(samples, nan, None, *rest) for samples, _, _, *rest in stretched]

    assert [
        change for moment in walk(configuration, blind, throttled(configuration)) for change in changes(moment)
    ] == []


@given(configurations, episodes)
def test_every_pause_and_every_probing_ends_in_its_time(configuration: Settings, stretched: list[Any]) -> None:
    longest = {"paused": configuration.pause_duration_s, "probing": configuration.probe_max_s}
    began = 0.0
    for moment in walk(configuration, stretched):
        phase = moment.after.breaker.phase
        if phase != moment.before.breaker.phase or any(isinstance(made, Paused) for made in moment.decisions):
            began = moment.after.now
        if phase != "closed":
            assert moment.after.now - began < longest[phase]
        until = moment.after.paused_until
        assert until is None or until <= moment.seen.at + configuration.pause_duration_s + 1e-6


@given(configurations, episodes)
def test_nothing_may_run_exactly_while_paused(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched):
        is_paused = moment.after.breaker.phase == "paused"
        assert (moment.after.effective_limit(configuration) == 0) == is_paused
        assert (moment.after.paused_until is not None) == is_paused


@given(configurations, episodes)
def test_an_episode_escalates_once(configuration: Settings, stretched: list[Any]) -> None:
    escalated: list[tuple[float, str]] = []
    for moment in walk(configuration, stretched):
        for decision in moment.decisions:
            if isinstance(decision, Escalate):
                assert len(decision.payload["pauses"]) >= configuration.human_review_after_pause_bursts
                escalated.append((moment.after.now, decision.episode))
    assert len({episode for _, episode in escalated}) == len(escalated)
    for (earlier, _), (later, _) in pairwise(escalated):
        assert later - earlier >= configuration.human_review_window_s


@given(configurations, episodes)
def test_a_state_from_its_text_decides_alike(configuration: Settings, stretched: list[Any]) -> None:
    for moment in walk(configuration, stretched):
        restored = GovernorState.from_json(moment.before.to_json())
        assert restored == moment.before
        assert step(configuration, restored, moment.seen) == (moment.after, moment.decisions)


@given(configurations, episodes)
def test_a_restart_of_the_supervisor_at_any_point_changes_nothing(
    configuration: Settings, stretched: list[Any]
) -> None:
    for moment in walk(configuration, stretched):
        restarted = structs.replace(moment.seen, elapsed=None)
        assert step(configuration, moment.before, restarted) == (moment.after, moment.decisions)


@given(configurations, episodes, st.lists(st.integers(-TEN_YEARS, TEN_YEARS), min_size=1, max_size=5))
def test_a_jumping_wall_clock_changes_no_decision(
    configuration: Settings, stretched: list[Any], jumps: list[int]
) -> None:
    jumpy = GovernorState.initial(configuration)
    for number, moment in enumerate(walk(configuration, stretched)):
        jumped = structs.replace(moment.seen, at=START + jumps[number % len(jumps)])
        jumped = structs.replace(jumped, elapsed=jumped.elapsed if number else None)
        jumpy, decisions = step(configuration, jumpy, jumped)
        assert [decision.deed for decision in decisions] == [decision.deed for decision in moment.decisions]
        assert jumpy.effective_limit(configuration) == moment.after.effective_limit(configuration)


@given(st.lists(st.integers(0, 100), min_size=50, max_size=400), st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=30)
def test_noise_causes_few_actions(noise: list[int], quorum: float) -> None:
    """Two changes are as far apart as settling and the shorter of the windows, less what one sample stands for."""
    configuration = replace(Settings(), window_quorum=quorum, ceiling_hold_s=0)
    stretched = [(1, cpu, 50, 0, 0, 0, 2.0) for cpu in noise]

    times = [moment.after.now for moment in walk(configuration, stretched) if changes(moment)]

    assert all(later - earlier >= 5 + 0.9 * 15 - 2 for earlier, later in pairwise(times))
