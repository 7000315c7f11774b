"""The governor's memory survives as text, and tells what may run and why not more."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.errors import StoreError
from agent.governance import ErrorSignature, GovernorState, Settings
from agent.governance.state import Breaker, Outcomes, Pause, Regulator, Review, Sample

SETTINGS = Settings()
FRESH = GovernorState.initial(SETTINGS)
THROTTLED = replace(FRESH, regulator=Regulator(limit=6, throttled_to=6, cause="cpu 93 % > 85 %"))
PAUSED = replace(FRESH, at=1000.0, now=50.0, breaker=Breaker(phase="paused", until=80.0, cause="12 errors in 30 s"))
PROBING = replace(FRESH, breaker=Breaker(phase="probing", cause="tasks start one at a time"))


def test_at_first_nothing_is_throttled_or_paused() -> None:
    assert (FRESH.limit, FRESH.probing, FRESH.paused_until, FRESH.reasons) == (8, False, None, ())
    assert FRESH.effective_limit(SETTINGS) == 8


def test_everything_comes_back_from_json() -> None:
    signatures = (ErrorSignature("mail", 3, 7, "größer\n"),)
    state = GovernorState(
        regulator=Regulator(
            limit=3, throttled_to=3, cause="x", direction=-1, changed=0.1, ceiling=4, ceiling_until=9.5
        ),
        breaker=Breaker(phase="probing", until=1 / 3, successes=2, outcomes=(Outcomes(1.5, 1, 2, signatures),)),
        review=Review(pauses=(Pause(1.0, 1e9 + 0.1, 60.0, 12, signatures),), episode="review-1-5", episodes=1),
        now=17.25,
        at=1_700_000_000.123456,
        elapsed=2.0000001,
        samples=(Sample(2.0, 2.0, None, 45.5),),
    )

    assert GovernorState.from_json(state.to_json()) == state


def test_the_text_of_a_version_that_knew_more_is_read() -> None:
    text = FRESH.to_json().replace('{"regulator"', '{"sensors":[1],"regulator"', 1)

    assert GovernorState.from_json(text) == FRESH


@pytest.mark.parametrize("text", ["", "{", "null", "{}", '{"regulator":{"limit":"many"}}'])
def test_a_text_that_is_no_state_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be read .*: restore a backup, or delete"):
        GovernorState.from_json(text)


def test_while_paused_nothing_may_run_until_the_pause_ends_on_the_wall_clock() -> None:
    assert PAUSED.effective_limit(SETTINGS) == 0
    assert PAUSED.paused_until == 1030.0


@pytest.mark.parametrize(("maximum", "allowed"), [(8, 1), (1, 1), (0, 0)])
def test_while_probing_one_task_may_run(maximum: int, allowed: int) -> None:
    assert PROBING.probing
    assert PROBING.effective_limit(SETTINGS.scaled(maximum)) == allowed
    assert PROBING.paused_until is None


def test_a_smaller_maximum_holds_even_before_the_governor_has_heard_of_it() -> None:
    assert FRESH.effective_limit(SETTINGS.scaled(3)) == 3
    assert THROTTLED.effective_limit(SETTINGS) == 6


def test_the_reasons_say_why_not_more_runs() -> None:
    assert THROTTLED.reasons == ("throttled: cpu 93 % > 85 %",)
    assert PAUSED.reasons == ("paused: 12 errors in 30 s",)
    assert PROBING.reasons == ("probing: tasks start one at a time",)
    both = replace(PAUSED, regulator=THROTTLED.regulator, review=Review(episode="review-1-5"))
    assert both.reasons == (*THROTTLED.reasons, *PAUSED.reasons, "waiting for review: review-1-5")


def test_a_maximum_below_what_was_throttled_to_is_the_operators_doing() -> None:
    assert replace(THROTTLED, regulator=replace(THROTTLED.regulator, limit=4)).reasons == ()
