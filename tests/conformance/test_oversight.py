"""Standing orders, the governor's memory, commands and letters: kept together, in order, and no longer than needed."""

from __future__ import annotations

import pytest

from agent.clock import SECOND
from agent.store.values import Note, Standing
from tests.conformance.scene import ANN, NOON, Scene


def test_a_new_store_orders_nothing(scene: Scene) -> None:
    standing = scene.store.oversight.standing()

    assert standing == Standing(1, None, None, {})
    assert scene.store.oversight.governor() is None
    assert scene.store.oversight.latest_sample() is None


def test_every_order_has_a_version_one_higher(scene: Scene) -> None:
    oversight = scene.store.oversight

    assert oversight.admit(Standing(1, 4, NOON, {})) == Standing(2, 4, NOON, {}) == oversight.standing()
    paused = {"*": None, "demo": NOON}
    assert oversight.admit(Standing(1, None, None, paused)) == Standing(3, None, None, paused) == oversight.standing()


def test_an_observation_is_stored_whole(scene: Scene) -> None:
    scene.birth(ANN)
    notes = [Note("throttle", "cpu 91 %", '{"limit":3}')]
    letters = [("e1", "webhook", '{"n":1}'), ("e1", "email", '{"n":1}')]
    scene.store.oversight.observe(NOON + 5, '{"cpu":91}', '{"limit":3}', notes, letters, {ANN: 7})

    assert scene.store.oversight.governor() == '{"limit":3}'
    assert scene.store.oversight.latest_sample() == '{"cpu":91}'
    assert [(each.episode, each.channel) for each in scene.store.outbox.due(NOON + 5, 9)] == [
        ("e1", "webhook"), ("e1", "email"),
    ]
    (worker,) = scene.store.custody.workers()
    assert (worker.heartbeat_at, worker.rss_bytes) == (NOON + 5, 7)


def test_the_last_observation_is_what_counts(scene: Scene) -> None:
    scene.store.oversight.observe(NOON, "1", '"a"', [], [], {})
    scene.store.oversight.observe(NOON + 1, "2", '"b"', [], [], {})

    assert (scene.store.oversight.governor(), scene.store.oversight.latest_sample()) == ('"b"', "2")


def test_an_episode_is_told_once_by_each_channel(scene: Scene) -> None:
    for payload in ('{"first":1}', '{"second":2}'):
        scene.store.oversight.observe(NOON, "1", "{}", [], [("e", "webhook", payload)], {})
    (letter,) = scene.store.outbox.due(NOON, 9)
    scene.store.outbox.delivered(letter.id, NOON)
    scene.store.oversight.observe(NOON, "1", "{}", [], [("e", "webhook", "{}")], {})

    assert letter.payload == '{"first":1}'
    assert scene.store.outbox.due(NOON, 9) == []


def test_commands_wait_in_order_until_they_are_answered(scene: Scene) -> None:
    oversight = scene.store.oversight
    first = oversight.ask("pause", {"type": "demo", "until": None}, NOON)
    second = oversight.ask("scale", {"max": 3}, NOON + 1)

    assert [(each.id, each.verb, each.detail, each.created_at) for each in oversight.commands()] == [
        (first, "pause", {"type": "demo", "until": None}, NOON),
        (second, "scale", {"max": 3}, NOON + 1),
    ]
    oversight.answer(first, "paused", NOON + 2)
    assert (oversight.answer_of(first), oversight.answer_of(second)) == ("paused", None)
    assert [each.id for each in oversight.commands()] == [second]


@pytest.mark.parametrize(
    ("verb", "detail", "flaw"),
    [
        ("dance", {}, "there is no command 'dance'"),
        ("pause", {"type": 7}, "what it says makes no sense (Expected `str"),
        ("pause", {"typ": "demo"}, "what it says makes no sense (Object contains unknown field `typ`)"),
        ("pause", {"type": ""}, "what it says makes no sense"),
        ("pause", {"until": 2**62}, "what it says makes no sense"),
        ("scale", {}, "what it says makes no sense (Object missing required field `max`)"),
        ("scale", {"max": 513}, "what it says makes no sense"),
        ("cancel", {"task": None}, "what it says makes no sense"),
        ("freeze", {"worker": []}, "what it says makes no sense"),
    ],
)
def test_a_command_that_cannot_be_meant_is_kept_with_its_flaw(
    scene: Scene, verb: str, detail: dict[str, object], flaw: str
) -> None:
    scene.store.oversight.ask(verb, detail, NOON)
    (command,) = scene.store.oversight.commands()
    assert (command.verb, command.detail) == (verb, {})
    assert command.flaw.startswith(flaw)


def test_a_command_is_withdrawn_only_while_it_waits(scene: Scene) -> None:
    oversight = scene.store.oversight
    waits, answered = oversight.ask("freeze", {}, NOON), oversight.ask("freeze", {}, NOON)
    oversight.answer(answered, "frozen", NOON)

    oversight.withdraw(waits)
    oversight.withdraw(answered)

    assert oversight.commands() == []
    assert (oversight.answer_of(waits), oversight.answer_of(answered)) == (None, "frozen")
    assert oversight.ask("freeze", {}, NOON) not in (waits, answered)


def post(scene: Scene, n: int) -> None:
    """Letters 0 to n - 1, each a second later than the one before."""
    for each in range(n):
        scene.store.oversight.observe(NOON + each * SECOND, "1", "{}", [], [(str(each), "webhook", "{}")], {})


def test_letters_come_when_they_are_due_the_longest_due_first(scene: Scene) -> None:
    outbox = scene.store.outbox
    assert outbox.next_due() is None
    post(scene, 4)

    assert outbox.next_due() == NOON
    assert outbox.due(NOON - 1, 9) == []
    assert [each.episode for each in outbox.due(NOON + SECOND, 9)] == ["0", "1"]
    assert [each.episode for each in outbox.due(NOON + 9 * SECOND, 3)] == ["0", "1", "2"]


def test_a_postponed_letter_comes_again_with_its_attempts_counted(scene: Scene) -> None:
    outbox = scene.store.outbox
    post(scene, 1)
    (letter,) = outbox.due(NOON, 9)
    assert (letter.attempts, letter.created_at, letter.due_at) == (0, NOON, NOON)

    outbox.postpone(letter.id, NOON + 60 * SECOND, "connection refused")

    assert (outbox.due(NOON + 59 * SECOND, 9), outbox.next_due()) == ([], NOON + 60 * SECOND)
    (letter,) = outbox.due(NOON + 60 * SECOND, 9)
    assert (letter.attempts, letter.created_at, letter.due_at) == (1, NOON, NOON + 60 * SECOND)


@pytest.mark.parametrize("end", ["delivered", "gave up"])
def test_a_letter_that_is_settled_waits_no_longer(scene: Scene, end: str) -> None:
    outbox = scene.store.outbox
    post(scene, 2)
    (letter, _) = outbox.due(NOON + SECOND, 9)

    if end == "delivered":
        outbox.delivered(letter.id, NOON)
    else:
        outbox.give_up(letter.id, NOON, "410 Gone")

    assert [each.episode for each in outbox.due(NOON + SECOND, 9)] == ["1"]
    assert outbox.next_due() == NOON + SECOND


def test_what_somebody_else_has_written_shows(scene: Scene) -> None:
    other = scene.backend.open(scene.place)
    before = scene.store.data_version()
    other.oversight.admit(Standing(1, 2, None, {}))

    assert scene.store.data_version() != before
    assert scene.store.oversight.standing().max == 2
    other.close()
