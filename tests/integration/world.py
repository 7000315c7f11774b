"""A database with its configuration, its handlers and its agents: what the integration tests are written in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agent.store import open_store
from enhanced_automation_agent import EnhancedAutomationAgent
from tests.support.processes import CHECKOUT, Agent, family, is_alive, start_agent
from tests.support.waiting import until

HANDLERS = CHECKOUT / "tests" / "support" / "handlers.py"
QUICK = {
    "bulk": {"max_concurrent": 2, "retry_attempts": 2, "retry_delay_seconds": 0.05, "drain_grace_s": 10},
    "governance": {
        "cpu_high_pct": 100,
        "mem_high_pct": 100,
        "window_s": 1,
        "pause_after_error_burst": {"threshold": 1_000_000, "duration_s": 1},
    },
    "telemetry": {"sample_interval_s": 0.1, "log_interval_s": 0.5, "log_tasks": "all"},
}
"""Settings under which things happen soon, and the governor sees no reason to act."""


class Effect(NamedTuple):
    """What a handler did."""

    word: str
    task: int
    attempt: int
    pid: int
    at: float


class World:
    """One database and whoever serves it. `client` is another process's view of it: this one's."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.settings: dict[str, Any] = json.loads(json.dumps(QUICK))
        self.settings["persistence"] = {"db_path": str(directory / "state.db")}
        self.settings["telemetry"]["log_dir"] = str(directory / "logs")
        self.agents: list[Agent] = []
        self.configure(**settings)
        shutil.copy(HANDLERS, directory / "handlers.py")
        open_store(directory / "state.db").close()
        self.client = EnhancedAutomationAgent(directory / "config.yml")
        self.client.stats()  # it has read the configuration as it is now

    def configure(self, **settings: Any) -> None:
        """Write the configuration with some settings changed: `bulk__max_concurrent=4`."""
        for name, value in settings.items():
            *sections, key = name.split("__")
            at = self.settings
            for section in sections:
                at = at.setdefault(section, {})
            at[key] = value
        (self.directory / "config.yml").write_text(yaml.safe_dump(self.settings), "utf-8")

    def start(self, *args: str, ready: int | None = None) -> Agent:
        """A supervisor; returned once `ready` workers (left out: all) may claim."""
        agent = start_agent(self.directory, "resume", *args)
        self.agents.append(agent)
        wanted = self.settings["bulk"]["max_concurrent"] if ready is None else ready
        if wanted:
            until(lambda: self._ready(agent) >= wanted, what=f"{wanted} workers to be ready; it said {agent.err}")
        return agent

    def _ready(self, agent: Agent) -> int:
        assert agent.process.poll() is None, f"the agent has ended: {agent.err}"
        started = [i for i, event in enumerate(self.events()) if event.get("pid") == agent.pid]
        return sum(event["event"] == "worker.ready" for event in self.events()[started[0] :]) if started else 0

    def close(self) -> None:
        """End whatever runs; nothing may have gone wrong in silence."""
        self.client.close()
        for agent in self.agents:
            if agent.process.poll() is None or is_alive(agent.pid):
                agent.kill_everything()
        for agent in self.agents:
            assert "Traceback" not in agent.err, agent.err

    # -- Tasks

    def enqueue(self, type: str, payload: dict[str, Any] | None = None, **options: Any) -> int:
        """A new task's id."""
        return self.client.enqueue(type, payload or {}, **options)

    def state(self, task: int) -> str:
        """A task's state."""
        return str(self.client.inspect(task)["state"])

    def reach(self, tasks: int | Iterable[int], state: str, timeout: float = 10) -> dict[str, Any]:
        """Wait until the tasks are in a state; the record of the last."""
        record: dict[str, Any] = {}
        for task in [tasks] if isinstance(tasks, int) else tasks:

            def is_there(task: int = task) -> bool:
                nonlocal record
                record = self.client.inspect(task)
                return bool(record["state"] == state)

            until(is_there, timeout, f"task {task} to be {state}; it is {self.client.inspect(task)}")
        return record

    def outcomes(self, task: int) -> list[str]:
        """How the kept attempts of a task ended."""
        return [each["outcome"] for each in self.client.inspect(task)["attempts"]]

    # -- Effects

    def effects(self) -> list[Effect]:
        """All effects so far, in order."""
        path = self.directory / "effects"
        lines = path.read_text("ascii").splitlines() if path.exists() else []
        found = [line.split() for line in lines]
        return [Effect(word, int(task), int(attempt), int(pid), float(at)) for word, task, attempt, pid, at in found]

    def ended(self, number: int, timeout: float = 20) -> None:
        """Wait until so many handlers have come to their end."""
        path = self.directory / "effects"
        until(
            lambda: path.exists() and path.read_bytes().count(b"end ") >= number, timeout, f"{number} handlers to end"
        )

    def starts(self, task: int) -> list[Effect]:
        """The starts of a task's handler."""
        return [effect for effect in self.effects() if effect[:2] == ("start", task)]

    def started(self, task: int, attempt: int = 1, timeout: float = 10) -> Effect:
        """Wait for a start."""

        def found() -> list[Effect]:
            return [effect for effect in self.starts(task) if effect.attempt == attempt]

        return until(found, timeout, f"attempt {attempt} of task {task} to start")[0]

    def child(self, task: int, attempt: int = 1) -> int:
        """Wait for the process that a `parent` handler starts; its pid."""
        wanted = ("child", task, attempt)
        return until(lambda: [each for each in self.effects() if each[:3] == wanted], what="a handler's child")[0].pid

    def open(self, gate: str) -> None:
        """Let the `gate` handlers that wait for it go on."""
        (self.directory / gate).touch()

    # -- Processes

    def workers(self) -> dict[int, dict[str, Any]]:
        """The workers' records by pid."""
        return {worker["pid"]: worker for worker in self.client.workers()}

    def idle(self, number: int, timeout: float = 10) -> list[int]:
        """Wait until so many workers are idle; their pids."""

        def found() -> list[int]:
            return [pid for pid, worker in self.workers().items() if worker["state"] == "idle"]

        return until(lambda: len(found()) >= number and found(), timeout, f"{number} idle workers") or []

    def fork_server(self, agent: Agent) -> int:
        """The pid of an agent's fork server."""
        pids = {pid for pid in family(agent.pid) if _parent(pid) == agent.pid}
        assert len(pids) == 1, pids
        return pids.pop()

    def limit(self) -> int:
        """How many tasks may run at once now."""
        return int(self.client.stats()["governor"]["limit"])

    # -- Logs

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The lines of agent.jsonl, but for one that is not whole yet."""
        path = self.directory / "logs" / "agent.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [event for event in found if name in (None, event["event"])]

    def event(self, name: str, timeout: float = 10, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields."""

        def found() -> list[dict[str, Any]]:
            return [
                event for event in self.events(name) if all(event.get(key) == value for key, value in fields.items())
            ]

        return until(found, timeout, f"the event {name} {fields}")[0]

    def happened(self, name: str, times: int, timeout: float = 10) -> None:
        """Wait until an event has happened so often."""
        until(lambda: len(self.events(name)) >= times, timeout, f"{name} to happen {times} times")


def said(agent: Agent, text: str) -> None:
    """Wait until the agent has written this to its stderr."""
    until(lambda: text in agent.err, what=f"{text!r} in {agent.err!r}")


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> float:
    """Send a signal; the monotonic time of it."""
    at = time.monotonic()
    os.kill(pid, number)
    return at


def gone_within(pids: Iterable[int], seconds: float) -> float:
    """Wait for the processes to end; the seconds it took. Fails a good while after `seconds`."""
    began, left = time.monotonic(), set(pids)
    until(lambda: not any(is_alive(pid) for pid in left), timeout=seconds + 10, what=f"processes {left} to end")
    return time.monotonic() - began


def most_at_once(effects: Iterable[Effect], tasks: Iterable[int]) -> int:
    """How many of the tasks' handlers ran at the same time, at most."""
    wanted, running, most = set(tasks), 0, 0
    for effect in effects:
        if effect.task in wanted and effect.word in ("start", "end"):
            running += 1 if effect.word == "start" else -1
            most = max(most, running)
    return most


def switches(pids: Iterable[int]) -> int:
    """How often the processes have gone to sleep by themselves: voluntary context switches."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def pass_time(seconds: float) -> None:
    """Let time pass, where the statement is that nothing happens meanwhile."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, timeout=seconds + 10, what="time to pass")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])


MakeWorld = Callable[..., World]
