"""Region L throttles across a hot window, step by step, and recovers across healthy ones.

With the default settings a sample comes every 2 s, a window of 30 s needs readings for 27 s, and times are those of the
governor, which begin at 0 with the first sample.
"""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from agent.governance import Decision, GovernorState, LimitChanged, Observation, Settings, step
from agent.governance.state import Regulator

SETTINGS = Settings()


class Bench:
    """A governor on its own, shown one sample after the other; what it decides is kept with its time."""

    def __init__(self, settings: Settings = SETTINGS, interval: float = 2.0, **regulator: Any) -> None:
        self.settings, self.interval, self.time = settings, interval, 0.0
        self.state = GovernorState.initial(settings)
        self.made: list[tuple[float, Decision]] = []
        if regulator:
            self.state = GovernorState(regulator=Regulator(**regulator), at=0.0)

    def see(self, *cpus: float | None, mem: float | None = 50.0, inflight: int = 0) -> Bench:
        for cpu in cpus:
            elapsed = None if self.state.at is None else self.interval
            self.time += elapsed or 0.0
            seen = Observation(at=self.time, elapsed=elapsed, cpu_pct=cpu, mem_pct=mem, inflight=inflight)
            self.state, decisions = step(self.settings, self.state, seen)
            self.made += [(self.time, decision) for decision in decisions]
        return self

    @property
    def limits(self) -> list[tuple[float, int]]:
        return [(at, decision.limit) for at, decision in self.made if isinstance(decision, LimitChanged)]


def test_a_hot_window_lowers_the_limit_once_it_is_covered() -> None:
    bench = Bench().see(*[90.0] * 13)
    assert bench.made == []

    bench.see(96.0)

    expected = LimitChanged(limit=6, previous=8, reason="cpu", measured=(13 * 90 + 96) / 14, threshold=85)
    assert bench.made == [(26.0, expected)]
    assert bench.state.reasons == ("throttled: cpu 90.4 % > 85 %",)


def test_hot_memory_lowers_the_limit_too() -> None:
    bench = Bench().see(*[50.0] * 14, mem=91)

    expected = LimitChanged(limit=6, previous=8, reason="memory", measured=91, threshold=85)
    assert bench.made == [(26.0, expected)]


@pytest.mark.parametrize(("reading", "cuts"), [(85.0, 0), (85.1, 1)])
@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_only_what_exceeds_the_threshold_is_hot(resource: str, reading: float, cuts: int) -> None:
    cpu, mem = (reading, 50.0) if resource == "cpu" else (50.0, reading)

    assert len(Bench().see(*[cpu] * 20, mem=mem).limits) == cuts


def test_a_quorum_of_the_window_is_enough() -> None:
    assert Bench().see(*[80.0] * 3, *[90.0] * 11).made == []
    assert Bench().see(*[80.0] * 3, *[90.0] * 12).limits == [(28.0, 6)]
    assert Bench().see(*[80.0] * 4, *[90.0] * 11).made == []


def test_what_was_measured_tells_of_the_hot_readings() -> None:
    _, decision = Bench().see(*[0.0] * 3, *[90.0] * 12).made[0]

    assert isinstance(decision, LimitChanged)
    assert decision.measured == 90


def test_a_reading_at_the_threshold_is_not_part_of_what_was_measured() -> None:
    _, cut = Bench().see(*[85.0] * 3, *[90.0] * 12).made[0]
    _, rise = Bench(limit=6, throttled_to=6).see(*[75.0] * 3, *[70.0] * 12).made[0]

    assert (cut.measured, rise.measured) == (90, 70)  # type: ignore[union-attr]


@pytest.mark.parametrize(("coverage", "samples"), [(0.9, 9), (0.95, 10)])
def test_a_window_is_covered_to_the_second(coverage: float, samples: int) -> None:
    settings = replace(SETTINGS, window_s=20, window_coverage=coverage)

    assert Bench(settings).see(*[90.0] * (samples - 1)).made == []
    assert len(Bench(settings).see(*[90.0] * samples).made) == 1


def test_ten_tenths_of_a_second_cover_a_second() -> None:
    settings = replace(SETTINGS, window_s=1, sample_interval_s=0.1, window_coverage=1)

    assert len(Bench(settings, interval=0.1).see(*[90.0] * 10).made) == 1


def test_a_load_that_has_just_ceased_does_not_lower_the_limit() -> None:
    assert Bench().see(*[90.0] * 13, 80.0).made == []
    assert Bench().see(*[90.0] * 13, 80.0, 90.0).limits == [(28.0, 6)]


def test_late_samples_stand_for_the_time_they_cover() -> None:
    assert Bench(interval=3).see(*[90.0] * 9).made == []
    assert Bench(interval=3).see(*[90.0] * 10).limits == [(27.0, 6)]


def test_a_reading_older_than_the_window_is_forgotten() -> None:
    assert Bench().see(*[90.0] * 12, *[80.0] * 4, *[90.0] * 11).made == []
    assert Bench().see(*[90.0] * 12, *[80.0] * 4, *[90.0] * 12).limits == [(54.0, 6)]


def test_the_limit_falls_by_a_quarter_but_at_least_by_one() -> None:
    bench = Bench().see(*[90.0] * 200)

    assert [limit for _, limit in bench.limits] == [6, 4, 3, 2, 1]


def test_the_limit_falls_by_one_whatever_the_factor() -> None:
    bench = Bench(replace(SETTINGS, throttle_factor=1.0)).see(*[90.0] * 30)

    assert [limit for _, limit in bench.limits] == [7, 6]


def test_the_limit_never_falls_below_the_minimum() -> None:
    bench = Bench(replace(SETTINGS, min_concurrent=5)).see(*[90.0] * 200)

    assert [limit for _, limit in bench.limits] == [6, 5]


def test_the_next_cut_waits_until_the_last_has_settled_and_been_judged() -> None:
    assert Bench().see(*[90.0] * 30).limits == [(26.0, 6), (44.0, 4)]


def test_a_sample_at_the_end_of_settling_is_not_judged_yet() -> None:
    assert Bench(replace(SETTINGS, settle_s=6)).see(*[90.0] * 30).limits == [(26.0, 6), (46.0, 4)]


def test_a_cut_that_has_not_happened_yet_is_not_followed_by_another() -> None:
    bench = Bench().see(*[90.0] * 14).see(*[90.0] * 50, inflight=7)
    assert bench.limits == [(26.0, 6)]

    assert bench.see(90.0, inflight=6).limits == [(26.0, 6), (128.0, 4)]


def test_the_limit_recovers_after_a_healthy_window() -> None:
    bench = Bench(limit=4, throttled_to=4, cause="x", direction=-1, changed=0.0).see(*[40.0] * 15)
    assert bench.made == []

    bench.see(40.0)

    assert bench.made == [(32.0, LimitChanged(limit=6, previous=4, reason="recovered", measured=50, threshold=75))]
    assert bench.state.reasons == ("throttled: x",)


def test_full_recovery_leaves_no_reason() -> None:
    bench = Bench(limit=6, throttled_to=6, cause="x").see(*[40.0] * 14)

    assert bench.limits == [(28.0, 8)]
    assert bench.state.reasons == ()


def test_recovery_reports_the_resource_nearer_to_its_threshold() -> None:
    settings = replace(SETTINGS, mem_high_pct=60)

    _, decision = Bench(settings, limit=4, throttled_to=4).see(*[60.0] * 14, mem=40).made[0]

    assert decision == LimitChanged(limit=6, previous=4, reason="recovered", measured=40, threshold=50)


@pytest.mark.parametrize(("cpu", "mem", "raises"), [(75, 50, 0), (74.9, 50, 1), (50, 75, 0), (50, 74.9, 1)])
def test_in_the_dead_band_nothing_changes(cpu: float, mem: float, raises: int) -> None:
    assert len(Bench(limit=6, throttled_to=6).see(*[cpu] * 30, mem=mem).limits) == raises


def test_a_quorum_of_healthy_readings_is_enough_if_the_latest_is_healthy() -> None:
    assert Bench(limit=6, throttled_to=6).see(*[80.0] * 3, *[50.0] * 11).made == []
    assert Bench(limit=6, throttled_to=6).see(*[80.0] * 3, *[50.0] * 12).limits == [(30.0, 8)]
    assert Bench(limit=6, throttled_to=6).see(*[50.0] * 13, 90.0).made == []


@pytest.mark.parametrize(("limit", "raised"), [(1, 3), (2, 4), (3, 5), (4, 6), (5, 8), (8, 12), (13, 16)])
def test_the_limit_rises_by_an_eighth_of_the_maximum_or_by_half(limit: int, raised: int) -> None:
    bench = Bench(SETTINGS.scaled(16), limit=limit, throttled_to=limit).see(*[50.0] * 14)

    assert bench.limits == [(28.0, raised)]


def test_a_full_limit_does_not_rise() -> None:
    assert Bench().see(*[10.0] * 100).made == []


def test_recovery_stays_below_the_ceiling_until_it_expires() -> None:
    bench = Bench().see(*[90.0] * 14)
    assert (bench.state.regulator.ceiling, bench.state.regulator.ceiling_until) == (8, 146.0)

    bench.see(*[50.0] * 60)

    assert bench.limits == [(26.0, 6), (58.0, 7), (146.0, 8)]


def test_a_series_of_cuts_remembers_where_it_began() -> None:
    regulator = Bench().see(*[90.0] * 30).state.regulator

    assert (regulator.limit, regulator.ceiling, regulator.ceiling_until) == (4, 8, 146.0)


@pytest.mark.parametrize(
    ("dead_band", "known_hold", "at", "hold"),
    [(17, 120, 58, 240), (18, 120, 60, 120), (17, 500, 58, 960), (17, 10, 58, 120), (17, 60.5, 58, 121)],
    ids=["at once", "not at once", "capped", "never shorter", "just doubled"],
)
def test_a_raise_that_fails_at_once_doubles_the_ceilings_hold(
    dead_band: int, known_hold: float, at: float, hold: float
) -> None:
    """At once is: less than two windows after the raise."""
    bench = Bench(limit=7, throttled_to=7, direction=1, changed=0.0, ceiling=8, ceiling_hold=known_hold)

    bench.see(*[80.0] * dead_band, *[90.0] * 12)

    regulator = bench.state.regulator
    assert bench.limits == [(at, 5)]
    assert (regulator.ceiling, regulator.ceiling_hold, regulator.ceiling_until) == (7, hold, at + hold)


def test_at_once_is_counted_from_the_raise() -> None:
    bench = Bench(limit=4, throttled_to=4, ceiling_hold=120.0).see(*[50.0] * 14, *[90.0] * 16)

    assert bench.limits == [(28.0, 6), (60.0, 4)]
    assert bench.state.regulator.ceiling_hold == 240


def test_the_first_cut_holds_the_ceiling_for_its_plain_time() -> None:
    bench = Bench(limit=8, ceiling_hold=500.0).see(*[90.0] * 14)

    assert bench.state.regulator.ceiling_hold == 120


def test_a_cut_after_a_raise_waits_for_a_full_window() -> None:
    bench = Bench(limit=7, throttled_to=7, direction=1, changed=0.0).see(*[90.0] * 40)

    assert bench.limits[0] == (32.0, 5)


@pytest.mark.parametrize("missing", [None, nan])
def test_a_missing_reading_holds_the_limit(missing: float | None) -> None:
    assert Bench().see(*[90.0] * 13, *[missing] * 20).made == []
    assert Bench(limit=4, throttled_to=4).see(*[50.0] * 13, *[missing] * 20).made == []
    assert Bench(limit=4, throttled_to=4).see(*[50.0] * 40, mem=missing).made == []


def test_memory_is_judged_even_if_the_cpu_reading_is_missing() -> None:
    assert Bench().see(*[None] * 14, mem=90).limits == [(26.0, 6)]


def test_a_missing_reading_covers_no_time() -> None:
    assert Bench().see(None, *[90.0] * 13).made == []
    assert Bench().see(None, *[90.0] * 14).limits == [(28.0, 6)]


def test_the_limit_follows_a_changed_maximum() -> None:
    bench = Bench().see(50.0)

    bench.settings = SETTINGS.scaled(3)
    bench.see(50.0, 50.0)
    bench.settings = SETTINGS.scaled(12)
    bench.see(50.0, 50.0)

    lowered = LimitChanged(limit=3, previous=8, reason="configured")
    raised = LimitChanged(limit=12, previous=3, reason="configured")
    assert bench.made == [(2.0, lowered), (6.0, raised)]


def test_a_throttled_limit_is_clamped_to_a_smaller_maximum_but_not_lifted_by_a_larger_one() -> None:
    bench = Bench(limit=6, throttled_to=6)

    for maximum in (4, 16, 6, 8):
        bench.settings = SETTINGS.scaled(maximum)
        bench.see(80.0)

    assert bench.limits == [(2.0, 4), (4.0, 6)]


def test_a_raised_minimum_lifts_the_limit() -> None:
    bench = Bench(replace(SETTINGS, min_concurrent=4), limit=2, throttled_to=2).see(80.0)

    assert bench.limits == [(2.0, 4)]


def test_readings_from_before_a_configured_change_are_not_judged() -> None:
    bench = Bench().see(*[90.0] * 13)

    bench.settings = SETTINGS.scaled(16)
    bench.see(*[90.0] * 30)

    assert bench.limits == [(26.0, 16), (58.0, 12), (76.0, 9)]
    assert bench.state.regulator.ceiling == 16


def test_a_configured_rise_that_proves_hot_is_no_failed_recovery() -> None:
    bench = Bench(limit=4, ceiling_hold=500.0).see(*[90.0] * 30)

    assert bench.limits == [(2.0, 8), (34.0, 6), (52.0, 4)]
    assert (bench.state.regulator.ceiling, bench.state.regulator.ceiling_hold) == (8, 120)


def test_the_shortest_window_throttles_and_recovers() -> None:
    settings = replace(SETTINGS, window_s=1, sample_interval_s=0.2, ceiling_hold_s=0)
    bench = Bench(settings, interval=0.2).see(*[99.0] * 40)
    assert [limit for _, limit in bench.limits] == [6, 4, 3, 2, 1]
    assert bench.limits[0][0] == pytest.approx(0.8)
    assert bench.limits[1][0] == pytest.approx(2.2)

    bench.see(*[10.0] * 40)

    assert [limit for _, limit in bench.limits[5:]] == [2, 3, 5, 8]
