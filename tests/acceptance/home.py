"""A user's directory: handlers, a configuration, the command line called in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agent.store import open_store
from enhanced_automation_agent import EnhancedAutomationAgent, main
from tests.support.processes import Agent, Completed, run_cli, start_agent
from tests.support.waiting import until

CONFIG = """\
bulk: {max_concurrent: 2, retry_attempts: 2, retry_delay_seconds: 100ms}
governance: {cpu_high_pct: 100, mem_high_pct: 100, window_s: 1, pause_after_error_burst: {threshold: 100000}}
telemetry: {sample_interval_s: 100ms}
"""
"""Things happen soon, and the governor sees no reason to act."""

HANDLERS = """\
import time
from pathlib import Path

from enhanced_automation_agent import Fail, RetryAfter, current_attempt, handler

HERE = Path(__file__).parent


@handler("echo")
def echo(payload):
    with (HERE / "runs").open("a") as file:
        file.write(f"{current_attempt().task_id}\\n")
    return payload


@handler("fails")
def fails(payload):
    if current_attempt().attempt > payload.get("times", 1000):
        return {"attempt": current_attempt().attempt}
    raise ValueError(f"bad luck in attempt {current_attempt().attempt}")


@handler("hopeless")
def hopeless(payload):
    raise Fail("not worth another attempt")


@handler("gate")
def gate(payload):
    while not (HERE / payload["gate"]).exists():
        time.sleep(0.002)
    return {}


@handler("returns")
def returns(payload):
    return {
        "nothing": None, "a list": [1], "a set": {"value": {1}}, "nan": {"value": float("nan")}, "a number": 1,
        "vast": {"text": "x" * (1 << 20)}, "a long number": {"deep": [{"value": 1 << 63}]},
    }[payload["what"]]
"""


class Home:
    """A directory with `config.yml` and `handlers.py`; `agent` is a program's view of it: this one's."""

    def __init__(self, directory: Path, handlers: str = HANDLERS, config: str = CONFIG) -> None:
        self.directory = directory
        database, logs = directory / "state.db", directory / "logs"
        places = f"persistence: {{db_path: {database}}}\n"
        (directory / "handlers.py").write_text(handlers, "utf-8")
        (directory / "config.yml").write_text(
            config.replace("telemetry: {", f"telemetry: {{log_dir: {logs}, ") + places
        )
        self.agent = EnhancedAutomationAgent(directory / "config.yml")
        self._agents: list[Agent] = []

    def cli(self, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Completed:
        """A command, run to its end; whatever it was, nobody sees a traceback of ours."""
        done = run_cli(*words, cwd=self.directory, env=env, stdin=stdin)
        assert 'enhanced_automation_agent.py", line' not in done.err, done.err
        return done

    def call(self, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Completed:
        """The same without a process of its own, which takes a tenth of the time."""
        given, out, err = (io.TextIOWrapper(io.BytesIO(text), "utf-8") for text in (stdin.encode(), b"", b""))
        streams = (patch("sys.stdin", given), redirect_stdout(out), redirect_stderr(err))
        with chdir(self.directory), patch.dict("os.environ", env or {}), streams[0], streams[1], streams[2]:
            code = main(words)
        for stream in (out, err):
            stream.seek(0)
        return Completed(code, out.read(), err.read())

    def json(self, *words: str) -> Any:
        """The document that a command prints, which succeeds."""
        done = self.call(*words, "--json")
        assert done.code == 0, done.err
        return done.json

    def refused(self, code: int, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
        """Why a command refuses: one sentence on stderr, nothing on stdout."""
        done = self.call(*words, env=env, stdin=stdin)
        assert (done.code, done.out) == (code, ""), done
        errors = [line.removeprefix("error: ") for line in done.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, done.err
        assert "Traceback" not in done.err
        return errors[0]

    def serve(self, *words: str, env: Mapping[str, str] | None = None, workers: int = 2) -> Agent:
        """An agent that serves the directory; returned once so many workers are idle."""
        agent = start_agent(self.directory, *(words or ("resume",)), env=env)
        self._agents.append(agent)
        until(lambda: self._is_serving(agent, workers), what=f"{workers} idle workers; the agent said {agent.err}")
        return agent

    def _is_serving(self, agent: Agent, workers: int) -> bool:
        assert agent.process.poll() is None, f"the agent has ended: {agent.err}"
        return self.states() == ["idle"] * workers

    def states(self) -> list[str]:
        """How the workers are; none before there is a database."""
        return sorted(worker["state"] for worker in self.agent.workers()) if self._has_database else []

    def make_database(self) -> None:
        """An empty one."""
        open_store(self.directory / "state.db").close()

    def total(self) -> int:
        """How many tasks are stored; none before there is a database."""
        return sum(self.agent.stats()["states"].values()) if self._has_database else 0

    @property
    def _has_database(self) -> bool:
        return (self.directory / "state.db").exists()

    def reach(self, task: int, state: str) -> dict[str, Any]:
        """Wait until a task is in a state; its record."""
        until(lambda: self.agent.inspect(task)["state"] == state, what=f"task {task} to be {state}")
        return self.agent.inspect(task)

    def runs(self, task: int) -> int:
        """How often the `echo` handler has run for a task."""
        path = self.directory / "runs"
        return path.read_text().split().count(str(task)) if path.exists() else 0

    def open(self, gate: str) -> None:
        """Let the `gate` handlers that wait for it go on."""
        (self.directory / gate).touch()

    def close(self) -> None:
        """End whatever runs."""
        self.agent.close()
        for agent in self._agents:
            agent.kill_everything()
