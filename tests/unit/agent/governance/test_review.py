"""Region R asks for a human when pauses repeat, once per episode, with the facts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from agent.governance import Decision, ErrorSignature, Escalate, GovernorState, Observation, Settings, step
from agent.governance.review import consider
from agent.governance.state import Breaker, Pause, Regulator, Review, Sample

SETTINGS = Settings()
SEEN = Observation(at=1_700_000_000.0, elapsed=2.0, cpu_pct=50, mem_pct=50, inflight=0)


def considered(
    now: float, *began: float, settings: Settings = SETTINGS, **more: Any
) -> tuple[GovernorState, list[str]]:
    """The state and the deeds after pauses that began at some times, seen at `now`."""
    review = Review(
        pauses=tuple(Pause(start, 1000 + start, 60, 10) for start in began), episode=more.pop("episode", None)
    )
    state = GovernorState(regulator=Regulator(limit=8), review=review, now=now, at=1000 + now, **more)
    state, decisions = consider(settings, state, SEEN)
    return state, [decision.deed for decision in decisions]


def test_the_third_pause_within_the_review_window_escalates() -> None:
    assert considered(200, 0, 100)[1] == []
    assert considered(200, 0, 100, 200)[1] == ["escalate"]


@pytest.mark.parametrize(("now", "deeds"), [(539.0, ["escalate"]), (540.0, [])])
def test_pauses_older_than_the_review_window_do_not_count(now: float, deeds: list[str]) -> None:
    assert considered(now, 0, 300, now)[1] == deeds


def test_the_number_of_pauses_is_configured() -> None:
    assert considered(0, 0, settings=replace(SETTINGS, human_review_after_pause_bursts=1))[1] == ["escalate"]
    twice = replace(SETTINGS, human_review_after_pause_bursts=2)
    assert considered(9, 0, settings=twice)[1] == []
    assert considered(9, 0, 9, settings=twice)[1] == ["escalate"]


def test_nothing_escalates_without_a_pause() -> None:
    assert considered(0, settings=replace(SETTINGS, human_review_after_pause_bursts=0))[1] == []


def test_an_open_episode_does_not_escalate_again() -> None:
    state, deeds = considered(300, 0, 100, 200, 300, episode="review-1-5")

    assert (state.review.episode, deeds) == ("review-1-5", [])


def test_a_quiet_review_window_closes_the_episode() -> None:
    assert considered(539, 0, episode="review-1-5")[0].review.episode == "review-1-5"
    assert considered(540, 0, episode="review-1-5")[0].review.episode is None


@pytest.mark.parametrize("phase", ["paused", "probing"])
def test_a_window_is_not_quiet_while_a_pause_lasts(phase: Any) -> None:
    state, _ = considered(540, 0, episode="review-1-5", breaker=Breaker(phase=phase, until=900))

    assert state.review.episode == "review-1-5"


def test_every_episode_has_an_id_of_its_own() -> None:
    state, _ = considered(200, 0, 100, 200)
    assert (state.review.episode, state.review.episodes) == ("review-1-1000", 1)

    reopened = structs.replace(state, review=structs.replace(state.review, episode=None))
    state, _ = consider(SETTINGS, reopened, SEEN)

    assert (state.review.episode, state.review.episodes) == ("review-2-1000", 2)


@pytest.mark.parametrize(("needed", "kept"), [(3, 20), (30, 30)])
def test_the_log_of_pauses_stays_short(needed: int, kept: int) -> None:
    settings = replace(SETTINGS, human_review_after_pause_bursts=needed)

    pauses = considered(50, *range(1, 50), settings=settings)[0].review.pauses

    assert [pause.began for pause in pauses] == list(range(50 - kept, 50))


def test_the_payload_tells_the_facts() -> None:
    mail, jam = ErrorSignature("mail", 4, 7, "refused"), ErrorSignature("print", 9, 8, "jam")
    pauses = (Pause(0, 1e9, 60, 10, (mail,)), Pause(90, 1e9 + 90.5, 60, 1, (mail, jam)), Pause(180, 1e9 + 180, 60, 1))
    state = GovernorState(
        regulator=Regulator(limit=4, throttled_to=4, ceiling=6, ceiling_until=181),
        review=Review(pauses=pauses),
        now=180,
        at=1e9 + 180,
        samples=(Sample(178, 2, 80.04, 40), Sample(180, 2, 90, None)),
    )

    _, (decision,) = consider(SETTINGS, state, SEEN)

    assert isinstance(decision, Escalate)
    assert decision.episode == "review-1-1000000000"
    assert decision.payload == {
        "episode": "review-1-1000000000",
        "since": "2001-09-09T01:46:40.000000Z",
        "review_window_s": 540.0,
        "pauses": [
            {"at": "2001-09-09T01:46:40.000000Z", "duration_s": 60, "errors": 10},
            {"at": "2001-09-09T01:48:10.500000Z", "duration_s": 60, "errors": 1},
            {"at": "2001-09-09T01:49:40.000000Z", "duration_s": 60, "errors": 1},
        ],
        "errors": [
            {"error": "print: jam", "count": 9, "type": "print", "sample_task_id": 8},
            {"error": "mail: refused", "count": 8, "type": "mail", "sample_task_id": 7},
        ],
        "tasks": [8, 7],
        "window": {
            "seconds": 30.0,
            "samples": 2,
            "cpu_pct": {"mean": 85.0, "max": 90},
            "mem_pct": {"mean": 40, "max": 40},
        },
        "limit": 4,
        "max_concurrent": 8,
        "ceiling": 6,
    }
    assert json.loads(json.dumps(decision.payload)) == decision.payload


def test_the_payload_names_no_reading_and_no_ceiling_that_there_is_not() -> None:
    regulator = Regulator(limit=8, ceiling=6, ceiling_until=180)
    review = Review(pauses=(Pause(0, 0, 60, 10),) * 3)
    state = GovernorState(regulator=regulator, review=review, now=180, samples=(Sample(180, 2, None, None),))

    _, (decision,) = consider(SETTINGS, state, SEEN)

    assert isinstance(decision, Escalate)
    assert (decision.payload["ceiling"], decision.payload["window"]["cpu_pct"]) == (None, None)


def test_the_pause_that_escalates_comes_first_in_the_same_step() -> None:
    settings = replace(SETTINGS, human_review_after_pause_bursts=1)
    seen: tuple[Decision, ...]

    _, seen = step(settings, GovernorState.initial(settings), structs.replace(SEEN, errors=10))

    assert [decision.deed for decision in seen] == ["pause", "escalate"]
