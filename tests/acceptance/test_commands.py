"""Every command but `enqueue` and `demo`: what it prints, in JSON to the letter, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from agent.cli.main import COMMANDS
from tests.acceptance.home import Home
from tests.support.processes import MAIN, is_alive, is_stopped, start_agent
from tests.support.waiting import until

STATES = ["scheduled", "retry_scheduled", "queued", "reserved", "in_progress", "succeeded", "failed", "cancelled"]
WORKER = ["worker", "pid", "state", "task", "type", "since", "heartbeat_at", "rss_bytes"]


@pytest.fixture(scope="module")
def served(make_shared_home: Callable[[], Home]) -> Home:
    """A directory that an agent serves, for all tests that leave it as it was."""
    home = make_shared_home()
    home.serve()
    return home


# -- Looking


def test_stats_has_every_state_and_nothing_else(home: Home) -> None:
    home.agent.enqueue("echo", {})
    home.agent.enqueue("gate", {}, delay="1h")

    stats = home.json("stats")

    assert list(stats) == ["states", "types", "oldest_queued_s", "governor", "supervisor_pid", "degraded"]
    assert stats["states"] == dict.fromkeys(STATES, 0) | {"queued": 1, "scheduled": 1}
    assert stats["types"] == {"echo": {"queued": 1}, "gate": {"scheduled": 1}}
    assert 0 < stats["oldest_queued_s"] < 60
    assert stats["governor"] == {"limit": 2, "max": 2, "paused_until": None, "reasons": []}
    assert stats["supervisor_pid"] is None


def test_stats_of_nothing(home: Home) -> None:
    home.make_database()
    stats = home.json("stats")
    assert stats["states"] == dict.fromkeys(STATES, 0)
    assert (stats["types"], stats["oldest_queued_s"]) == ({}, None)


def test_stats_name_the_supervisor(served: Home) -> None:
    pid = served.json("stats")["supervisor_pid"]

    assert is_alive(pid)
    assert f"supervisor: process {pid}" in served.cli("stats").out


def test_stats_are_watched_until_somebody_has_seen_enough(home: Home) -> None:
    home.make_database()
    with start_agent(home.directory, "stats", "--watch", "--json") as watch:
        until(lambda: watch.out.count("\n") >= 2, what="the second look")
        watch.process.send_signal(signal.SIGINT)

        assert watch.wait() == 130
    assert all(json.loads(line)["supervisor_pid"] is None for line in watch.out.splitlines())
    assert "Traceback" not in watch.err


def test_the_attempts_of_a_task_keep_their_errors_and_gaps(served: Home) -> None:
    task = served.agent.enqueue("fails", {"times": 2})
    served.reach(task, "succeeded")

    record = served.json("inspect", str(task))

    assert [list(attempt) for attempt in record["attempts"]] == 3 * [
        ["attempt", "worker", "started_at", "ended_at", "outcome", "error"]
    ]
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["failed", "failed", "succeeded"]
    assert "ValueError: bad luck in attempt 1" in record["attempts"][0]["error"]
    times = [datetime.fromisoformat(attempt["started_at"]) for attempt in record["attempts"]]
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert gaps[0] >= 0.1  # bulk.retry_delay_seconds
    assert gaps[1] >= 0.2  # twice that
    text = served.cli("inspect", str(task), "--attempts").out
    assert "attempt 2: failed, on worker" in text
    assert "bad luck in attempt 2" in text
    assert "Traceback" in text


def test_a_task_that_fails_for_good_says_why(served: Home) -> None:
    task = served.agent.enqueue("fails", {})

    record = served.reach(task, "failed")

    assert (record["attempt"], record["max_attempts"]) == (3, 3)
    assert record["error"] == "ValueError: bad luck in attempt 3"


def test_what_is_not_there_is_not_found(home: Home) -> None:
    home.agent.enqueue("echo", {})
    assert home.refused(3, "inspect", "7") == "there is no task 7"
    assert "whole numbers from 1 up" in home.refused(2, "inspect", "seven")
    home.refused(3, "inspect", str(2**63))


def test_tasks_are_listed_newest_first(home: Home) -> None:
    for type in ("echo", "gate", "echo"):
        home.agent.enqueue(type, {})
    home.agent.cancel(1)

    assert [record["id"] for record in home.json("tasks")] == [3, 2, 1]
    assert [record["id"] for record in home.json("tasks", "--type", "echo", "--limit", "1")] == [3]
    assert home.json("tasks", "--state", "cancelled") == [home.agent.inspect(1)]
    assert home.json("tasks", "--state", "failed") == []
    assert "'queued'" in home.refused(2, "tasks", "--state", "queud")
    assert home.cli("tasks").out.splitlines()[0].split() == ["id", "type", "state", "attempt", "created_at", "error"]


# -- Answers


def test_tasks_are_cancelled_each_for_itself(home: Home) -> None:
    for _ in range(2):
        home.agent.enqueue("echo", {})

    done = home.cli("cancel", "1", "9", "2", "--json")

    assert done.code == 3
    assert done.json == [
        {"id": 1, "outcome": "cancelled"},
        {"id": 9, "error": "there is no task 9"},
        {"id": 2, "outcome": "cancelled"},
    ]
    assert home.cli("cancel", "1").code == 4


def test_a_running_task_is_cancelled_with_its_process(served: Home) -> None:
    task = served.agent.enqueue("gate", {"gate": "never"})
    served.reach(task, "in_progress")

    answer = served.json("cancel", str(task))

    assert answer == [{"id": task, "outcome": "requested"}]
    assert served.reach(task, "cancelled")["result"] is None


def test_a_failed_task_is_retried_when_somebody_asks(served: Home) -> None:
    task = served.agent.enqueue("fails", {"times": 3})
    served.reach(task, "failed")

    assert served.json("retry", str(task)) == [{"id": task, "outcome": "queued"}]

    assert served.reach(task, "succeeded")["result"] == {"attempt": 4}
    assert "only a failed or cancelled task can be retried" in served.refused(4, "retry", str(task))


# -- Orders


def test_a_pause_holds_tasks_back_until_it_ends(served: Home) -> None:
    assert served.json("pause", "echo") == {"applied": True, "paused": {"echo": None}, "max": 2}
    held, free = served.agent.enqueue("echo", {}), served.agent.enqueue("hopeless", {})

    served.reach(free, "failed")
    assert served.agent.inspect(held)["state"] == "queued"
    assert served.json("stats")["governor"]["reasons"] == ["paused by an operator: echo"]
    assert served.json("unpause", "echo") == {"applied": True, "paused": {}, "max": 2}
    served.reach(held, "succeeded")


def test_a_pause_for_a_time_ends_by_itself(served: Home) -> None:
    began = datetime.now(UTC)

    target = served.json("pause", "--for", "700ms")

    until_ = datetime.fromisoformat(target["paused"]["*"])
    assert timedelta(seconds=0.7) < until_ - began < timedelta(seconds=10)
    record = served.reach(served.agent.enqueue("echo", {}), "succeeded")
    assert datetime.fromisoformat(record["started_at"]) >= until_


def test_scaling_changes_the_number_of_workers(served: Home) -> None:
    assert served.json("scale", "3") == {"applied": True, "paused": {}, "max": 3}
    until(lambda: len(served.states()) == 3, what="a third worker")
    assert served.json("stats")["governor"]["reasons"] == ["scaled by an operator to 3 workers"]
    assert served.cli("scale", "2").out == "at most 2 workers; nothing is paused\n"

    until(lambda: served.states() == ["idle", "idle"], what="two workers")
    assert "0 is not in the range" in served.refused(2, "scale", "0")


def test_orders_without_a_supervisor_wait_for_the_next(home: Home) -> None:
    assert home.json("pause", "echo") == {"applied": False, "paused": {"echo": None}, "max": 2}
    assert home.json("scale", "1") == {"applied": False, "paused": {"echo": None}, "max": 1}
    held, free = home.agent.enqueue("echo", {}), home.agent.enqueue("hopeless", {})

    home.serve(workers=1)

    home.reach(free, "failed")
    assert home.agent.inspect(held)["state"] == "queued"


# -- Workers


def test_a_worker_tells_what_it_does(served: Home) -> None:
    task = served.agent.enqueue("gate", {"gate": "look"})
    served.reach(task, "in_progress")

    busy, idle = sorted(served.json("workers"), key=lambda worker: str(worker["state"]))
    served.open("look")

    assert list(busy) == WORKER
    assert (busy["state"], busy["task"], busy["type"]) == ("busy", task, "gate")
    assert (idle["state"], idle["task"], idle["type"]) == ("idle", None, None)
    assert is_alive(busy["pid"])
    assert len(busy["worker"]) == 16
    assert served.reach(task, "succeeded")["worker"] == busy["worker"]
    for moment in (busy["since"], busy["heartbeat_at"]):
        assert abs(datetime.now(UTC) - datetime.fromisoformat(moment)) < timedelta(seconds=60)


def test_a_worker_is_frozen_and_thawed(served: Home) -> None:
    worker = until(lambda: idle_worker(served), what="an idle worker")

    frozen = served.json("freeze", worker["worker"])

    assert (list(frozen), frozen["state"], frozen["pid"]) == (WORKER, "frozen", worker["pid"])
    assert is_stopped(worker["pid"])
    thawed = served.cli("thaw", worker["worker"])
    assert thawed.code == 0, thawed.err
    until(lambda: served.states() == ["idle", "idle"], what="all workers to be idle")
    assert not is_stopped(worker["pid"])


def idle_worker(home: Home) -> dict[str, Any] | None:
    return next((worker for worker in home.agent.workers() if worker["state"] == "idle"), None)


def test_only_a_worker_that_is_there_is_frozen(served: Home, home: Home) -> None:
    home.make_database()
    assert "0123456789abcdef" in served.refused(3, "freeze", "0123456789abcdef")
    assert "no supervisor serves" in home.refused(69, "freeze", "0123456789abcdef")
    assert home.refused(69, "thaw", "0123456789abcdef").endswith("start `resume`")
    assert home.json("workers") == []


# -- The agent itself


def test_a_drain_ends_when_nothing_is_left_to_run(home: Home) -> None:
    now, later = home.agent.enqueue("echo", {}), home.agent.enqueue("echo", {}, delay=0.5)
    flaky = home.agent.enqueue("fails", {})

    done = home.cli("resume", "--drain", "--json")

    assert (done.code, done.json) == (0, {"exit_code": 0})
    assert [home.agent.inspect(task)["state"] for task in (now, later, flaky)] == ["succeeded", "succeeded", "failed"]


def test_ctrl_c_lets_what_runs_finish(home: Home) -> None:
    agent = home.serve()
    task = home.agent.enqueue("gate", {"gate": "last"})
    home.reach(task, "in_progress")

    agent.process.send_signal(signal.SIGINT)
    until(lambda: "draining" in agent.err, what="the drain to begin")
    home.open("last")

    assert agent.wait() == 0
    assert home.agent.inspect(task)["state"] == "succeeded"


def test_a_second_supervisor_is_told_who_the_first_is(served: Home) -> None:
    pid = served.agent.stats()["supervisor_pid"]

    done = served.cli("resume")

    assert done.code == 75
    assert f"process {pid} supervises this database already" in done.err


@pytest.mark.parametrize(
    ("words", "variable", "workers"),
    [
        (("resume",), None, 2),
        (("resume",), "3", 3),
        (("resume", "--max-concurrent", "1"), "3", 1),
    ],
)
def test_the_command_line_wins_over_variables_and_these_over_the_file(
    home: Home, words: tuple[str, ...], variable: str | None, workers: int
) -> None:
    env = {} if variable is None else {"SANAAGENT_BULK_MAX_CONCURRENT": variable}

    home.serve(*words, env=env, workers=workers)

    assert home.agent.stats()["supervisor_pid"] is not None
    assert len(home.agent.workers()) == workers


def test_another_configuration_is_named_by_option_or_variable(home: Home) -> None:
    for name in ("option", "variable"):
        (home.directory / f"{name}.yml").write_text(f"persistence: {{db_path: {name}.db}}")

    home.cli("--config", "option.yml", "enqueue", "echo", "{}", env={"SANAAGENT_CONFIG": "variable.yml"})
    home.cli("enqueue", "echo", "{}", env={"SANAAGENT_CONFIG": "variable.yml"})

    assert (home.directory / "option.db").exists()
    assert (home.directory / "variable.db").exists()
    assert home.total() == 0


# -- Help


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS)])
def test_help_goes_to_stdout(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from enhanced_automation_agent import main

    assert main([*words, "--help"]) == 0

    out, err = capsys.readouterr()
    assert out.startswith("Usage: ")
    assert err == ""


def test_a_command_that_is_not_there_is_guessed(home: Home) -> None:
    assert home.refused(2, "enqueu", "echo", "{}") == "there is no command 'enqueu'; did you mean 'enqueue'?"
    assert home.cli("--version").out.startswith("sanaagent ")


def test_a_reader_who_has_seen_enough_gets_no_traceback(home: Home) -> None:
    for _ in range(50):
        home.agent.enqueue("echo", {"text": "x" * 10_000})
    reads, writes = os.pipe()
    os.close(reads)

    command = [sys.executable, str(MAIN), "tasks", "--json"]
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, check=False)
    os.close(writes)

    assert (done.returncode, done.stderr) == (1, b"")
