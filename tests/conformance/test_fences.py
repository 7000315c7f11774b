"""A result counts once, and only while its claim holds the task: stale outcomes are told, repeated ones are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.clock import SECOND
from agent.lifecycle import State
from agent.store.values import Death
from agent.task import Claimed, Outcome
from tests.conformance.scene import ANN, BOB, LATER, NOON, Scene, failed, start, succeeded, to_retry

Record = Callable[[Scene, Outcome], list[Outcome]]


def by_the_worker(scene: Scene, outcome: Outcome) -> list[Outcome]:
    """ANN records by herself; what was stale."""
    return list(scene.record(ANN, outcome).stale)


def by_the_supervisor(scene: Scene, outcome: Outcome) -> list[Outcome]:
    """The supervisor records for ANN; what was stale."""
    return list(scene.catch_up(ANN, outcome).stale)


def at_the_burial(scene: Scene, outcome: Outcome) -> list[Outcome]:
    """ANN is buried, with the outcome in her slot; what was stale."""
    return list(scene.bury(ANN, outcomes=[outcome]).stale)


every_way = pytest.mark.parametrize("record", [by_the_worker, by_the_supervisor, at_the_burial])
every_outcome = pytest.mark.parametrize(
    "end", [succeeded, failed, lambda claim: to_retry(claim, LATER)], ids=["succeeded", "failed", "to_retry"]
)
End = Callable[[Claimed], Outcome]


@every_way
@every_outcome
def test_an_outcome_under_another_workers_name_is_stale(scene: Scene, record: Record, end: End) -> None:
    claim = scene.claim_one(BOB)
    before = scene.dump()

    assert record(scene, end(claim)) == [end(claim)]
    assert scene.dump() == before


@every_way
@every_outcome
@pytest.mark.parametrize("begun", [False, True])
def test_an_outcome_of_an_earlier_claim_of_the_same_worker_is_stale(
    scene: Scene, record: Record, end: End, begun: bool
) -> None:
    old = scene.claim_one()
    scene.record(ANN, after=0)
    (new,) = scene.claim(BOB)
    scene.record(BOB, after=0)
    (again,) = scene.claim(ANN)
    if begun:
        scene.begin(ANN, again)
    before = scene.task(old.id)

    assert (old.claims, new.claims, again.claims) == (1, 2, 3)
    assert record(scene, end(old)) == [end(old)]
    after = scene.task(old.id)
    if record is at_the_burial:
        assert (after.state, after.attempt, after.result) == (State.QUEUED, int(begun), None)
    else:
        assert after == before


@every_way
@every_outcome
def test_an_outcome_after_the_release_is_stale(scene: Scene, record: Record, end: End) -> None:
    claim = scene.claim_one()
    scene.record(ANN, after=0)
    before = scene.dump()

    assert record(scene, end(claim)) == [end(claim)]
    assert scene.dump() == before


@every_way
@every_outcome
@pytest.mark.parametrize("reclaimed", [False, True])
def test_an_outcome_after_the_rescue_is_stale(scene: Scene, record: Record, end: End, reclaimed: bool) -> None:
    claim = scene.claim_one()
    scene.begin(ANN, claim)
    scene.bury(ANN, claim)
    if reclaimed:
        assert [each.id for each in scene.claim(BOB)] == [claim.id]
    before = scene.dump()

    assert record(scene, end(claim)) == [end(claim)]
    assert scene.dump() == before


@every_way
def test_an_outcome_of_a_task_that_is_gone_is_stale(scene: Scene, record: Record) -> None:
    claim = scene.claim_one()
    scene.record(ANN, succeeded(claim))
    scene.store.upkeep.prune_tasks(LATER, LATER)

    assert record(scene, succeeded(claim)) == [succeeded(claim)]


@every_way
@every_outcome
@pytest.mark.parametrize("again", [succeeded, failed], ids=["succeeds", "fails"])
def test_an_outcome_repeated_changes_nothing_and_is_not_stale(
    scene: Scene, record: Record, end: End, again: End
) -> None:
    claim = scene.claim_one(key="k")
    assert scene.record(ANN, end(claim)).stale == []
    before = scene.dump()

    assert record(scene, again(claim)) == []
    assert scene.dump() == before


def test_a_retry_recorded_again_after_it_was_promoted_changes_nothing(scene: Scene) -> None:
    claim = scene.claim_one()
    scene.fail_until_due(claim)
    scene.promote(61)
    before = scene.dump()

    assert by_the_worker(scene, to_retry(claim, LATER)) == []
    assert scene.dump() == before


@every_way
def test_successes_failures_and_stale_ones_in_one_chunk_are_told_apart(scene: Scene, record: Record) -> None:
    ids = scene.add(8)
    claims = scene.claim(ANN)
    scene.take_back(ANN, ids[6])
    scene.begin(ANN, claims[4])
    outcomes = [
        succeeded(claims[0]),
        failed(claims[1]),
        to_retry(claims[2], LATER),
        succeeded(claims[3]),
        succeeded(claims[4]),
        failed(claims[5]),
        succeeded(claims[7]),
    ]

    kind = scene.store.claims(ANN).kinds(["demo"])["demo"]
    if record is by_the_worker:
        stale = list(scene.store.claims(ANN).exchange(kind, outcomes, None, None).stale)
    elif record is by_the_supervisor:
        stale = list(scene.catch_up(ANN, *outcomes).stale)
    else:
        stale = list(scene.bury(ANN, outcomes=outcomes).stale)

    left = State.QUEUED if record is at_the_burial else State.RESERVED
    ends = [State.SUCCEEDED, State.FAILED, State.RETRY_SCHEDULED, State.SUCCEEDED, State.SUCCEEDED, State.FAILED]
    assert stale == [outcomes[-1]]
    assert scene.states(*ids) == [*ends, left, State.QUEUED]
    assert [scene.task(id_).attempt for id_ in ids] == [1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 65, 256, 300])
def test_a_chunk_of_any_size_is_recorded_whole(scene: Scene, n: int) -> None:
    ids = scene.add(n)
    claims = scene.claim(ANN, size=n)

    stale = scene.record(ANN, *[succeeded(claim, f'{{"id":{claim.id}}}') for claim in claims]).stale

    assert list(stale) == []
    tasks = scene.store.tasks.list(State.SUCCEEDED, None, n + 1)
    assert [(task.id, task.result) for task in reversed(tasks)] == [(id_, f'{{"id":{id_}}}') for id_ in ids]


def test_one_stale_outcome_keeps_no_other_of_its_chunk_from_being_recorded(scene: Scene) -> None:
    scene.add(20)
    claims = scene.claim(ANN)
    scene.take_back(ANN, claims[-2].id)

    assert list(scene.record(ANN, *map(succeeded, claims)).stale) == [succeeded(claims[-1])]
    assert scene.store.tasks.totals().states[State.SUCCEEDED] == 19


@every_way
@every_outcome
def test_the_outcome_of_an_attempt_begun_by_the_supervisor_counts_it_once(
    scene: Scene, record: Record, end: End
) -> None:
    claim = scene.claim_one()
    scene.begin(ANN, claim)

    assert record(scene, end(claim)) == []
    task = scene.task(claim.id)
    assert (task.state, task.attempt) == (State(end(claim).state), 1)
    assert [each.attempt for each in task.history()] == [1]


def test_an_outcome_is_kept_as_it_was_told(scene: Scene) -> None:
    good, bad = scene.claim_one(), scene.claim_one()
    scene.record(ANN, succeeded(good, '{"n":1}'), failed(bad, "no luck"))

    task = scene.task(good.id)
    assert (task.result, task.error, task.worker, task.failures) == ('{"n":1}', None, ANN, 0)
    assert (task.started_at, task.finished_at, task.attempts) == (NOON, NOON + SECOND, ())
    task = scene.task(bad.id)
    (attempt,) = task.attempts
    assert (task.result, task.error, task.worker, task.failures) == (None, "no luck", ANN, 1)
    assert (attempt.attempt, attempt.worker, attempt.outcome) == (1, ANN, "failed")
    assert (attempt.started_at, attempt.ended_at, attempt.error) == (NOON, NOON + SECOND, "Traceback …\nno luck")


def test_attempts_are_kept_one_by_one_until_one_succeeds(scene: Scene) -> None:
    claim = scene.claim_one()
    for n in range(3):
        assert (claim.attempt, claim.failures) == (n, n)
        scene.fail_until_due(claim)
        scene.promote(61)
        (claim,) = scene.claim(ANN)
    scene.record(ANN, succeeded(claim))

    history = scene.task(claim.id).history()
    assert [(each.attempt, each.outcome) for each in history] == [
        (1, "failed"), (2, "failed"), (3, "failed"), (4, "succeeded"),
    ]


@pytest.mark.parametrize("state", [State.RESERVED, State.IN_PROGRESS], ids=lambda state: state.word)
def test_a_start_under_another_fence_begins_nothing(scene: Scene, state: State) -> None:
    placed = scene.placed(state)
    before = scene.dump()
    others = [start(BOB, placed.claim), start(ANN, placed.claim._replace(claims=7)), start(ANN, Claimed(99, *[1] * 7))]

    scene.store.custody.catch_up({}, others, ())

    assert scene.dump() == before


def test_the_running_task_of_another_fence_is_not_touched_by_a_burial(scene: Scene) -> None:
    claim = scene.claim_one()
    scene.record(ANN, after=0)
    (now_bobs,) = scene.claim(BOB)
    before = scene.dump()

    burial = scene.bury(ANN, claim, Death.CRASHED)

    assert (burial.running, burial.fate, burial.rescued, burial.released) == (None, None, 0, 0)
    assert scene.dump() == before
    assert scene.record(BOB, succeeded(now_bobs)).stale == []


def test_one_catching_up_records_begins_and_takes_back_for_many_workers(scene: Scene) -> None:
    scene.add(6)
    anns, bobs = scene.claim(ANN, size=3), scene.claim(BOB, size=3)
    outcomes = {ANN: [succeeded(anns[0])], BOB: [failed(bobs[0]), succeeded(anns[1])]}

    done = scene.store.custody.catch_up(outcomes, [start(ANN, anns[1]), start(BOB, bobs[1])], ())

    assert (done.stale, done.released) == ([succeeded(anns[1])], 0)
    states = [State.SUCCEEDED, State.IN_PROGRESS, State.RESERVED, State.FAILED, State.IN_PROGRESS, State.RESERVED]
    assert scene.states(*[each.id for each in (*anns, *bobs)]) == states


def test_what_is_taken_back_is_what_has_not_begun_and_only_if_the_worker_still_stands_so(scene: Scene) -> None:
    scene.add(5)
    claims = scene.claim(ANN)
    scene.begin(ANN, claims[3])

    assert scene.take_back(ANN, claims[1].id, still=False) == 0
    assert scene.take_back(BOB, 0) == 0
    assert scene.take_back(ANN, claims[1].id) == 2
    held, queued = State.RESERVED, State.QUEUED
    assert scene.states(*[each.id for each in claims]) == [held, held, queued, State.IN_PROGRESS, queued]
    assert [scene.task(each.id).attempt for each in claims] == [0, 0, 0, 1, 0]
