"""`demo`: real work, a worker killed on purpose, and results equal to those of one process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from enhanced_automation_agent import EnhancedAutomationAgent
from examples import library
from tests.support.processes import Completed, is_alive, run_cli

FILES = 120  # long enough for a worker to be found at work half-way


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Completed, Path]:
    """One demo, and the directory where it was called."""
    directory = tmp_path_factory.mktemp("demo")
    done = run_cli("demo", "--files", str(FILES), "--json", cwd=directory, env={"TMPDIR": str(directory)}, timeout=50)
    assert done.code == 0, done.err
    return done, directory


def chosen() -> list[str]:
    """The files that a demo of so many surveys: evenly from the whole."""
    paths = library.files()
    return [paths[i * len(paths) // FILES] for i in range(FILES)]


def agent_of(summary: dict[str, Any]) -> EnhancedAutomationAgent:
    """A view of what the demo left."""
    return EnhancedAutomationAgent(f"{summary['directory']}/config.yml")


def test_the_results_are_those_of_a_single_process(demo: tuple[Completed, Path]) -> None:
    summary = demo[0].json
    agent = agent_of(summary)
    records = agent.tasks(limit=FILES + 1)
    agent.close()

    expected = library.plain(chosen())

    assert library.total(record["result"] for record in records) == expected
    assert summary["files"] == expected.files == FILES
    assert summary["lines"] == expected.lines
    assert summary["definitions"] == expected.definitions
    assert summary["bytes"] == expected.bytes
    assert summary["bytes_saved"] == expected.bytes - expected.compressed


def test_the_summary_is_complete(demo: tuple[Completed, Path]) -> None:
    summary = demo[0].json

    assert list(summary) == [
        "python", "files", "definitions", "lines", "bytes", "bytes_saved", "workers", "seconds", "tasks_per_s",
        "one_core", "speed_up", "killed", "run_again", "largest", "directory", "next",
    ]  # fmt: skip
    assert list(summary["one_core"]) == ["every", "files", "seconds", "seconds_for_all", "tasks_per_s"]
    assert summary["workers"] == len(os.sched_getaffinity(0))
    assert summary["seconds"] > 0
    assert summary["tasks_per_s"] > 0
    assert summary["largest"]["bytes"] == max(Path(path).stat().st_size for path in chosen())


def test_a_worker_was_killed_and_nothing_was_lost(demo: tuple[Completed, Path]) -> None:
    summary = demo[0].json
    agent = agent_of(summary)
    stats, killed = agent.stats(), summary["killed"]

    assert list(killed) == ["worker", "pid", "task"]
    assert not is_alive(killed["pid"])
    assert stats["states"]["succeeded"] == FILES == sum(stats["states"].values())
    for again in summary["run_again"]:
        assert again["outcomes"] == ["killed", "succeeded"]
        outcomes = [attempt["outcome"] for attempt in agent.inspect(again["id"])["attempts"]]
        assert outcomes == again["outcomes"]
    assert len(summary["run_again"]) <= 1  # of a killed worker, the task whose handler was running
    agent.close()


def test_everything_lies_in_a_directory_of_its_own(demo: tuple[Completed, Path]) -> None:
    done, directory = demo
    left = Path(done.json["directory"])

    assert [path for path in directory.iterdir() if path != left] == []
    assert left.parent == directory
    assert {"config.yml", "state.db", "logs"} <= {path.name for path in left.iterdir()}


def test_what_to_type_next_works(demo: tuple[Completed, Path]) -> None:
    done, directory = demo
    stats, _, inspect, log, _ = done.json["next"]

    assert log == f"less {done.json['directory']}/logs/agent.jsonl"
    for command in (stats, inspect):
        words = command.split(" --config ")[1].split()
        assert run_cli("--config", *words, cwd=directory).code == 0


def test_people_get_a_page(tmp_path: Path) -> None:
    done = run_cli("demo", "--files", "10", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})

    assert done.code == 0, done.err
    assert "standard library: 10 files" in done.out
    for name in ("the agent", "one core", "speed-up", "killed", "lost"):
        assert f"\n  {name}" in done.out
    assert "nothing: every task succeeded; the sample has the results of one core" in done.out
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(done.out)
