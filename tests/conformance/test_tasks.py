"""What callers see: records, lists, counts; batches that are stored whole or not at all."""

from __future__ import annotations

import pytest

from agent.errors import Conflict, NotFound, QueueFull
from agent.lifecycle import State
from agent.task import NewTask
from tests.conformance.scene import ANN, BOB, LATER, NOON, PLACING_ORDER, Scene, failed, succeeded


def test_a_new_task_is_stored_as_it_was_given(scene: Scene) -> None:
    new = NewTask("demo", '{"n":1}', key="k", priority=-3, due_at=LATER, max_attempts=5, timeout_us=7)
    (enqueued,) = scene.enqueue(new)

    task = scene.task(enqueued.id)
    assert (enqueued.existing, enqueued.state, enqueued.result) == (False, State.SCHEDULED, None)
    assert (task.type, task.state, task.payload, task.key) == ("demo", State.SCHEDULED, '{"n":1}', "k")
    assert (task.priority, task.max_attempts, task.timeout_us) == (-3, 5, 7)
    assert (task.created_at, task.due_at, task.started_at, task.finished_at) == (NOON, LATER, None, None)
    assert (task.attempt, task.failures, task.claims, task.crashes, task.kills, task.worker) == (0, 0, 0, 0, 0, None)


@pytest.mark.parametrize(("due_at", "state"), [(None, State.QUEUED), (NOON, State.QUEUED), (1, State.QUEUED)])
def test_what_is_due_already_is_queued_at_once(scene: Scene, due_at: int | None, state: State) -> None:
    (enqueued,) = scene.enqueue(NewTask("demo", "{}", due_at=due_at))

    assert (enqueued.state, scene.task(enqueued.id).state) == (state, state)


def test_ids_rise_in_the_order_of_a_batch_whatever_is_in_it(scene: Scene) -> None:
    new = [NewTask("ab"[n % 2], f'{{"n":{n}}}', key=f"k{n}" if n % 3 else None, priority=-n) for n in range(50)]

    ids = [each.id for each in scene.enqueue(*new)]

    assert ids == sorted(set(ids))
    stored = [scene.task(id_) for id_ in ids]
    assert [(task.payload, task.type) for task in stored] == [(each.payload, each.type) for each in new]


@pytest.mark.parametrize("run", [1, 3, 20])
def test_tasks_of_a_batch_keep_what_each_of_them_says(scene: Scene, run: int) -> None:
    """Alike in runs of some length, or each another."""
    kinds = [
        ("a", 0, None, None, None), ("b", 0, None, None, None), ("b", 5, None, None, None), ("b", 5, LATER, None, None),
        ("b", 5, LATER, 3, None), ("b", 5, LATER, 3, 9_000_000), ("a", -1, NOON, None, 1),
    ]  # fmt: skip
    new = [
        NewTask(type_, f'{{"n":{n}}}', None, priority, due_at, most, timeout)
        for type_, priority, due_at, most, timeout in kinds
        for n in range(run)
    ]

    enqueued = scene.enqueue(*new)

    assert [each.id for each in enqueued] == list(range(enqueued[0].id, enqueued[0].id + len(new)))
    stored = [scene.task(each.id) for each in enqueued]
    assert [(each.type, each.payload, each.priority, each.max_attempts, each.timeout_us) for each in stored] == [
        (each.type, each.payload, each.priority, each.max_attempts, each.timeout_us) for each in new
    ]
    assert [each.due_at for each in stored] == [NOON if each.due_at is None else each.due_at for each in new]
    assert [each.state for each in stored] == [each.state for each in enqueued]
    assert [each.state for each in stored] == [
        State.SCHEDULED if each.due_at == LATER else State.QUEUED for each in new
    ]


def test_an_empty_batch_stores_nothing(scene: Scene) -> None:
    before = scene.dump()

    assert scene.enqueue() == []
    assert scene.dump() == before


def test_no_more_wait_than_the_queue_may_hold(scene: Scene) -> None:
    scene.placed(State.SCHEDULED)
    scene.placed(State.RETRY_SCHEDULED)
    scene.placed(State.RESERVED)
    scene.placed(State.SUCCEEDED)
    scene.enqueue(NewTask("demo", "{}"), max_queued=3)
    before = scene.dump()

    with pytest.raises(QueueFull, match="max_queued"):
        scene.enqueue(NewTask("brand new", "{}"), max_queued=3)
    with pytest.raises(QueueFull):
        scene.enqueue(*[NewTask("demo", "{}")] * 2, max_queued=4)

    assert scene.dump() == before
    scene.enqueue(NewTask("demo", "{}"), max_queued=4)
    scene.enqueue(NewTask("demo", "{}"), max_queued=0)


def test_a_full_queue_still_answers_for_a_key_it_knows(scene: Scene) -> None:
    (id_,) = scene.add(key="k")
    scene.add(2)

    assert [each.id for each in scene.enqueue(NewTask("demo", "{}", key="k"), max_queued=1)] == [id_]


def test_a_batch_that_fails_leaves_no_gap_that_anybody_has_seen(scene: Scene) -> None:
    ids = scene.add(2)
    with pytest.raises(QueueFull):
        scene.enqueue(*[NewTask("demo", "{}")] * 5, max_queued=3)

    assert scene.add()[0] > ids[-1]


def test_an_id_is_never_used_again_even_if_the_newest_task_is_deleted(scene: Scene) -> None:
    claim = scene.claim_one()
    scene.record(ANN, succeeded(claim))
    assert scene.store.upkeep.prune_tasks(LATER, LATER).tasks == 1

    assert scene.add()[0] > claim.id


@pytest.mark.parametrize("id_", [0, -1, 1, 10**18, 2**63, 2**70])
def test_an_id_that_no_task_has_is_not_found(scene: Scene, id_: int) -> None:
    with pytest.raises(NotFound, match=str(id_)):
        scene.task(id_)
    with pytest.raises(NotFound, match=str(id_)):
        scene.store.tasks.cancel(id_, NOON)
    with pytest.raises(NotFound, match=str(id_)):
        scene.store.tasks.retry(id_, NOON)


def test_the_newest_tasks_are_listed_first_by_state_and_type(scene: Scene) -> None:
    placed = {state: [scene.placed(state, type=f"t{state}").id] for state in PLACING_ORDER}
    placed[State.SCHEDULED] += scene.add(2, due_at=LATER, type="another")
    everything = sorted((id_ for ids in placed.values() for id_ in ids), reverse=True)
    tasks = scene.store.tasks

    assert [each.id for each in tasks.list(None, None, 100)] == everything
    assert [each.id for each in tasks.list(None, None, 3)] == everything[:3]
    for state, ids in placed.items():
        assert [each.id for each in tasks.list(state, None, 100)] == sorted(ids, reverse=True)
        assert [each.id for each in tasks.list(state, f"t{state}", 100)] == ids[:1]
        assert [each.id for each in tasks.list(None, f"t{state}", 100)] == ids[:1]
        assert tasks.list(state, "t99", 100) == []
    assert tasks.list(None, None, 1) == [scene.task(everything[0])]


def test_totals_tell_states_and_types(scene: Scene) -> None:
    for state in set(State) - {State.QUEUED}:
        for _ in range(state):
            scene.placed(state, type=f"t{state % 3}")
    scene.add(State.QUEUED, type="t0")

    totals = scene.store.tasks.totals()

    assert totals.states == {state: int(state) for state in State}
    assert sum(sum(of.values()) for of in totals.types.values()) == 36


def test_the_oldest_queued_task_is_found_behind_more_urgent_ones(scene: Scene) -> None:
    assert scene.store.tasks.totals().oldest_due_at is None
    scene.add(type="low", priority=-1)
    scene.now += 50
    scene.add(3, type="high", priority=7)
    scene.add(type="high", priority=9)

    assert scene.store.tasks.totals().oldest_due_at == NOON
    scene.claim(ANN, "low")
    assert scene.store.tasks.totals().oldest_due_at == NOON + 50


def test_types_tell_whether_anybody_handles_them(scene: Scene) -> None:
    scene.add(type="enqueued")
    scene.store.custody.announce({"old": None, "both": 4})
    scene.store.custody.announce({"both": None, "new": 2})

    assert scene.store.tasks.types() == {"enqueued": False, "old": False, "both": True, "new": True}
    assert scene.store.custody.unhandled() == {"enqueued": 1}


def test_what_is_left_to_run_is_counted_for_handled_types_only(scene: Scene) -> None:
    scene.store.custody.announce({"handled": None})
    for state in PLACING_ORDER:
        scene.placed(state, type="handled")
    for state in PLACING_ORDER:
        scene.placed(state, type="not handled")

    assert scene.store.custody.unfinished() == 5
    assert scene.store.custody.unhandled() == {"not handled": 3}


def test_the_tries_of_a_type_are_those_last_announced_and_a_tasks_own_come_first(scene: Scene) -> None:
    plain, own = scene.add(), scene.add(max_attempts=9)
    scene.store.custody.announce({"demo": 4})

    assert [scene.task(plain[0]).max_attempts, scene.task(own[0]).max_attempts] == [4, 9]
    scene.store.custody.announce({"demo": None})
    assert [scene.task(plain[0]).max_attempts, scene.task(own[0]).max_attempts] == [None, 9]


def test_a_cancelled_task_says_when_and_why(scene: Scene) -> None:
    (id_,) = scene.add()
    assert scene.store.tasks.cancel(id_, NOON + 5) is True

    task = scene.task(id_)
    assert (task.state, task.finished_at, task.error) == (State.CANCELLED, NOON + 5, "cancelled by request")
    assert scene.store.oversight.commands() == []


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED], ids=lambda state: state.word)
def test_a_finished_task_cannot_be_cancelled(scene: Scene, state: State) -> None:
    placed = scene.placed(state)

    with pytest.raises(Conflict, match=f"task {placed.id} is {state.word} already"):
        scene.store.tasks.cancel(placed.id, scene.now)


def test_an_operators_retry_renews_the_tries_and_keeps_the_history(scene: Scene) -> None:
    claim = scene.claim_one()
    scene.fail_until_due(claim)
    scene.promote(61)
    (claim,) = scene.claim(ANN)
    scene.record(ANN, failed(claim))

    scene.store.tasks.retry(claim.id, scene.now)

    task = scene.task(claim.id)
    assert (task.state, task.due_at, task.failures, task.attempt) == (State.QUEUED, scene.now, 0, 2)
    assert (task.error, task.finished_at, task.worker) == (None, None, None)
    assert [each.attempt for each in task.attempts] == [1, 2]
    (claim,) = scene.claim(BOB)
    assert (claim.attempt, claim.failures) == (2, 0)
    scene.record(BOB, failed(claim))
    assert [each.attempt for each in scene.task(claim.id).attempts] == [1, 2, 3]
