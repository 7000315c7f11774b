"""`demo`: what it does to the agent, to the worker that it kills, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.commands import demo as module
from agent.errors import Unavailable
from tests.unit.agent.cli.port import Answer, FakeAgent
from tests.unit.agent.cli.terminal import on_a_terminal

Called = Callable[..., Answer]

LIBRARY = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class Summary:
    files: int
    bytes: int

def files(root=None):
    return [f"/lib/{n}.py" for n in range(12)]

def survey(path):
    return {"path": path, "lines": 1, "definitions": 1, "bytes": len(path), "compressed": 1}

def total(results):
    results = list(results)
    return Summary(len(results), sum(result["bytes"] for result in results))

def plain(paths):
    return total(survey(path) for path in paths)
"""

PROGRAM = """
import json, os, sys
open({arguments!r}, "w").write(json.dumps([sys.argv[1:], os.getcwd(), sorted(os.environ)]))
print("the agent's own output")
sys.exit(int(open({end!r}).read()))  # a FIFO: waits for whoever writes into it
"""


class Stage:
    """An agent that has worked through its tasks after four looks, and one worker, a real process."""

    def __init__(self, agent: FakeAgent, directory: Path) -> None:
        self.agent = agent
        self.exit_code = 0
        self.state = "succeeded"
        self.size = 0  # added to what the workers measure
        self.enqueued: list[str] = []
        self.environment: list[str] = []
        self.arguments, self.end = directory / "arguments", directory / "end"
        self.worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        self._looks = iter((0, 3, 6, 9))
        (directory / "library.py").write_text(LIBRARY)
        (directory / "program.py").write_text(PROGRAM.format(arguments=str(self.arguments), end=str(self.end)))
        os.mkfifo(self.end)
        agent.answers |= {
            "demo": directory,
            "enqueue_lines": self.enqueue,
            "stats": self.stats,
            "workers": [self.busy(os.getpid(), "idle", None), self.busy(self.worker.pid, "busy", 7)],
            "freeze": self.freeze,
            "tasks": lambda *_, **__: self.records(),
        }

    def busy(self, pid: int, state: str, task: int | None) -> dict[str, Any]:
        return {"worker": f"{pid:016x}", "pid": pid, "state": state, "task": task}

    def freeze(self, worker: str) -> dict[str, Any]:
        return self.busy(int(worker, 16), "frozen", 7)

    def enqueue(self, lines: Iterable[bytes], type: str | None, where: str) -> list[int]:
        self.environment = sorted(os.environ)
        self.enqueued = [json.loads(line)["payload"]["path"] for line in lines]
        return list(range(1, len(self.enqueued) + 1))

    def stats(self) -> dict[str, Any]:
        done = next(self._looks, None)
        if done is None and self.end.exists():
            self.end.write_text(str(self.exit_code))
            self.end.unlink()
        return {"states": {"succeeded": len(self.enqueued) if done is None else done, "failed": 0, "cancelled": 0}}

    def records(self) -> Iterator[dict[str, Any]]:
        for task, path in enumerate(self.enqueued, 1):
            lost = [{"outcome": "lost", "started_at": "2026-11-22T10:00:00.000000Z"}] if task == 7 else []
            yield {
                "id": task,
                "state": self.state,
                "finished_at": "2026-11-22T10:00:02.000000Z",
                "attempts": [*lost, {"outcome": "succeeded", "started_at": "2026-11-22T10:00:01.000000Z"}],
                "result": {"path": path, "lines": 1, "definitions": 1, "bytes": len(path) + self.size, "compressed": 1},
            }


@pytest.fixture
def stage(agent: FakeAgent, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(tempfile, "tempdir", str(data_dir))
    monkeypatch.setattr(module, "PROGRAM", data_dir / "program.py")
    made = Stage(agent, data_dir)
    yield made
    made.worker.kill()
    made.worker.wait()


def started(stage: Stage) -> tuple[list[str], str, list[str]]:
    """The arguments, the working directory and the variables of the program that was started."""
    words, directory, variables = json.loads(stage.arguments.read_text())
    return words, directory, variables


def test_every_file_is_a_task_and_the_end_is_told(call: Called, stage: Stage) -> None:
    told = call("demo", "--json").json

    assert stage.enqueued == [f"/lib/{n}.py" for n in range(12)]
    assert (told["files"], told["lines"], told["definitions"], told["seconds"]) == (12, 12, 12, 2.0)
    assert told["run_again"] == [{"id": 7, "path": "/lib/6.py", "outcomes": ["lost", "succeeded"]}]


def test_people_get_a_page_and_progress_on_stderr(call: Called, stage: Stage) -> None:
    answer = call("demo")

    assert answer.code == 0
    assert "12 files" in answer.out
    assert "Where to look next:" in answer.out
    assert "one core first" in answer.err
    assert "0 of 12 tasks done" in answer.err


def test_on_a_terminal_progress_is_a_bar() -> None:
    program = """
from agent.cli.commands.demo import _progress

with _progress(12) as show:
    show(6)
    show(12)
"""

    shown = on_a_terminal(program, "stderr")

    assert (shown.code, shown.other) == (0, "")
    assert "12/12" in shown.terminal


def test_the_number_of_files_can_be_limited(call: Called, stage: Stage) -> None:
    assert call("demo", "--files", "4", "--json").json["files"] == 4


def test_a_busy_worker_is_killed_half_way(call: Called, stage: Stage) -> None:
    told = call("demo", "--json").json

    assert stage.worker.wait() == -signal.SIGKILL
    assert told["killed"] == {"worker": f"{stage.worker.pid:016x}", "pid": stage.worker.pid, "task": 7}


def test_a_worker_that_is_gone_already_is_passed_over(call: Called, stage: Stage) -> None:
    stage.worker.kill()
    stage.worker.wait()

    assert call("demo", "--json").json["killed"] is None


def test_the_agent_runs_in_a_directory_of_its_own_which_is_kept(call: Called, stage: Stage, data_dir: Path) -> None:
    told = call("demo", "--json").json

    words, directory, _ = started(stage)
    config = f"{told['directory']}/config.yml"
    assert Path(told["directory"]).parent == data_dir
    assert directory == told["directory"]
    assert words == ["--config", config, "--handlers", str(data_dir / "library.py"), "resume", "--drain"]
    assert stage.agent.builds == [(config, None, {})]
    assert f'db_path: "{told["directory"]}/state.db"' in Path(config).read_text()
    assert Path(told["directory"], "agent.out").read_text() == "the agent's own output\n"


def test_the_users_settings_reach_neither_agent(
    call: Called, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANAAGENT_PERSISTENCE_DB_PATH", "/precious/state.db")
    monkeypatch.setenv("STATE_DIRECTORY", "/precious")

    assert call("demo").code == 0

    outside = {"SANAAGENT_PERSISTENCE_DB_PATH", "STATE_DIRECTORY"}
    assert outside.isdisjoint(stage.environment)
    assert outside.isdisjoint(started(stage)[2])
    assert os.environ["SANAAGENT_PERSISTENCE_DB_PATH"] == "/precious/state.db"


def test_an_agent_that_fails_is_told_with_where_to_look(call: Called, stage: Stage) -> None:
    stage.exit_code = 78

    answer = call("demo")

    assert (answer.code, answer.out) == (1, "")
    assert "ended with exit code 78" in answer.err
    assert "agent.out says why" in answer.err


def test_a_task_that_failed_fails_the_demo(call: Called, stage: Stage) -> None:
    stage.state = "failed"

    answer = call("demo", "--json")

    assert (answer.code, answer.out) == (1, "")
    assert "12 of 12 tasks did not succeed" in answer.err


def test_other_results_than_those_of_one_core_fail_the_demo(call: Called, stage: Stage) -> None:
    stage.size = 1

    assert "differ from those of one core" in call("demo").err


def test_an_agent_that_stands_still_is_ended(
    call: Called, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0)
    stage.agent.answers["stats"] = {"states": {"succeeded": 0, "failed": 0, "cancelled": 0}}

    answer = call("demo")

    assert answer.code == 1
    assert "the agent seems to be stuck" in answer.err


@pytest.mark.parametrize(("outcome", "code"), [(KeyboardInterrupt(), 130), (Unavailable("the database is gone"), 69)])
def test_the_agent_does_not_outlive_the_demo(
    outcome: BaseException, code: int, call: Called, stage: Stage
) -> None:
    stage.agent.answers["stats"] = outcome

    assert call("demo").code == code


def test_without_the_examples_the_demo_says_what_is_missing(call: Called, stage: Stage, data_dir: Path) -> None:
    (data_dir / "library.py").unlink()

    answer = call("demo")

    assert answer.code == 1
    assert "library.py is missing" in answer.err
