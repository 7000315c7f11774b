"""What is delivered when, how often it is tried, and when it is given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from agent.clock import SECOND, Clock
from agent.escalation.channels import ChannelError, Webhook
from agent.escalation.escalator import GIVE_UP_AFTER_S, LONGEST_S, Escalator, Tally, delay_s
from agent.outbox import Delivery
from tests.support.servers import Receiver, answer

NOW = 1_800_000_000 * SECOND


@dataclass
class Box:
    """An outbox in memory."""

    waiting: dict[int, Delivery] = field(default_factory=dict)
    done: list[tuple[str, int, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def due(self, now_us: int, limit: int, /) -> list[Delivery]:
        due = sorted((each for each in self.waiting.values() if each.due_at <= now_us), key=lambda each: each.due_at)
        return due[:limit]

    def next_due(self) -> int | None:
        return min((each.due_at for each in self.waiting.values()), default=None)

    def delivered(self, delivery: int, now_us: int, /) -> None:
        del self.waiting[delivery]
        self.done.append(("delivered", delivery, now_us))

    def postpone(self, delivery: int, due_at_us: int, error: str, /) -> None:
        old = self.waiting[delivery]
        self.waiting[delivery] = replace(old, due_at=due_at_us, attempts=old.attempts + 1)
        self.errors.append(error)

    def give_up(self, delivery: int, now_us: int, error: str, /) -> None:
        del self.waiting[delivery]
        self.done.append(("given up", delivery, now_us))
        self.errors.append(error)


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.wall = NOW

    def now(self) -> int:
        return self.wall


@dataclass
class Fake:
    """A channel that fails with what it is told to."""

    error: Exception | None = None
    tries: list[int] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> str:
        self.tries.append(delivery.id)
        if self.error:
            raise self.error
        return "ok"


def letter(number: int, channel: Literal["webhook", "email"] = "webhook", due_at: int = NOW) -> Delivery:
    return Delivery(number, f"review-{number}", channel, "{}", attempts=0, created_at=NOW, due_at=due_at)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    structlog.reset_defaults()
    with capture_logs() as entries:
        yield entries


def test_what_is_due_is_delivered_and_what_is_not_waits(box: Box, clock: Hands, logged: list[EventDict]) -> None:
    box.waiting = {1: letter(1), 2: letter(2, due_at=NOW + 1)}
    assert Escalator(box, {"webhook": Fake()}, clock).deliver_due() == Tally(delivered=1)
    assert box.done == [("delivered", 1, NOW)]
    assert [(entry["event"], entry["delivery"], entry["answer"]) for entry in logged] == [
        ("escalation.delivered", 1, "ok")
    ]


def test_a_round_tells_when_the_next_is_worth_while(box: Box, clock: Hands) -> None:
    escalator = Escalator(box, {"webhook": Fake(), "email": Fake(ChannelError("busy"))}, clock)
    assert escalator.deliver() is None

    box.waiting = {1: letter(1), 2: letter(2, due_at=NOW + 60 * SECOND)}
    assert escalator.deliver() == 60

    box.waiting = {3: letter(3, "email"), 4: letter(4, "email")}
    assert escalator.deliver() == 2, "what still waits for a channel that fails has its turn soon, not at once"


def test_a_receiver_that_fails_once_gets_the_message_on_the_next_try(
    box: Box, clock: Hands, receiver: Receiver, logged: list[EventDict]
) -> None:
    statuses = iter([500, 200])
    receiver.reply = lambda _, handler: answer(handler, next(statuses))
    box.waiting = {1: letter(1)}
    escalator = Escalator(box, {"webhook": Webhook(receiver.url)}, clock, Random(1))
    assert escalator.deliver_due() == Tally(postponed=1)
    clock.wall = box.waiting[1].due_at
    assert escalator.deliver_due() == Tally(delivered=1)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert [(entry["event"], entry["log_level"], entry["attempts"]) for entry in logged] == [
        ("escalation.retry", "warning", 1),
        ("escalation.delivered", "info", 2),
    ]


def test_a_delivery_that_never_succeeds_is_given_up_when_it_is_24_hours_old(
    box: Box, clock: Hands, logged: list[EventDict]
) -> None:
    box.waiting = {1: letter(1)}
    escalator = Escalator(box, {"webhook": Fake(ChannelError("nobody there"))}, clock, Random(3))
    while box.waiting:
        clock.wall = box.waiting[1].due_at
        escalator.deliver_due()
    assert box.done == [("given up", 1, NOW + GIVE_UP_AFTER_S * SECOND)]
    assert 100 < len(logged) < 400
    assert {entry["event"] for entry in logged[:-1]} == {"escalation.retry"}
    assert (logged[-1]["event"], logged[-1]["log_level"]) == ("escalation.failed", "error")
    assert logged[-1]["error"] == "nobody there"


def test_what_is_already_too_old_is_tried_once_more_before_it_is_given_up(box: Box, clock: Hands) -> None:
    box.waiting = {1: letter(1), 2: letter(2, "email")}
    clock.wall += 3 * GIVE_UP_AFTER_S * SECOND
    channels = {"webhook": Fake(), "email": Fake(ChannelError("no"))}
    assert Escalator(box, channels, clock).deliver_due() == Tally(delivered=1, given_up=1)


def test_a_channel_that_fails_is_tried_once_a_round_and_does_not_hold_up_the_other(box: Box, clock: Hands) -> None:
    box.waiting = {number: letter(number) for number in (1, 2, 3)} | {4: letter(4, "email")}
    dead, alive = Fake(ChannelError("dead")), Fake()
    escalator = Escalator(box, {"webhook": dead, "email": alive}, clock)
    assert escalator.deliver_due() == Tally(delivered=1, postponed=1)
    assert (dead.tries, alive.tries) == ([1], [4])
    escalator.deliver_due()
    assert dead.tries[1] in (1, 2)


def test_a_channel_that_is_not_configured_is_waited_for(box: Box, clock: Hands) -> None:
    box.waiting = {1: letter(1, "email")}
    assert Escalator(box, {}, clock).deliver_due() == Tally(postponed=1)
    assert box.errors == ["no email is configured: see the section escalation of the configuration"]


def test_a_fault_in_a_channel_is_logged_with_its_traceback_and_delays_that_delivery_only(
    box: Box, clock: Hands, logged: list[EventDict]
) -> None:
    box.waiting = {1: letter(1), 2: letter(2, "email")}
    fault = TypeError("a bug")
    assert Escalator(box, {"webhook": Fake(fault), "email": Fake()}, clock).deliver_due() == Tally(1, 1)
    assert box.errors == ["TypeError: a bug"]
    assert logged[0]["exc_info"] is fault


def test_the_wait_is_random_below_a_bound_that_doubles_up_to_15_minutes() -> None:
    rng = Random(5)
    for failures, bound in [(1, 2), (2, 4), (5, 32), (9, 512), (10, LONGEST_S), (5000, LONGEST_S)]:
        waits = [delay_s(failures, rng) for _ in range(500)]
        assert 0 <= min(waits) < bound / 10
        assert bound * 0.9 < max(waits) <= bound


def test_a_receiver_that_asks_for_patience_gets_it_up_to_15_minutes() -> None:
    assert delay_s(1, Random(1), retry_after_s=60) == 60
    assert delay_s(1, Random(1), retry_after_s=1e9) == LONGEST_S
