"""What waits for its time: promotion when it is due, and what a clock that was set back must not delay."""

from __future__ import annotations

from agent.clock import SECOND
from agent.lifecycle import State
from tests.conformance.scene import ANN, LATER, NOON, Scene, to_retry


def test_what_is_due_is_queued_and_the_rest_waits(scene: Scene) -> None:
    (first,) = scene.add(due_at=NOON + 10 * SECOND)
    (second,) = scene.add(due_at=NOON + 20 * SECOND)
    retried = scene.claim_one()
    scene.record(ANN, to_retry(retried, NOON + 15 * SECOND))

    assert scene.promote(9) == (0, NOON + 10 * SECOND)
    assert scene.promote(1) == (1, NOON + 15 * SECOND)
    assert scene.states(first, retried.id, second) == [State.QUEUED, State.RETRY_SCHEDULED, State.SCHEDULED]
    assert scene.promote(60) == (2, None)
    assert scene.states(first, retried.id, second) == [State.QUEUED] * 3
    assert scene.promote(60) == (0, None)


def test_more_than_a_batch_is_promoted_bit_by_bit_the_longest_due_first(scene: Scene) -> None:
    late = scene.add(600, due_at=NOON + 9 * SECOND)
    early = scene.add(1600, due_at=NOON + 5 * SECOND)
    scene.now += 10 * SECOND
    seen = []
    while True:
        promoted, next_due = scene.store.custody.promote(scene.now)
        seen.append(promoted)
        if next_due is None:
            break
        assert next_due <= scene.now
        assert scene.states(late[0])[0] is State.SCHEDULED or scene.states(early[-1]) == [State.QUEUED]

    assert sum(seen) == 2200
    assert all(seen)
    assert scene.store.tasks.totals().states[State.QUEUED] == 2200


def test_a_promoted_retry_keeps_its_history(scene: Scene) -> None:
    claim = scene.claim_one()
    scene.fail_until_due(claim)
    scene.promote(61)

    task = scene.task(claim.id)
    assert (task.state, task.attempt, task.failures, len(task.attempts)) == (State.QUEUED, 1, 1, 1)
    assert task.error == "it broke"


def test_after_the_clock_was_set_back_what_failed_in_the_future_is_due(scene: Scene) -> None:
    failed_before = scene.claim_one()
    scene.record(ANN, to_retry(failed_before, LATER))
    failed_after = scene.claim_one()
    scene.record(ANN, to_retry(failed_after, LATER)._replace(ended_at=NOON + 900 * SECOND))
    scheduled = scene.add(due_at=LATER)

    set_back = NOON + 100 * SECOND
    assert scene.store.custody.hasten(set_back) == 1
    assert scene.store.custody.promote(set_back) == (1, LATER)
    waits = [State.RETRY_SCHEDULED, State.QUEUED, State.SCHEDULED]
    assert scene.states(failed_before.id, failed_after.id, *scheduled) == waits
    assert scene.store.custody.hasten(set_back) == 0


def test_after_the_clock_was_set_a_letter_that_waits_is_due(scene: Scene) -> None:
    outbox = scene.store.outbox
    scene.store.oversight.observe(LATER, "1", "{}", [], [(str(n), "webhook", "{}") for n in range(3)], {})
    letters = outbox.due(LATER, 9)
    for letter in letters:
        outbox.postpone(letter.id, LATER + 900 * SECOND, "nobody is there")
    outbox.delivered(letters[0].id, LATER)
    outbox.give_up(letters[1].id, LATER, "no")
    assert outbox.due(NOON, 9) == []

    scene.store.custody.hasten(NOON)

    assert [each.id for each in outbox.due(NOON, 9)] == [letters[2].id]


def test_what_there_is_to_do_is_told_at_a_glance(scene: Scene) -> None:
    waiting = scene.store.custody.waiting()
    assert (waiting.queued, waiting.next_due, waiting.has_commands) == ({}, None, False)

    scene.add(2)
    scene.add(type="other", due_at=NOON + 10 * SECOND)
    retried = scene.claim_one(priority=1)
    scene.record(ANN, to_retry(retried, NOON + 5 * SECOND))
    command = scene.store.oversight.ask("pause", {"type": "demo"}, scene.now)

    waiting = scene.store.custody.waiting()
    assert (waiting.queued, waiting.next_due, waiting.has_commands) == ({"demo": 2}, NOON + 5 * SECOND, True)
    scene.store.oversight.answer(command, "applied", scene.now)
    assert not scene.store.custody.waiting().has_commands
