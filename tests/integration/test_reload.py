"""SIGHUP takes over a changed configuration, whole or not at all."""

from __future__ import annotations

import signal

import pytest

from tests.integration.world import MakeWorld, kill
from tests.support.waiting import until


def test_a_changed_number_of_workers_takes_effect(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    world.configure(bulk__max_concurrent=3)

    kill(agent.pid, signal.SIGHUP)

    assert world.event("config.reloaded")["changed"] == ["bulk.max_concurrent"]
    until(lambda: len(world.workers()) == 3, what="three workers")
    tasks = [world.enqueue("gate", {"gate": "open"}) for _ in range(3)]
    for task in tasks:
        world.started(task)


def test_retry_settings_reach_the_workers_that_run_already(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    world.reach(world.enqueue("fails", {"times": 2}), "succeeded")
    world.configure(bulk__retry_attempts=0)

    kill(agent.pid, signal.SIGHUP)
    world.event("config.reloaded")

    assert world.reach(world.enqueue("fails"), "failed")["attempt"] == 1


def test_what_only_a_restart_can_change_is_refused_and_named(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    world.configure(bulk__max_concurrent=3, persistence__db_path=str(world.directory / "other.db"))

    kill(agent.pid, signal.SIGHUP)

    refusal = world.event("config.refused")
    assert refusal["keys"] == ["persistence.db_path"]
    assert "persistence.db_path" in refusal["error"]
    world.reach(world.enqueue("mark"), "succeeded")
    assert len(world.workers()) == 1
    assert not (world.directory / "other.db").exists()


def test_a_broken_file_is_refused_and_the_agent_goes_on(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    (world.directory / "config.yml").write_text("bulk:\n  max_concurent: 3\n", "utf-8")

    kill(agent.pid, signal.SIGHUP)

    assert "config.yml:2:3" in world.event("config.refused")["error"]
    world.reach(world.enqueue("mark"), "succeeded")
    assert len(world.workers()) == 1
    assert agent.stop() == 0


@pytest.mark.parametrize(
    "escalation",
    [
        {"webhook_url": "http://127.0.0.1:9/", "webhook_secret": "whsec_???"},
        {"email_to": "ops@, @", "smtp_url": "smtp://127.0.0.1:9"},
    ],
    ids=["secret", "address"],
)
def test_a_way_to_tell_a_human_that_cannot_be_is_refused_and_the_agent_goes_on(
    make_world: MakeWorld, escalation: dict[str, str]
) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    world.configure(bulk__max_concurrent=2, escalation={"enabled": True, **escalation})

    kill(agent.pid, signal.SIGHUP)

    assert "escalation." in world.event("config.refused")["error"]
    world.reach(world.enqueue("mark"), "succeeded")
    assert len(world.workers()) == 1
    assert agent.stop() == 0
