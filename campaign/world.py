"""A world: one database, its configuration and handlers, whoever serves it, and what was asked of it.

    with World(run.directory / "world", workers=4) as world:
        world.enqueue("nap", [{"s": 0.01}] * 100)
        supervisor = world.start()
        …
        world.finish()
        report = world.judge(faults)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import apsw

from agent.errors import AgentError
from campaign import Broken, PromiseBroken, effects
from campaign.asked import Asked
from campaign.checker import Complaints, check
from campaign.evidence import gather
from campaign.processes import MAIN, family, kill_all, until
from campaign.run import Figure, Report
from enhanced_automation_agent import EnhancedAutomationAgent

HANDLERS = Path(__file__).with_name("handlers.py")
SETTINGS: dict[str, dict[str, Any]] = {
    "bulk": {"max_concurrent": 4, "retry_attempts": 2, "retry_delay_seconds": 0.05, "drain_grace_s": 10},
    "governance": {
        "cpu_high_pct": 100,
        "mem_high_pct": 100,
        "hysteresis_pct": 1,
        "pause_after_error_burst": {"threshold": 1_000_000},
    },
    "telemetry": {"sample_interval_s": 0.5},
}
"""Under which things happen soon, and the governor sees no reason to act."""

Settings = Mapping[str, Mapping[str, Any]]


class World:
    """`settings` are laid over the configuration, group by group; `env` over the environment of whatever it starts."""

    def __init__(
        self,
        directory: Path,
        workers: int = 4,
        settings: Settings | None = None,
        env: Mapping[str, str] | None = None,
        handlers: Path = HANDLERS,
        database: Path | None = None,
        main: Path = MAIN,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.main = main  # whose code is run: ours, until somebody sets another
        self.directory = directory.resolve()
        self.database = database or self.directory / "state.db"
        self.env = dict(env or {})
        self.workers = workers
        self.asked = Asked()
        self._started: list[subprocess.Popen[bytes]] = []
        self._calls: list[subprocess.Popen[str]] = []
        (self.directory / "config.yml").write_text(json.dumps(self._configuration(settings or {})), "utf-8")
        shutil.copy(handlers, self.directory / "handlers.py")

    def _configuration(self, settings: Settings) -> dict[str, Any]:
        groups = {name: dict(values) for name, values in SETTINGS.items()}
        groups["bulk"]["max_concurrent"] = self.workers
        groups["telemetry"]["log_dir"] = str(self.directory / "logs")
        groups["persistence"] = {"db_path": str(self.database)}
        for group, values in settings.items():
            groups[group] = {**groups.get(group, {}), **values}
        return {**groups, "handlers": [str(self.directory / "handlers.py")]}

    # -- Asking

    @cached_property
    def client(self) -> EnhancedAutomationAgent:
        """The Python API over this world, in our own process: nothing happens to it."""
        return EnhancedAutomationAgent(self.directory / "config.yml")

    def enqueue(self, type_: str, payloads: Iterable[Mapping[str, Any]], **options: Any) -> list[int]:
        """Ask for tasks, each numbered by `n` in its payload; the ids that were acknowledged."""
        numbered = self.asked.number(type_, payloads)
        if options:
            ids = [self.client.enqueue(type_, payload, **options) for payload in numbered]
        else:
            ids = self.client.enqueue_many(type_, numbered)
        self.asked.acknowledged(ids, numbered, options.get("idempotency_key"))
        return ids

    def look(self) -> dict[str, int]:
        """How many tasks are in which state now; finished ones are remembered: they may not change any more."""
        if self.main != MAIN:  # our own process may not know this database
            return dict(json.loads(self.command("stats", "--json").stdout)["states"])
        states: dict[str, int] = self.client.stats()["states"]
        return states

    def unfinished(self) -> int:
        """How many tasks are not finished."""
        return sum(n for state, n in self.look().items() if state not in ("succeeded", "failed", "cancelled"))

    def command(self, *words: str, timeout: float = 30.0, **env: str) -> subprocess.CompletedProcess[str]:
        """A command, run to its end. Raises Broken when it hangs."""
        try:
            return subprocess.run(
                [sys.executable, str(self.main), *words], cwd=self.directory, env=self._environment(env),
                capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Broken(f"{' '.join(words)} did not end within {timeout:g} s") from error

    def call(self, *words: str, code: str = "") -> subprocess.Popen[str]:
        """A command under way: something may happen to it. `code`: a program to run in place of the command line."""
        program = ["-c", code] if code else [str(self.main)]
        process = subprocess.Popen(
            [sys.executable, *program, *words], cwd=self.directory, env=self._environment({}), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._calls.append(process)
        return process

    # -- Serving

    def start(self, *words: str, ready: bool = True, **env: str) -> subprocess.Popen[bytes]:
        """`resume` in a session of its own; `ready`: returned once all its workers are in the table."""
        with (self.directory / "errors").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, str(self.main), "resume", *words], cwd=self.directory, env=self._environment(env),
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        if ready:
            until(lambda: self._serves(process), f"{self.workers} workers of a started agent: {self.errors()}")
        return process

    def _serves(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise Broken(f"`resume` ended with {process.returncode}: {self.errors()}")
        with suppress(AgentError):
            return len([each for each in self.client.workers() if each["state"] != "starting"]) >= self.workers
        return False

    def family(self) -> dict[int, str]:
        """Who lives in this world, by pid: supervisor, fork server, worker, child."""
        return family(self.directory)

    def pids(self, role: str) -> list[int]:
        """Who plays this role."""
        return [pid for pid, each in self.family().items() if each == role]

    def finish(self, patience_s: float = 120.0) -> None:
        """No more faults: `resume --drain` runs what is left. Raises PromiseBroken when it does not come to its end."""
        self.stop()
        process = self.start("--drain", ready=False)
        try:
            code = process.wait(patience_s)
        except subprocess.TimeoutExpired:
            left = {state: n for state, n in self.look().items() if n}
            raise PromiseBroken(f"liveness: no end of work within {patience_s:g} s: {left}; {self.errors()}") from None
        if code:
            raise PromiseBroken(f"liveness: `resume --drain` ended with {code}: {self.errors()}")

    def stop(self) -> None:
        """SIGTERM to the supervisors that live, and wait for them; children that they left are killed."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        self.wipe_out()

    def wipe_out(self) -> None:
        """SIGKILL to everything that lives here."""
        kill_all(self.family())
        for process in self._started:
            process.wait()
        for call in self._calls:
            call.communicate()
        self._started.clear()
        self._calls.clear()

    def events(self) -> list[dict[str, Any]]:
        """What the agents have logged, but for a line that is not whole."""
        path = self.directory / "logs" / "agent.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith(b"}")]

    def deaths(self) -> int:
        """How many workers have died and not left, at most, as the log has it."""
        events = self.events()
        left = [each for each in events if each["event"] == "worker.exited" and each.get("status") == 0]
        return len([each for each in events if each["event"] == "worker.started"]) - len(left)

    def reap(self) -> None:
        """Take note of supervisors that have ended, so that none stays a zombie."""
        self._started = [process for process in self._started if process.poll() is None]

    # -- Judging

    def effects(self) -> list[effects.Effect]:
        """What handlers did so far."""
        return effects.read(self.directory / "effects")

    def rows(self, query: str, *bindings: Any) -> list[tuple[Any, ...]]:
        """Rows of the database, read only."""
        handle = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            handle.set_busy_timeout(5000)
            return list(handle.execute(query, bindings))
        finally:
            handle.close()

    def judge(
        self,
        faults: Mapping[str, int],
        deaths: int,
        complaints: Complaints = (),
        figures: Iterable[Figure] = (),
        wall_is_true: bool = True,
    ) -> Report:
        """What the checker says, once all is at rest. `deaths`: how many workers died, at most."""
        verdict, breaches = check(gather(self.directory, self.database, self.asked, deaths, wall_is_true, self.main))
        return Report(dict(faults), (*complaints, *breaches), verdict, tuple(figures))

    def errors(self) -> str:
        """The end of what the agents wrote to stderr."""
        return self.said()[-1500:]

    def said(self) -> str:
        """What the agents wrote to stderr."""
        path = self.directory / "errors"
        return path.read_text("utf-8", errors="replace") if path.exists() else ""

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SANAAGENT_")}
        return {**ours, **self.env, **more}

    def close(self) -> None:
        """End whatever runs."""
        if "client" in self.__dict__:
            self.client.close()
        self.wipe_out()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
