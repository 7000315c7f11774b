"""What a claim takes: the best head's type and priority, what is admitted, and nothing that cannot run now."""

from __future__ import annotations

import msgspec
import pytest

from agent.lifecycle import State
from agent.store.values import Death
from tests.conformance.scene import ANN, BOB, CAT, LATER, Scene, failed, start, succeeded


def test_the_highest_priority_goes_first_then_the_lowest_id(scene: Scene) -> None:
    low = scene.add(3, priority=-5)
    plain = scene.add(3)
    high = scene.add(2, priority=9)

    chunks = [[each.id for each in scene.claim(ANN)] for _ in range(4)]

    assert chunks == [high, plain, low, []]


def test_a_chunk_is_of_one_type_and_one_priority(scene: Scene) -> None:
    first = scene.add(2, type="a")
    second = scene.add(2, type="b")
    urgent = scene.add(1, type="b", priority=1)
    third = scene.add(2, type="a")

    chunks = [[each.id for each in scene.claim(ANN)] for _ in range(3)]

    assert chunks == [urgent, first + third, second]


def test_a_chunk_is_no_larger_than_asked_and_told_how_much_is_queued(scene: Scene) -> None:
    ids = scene.add(10)
    asked: list[tuple[int, int]] = []
    claims = scene.store.claims(ANN)
    admission = msgspec.structs.replace(
        scene.admission("demo"), size=lambda kind, queued: asked.append((kind, queued)) or 4
    )

    chunk = claims.exchange(0, (), None, admission)

    assert [each[0] for each in chunk.tasks] == ids[:4]
    assert asked == [(chunk.kind, 10)]
    assert chunk.kind == claims.kinds(["demo"])["demo"]


def test_a_claimed_task_tells_all_that_a_worker_needs(scene: Scene) -> None:
    (id_,) = scene.add(payload='{"n":1}', key="k", max_attempts=7, timeout_us=5_000_000)
    (claim,) = scene.claim(ANN)

    assert claim == (id_, 1, 0, 0, '{"n":1}', 7, 5_000_000, "k")
    task = scene.task(id_)
    assert (task.state, task.worker, task.claims, task.attempt) == (State.RESERVED, ANN, 1, 0)


def test_what_one_worker_has_claimed_no_other_gets(scene: Scene) -> None:
    ids = scene.add(5)

    assert [each.id for each in scene.claim(ANN, size=3)] == ids[:3]
    assert [each.id for each in scene.claim(BOB)] == ids[3:]
    assert scene.claim(CAT) == []


@pytest.mark.parametrize("death", [Death.CRASHED, Death.KILLED])
def test_a_task_that_has_crashed_is_claimed_alone(scene: Scene, death: Death) -> None:
    ids = scene.add(4)
    claims = scene.claim(ANN)
    scene.bury(ANN, claims[1], death)

    chunks = [[each.id for each in scene.claim(BOB)] for _ in range(3)]

    assert chunks == [[ids[0], ids[2], ids[3]], [ids[1]], []]


def test_a_task_that_was_lost_or_failed_is_claimed_with_others(scene: Scene) -> None:
    ids = scene.add(3)
    claims = scene.claim(ANN)
    scene.fail_until_due(claims[0])
    scene.bury(ANN, claims[1], Death.LOST)
    scene.promote(61)

    assert [each.id for each in scene.claim(BOB)] == ids


def test_types_that_are_not_admitted_are_passed_over(scene: Scene) -> None:
    scene.add(3, type="paused", priority=100)
    scene.add(3, type="handled by nobody", priority=50)
    ids = scene.add(2, type="open")

    assert [each.id for each in scene.claim(ANN, "open")] == ids
    assert scene.claim(ANN, "open") == []


def test_the_limit_of_a_type_counts_workers_not_tasks(scene: Scene) -> None:
    ids = scene.add(9, type="slow")
    limits = {"slow": 2}

    assert len(scene.claim(ANN, size=3, limits=limits)) == 3
    assert len(scene.claim(BOB, size=3, limits=limits)) == 3
    assert scene.claim(CAT, size=3, limits=limits) == []
    scene.record(BOB, after=0, type="slow")
    assert [each.id for each in scene.claim(CAT, size=3, limits=limits)] == ids[3:6]


def test_a_type_at_its_limit_does_not_keep_others_waiting(scene: Scene) -> None:
    scene.add(4, type="slow", priority=5)
    ids = scene.add(2, type="quick")
    scene.begin(ANN, *scene.claim(ANN, "slow", size=1))

    assert [each.id for each in scene.claim(BOB, limits={"slow": 1})] == ids


def test_tasks_in_the_future_are_not_claimed_before_they_are_promoted(scene: Scene) -> None:
    (id_,) = scene.add(due_at=LATER, priority=3)
    scene.fail_until_due(scene.claim_one())

    assert scene.claim(ANN) == []
    scene.promote(3600)
    assert [each.id for each in scene.claim(ANN)] == [id_]


def test_an_outdated_admission_claims_nothing_but_records_and_gives_back(scene: Scene) -> None:
    ids = scene.add(4)
    old = scene.admission("demo")
    claims = scene.claim(ANN, size=3)
    scene.admit(demo=None)

    (kind,) = old.kinds
    chunk = scene.store.claims(ANN).exchange(kind, [succeeded(claims[0]), failed(claims[1])], claims[1].id, old)

    assert (chunk.outdated, list(chunk.tasks), list(chunk.stale)) == (True, [], [])
    assert scene.states(*ids) == [State.SUCCEEDED, State.FAILED, State.QUEUED, State.QUEUED]


def test_an_outdated_admission_is_told_even_when_nothing_is_queued(scene: Scene) -> None:
    scene.add(1, type="other")
    old = scene.admission("demo")
    scene.admit(4)

    assert scene.store.claims(ANN).exchange(0, (), None, old).outdated
    assert not scene.store.claims(ANN).exchange(0, (), None, scene.admission("demo")).outdated


def test_one_exchange_records_gives_back_and_claims(scene: Scene) -> None:
    ids = scene.add(4)
    claims = scene.claim(ANN, size=3)
    admission = scene.admission("demo", size=2)
    (kind,) = admission.kinds

    chunk = scene.store.claims(ANN).exchange(kind, [succeeded(claims[0])], claims[0].id, admission)

    assert [each[0] for each in chunk.tasks] == ids[1:3]
    assert [each[1] for each in chunk.tasks] == [2, 2]
    states = [State.SUCCEEDED, State.RESERVED, State.RESERVED, State.QUEUED]
    assert scene.states(*ids) == states


def test_giving_back_leaves_others_and_what_has_begun_alone(scene: Scene) -> None:
    scene.add(6)
    anns, bobs = scene.claim(ANN, size=4), scene.claim(BOB)
    scene.store.custody.catch_up({}, [start(ANN, anns[2])], ())

    scene.record(ANN, after=anns[0].id)

    held, queued = State.RESERVED, State.QUEUED
    assert scene.states(*[each.id for each in anns]) == [held, queued, State.IN_PROGRESS, queued]
    assert scene.states(*[each.id for each in bobs]) == [held, held]
    assert [scene.task(each.id).attempt for each in anns] == [0, 0, 1, 0]
    assert [each.claims for each in scene.claim(CAT)] == [2, 2]


def test_a_claim_when_everything_is_taken_or_finished_is_empty(scene: Scene) -> None:
    scene.record(ANN, succeeded(scene.claim_one()))
    scene.claim_one(BOB)
    admission = scene.admission("demo")

    chunk = scene.store.claims(CAT).exchange(0, (), None, admission)

    assert (list(chunk.tasks), list(chunk.stale), chunk.outdated) == ([], [], False)


def test_an_empty_look_is_not_held_up_by_another_process_in_the_midst_of_a_write(scene: Scene) -> None:
    scene.placed(State.SCHEDULED)
    admission = scene.admission("demo")
    claims = scene.store.claims(ANN)

    with scene.backend.writer(scene.place):
        assert claims.kinds(["demo"])
        assert list(claims.exchange(0, (), None, admission).tasks) == []
        assert list(claims.exchange(0, (), None, None).tasks) == []
        assert scene.promote() == (0, LATER)


def test_types_keep_their_numbers(scene: Scene) -> None:
    numbers = scene.store.claims(ANN).kinds(["a", "b"])
    scene.add(type="c")

    assert scene.store.claims(BOB).kinds(["b", "c", "a"]).items() >= numbers.items()
    assert len(set(scene.store.claims(BOB).kinds(["b", "c", "a"]).values())) == 3
