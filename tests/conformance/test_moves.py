"""Every verb moves a task from every state it may, and touches it in no other: the law, verb by verb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agent.errors import Conflict
from agent.lifecycle import HELD, MOVES, WAITING, State
from agent.store.values import Death
from tests.conformance.scene import ANN, BOB, LATER, Placed, Scene, failed, succeeded, to_retry


@dataclass(frozen=True)
class Verb:
    """One way to make a move of the law."""

    move: str
    frm: frozenset[State]
    to: State
    call: Callable[[Scene, Placed], object]


QUEUED = frozenset({State.QUEUED})
RESERVED = frozenset({State.RESERVED})
IN_PROGRESS = frozenset({State.IN_PROGRESS})
ENDED_BADLY = frozenset({State.FAILED, State.CANCELLED})

VERBS = {
    "promote": Verb("promote", WAITING, State.QUEUED, lambda scene, at: scene.store.custody.promote(LATER)),
    "claim": Verb("claim", QUEUED, State.RESERVED, lambda scene, at: scene.claim(BOB)),
    "begin": Verb("begin", RESERVED, State.IN_PROGRESS, lambda scene, at: scene.begin(ANN, at.claim)),
    "give back": Verb("release", RESERVED, State.QUEUED, lambda scene, at: scene.record(ANN, after=0)),
    "take back": Verb("release", RESERVED, State.QUEUED, lambda scene, at: scene.take_back(ANN, 0)),
    "rescue": Verb("rescue", HELD, State.QUEUED, lambda scene, at: scene.bury(ANN, at.claim)),
    "rescue or release": Verb("rescue", HELD, State.QUEUED, lambda scene, at: scene.bury(ANN)),
    "succeed": Verb("succeed", HELD, State.SUCCEEDED, lambda scene, at: scene.record(ANN, succeeded(at.claim))),
    "fail": Verb("fail", HELD, State.FAILED, lambda scene, at: scene.record(ANN, failed(at.claim))),
    "retry": Verb(
        "retry", HELD, State.RETRY_SCHEDULED, lambda scene, at: scene.record(ANN, to_retry(at.claim, LATER))
    ),
    "succeed, told by the supervisor": Verb(
        "succeed", HELD, State.SUCCEEDED, lambda scene, at: scene.catch_up(ANN, succeeded(at.claim))
    ),
    "fail, told by the supervisor": Verb(
        "fail", HELD, State.FAILED, lambda scene, at: scene.catch_up(ANN, failed(at.claim))
    ),
    "retry, told by the supervisor": Verb(
        "retry", HELD, State.RETRY_SCHEDULED, lambda scene, at: scene.catch_up(ANN, to_retry(at.claim, LATER))
    ),
    "cancel": Verb(
        "cancel", WAITING | QUEUED, State.CANCELLED, lambda scene, at: scene.store.tasks.cancel(at.id, scene.now)
    ),
    "cancel what waits": Verb(
        "cancel",
        WAITING | QUEUED,
        State.CANCELLED,
        lambda scene, at: scene.store.tasks.cancel_waiting(at.id, scene.now),
    ),
    "cancel what ran": Verb(
        "cancel", HELD, State.CANCELLED, lambda scene, at: scene.bury(ANN, at.claim, Death.CANCELLED)
    ),
    "retry by an operator": Verb(
        "retry by an operator", ENDED_BADLY, State.QUEUED, lambda scene, at: scene.store.tasks.retry(at.id, scene.now)
    ),
}

# A row says in_progress only once its handler has begun, so the store has no verb for what the law would allow here.
NEVER_NEEDED = {("release", State.IN_PROGRESS, State.QUEUED)}


def test_the_verbs_make_every_move_of_the_law_and_no_other() -> None:
    made = {(verb.move, frm, verb.to) for verb in VERBS.values() for frm in verb.frm}
    law = {(move.verb, frm, move.to) for move in MOVES for frm in move.frm}

    assert made == law - NEVER_NEEDED


@pytest.mark.parametrize("state", State, ids=lambda state: state.word)
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())
def test_a_verb_moves_a_task_from_its_states_and_touches_it_in_no_other(
    scene: Scene, verb: Verb, state: State
) -> None:
    placed = scene.placed(state, key="its key")
    before = scene.dump()

    if state in verb.frm:
        verb.call(scene, placed)
        assert scene.states(placed.id) == [verb.to]
        return
    try:
        verb.call(scene, placed)
    except Conflict:
        assert verb.move in ("cancel", "retry by an operator")
    assert scene.dump() == before


@pytest.mark.parametrize("state", HELD, ids=lambda state: state.word)
def test_cancelling_what_a_worker_holds_asks_the_supervisor_and_moves_nothing(scene: Scene, state: State) -> None:
    placed = scene.placed(state)
    before = scene.dump()

    assert scene.store.tasks.cancel(placed.id, scene.now) is False

    (command,) = scene.store.oversight.commands()
    assert (command.verb, command.detail, command.created_at) == ("cancel", {"task": placed.id}, scene.now)
    assert scene.store.tasks.cancel_waiting(placed.id, scene.now) is False
    assert scene.store.oversight.commands() == [command]
    assert scene.dump() == before
