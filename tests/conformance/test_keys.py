"""Idempotency: a key runs once, its result outlives its task, and a key in dispute stores nothing."""

from __future__ import annotations

import pytest

from agent.clock import SECOND
from agent.errors import Conflict, IdempotencyConflict
from agent.lifecycle import UNFINISHED, State
from agent.task import NewTask
from tests.conformance.scene import ANN, LATER, NOON, Scene, failed, succeeded


def again(payload: str = "{}", type: str = "demo") -> NewTask:
    """A task with the key of all these tests."""
    return NewTask(type, payload, key="k")


@pytest.mark.parametrize("state", sorted(UNFINISHED), ids=lambda state: state.word)
def test_while_its_task_is_unfinished_a_key_gives_its_id(scene: Scene, state: State) -> None:
    placed = scene.placed(state, key="k")
    before = scene.dump()

    (enqueued,) = scene.enqueue(again())

    assert (enqueued.id, enqueued.existing, enqueued.state, enqueued.result) == (placed.id, True, state, None)
    assert scene.dump() == before


def test_once_its_task_has_succeeded_a_key_gives_the_result(scene: Scene) -> None:
    claim = scene.claim_one(key="k")
    scene.record(ANN, succeeded(claim, '{"answer":42}'))
    before = scene.dump()

    (enqueued,) = scene.enqueue(again())

    assert (enqueued.id, enqueued.existing, enqueued.state) == (claim.id, True, State.SUCCEEDED)
    assert enqueued.result == '{"answer":42}'
    assert scene.dump() == before


def test_a_result_outlives_its_task(scene: Scene) -> None:
    claim = scene.claim_one(key="k")
    scene.record(ANN, succeeded(claim, '{"answer":42}'))
    assert scene.store.upkeep.prune_tasks(LATER, LATER).tasks == 1

    (enqueued,) = scene.enqueue(again())

    assert (enqueued.id, enqueued.existing, enqueued.state) == (claim.id, True, State.SUCCEEDED)
    assert enqueued.result == '{"answer":42}'
    assert scene.claim(ANN) == []
    with pytest.raises(IdempotencyConflict):
        scene.enqueue(again('{"other":1}'))


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED], ids=lambda state: state.word)
def test_after_a_bad_end_a_key_moves_to_the_new_task(scene: Scene, state: State) -> None:
    old = scene.placed(state, key="k")

    (new,) = scene.enqueue(again('{"other":1}', type="other"))

    assert new.id > old.id
    assert (new.existing, new.state) == (False, State.QUEUED)
    assert [each.id for each in scene.enqueue(again('{"other":1}', type="other"))] == [new.id]
    assert scene.states(old.id) == [state]


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED], ids=lambda state: state.word)
def test_the_old_task_of_a_moved_key_cannot_be_retried(scene: Scene, state: State) -> None:
    old = scene.placed(state, key="k")
    (new,) = scene.enqueue(again())
    before = scene.dump()

    with pytest.raises(Conflict, match=f"task {old.id} .*'k'.* task {new.id}"):
        scene.store.tasks.retry(old.id, scene.now)
    assert scene.dump() == before


def test_the_task_that_has_its_key_still_can_be_retried(scene: Scene) -> None:
    placed = scene.placed(State.FAILED, key="k")

    scene.store.tasks.retry(placed.id, scene.now)

    assert [each.id for each in scene.enqueue(again())] == [placed.id]


@pytest.mark.parametrize("state", [*sorted(UNFINISHED), State.SUCCEEDED], ids=lambda state: state.word)
@pytest.mark.parametrize("other", [again('{"a":1}'), again(type="other")], ids=["payload", "type"])
def test_a_conflict_stores_nothing_of_its_batch(scene: Scene, state: State, other: NewTask) -> None:
    scene.placed(state, key="k")
    before, types = scene.dump(), scene.store.tasks.types()

    with pytest.raises(IdempotencyConflict, match="'k'"):
        scene.enqueue(NewTask("brand new", "{}"), NewTask("demo", "{}", key="new"), other, NewTask("demo", "{}"))

    assert scene.dump() == before
    assert scene.store.tasks.types() == types
    (enqueued,) = scene.enqueue(NewTask("demo", '{"x":1}', key="new"))
    assert not enqueued.existing


def test_payloads_that_mean_the_same_are_the_same(scene: Scene) -> None:
    (first,) = scene.enqueue(again('{"a":1,"b":[1,{"c":null}]}'))

    assert [each.id for each in scene.enqueue(again('{ "b": [1, {"c": null}], "a": 1 }'))] == [first.id]
    with pytest.raises(IdempotencyConflict, match="payload"):
        scene.enqueue(again('{"a":1.0,"b":[1,{"c":null}]}'))


def test_a_key_given_twice_in_a_batch_counts_once(scene: Scene) -> None:
    enqueued = scene.enqueue(again(), NewTask("demo", "{}"), again())

    assert [each.existing for each in enqueued] == [False, False, True]
    assert enqueued[0].id == enqueued[2].id
    with pytest.raises(IdempotencyConflict):
        scene.enqueue(NewTask("demo", "{}", key="new"), NewTask("demo", '{"a":1}', key="new"))
    assert scene.store.tasks.totals().states[State.QUEUED] == 2


def test_a_task_that_is_tried_again_has_its_key_again_when_a_newer_owner_is_gone(scene: Scene) -> None:
    scene.now = NOON + 20 * SECOND
    old = scene.placed(State.CANCELLED, key="k")
    scene.now = NOON
    (newer,) = scene.enqueue(again())
    scene.store.tasks.cancel(newer.id, scene.now)
    assert scene.store.upkeep.prune_tasks(NOON + 10 * SECOND, NOON + 30 * SECOND).tasks == 1

    scene.store.tasks.retry(old.id, scene.now)

    assert [each.id for each in scene.enqueue(again())] == [old.id]
    with pytest.raises(IdempotencyConflict, match="payload"):
        scene.enqueue(again('{"other":1}'))


def test_the_key_of_a_deleted_task_that_ended_badly_is_free(scene: Scene) -> None:
    old = scene.claim_one(key="k")
    scene.record(ANN, failed(old))
    scene.store.upkeep.prune_tasks(LATER, LATER)

    (new,) = scene.enqueue(again('{"other":1}'))

    assert (new.existing, new.id > old.id) == (False, True)


def test_deleting_the_old_task_of_a_moved_key_leaves_the_key_alone(scene: Scene) -> None:
    old = scene.claim_one(key="k")
    scene.record(ANN, failed(old))
    (new,) = scene.enqueue(again())
    scene.store.upkeep.prune_tasks(LATER, LATER)

    assert [each.id for each in scene.enqueue(again())] == [new.id]
    (claim,) = scene.claim(ANN)
    scene.record(ANN, succeeded(claim, '{"second":true}'))
    scene.store.upkeep.prune_tasks(LATER, LATER + 3600 * 10**6)
    (enqueued,) = scene.enqueue(again())
    assert (enqueued.id, enqueued.result) == (new.id, '{"second":true}')


@pytest.mark.parametrize("key", ["", " ", "ключ", "a\0b", "x" * 10_000, "'; DROP TABLE task; --"])
def test_any_text_is_a_key(scene: Scene, key: str) -> None:
    first = scene.add(key=key)

    assert scene.add(key=key) == first
    assert scene.task(first[0]).key == key
    assert scene.add(key=f"{key}2") != first
