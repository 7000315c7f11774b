"""Retention: old finished tasks go, in batches, with their attempts; keys and results stay; the log stays small."""

from __future__ import annotations

import pytest

from agent.clock import SECOND
from agent.errors import NotFound
from agent.lifecycle import State
from agent.store.values import Note
from tests.conformance.scene import ANN, LATER, NOON, PLACING_ORDER, Scene, failed, succeeded

HOUR = 3600 * SECOND


def prune(scene: Scene, before: int = LATER, now: int = LATER) -> int:
    """Prune until nothing is left to do; how many tasks went."""
    gone = 0
    for _ in range(100):
        pruned = scene.store.upkeep.prune_tasks(before, now)
        gone += pruned.tasks
        if not pruned.more:
            return gone
    raise AssertionError("retention never came to an end")


def test_only_what_has_finished_before_is_deleted(scene: Scene) -> None:
    placed = {state: scene.placed(state).id for state in PLACING_ORDER}

    assert prune(scene) == 3
    for state, id_ in placed.items():
        if state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            with pytest.raises(NotFound):
                scene.task(id_)
        else:
            assert scene.states(id_) == [state]


def test_what_finished_later_stays(scene: Scene) -> None:
    claim = scene.claim_one()
    scene.record(ANN, succeeded(claim))  # finished a second after noon

    assert prune(scene, before=NOON + SECOND) == 0
    assert prune(scene, before=NOON + SECOND + 1) == 1


def test_attempts_go_with_their_task_and_only_they(scene: Scene) -> None:
    gone, stays = scene.claim_one(), scene.claim_one()
    scene.record(ANN, failed(gone))
    scene.fail_until_due(stays)

    assert prune(scene) == 1
    assert [each.attempt for each in scene.task(stays.id).attempts] == [1]
    if isinstance(scene.dump(), dict):
        assert [row[0] for row in scene.dump()["attempt"]] == [stays.id]


def test_many_go_in_batches(scene: Scene) -> None:
    scene.add(1700)
    scene.record(ANN, *map(succeeded, scene.claim(ANN, size=1700)))
    (last,) = scene.add()

    first = scene.store.upkeep.prune_tasks(LATER, LATER)
    assert first.more
    assert 0 < first.tasks < 1700
    scene.check_counts()
    assert first.tasks + prune(scene) == 1700
    assert [each.id for each in scene.store.tasks.list(None, None, 10)] == [last]


def test_a_straggler_is_met_by_a_walk_an_hour_later(scene: Scene) -> None:
    straggler = scene.claim_one()
    scene.add(600)
    scene.record(ANN, *map(succeeded, scene.claim(ANN, size=600)))
    assert prune(scene) == 600
    scene.record(ANN, succeeded(straggler))

    assert prune(scene, now=LATER) + prune(scene, now=LATER + HOUR) + prune(scene, now=LATER + HOUR) == 1


def test_tasks_made_while_the_clock_was_ahead_hold_up_no_walk(scene: Scene) -> None:
    scene.now += 1000 * HOUR
    scene.add(1200, type="ahead")
    scene.now = NOON
    scene.add(600)
    scene.record(ANN, *map(succeeded, scene.claim(ANN, "demo", size=600)))

    assert prune(scene) == 600


def test_after_a_clock_that_was_ahead_is_set_back_the_next_walk_comes(scene: Scene) -> None:
    prune(scene, now=LATER + 1000 * HOUR)
    straggler = scene.claim_one()
    scene.add(600)
    scene.record(ANN, *map(succeeded, scene.claim(ANN, size=600)))
    assert prune(scene) == 600
    scene.record(ANN, succeeded(straggler))

    assert prune(scene, now=LATER) + prune(scene, now=LATER + HOUR) + prune(scene, now=LATER + HOUR) == 1


def test_a_walk_goes_on_from_its_mark_in_another_process(scene: Scene) -> None:
    scene.add(1200)
    scene.record(ANN, *map(succeeded, scene.claim(ANN, size=1200)))
    first = scene.store.upkeep.prune_tasks(LATER, LATER).tasks
    scene.store.close()
    scene.store = scene.backend.open(scene.place)

    assert first + prune(scene) == 1200


def test_marks_are_kept(scene: Scene) -> None:
    assert scene.store.upkeep.mark("mine") == 0
    scene.store.upkeep.set_mark("mine", 5)
    scene.store.upkeep.set_mark("mine", 2**62)
    scene.store.close()

    assert scene.backend.open(scene.place).upkeep.mark("mine") == 2**62


def test_keys_are_kept_until_they_are_to_go(scene: Scene) -> None:
    kept, gone = scene.claim_one(key="kept"), scene.claim_one(key="gone")
    scene.record(ANN, succeeded(gone), succeeded(kept)._replace(ended_at=NOON + HOUR))
    assert prune(scene, NOON + 2 * HOUR) == 2

    assert scene.store.upkeep.prune_rest(NOON + 10 * HOUR, None) == 0
    assert scene.store.upkeep.prune_rest(NOON + 10 * HOUR, NOON + HOUR) == 1
    assert [scene.add(key="kept") == [kept.id], scene.add(key="gone") == [gone.id]] == [True, False]


def test_the_key_of_a_task_that_is_still_there_does_not_go(scene: Scene) -> None:
    claim = scene.claim_one(key="k")
    scene.record(ANN, succeeded(claim))

    assert scene.store.upkeep.prune_rest(LATER, LATER) == 0
    assert scene.add(key="k") == [claim.id]


def test_old_samples_decisions_workers_commands_and_letters_go(scene: Scene) -> None:
    oversight, outbox = scene.store.oversight, scene.store.outbox
    scene.birth(ANN)
    letters = [(str(n), "webhook", "{}") for n in range(3)]
    oversight.observe(NOON, '"old"', "{}", [Note("throttle", "cpu", "{}")] * 2, letters, {})
    oversight.observe(LATER, '"new"', "{}", [Note("throttle", "cpu", "{}")], [], {})
    answered, waits = oversight.ask("pause", {}, NOON), oversight.ask("pause", {}, NOON)
    oversight.answer(answered, "done", NOON)
    first, second, _ = outbox.due(NOON, 10)
    outbox.delivered(first.id, NOON)
    outbox.give_up(second.id, NOON, "no")
    scene.bury(ANN)

    assert scene.store.upkeep.prune_rest(NOON, None) == 0
    assert scene.store.upkeep.prune_rest(NOON + 1, None) == 1 + 2 + 1 + 1 + 2
    assert oversight.latest_sample() == '"new"'
    assert oversight.answer_of(answered) is None
    assert [command.id for command in oversight.commands()] == [waits]
    assert [each.episode for each in outbox.due(LATER, 10)] == ["2"]


def test_a_checkpoint_merges_all_and_keeps_the_log_from_growing(scene: Scene) -> None:
    upkeep, most = scene.store.upkeep, 0
    for turn in range(10):
        scene.add(500, payload='{"text":"' + "x" * 1000 + '"}')
        held, merged = upkeep.log_frames()
        most = most or held
        assert merged <= held <= most * 1.5, f"the log grew to {held} by turn {turn}"
        held, merged = upkeep.checkpoint(finish=True)
        assert held == merged
        assert upkeep.log_frames() == (held, merged)

    assert scene.store.tasks.totals().states[State.QUEUED] == 5000


def test_a_checkpoint_that_need_not_finish_waits_for_nobody(scene: Scene) -> None:
    scene.add()

    with scene.backend.writer(scene.place):
        held, merged = scene.store.upkeep.checkpoint(finish=False)
        assert scene.store.upkeep.log_frames() == (held, merged)
    assert merged <= held
