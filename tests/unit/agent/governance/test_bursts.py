"""Region E pauses after a burst of errors, probes when the pause is over, and always lets go in the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.governance import (
    Decision,
    ErrorSignature,
    GovernorState,
    Observation,
    Paused,
    Probing,
    Resumed,
    Settings,
    step,
)

SETTINGS = Settings()
START = 1_700_000_000.0


class Bench:
    """A governor in a calm machine, shown how attempts ended; the wall clock starts at `START`."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings, self.time = settings, 0.0
        self.state = GovernorState.initial(settings)

    def see(
        self,
        ok: int = 0,
        errors: int = 0,
        late: int = 0,
        after: float = 2.0,
        signatures: tuple[ErrorSignature, ...] = (),
    ) -> tuple[Decision, ...]:
        elapsed = None if self.state.at is None else after
        self.time += elapsed or 0.0
        seen = Observation(
            at=START + self.time,
            elapsed=elapsed,
            cpu_pct=50,
            mem_pct=50,
            inflight=1,
            ok=ok,
            errors=errors,
            late_errors=late,
            error_signatures=signatures,
        )
        self.state, decisions = step(self.settings, self.state, seen)
        return decisions

    def wait(self, seconds: float) -> list[Decision]:
        return [decision for _ in range(round(seconds / 2)) for decision in self.see()]

    def paused(self) -> Bench:
        assert self.see(errors=self.settings.pause_threshold)[0].deed == "pause"
        return self

    def probing(self) -> Bench:
        assert [decision.deed for decision in self.paused().wait(60)] == ["probe"]
        return self


def test_a_burst_pauses_and_one_error_less_does_not() -> None:
    assert Bench().see(errors=9) == ()

    decisions = Bench().see(errors=10)

    assert decisions == (Paused(until=START + 60, duration=60, errors=10, cause="10 errors in 30 s"),)


def test_a_pause_is_known_to_the_state() -> None:
    state = Bench().paused().state

    assert (state.paused_until, state.effective_limit(SETTINGS), state.limit) == (START + 60, 0, 8)
    assert state.reasons == ("paused: 10 errors in 30 s",)


def test_errors_add_up_within_the_window_and_no_longer() -> None:
    within, beyond = Bench(), Bench()
    for bench, between in ((within, 26), (beyond, 28)):
        bench.see(errors=5)
        bench.wait(between)

    assert [decision.deed for decision in within.see(errors=5)] == ["pause"]
    assert beyond.see(errors=5) == ()


@pytest.mark.parametrize(("ok", "deeds"), [(10, ["pause"]), (11, [])])
def test_a_ratio_keeps_a_few_errors_among_many_successes_from_pausing(ok: int, deeds: list[str]) -> None:
    bench = Bench(replace(SETTINGS, error_min_ratio=0.5))

    assert [decision.deed for decision in bench.see(ok=ok, errors=10)] == deeds


def test_without_a_ratio_successes_do_not_count() -> None:
    assert [decision.deed for decision in Bench().see(ok=100_000, errors=10)] == ["pause"]


@pytest.mark.parametrize(("errors", "deeds"), [(0, []), (1, ["pause"])])
def test_only_a_new_error_begins_a_pause(errors: int, deeds: list[str]) -> None:
    """At 30 s the first successes leave the window, and the ratio is reached."""
    bench = Bench(replace(SETTINGS, error_min_ratio=0.5))
    bench.see(ok=5)
    bench.see(ok=6, errors=10)
    assert bench.wait(26) == []

    assert [decision.deed for decision in bench.see(errors=errors)] == deeds


def test_late_errors_are_never_judged() -> None:
    bench = Bench()

    assert [bench.see(late=50) for _ in range(5)] == [()] * 5
    assert bench.probing().see(late=50) == ()


def test_while_paused_nothing_is_counted() -> None:
    bench = Bench().paused()

    assert [bench.see(ok=5, errors=50) for _ in range(29)] == [()] * 29
    assert bench.see(ok=5, errors=50)[0].deed == "probe"
    assert [decision.deed for decision in bench.see(ok=3)] == ["resume"]
    assert bench.see(errors=9) == ()


def test_a_pause_ends_to_the_second_and_is_followed_by_probing() -> None:
    bench = Bench().paused()
    assert bench.wait(58) == []

    assert bench.see() == (Probing(until=START + 60 + 30),)
    assert bench.state.probing
    assert bench.state.effective_limit(SETTINGS) == 1
    assert bench.state.reasons == ("probing: tasks start one at a time",)


def test_without_probes_a_pause_ends_at_once() -> None:
    bench = Bench(replace(SETTINGS, half_open_probes=0)).paused()

    assert bench.wait(60) == [Resumed(reason="pause_over")]
    assert bench.state.effective_limit(SETTINGS) == 8


def test_one_probe_can_be_enough() -> None:
    bench = Bench(replace(SETTINGS, half_open_probes=1)).probing()

    assert bench.see(ok=1) == (Resumed(reason="probes_succeeded"),)


def test_enough_successes_end_the_probing_however_they_are_spread() -> None:
    bench = Bench().probing()

    assert bench.see(ok=1) == bench.see() == bench.see(ok=1) == ()
    assert bench.see(ok=1) == (Resumed(reason="probes_succeeded"),)
    assert (bench.state.reasons, bench.state.effective_limit(SETTINGS)) == ((), 8)
    assert Bench().probing().see(ok=3) == (Resumed(reason="probes_succeeded"),)


def test_an_error_while_probing_pauses_again() -> None:
    bench = Bench().probing()
    bench.see(ok=2)

    until = START + bench.time + 2 + 60
    assert bench.see(ok=1, errors=1) == (Paused(until=until, duration=60, errors=1, cause="1 error while probing"),)


def test_successes_of_an_earlier_probing_do_not_count() -> None:
    bench = Bench().probing()
    bench.see(ok=2)
    bench.see(errors=1)
    bench.wait(60)

    assert bench.see(ok=2) == ()


def test_probing_without_traffic_ends_by_itself() -> None:
    bench = Bench().probing()
    assert bench.wait(28) == []

    assert bench.see() == (Resumed(reason="probe_timed_out"),)


def test_an_error_at_the_end_of_probing_still_pauses() -> None:
    bench = Bench().probing()
    bench.wait(28)

    assert [decision.deed for decision in bench.see(errors=1)] == ["pause"]


def test_after_probing_the_window_is_empty() -> None:
    bench = Bench().probing()
    bench.see(ok=3)

    assert bench.see(errors=9) == ()
    assert [decision.deed for decision in bench.see(errors=1)] == ["pause"]


def test_a_pause_does_not_outlast_a_duration_that_was_shortened() -> None:
    bench = Bench().paused()
    bench.settings = replace(SETTINGS, pause_duration_s=10)

    assert bench.see() == ()
    assert bench.state.paused_until == START + 12
    assert [decision.deed for decision in bench.wait(10)] == ["probe"]


def test_probing_does_not_outlast_a_time_that_was_shortened() -> None:
    bench = Bench().probing()
    bench.settings = replace(SETTINGS, probe_max_s=4)

    assert bench.see() == ()
    assert [decision.deed for decision in bench.wait(4)] == ["resume"]


@pytest.mark.parametrize(("gap", "deeds"), [(6.0, ["pause"]), (6.5, [])])
def test_errors_from_before_a_gap_are_forgotten(gap: float, deeds: list[str]) -> None:
    bench = Bench()
    bench.see()
    bench.see(errors=5)

    assert [decision.deed for decision in bench.see(errors=5, after=gap)] == deeds


@pytest.mark.parametrize(("covered", "deeds"), [(30.0, ["pause"]), (30.5, [])])
def test_errors_of_a_time_longer_than_the_window_are_no_burst(covered: float, deeds: list[str]) -> None:
    bench = Bench()
    bench.see()

    assert [decision.deed for decision in bench.see(errors=20, after=covered)] == deeds


def test_the_pause_remembers_what_the_errors_of_the_window_were() -> None:
    bench = Bench()
    bench.see(errors=4, signatures=(ErrorSignature("mail", 4, 1, "refused"),))
    bench.see(errors=6, signatures=(ErrorSignature("mail", 5, 2, "refused"), ErrorSignature("print", 1, 3, "jam")))

    (pause,) = bench.state.review.pauses
    assert (pause.began, pause.began_at, pause.duration, pause.errors) == (2.0, START + 2, 60, 10)
    assert pause.signatures == (("mail", 9, 1, "refused"), ("print", 1, 3, "jam"))


def test_the_pause_remembers_what_failed_while_probing() -> None:
    bench = Bench().probing()
    bench.see(errors=1, signatures=(ErrorSignature("mail", 1, 8, "refused"),))

    assert bench.state.review.pauses[1].signatures == (("mail", 1, 8, "refused"),)
