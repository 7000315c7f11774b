"""What happened stands in the logs, a JSON object a line, through every rotation."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from agent.telemetry.events import EVENTS
from tests.integration.world import MakeWorld, kill, said
from tests.support.processes import run_cli
from tests.support.waiting import until

RARE_SAMPLES = {"telemetry__sample_interval_s": 60, "telemetry__log_interval_s": 60, "governance__window_s": 180}
OURS = ("state.db", "state.db-wal", "state.db-shm", "state.db.run", "logs")


def test_an_agents_life_stands_in_its_log(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    agent = world.start()
    good, bad = world.enqueue("mark"), world.enqueue("fails", {"times": 9, "text": "no\nluck \x1b[31m"})
    world.reach(good, "succeeded")
    world.reach(bad, "failed")
    world.event("task.failed", task=bad)
    world.event("telemetry.summary")
    assert run_cli("pause", cwd=world.directory).code == 0
    assert agent.stop() == 0

    text = (world.directory / "logs" / "agent.jsonl").read_bytes()
    events = [json.loads(line) for line in text.splitlines()]
    assert text.endswith(b"\n")
    assert b"\x1b" not in text
    assert all({"at", "level", "event"} <= event.keys() for event in events)
    assert {event["event"] for event in events} <= EVENTS.keys()
    order = [event["event"] for event in events]
    expected = [
        "config.loaded", "supervisor.started", "handlers.loaded", "worker.started", "worker.ready", "task.succeeded",
        "task.retry", "task.failed", "control.applied", "supervisor.draining", "worker.exited", "supervisor.stopped",
    ]  # fmt: skip
    assert [event for event in order if event in expected and order.count(event)][:4] == expected[:4]
    assert [event for event in expected if event not in order] == []
    assert order[-1] == "supervisor.stopped"
    assert Counter(order)["task.retry"] == 2


def test_what_ends_last_is_told_like_all_before(make_world: MakeWorld) -> None:
    world = make_world(**RARE_SAMPLES, bulk__max_concurrent=1, bulk__retry_attempts=1, bulk__retry_delay_seconds=0)
    task = world.enqueue("fails")
    agent = world.start("--drain", ready=0)
    assert agent.wait() == 0

    assert [event["error"] for event in world.events("task.retry")] == ["ValueError: no luck"]
    assert [event["task"] for event in world.events("task.failed")] == [task]
    assert "task.failed" in agent.err
    assert sum(sample["errors"] for sample in metrics(world.directory)) == 2
    assert sum(event["errors"] for event in world.events("telemetry.summary")) == 2
    assert [event["event"] for event in world.events()][-1] == "supervisor.stopped"


def test_what_fails_after_the_agent_was_asked_to_end_is_told(make_world: MakeWorld) -> None:
    world = make_world(**RARE_SAMPLES, bulk__max_concurrent=1, bulk__retry_attempts=0)
    agent = world.start()
    task = world.enqueue("fails", {"gate": "open"})
    world.started(task)
    kill(agent.pid, signal.SIGTERM)
    world.event("supervisor.draining")
    world.open("open")
    assert agent.wait() == 0

    assert world.state(task) == "failed"
    assert [event["task"] for event in world.events("task.failed")] == [task]


def test_every_line_is_kept_through_rotations(make_world: MakeWorld) -> None:
    world = make_world(telemetry__log_max_bytes=20_000, telemetry__log_keep=50, telemetry__log_tasks="all")
    agent = world.start()
    tasks: list[int] = []
    while len(list(logs(world.directory))) < 2:
        tasks += world.client.enqueue_many("noop", [{}] * 200)
        world.reach(tasks[-1], "succeeded")
    tasks += world.client.enqueue_many("noop", [{}] * 50)
    world.reach(tasks, "succeeded")
    assert agent.stop() == 0

    told = [json.loads(line) for path in logs(world.directory) for line in path.read_bytes().splitlines()]
    succeeded = Counter(event["task"] for event in told if event["event"] == "task.succeeded")
    assert succeeded == dict.fromkeys(tasks, 1)


def test_only_their_owner_reads_the_files_even_where_new_ones_are_for_everybody(make_world: MakeWorld) -> None:
    world = make_world(telemetry__log_max_bytes=4096)
    before = os.umask(0)
    try:
        agent = world.start()
    finally:
        os.umask(before)
    world.reach(world.client.enqueue_many("mark", [{}] * 50), "succeeded")
    until(lambda: len(list(logs(world.directory))) > 1, what="a rotated log")

    found = [path for path in world.directory.rglob("*") if path.relative_to(world.directory).parts[0] in OURS]
    kinds = {path.name: stat.S_IFMT(path.lstat().st_mode) for path in found if path.name in ("doorbell", "slots")}
    assert kinds == {"doorbell": stat.S_IFSOCK, "slots": stat.S_IFDIR}
    assert [path for path in found if path.exists() and stat.S_IMODE(path.lstat().st_mode) & 0o077] == []
    assert [path for path in world.directory.rglob("__pycache__") if path.stat().st_mode & 0o002] == []
    assert agent.stop() == 0


def test_a_database_that_others_may_read_is_served_and_told_of(make_world: MakeWorld) -> None:
    world = make_world()
    world.client.stats()
    (world.directory / "state.db").chmod(0o644)
    agent = world.start()
    assert "(mode 0644): chmod 0600" in world.event("store.exposed")["why"]
    said(agent, "store.exposed")
    world.reach(world.enqueue("mark"), "succeeded")


def logs(directory: Path) -> list[Path]:
    """The log and what was rotated of it."""
    return sorted((directory / "logs").glob("agent.jsonl*"))


def metrics(directory: Path) -> list[dict[str, Any]]:
    """The samples that were written."""
    return [json.loads(line) for line in (directory / "logs" / "metrics.jsonl").read_bytes().splitlines()]
