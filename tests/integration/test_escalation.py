"""A human is told, by webhook and by mail, once pauses repeat; and what receives nothing disturbs nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.world import MakeWorld
from tests.support.servers import Mailbox, Receiver, answer, open_mailbox, serve
from tests.support.waiting import until

REVIEW = {
    "governance__pause_after_error_burst": {"threshold": 3, "duration_s": 0.2},
    "governance__half_open_probes": 0,
    "governance__human_review_after_pause_bursts": 2,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook's receiver on the loopback."""
    receiver = Receiver()
    server = serve(receiver)
    yield receiver
    receiver.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server on the loopback."""
    mailbox = Mailbox()
    server = open_mailbox(mailbox)
    yield mailbox
    server.stop()


def test_repeated_pauses_reach_the_webhook_and_the_mailbox(
    make_world: MakeWorld, receiver: Receiver, mailbox: Mailbox
) -> None:
    world = make_world(
        **REVIEW,
        escalation={
            "enabled": True,
            "webhook_url": receiver.url,
            "email_to": "ops@mail.test",
            "smtp_url": f"smtp://127.0.0.1:{mailbox.port}",
        },
    )
    world.start()
    for number in (1, 2):
        tasks = world.client.enqueue_many("hopeless", [{}] * 3)
        world.happened("governance.pause", number)
        world.reach(tasks, "failed")
        world.happened("governance.resume", number)

    until(lambda: receiver.requests and mailbox.mails, what="a request and a mail")
    world.happened("escalation.delivered", 2)
    body = json.loads(receiver.requests[0].body)
    assert "hopeless" in json.dumps(body)
    assert mailbox.mails[0].rcpt_tos == ["ops@mail.test"]
    assert len(receiver.requests) == len(mailbox.mails) == 1
    assert len(world.events("governance.escalate")) == 1


def test_a_webhook_that_fails_is_tried_again_and_disturbs_no_task(make_world: MakeWorld, receiver: Receiver) -> None:
    receiver.reply = lambda receiver, handler: answer(handler, 503 if len(receiver.requests) < 2 else 204)
    world = make_world(
        **{**REVIEW, "governance__human_review_after_pause_bursts": 1},
        escalation={"enabled": True, "webhook_url": receiver.url},
    )
    world.start()

    world.client.enqueue_many("hopeless", [{}] * 3)
    world.event("escalation.retry")
    world.reach(world.enqueue("mark"), "succeeded")
    world.event("escalation.delivered", timeout=20)

    assert len(receiver.requests) == 2
    assert receiver.requests[0].headers["webhook-id"] == receiver.requests[1].headers["webhook-id"]
