"""A modelled machine under typical loads: the governor settles, steps back, recovers, and keeps still otherwise.

The model is ideal: 8 cores, each running task asks for the same share of a core, a foreign load for some cores, and the
limit takes effect at once. A sample comes every 2 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from agent.governance import Decision, GovernorState, LimitChanged, Observation, Settings, step

CORES = 8
INTERVAL = 2.0
SETTINGS = Settings()
Event = tuple[float, Decision]


def governed(
    settings: Settings,
    seconds: float,
    share: float,
    foreign: Callable[[float], float] = lambda time: 0.0,
    fails: Callable[[float], bool] = lambda time: False,
) -> tuple[GovernorState, list[Event], int]:
    """The last state, what was decided when, and how many attempts failed; each running task ends with its sample."""
    state, made, failed, elapsed = GovernorState.initial(settings), list[Event](), 0, None
    begun_before_reopening = 0
    for time in times(seconds):
        running = state.effective_limit(settings)
        wanted = running * share + foreign(time)
        errors = running - begun_before_reopening if fails(time) else 0
        failed += running if fails(time) else 0
        seen = Observation(
            at=1_700_000_000 + time,
            elapsed=elapsed,
            cpu_pct=min(100, 100 * wanted / CORES),
            mem_pct=40,
            inflight=running,
            ok=running - errors,
            errors=errors,
        )
        state, decisions = step(settings, state, seen)
        made += [(time, decision) for decision in decisions]
        elapsed = INTERVAL
    return state, made, failed


def times(seconds: float) -> Iterator[float]:
    """The times of the samples."""
    return (INTERVAL * number for number in range(int(seconds / INTERVAL)))


def limits(made: list[Event]) -> list[int]:
    return [decision.limit for _, decision in made if isinstance(decision, LimitChanged)]


def reversals(made: list[Event]) -> int:
    deeds = [decision.deed for _, decision in made]
    return sum(earlier != later for earlier, later in pairwise(deeds))


def test_a_machine_at_half_load_is_left_alone() -> None:
    _, made, _ = governed(SETTINGS, 3600, share=0.5)

    assert made == []


@pytest.mark.parametrize(("maximum", "steps"), [(8, [6]), (16, [12, 9, 6])])
def test_a_healthy_pool_that_uses_every_core_settles(maximum: int, steps: list[int]) -> None:
    _, made, _ = governed(SETTINGS.scaled(maximum), 4 * 3600, share=1.0)

    assert limits(made) == steps


def test_a_foreign_load_throttles_in_steps_and_its_end_lets_the_limit_recover() -> None:
    settings = SETTINGS.scaled(16)

    state, made, _ = governed(settings, 1200, share=0.35, foreign=lambda time: 6.0 if 300 <= time < 700 else 0.0)

    down = [limit for time, limit in zip([time for time, _ in made], limits(made), strict=True) if time < 700]
    up = limits(made)[len(down) :]
    assert made[0][0] == 322  # the twelfth hot sample of the fifteen in the window
    assert down[:3] == [12, 9, 6]
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert reversals(made) == 1
    assert (state.limit, state.reasons) == (16, ())
    assert made[-1][0] < 700 + 160


@pytest.mark.parametrize("half_period", [10, 20])
def test_a_flapping_load_causes_no_action(half_period: int) -> None:
    _, made, _ = governed(SETTINGS, 3600, share=0.35, foreign=lambda time: 6.5 if int(time / half_period) % 2 else 0.0)

    assert made == []


def test_a_level_that_fails_again_and_again_is_tried_ever_more_seldom() -> None:
    """Five tasks make 72.5 %, which is healthy; six make 87 %, which is hot."""
    _, made, _ = governed(SETTINGS.scaled(6), 4 * 3600, share=1.16)

    tries = [time for time, decision in made if isinstance(decision, LimitChanged) and decision.limit == 6]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps[:3]))
    assert min(gaps[3:]) >= SETTINGS.ceiling_cap_s
    assert set(limits(made)) <= {4, 5, 6}


def test_an_outage_pauses_probes_and_escalates_once() -> None:
    state, made, failed = governed(SETTINGS, 1200, share=0.2, fails=lambda time: 300 <= time < 600)

    deeds = [decision.deed for _, decision in made]
    assert deeds == ["pause", "probe"] * 2 + ["pause", "escalate", "probe"] + ["pause", "probe"] * 2 + ["resume"]
    assert failed == 2 * 8 + 4
    assert made[-1][0] < 600 + 60 + 10
    assert state.effective_limit(SETTINGS) == 8


def test_two_outages_far_apart_are_two_episodes() -> None:
    _, made, _ = governed(SETTINGS, 3600, share=0.2, fails=lambda time: 300 <= time < 600 or 1800 <= time < 2100)

    episodes = [decision.episode for _, decision in made if decision.deed == "escalate"]  # type: ignore[union-attr]
    assert len(episodes) == len(set(episodes)) == 2


def test_without_probes_an_outage_costs_a_burst_for_every_pause() -> None:
    settings = replace(SETTINGS, half_open_probes=0)

    _, made, failed = governed(settings, 1200, share=0.2, fails=lambda time: 300 <= time < 600)

    assert {decision.deed for _, decision in made} == {"pause", "resume", "escalate"}
    assert failed == 5 * 2 * 8
