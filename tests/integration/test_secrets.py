"""What looks like a secret in an error reaches neither logs nor humans far away; a payload is shown to its operator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.world import MakeWorld
from tests.support.processes import run_cli
from tests.support.servers import Mailbox, Receiver, open_mailbox, serve
from tests.support.waiting import until

TEXT = "login refused: {'user': 'me', 'password': 'geheim'} at smtps://me:geheim@mail.test"
SHOWN = "ValueError: login refused: {'user': 'me', 'password': ***} at smtps://***@mail.test"


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


def test_a_secret_in_a_handlers_error_is_shown_nowhere(
    make_world: MakeWorld, receiver: Receiver, mailbox: Mailbox
) -> None:
    world = make_world(
        governance__pause_after_error_burst={"threshold": 3, "duration_s": 0.2},
        governance__human_review_after_pause_bursts=1,
        bulk__retry_attempts=0,
        escalation={
            "enabled": True,
            "webhook_url": receiver.url.replace("/hook", "/hook/geheim"),
            "webhook_secret": "geheim",
            "email_to": "ops@mail.test",
            "smtp_url": f"smtp://127.0.0.1:{mailbox.port}",
        },
    )
    agent = world.start()
    task, *others = [world.enqueue("fails", {"text": TEXT}) for _ in range(3)]
    world.reach([*others, task], "failed")
    until(lambda: receiver.requests and mailbox.mails, what="a request and a mail")

    record = world.client.inspect(task)
    assert record["error"] == SHOWN
    assert "***" in record["attempts"][0]["error"]
    assert "geheim" not in str({**record, "payload": None})
    assert b"***" in receiver.requests[0].body
    assert b"geheim" not in receiver.requests[0].body
    assert b"geheim" not in bytes(mailbox.mails[0].content or b"")
    world.event("task.failed", task=task, error=SHOWN)
    assert agent.stop() == 0
    assert b"geheim" not in b"".join(path.read_bytes() for path in (world.directory / "logs").iterdir())
    assert "geheim" not in agent.err

    shown = run_cli("inspect", str(task), "--json", cwd=world.directory).json
    assert shown["payload"] == {"text": TEXT}, "it is the operator's own"
