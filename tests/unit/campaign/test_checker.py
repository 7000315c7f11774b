"""The checker finds each kind of breach in evidence that holds it, and none in evidence that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from campaign.asked import Asked
from campaign.checker import check
from campaign.effects import Effect, delays
from campaign.evidence import Evidence, Row

SUCCEEDED = Row(
    1, "nap", "succeeded", 1, None, 1, 0, 0, 2_000_000, None, {"s": 0, "n": 0}, {"n": 0, "attempt": 1}, None
)
START, END = Effect("start", 1, 1, 77, 10.0, 1.0, "-"), Effect("end", 1, 1, 77, 10.5, 1.5, "-")


def evidence() -> Evidence:
    """One task, asked for, run once, succeeded; nothing is left."""
    asked = Asked()
    asked.acknowledged([1], asked.number("nap", [{"s": 0}]))
    books = {"succeeded": 1}
    return Evidence(asked, {1: SUCCEEDED}, [], [START, END], books, books, [], 0, {}, [], 0, True)


def row(**changes: object) -> Callable[[Evidence], Evidence]:
    """The task's row is another one; the books agree with it."""

    def change(found: Evidence) -> Evidence:
        changed = replace(SUCCEEDED, **changes)
        books = {changed.state: 1}
        return replace(found, rows={1: changed}, counted=books, told=books)

    return change


def effects(*found: Effect) -> Callable[[Evidence], Evidence]:
    """The handler did something else."""
    return lambda before: replace(before, effects=list(found))


def fields(**changes: object) -> Callable[[Evidence], Evidence]:
    """Other evidence differs."""
    return lambda before: replace(before, **changes)


AGAIN = Effect("start", 1, 2, 78, 11.0, 3.0, "-")

BREACHES = {
    "gone": (fields(rows={}, counted={}, told={}), "lost: task 1 was acknowledged and is not in the store"),
    "not ended": (row(state="queued", result=None, finished_at=None), "lost: task 1 is queued at rest"),
    "mixed up": (row(payload={"s": 0, "n": 7}), "lost: task 1 was acknowledged as number 0 and is number 7"),
    "never asked for": (row(payload={"n": 7}), "unexpected: nobody asked for task 1"),
    "another payload": (row(payload={"s": 9, "n": 0}), "unexpected: task 1 is not what was asked for"),
    "after success": (effects(START, END, AGAIN), "duplicated: task 1 started attempt 2 after it had succeeded"),
    "no result": (row(result=None), "state: task 1 is succeeded, its result is None"),
    "an attempt of which nothing is known": (
        row(attempt=2, claims=2, result={"n": 0}), "attempts: task 1 counts 2, and of attempt 1 no record is kept"
    ),
    "an old result": (row(attempt=2, claims=2), "fence: task 1 has the result of attempt 1, not of 2"),
    "a foreign result": (row(result={"n": 5, "attempt": 1}), "fence: task 1 has the result of another task"),
    "not counted": (effects(START, AGAIN, END), "fence: task 1 counts 1 attempts, its handler saw attempt 2"),
    "never ran": (effects(), "fence: task 1 succeeded and its handler never started"),
    "the same attempt twice": (effects(START, START, END), "attempts: task 1 started attempt 1 after attempt 1"),
    "two at once": (effects(START, START._replace(word="overlap"), END), "overlap: attempt 1 of task 1"),
    "success without an end": (effects(START), "ends: task 1 succeeded, but the handler of attempt 1"),
    "too many re-runs": (fields(kept=[(1, 1, "lost")]), "re-runs: 1 attempts were lost by the death of 0 workers"),
    "a forgotten attempt": (row(attempt=2, claims=2, result={"attempt": 2}), "re-runs: attempt 1 of task 1 ran"),
    "killed for ever": (row(kills=11), "limits: task 1 was let crash 0 times and be killed 11 times"),
    "wrong counts": (fields(counted={"succeeded": 2}), "books: the table of counts says"),
    "wrong stats": (fields(told={"queued": 1}), "books: `stats` says"),
    "damage": (fields(integrity=["row 3 missing from index"]), "integrity: row 3 missing from index"),
    "an orphan": (fields(processes={99: "worker"}), "rest: process 99 (worker) is left"),
    "a slot": (fields(files=["state.db.run/slots/1"]), "rest: the file state.db.run/slots/1 is left"),
    "a ghost": (fields(living_workers=1), "rest: 1 workers are said to live"),
}


def test_a_task_that_ran_once_breaks_nothing() -> None:
    verdict, breaches = check(evidence())

    assert breaches == []
    assert (verdict.acknowledged, verdict.lost, verdict.duplicated, verdict.attempts) == (1, 0, 0, 1)


@pytest.mark.parametrize("kind", BREACHES)
def test_a_breach_is_found_and_named(kind: str) -> None:
    change, sentence = BREACHES[kind]

    _, breaches = check(change(evidence()))

    assert any(breach.startswith(sentence) for breach in breaches), breaches


def test_a_key_that_succeeded_twice_is_a_duplicate() -> None:
    found = evidence()
    payloads = found.asked.number("nap", [{"s": 0}])
    found.asked.acknowledged([2], payloads, "key")
    second = replace(SUCCEEDED, id=2, key="key", payload=payloads[0], result={"n": 1, "attempt": 1})
    rows = {1: replace(SUCCEEDED, key="key"), 2: second}

    verdict, breaches = check(replace(found, rows=rows))

    assert verdict.duplicated == 1
    assert "duplicated: key key succeeded as tasks [1, 2]" in breaches


def test_many_breaches_of_a_kind_are_cut() -> None:
    found = evidence()
    found.asked.acknowledged(range(2, 102), found.asked.number("nap", [{"s": 0}] * 100))

    verdict, breaches = check(found)

    assert verdict.lost == 100
    assert sum(breach.startswith("lost") for breach in breaches) == 5
    assert "… and 95 more of that kind" in breaches


def test_the_delay_runs_from_the_death_to_the_next_start_of_the_task_that_was_cut_short() -> None:
    told = [START, Effect("start", 2, 1, 78, 10.1, 1.1, "-"), Effect("end", 2, 1, 78, 10.2, 1.2, "-"), AGAIN]

    assert delays(told, [(77, 10.7)]) == [pytest.approx(0.3)]
    assert delays(told, [(78, 10.7)]) == []
