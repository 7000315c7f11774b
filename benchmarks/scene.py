"""An agent as a user runs it: a directory with a configuration and handlers, the commands, the Python API.

    with Scene(options) as scene:
        scene.agent.enqueue_many("noop", ({"value": n} for n in range(1000)))
        wall_s = scene.drain()
        rate = scene.span(1000).rate

Commands run as they are typed: each is a process of its own, in the scene's directory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import apsw

from agent.lifecycle import State
from benchmarks import Broken
from benchmarks.options import Options
from benchmarks.processes import CHECKOUT, Running, timed, until
from enhanced_automation_agent import EnhancedAutomationAgent

HANDLERS = """\
from enhanced_automation_agent import handler


@handler("noop")
def noop(payload):
    return {"result": payload["value"]}
"""

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Span:
    """How many tasks ran, and the seconds from the first start to the last finish."""

    tasks: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds


class Scene:
    """A directory of its own, removed at the end of the `with` block.

    `handlers` is the source of the handlers' file; `settings` are laid over the configuration, group by group. The
    governor never throttles here: what is measured is the machine at work.
    """

    def __init__(
        self, options: Options, handlers: str = HANDLERS, workers: int = 2, settings: Settings | None = None
    ) -> None:
        self._room = TemporaryDirectory(prefix="sanaagent-bench-", dir=options.directory)
        self.directory = Path(self._room.name)
        self.workers = workers
        self.config = self.directory / "config.yml"
        self.database = self.directory / "state.db"
        (self.directory / "handlers.py").write_text(handlers, "utf-8")
        self.config.write_text(json.dumps(self._configuration(settings or {})), "utf-8")  # JSON is YAML

    def _configuration(self, settings: Settings) -> dict[str, Any]:
        groups: dict[str, dict[str, Any]] = {
            "bulk": {"max_concurrent": self.workers},
            "governance": {"cpu_high_pct": 100, "mem_high_pct": 100, "hysteresis_pct": 1},
            "telemetry": {"log_dir": str(self.directory / "logs")},
            "persistence": {"db_path": str(self.database)},
        }
        for group, values in settings.items():
            groups[group] = {**groups.get(group, {}), **values}
        return {**groups, "handlers": ["handlers.py"]}

    @cached_property
    def agent(self) -> EnhancedAutomationAgent:
        """The Python API over this scene."""
        return EnhancedAutomationAgent(self.config)

    def command(self, *words: str | Path) -> float:
        """Seconds that a command takes, the whole process. Raises Broken when it fails."""
        return timed(self._words(*words), self.directory)

    def drain(self) -> float:
        """`resume --drain`: runs all tasks; seconds of the whole process."""
        return self.command("resume", "--drain")

    @contextmanager
    def resumed(self) -> Iterator[Running]:
        """`resume`: an agent that runs, all workers idle; ended after the block."""
        with Running(self._words("resume"), self.directory) as running:
            until(self._is_idle, "every worker was idle", running)
            yield running

    def wait(self, tasks: int, running: Running | None = None) -> None:
        """Until so many tasks have succeeded. Raises Broken when `running` ends before."""
        until(lambda: self.agent.stats()["states"]["succeeded"] >= tasks, f"{tasks} tasks succeeded", running)

    def span(self, tasks: int) -> Span:
        """Of all that ran. Raises Broken unless exactly so many tasks succeeded."""
        query = "SELECT count(*), min(started_at), max(finished_at) FROM task WHERE state = ?"
        found, first, last = self.rows(query, int(State.SUCCEEDED))[0]
        if found != tasks:
            raise Broken(f"{found} of {tasks} tasks succeeded")
        return Span(tasks, (last - first) / 1e6)

    def rows(self, query: str, *bindings: Any) -> list[tuple[Any, ...]]:
        """Rows of the database, read only: times are wall time in microseconds."""
        handle = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(handle.execute(query, bindings))
        finally:
            handle.close()

    def close(self) -> None:
        """Remove the directory."""
        if "agent" in self.__dict__:
            self.agent.close()
        self._room.cleanup()

    def _words(self, *words: str | Path) -> list[str | Path]:
        return [sys.executable, CHECKOUT / "enhanced_automation_agent.py", "--config", self.config, *words]

    def _is_idle(self) -> bool:
        if not self.database.exists():
            return False  # `resume` has yet to make it
        return [worker["state"] for worker in self.agent.workers()] == ["idle"] * self.workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
