"""The governor's own time: neither the wall clock nor a restart nor a gap leads it astray."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest
from msgspec import structs

from agent.governance import Decision, GovernorState, Observation, Settings, step

SETTINGS = Settings()
START = 1_700_000_000.0
TEN_YEARS = 10 * 365 * 86400.0
HOT = Observation(at=START, elapsed=2.0, cpu_pct=95, mem_pct=50, inflight=0)
BURST = structs.replace(HOT, cpu_pct=50, errors=10)
CALM = structs.replace(HOT, cpu_pct=50)


def after(state: GovernorState, *seen: Observation) -> tuple[GovernorState, list[str]]:
    """The state and the deeds after some observations, on SETTINGS."""
    made: list[Decision] = []
    for observation in seen:
        state, decisions = step(SETTINGS, state, observation)
        made += decisions
    return state, [decision.deed for decision in made]


def paused() -> GovernorState:
    state, deeds = after(GovernorState.initial(SETTINGS), BURST)
    assert deeds == ["pause"]
    return state


@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS, 3600, -3600])
def test_a_pause_lasts_as_long_whatever_becomes_of_the_wall_clock(jump: float) -> None:
    moved = structs.replace(CALM, at=START + jump)

    state, deeds = after(paused(), *[moved] * 29)
    assert deeds == []
    assert state.paused_until == START + jump + 2

    assert after(state, moved)[1] == ["probe"]


@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS])
def test_a_window_goes_on_when_the_wall_clock_jumps(jump: float) -> None:
    state, _ = after(GovernorState.initial(SETTINGS), *[HOT] * 13)

    assert after(state, structs.replace(HOT, at=START + jump))[1] == ["throttle"]


@pytest.mark.parametrize("unknown", [None, nan])
def test_across_a_restart_the_wall_clock_counts(unknown: float | None) -> None:
    state, deeds = after(paused(), structs.replace(CALM, at=START + 59, elapsed=unknown))
    assert (state.paused_until, deeds) == (START + 60, [])

    assert after(paused(), structs.replace(CALM, at=START + 60, elapsed=None))[1] == ["probe"]


def test_time_never_goes_back() -> None:
    before, _ = after(paused(), CALM)

    state, deeds = after(before, structs.replace(CALM, elapsed=-1.0))

    assert (state.now, state.elapsed, deeds) == (before.now, None, [])


def test_a_wall_clock_set_back_across_a_restart_leaves_a_pause_what_it_still_had() -> None:
    before, _ = after(paused(), structs.replace(CALM, at=START + 20, elapsed=20))

    state, deeds = after(before, structs.replace(CALM, at=START - TEN_YEARS, elapsed=None))

    assert (state.paused_until, deeds) == (START - TEN_YEARS + 40, [])


def test_a_short_restart_keeps_the_window_and_a_long_one_drops_it() -> None:
    state, _ = after(GovernorState.initial(SETTINGS), *[HOT] * 13)

    for back_at, deeds in ((START + 6, ["throttle"]), (START + 6.5, []), (START - 1, [])):
        restarted = GovernorState.from_json(state.to_json())
        assert after(restarted, structs.replace(HOT, at=back_at, elapsed=None))[1] == deeds


@pytest.mark.parametrize(("gap", "deeds"), [(6.0, ["throttle"]), (6.5, [])])
def test_a_gap_of_more_than_three_intervals_drops_the_window(gap: float, deeds: list[str]) -> None:
    state, _ = after(GovernorState.initial(SETTINGS), *[HOT] * 13)

    assert after(state, structs.replace(HOT, elapsed=gap))[1] == deeds


def test_the_sample_after_a_gap_covers_one_interval() -> None:
    state, _ = after(GovernorState.initial(SETTINGS), HOT, structs.replace(HOT, elapsed=60.0))

    assert [sample.span for sample in state.samples] == [2.0]
    assert after(state, *[HOT] * 12)[1] == []
    assert after(state, *[HOT] * 13)[1] == ["throttle"]


def test_a_gap_does_not_shorten_or_lengthen_a_pause() -> None:
    state, _ = after(paused(), structs.replace(CALM, at=START + 59, elapsed=59.0))

    assert state.paused_until == START + 60


def test_two_samples_at_the_same_time_belong_to_one_window() -> None:
    state, _ = after(GovernorState.initial(SETTINGS), HOT, structs.replace(HOT, elapsed=0.0))

    assert [(sample.t, sample.span) for sample in state.samples] == [(2.0, 2.0), (2.0, 0.0)]


def test_what_is_older_than_the_window_is_not_kept() -> None:
    state, _ = after(GovernorState.initial(SETTINGS), *[CALM] * 50)

    assert [state.now - sample.t for sample in state.samples] == [2.0 * n for n in range(14, -1, -1)]


def test_a_step_changes_neither_what_it_was_given_nor_its_mind() -> None:
    state = paused()
    text = state.to_json()

    assert step(SETTINGS, state, CALM) == step(SETTINGS, state, CALM)
    assert state.to_json() == text


def test_a_pause_leaves_the_limit_and_its_window_alone() -> None:
    state, deeds = after(paused(), *[structs.replace(HOT, errors=5)] * 14)

    assert deeds == ["throttle"]
    assert (state.limit, state.effective_limit(SETTINGS)) == (6, 0)


def test_the_limit_is_decided_before_the_pause() -> None:
    settings = replace(SETTINGS, max_concurrent=4)

    _, decisions = step(settings, GovernorState.initial(SETTINGS), BURST)

    assert [decision.deed for decision in decisions] == ["scale", "pause"]
