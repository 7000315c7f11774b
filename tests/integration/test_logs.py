"""What happened stands in the logs, a JSON object a line, through every rotation."""

from __future__ import annotations

import json
import stat
from collections import Counter
from pathlib import Path

from agent.telemetry.events import EVENTS
from tests.integration.world import MakeWorld
from tests.support.processes import run_cli


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


def test_only_their_owner_reads_the_files(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    world.reach(world.enqueue("mark"), "succeeded")

    files = [path for path in world.directory.rglob("*") if path.name.startswith("state.db") or "logs" in path.parts]
    open_to_others = [path for path in files if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]

    assert open_to_others == []


def logs(directory: Path) -> list[Path]:
    """The log and what was rotated of it."""
    return sorted((directory / "logs").glob("agent.jsonl*"))
