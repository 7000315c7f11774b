"""The governor in the running agent: bursts of errors pause it, a busy machine throttles it, and it recovers."""

from __future__ import annotations

import json
import signal

import apsw

from tests.integration.world import MakeWorld, World, kill, most_at_once, pass_time
from tests.support.waiting import until

BURST = {"threshold": 5, "duration_s": 0.6}


def test_an_error_burst_pauses_then_probes_then_resumes(make_world: MakeWorld) -> None:
    world = make_world(governance__pause_after_error_burst=BURST, governance__half_open_probes=2)
    world.start()
    running = world.enqueue("nap", {"s": 0.4})
    world.started(running)
    world.reach(world.client.enqueue_many("hopeless", [{}] * 5), "failed")
    pause = world.event("governance.pause")

    tasks = [world.enqueue("nap", {"s": 0.03}) for _ in range(6)]
    reasons = world.client.stats()["governor"]["reasons"]
    world.reach([running, *tasks], "succeeded")

    assert "5 errors" in pause["why"]
    assert any("paused" in reason for reason in reasons)
    seen = [event["event"] for event in world.events() if event["event"].startswith("governance.")]
    world.event("governance.resume")
    assert seen[:2] == ["governance.pause", "governance.probe"]
    burst_at = max(effect.at for effect in world.effects() if effect.task not in (running, *tasks))
    first = min(world.starts(task)[0].at for task in tasks)
    assert first - burst_at >= 0.6
    assert most_at_once(world.effects(), tasks[:2]) == 1  # the probes, one by one
    until(lambda: world.limit() == 2, what="the whole limit again")


def test_a_burst_of_errors_that_ends_a_run_pauses_the_next_and_asks_a_human(make_world: MakeWorld) -> None:
    world = make_world(
        telemetry__sample_interval_s=60,
        governance__window_s=180,
        governance__pause_after_error_burst={"threshold": 3, "duration_s": 600},
        governance__human_review_after_pause_bursts=1,
    )
    world.client.enqueue_many("hopeless", [{}] * 3)
    assert world.start("--drain", ready=0).wait() == 0

    assert "3 errors" in world.event("governance.pause")["why"]
    assert len(world.events("governance.escalate")) == 1
    assert world.client.stats()["governor"]["paused_until"] is not None


def test_a_governors_pause_outlives_the_supervisor_and_an_operators_unpause(make_world: MakeWorld) -> None:
    world = make_world(governance__pause_after_error_burst={"threshold": 3, "duration_s": 30})
    first = world.start()
    world.reach(world.client.enqueue_many("hopeless", [{}] * 3), "failed")
    world.event("governance.pause")
    first.kill_everything()

    world.start()
    task = world.enqueue("mark")
    world.client.unpause()
    pass_time(0.3)

    assert world.state(task) == "queued"
    assert world.client.held_up(task) == "paused by the governor after 3 errors in 1 s: it goes on by itself"
    assert world.limit() == 0
    assert world.client.stats()["governor"]["paused_until"] is not None


def test_a_busy_machine_lowers_the_limit_step_by_step_and_a_calm_one_raises_it(make_world: MakeWorld) -> None:
    world = make_world(
        bulk__max_concurrent=4,
        governance__cpu_high_pct=5,
        governance__window_s=0.4,
        governance__redown_s=0.3,
        governance__settle_s=0,
        governance__ceiling_hold_s=0,
        governance__hysteresis_pct=0,
    )
    agent = world.start()
    work = world.client.enqueue_many("spin", [{"s": 0.2, "gate": "calm"}] * 400)

    until(lambda: world.limit() == 1, what="the limit to be 1")

    throttled = world.events("governance.throttle")
    assert [event["limit"] for event in throttled] == [3, 2, 1]
    assert all("cpu" in event["why"].lower() for event in throttled)
    world.open("calm")
    world.configure(governance__cpu_high_pct=100, governance__window_quorum=0.2)
    kill(agent.pid, signal.SIGHUP)
    until(lambda: world.limit() == 4, timeout=100, what="the limit to be 4 again")
    limits = [event["limit"] for event in world.events("governance.recover")]
    assert limits == sorted(limits)
    assert limits[-1] == 4
    world.reach(work, "succeeded", timeout=20)
    assert [len(world.starts(task)) for task in work] == [1] * 400
    decisions = rows(world, "SELECT deed FROM decision ORDER BY id")
    assert decisions[:3] == ["throttle"] * 3


def test_samples_reach_the_table_and_the_file_alike(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    tasks = world.client.enqueue_many("mark", [{}] * 20)
    world.reach(tasks, "succeeded")
    world.reach(world.enqueue("hopeless"), "failed")
    until(lambda: sum(sample["operations"] for sample in samples(world)) == 21, what="all attempts to be counted")
    assert agent.stop() == 0

    stored = [json.loads(text) for text in rows(world, "SELECT sample FROM metrics ORDER BY at")]
    assert stored == samples(world)
    assert sum(sample["errors"] for sample in stored) == 1
    assert {"cpu_pct", "mem_pct", "inflight", "limit", "queued"} <= stored[-1].keys()


def samples(world: World) -> list[dict[str, float]]:
    """The lines of metrics.jsonl."""
    path = world.directory / "logs" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def rows(world: World, sql: str) -> list[str]:
    """The first column of what a query finds."""
    connection = apsw.Connection(str(world.directory / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [str(row[0]) for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()
