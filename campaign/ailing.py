"""A world under load whose database is made ill: what has to be shown meanwhile, and how soon work goes on after it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from agent.errors import AgentError
from agent.store.locks import WriteLock, run_directory
from campaign.processes import came_true, is_alive
from campaign.run import Figure, Report, Run
from campaign.world import World

WORKERS = 2
GOES_ON_WITHIN_S = 5.0
GIVEN_UP_AFTER_S = 60.0
SHOWN_WITHIN_S = 30.0
BATCHES, BATCH = 4, 12
PAUSE_S = 0.1  # of those who ask
FIRST = 9  # a priority that nobody else has
UNAVAILABLE = 69
SETTINGS = {"telemetry": {"sample_interval_s": 0.2}}


class Ailing:
    """`name`: the illness, as the report has it. `database`: where it is, unless in the world's own directory."""

    def __init__(self, run: Run, name: str, database: Path | None = None) -> None:
        self.name = name
        self.world = World(run.directory / name.replace(" ", "-"), WORKERS, SETTINGS, database=database)
        self.database = self.world.database
        self._rng = run.rng(name)
        self._newest = 0
        self._faults: Counter[str] = Counter()
        self._breaches: list[str] = []
        self._figures: list[Figure] = []

    def begin(self) -> subprocess.Popen[bytes]:
        """A supervisor under load; some tasks are done."""
        supervisor = self.world.start()
        for _ in range(BATCHES):
            self.ask()
        self.expect(came_true(lambda: self.world.look()["succeeded"], SHOWN_WITHIN_S), "no task succeeds")
        return supervisor

    def ask(self) -> bool:
        """Ask for some tasks, as somebody does who takes no for an answer; whether they were acknowledged."""
        try:
            self.world.enqueue("nap", [{"s": self._rng.choice([0, 0.001, 0.005, 0.02])} for _ in range(BATCH)])
        except AgentError:
            return False
        finally:
            time.sleep(PAUSE_S)
        return True

    def load(self) -> None:
        """More than is done in a second: when the fault comes, tasks run, and outcomes wait to be recorded."""
        before = self.world.look()["succeeded"]
        self.world.enqueue("nap", [{"s": 0.02}] * 100)
        self.expect(came_true(lambda: self.world.look()["succeeded"] > before, SHOWN_WITHIN_S), "no task succeeds")

    def let_go(self) -> None:
        """Keep nothing open that is there: a program that asks later is a new one."""
        if "client" in vars(self.world):
            self.world.client.close()
            del self.world.client
        WriteLock._made.pop((os.getpid(), run_directory(self.database)), None)
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if Path(os.readlink(f"/proc/self/fd/{number}")).is_relative_to(self.database.parent):
                    os.close(int(number))

    def struck(self, fault: str = "") -> None:
        """The fault has been done."""
        self._faults[fault or self.name] += 1

    def shows(self, words: str) -> None:
        """While it lasts and people ask on, `stats` says so in these words, and whoever only looks is answered."""
        said: dict[str, str] | None = None

        def is_shown() -> bool:
            nonlocal said
            self.ask()
            said = self.world.client.stats()["degraded"]
            return said is not None and words in said["why"]

        is_there = came_true(is_shown, SHOWN_WITHIN_S)
        self.expect(is_there, f"after {SHOWN_WITHIN_S:g} s `stats` does not say {words!r}, but {said}")
        self.world.client.inspect(1)

    def refuses(self, words: str, *command: str, code: int = UNAVAILABLE) -> None:
        """A command ends with this exit code, and says these words."""
        done = self.world.command(*command)
        said = f"{done.stdout}{done.stderr}"
        self.expect(
            done.returncode == code and words in said and "Traceback" not in said,
            f"{command[0]} ends with {done.returncode} and says {said[-300:]!r}, not {code} and {words!r}",
        )

    def answers(self) -> None:
        """Whoever only looks is answered, by a new process too."""
        for words in (("stats", "--json"), ("inspect", "1", "--json")):
            done = self.world.command(*words)
            self.expect(
                done.returncode == 0 and isinstance(json.loads(done.stdout), dict), f"{words[0]}: {done.stderr[-300:]}"
            )

    def ends(self, supervisor: subprocess.Popen[bytes], words: str) -> None:
        """The supervisor gives up, in these words."""
        ended = came_true(lambda: supervisor.poll() is not None or (self.ask() and False), SHOWN_WITHIN_S)
        self.expect(
            ended and supervisor.returncode == UNAVAILABLE and words in self.world.said(),
            f"the supervisor's exit code is {supervisor.poll()}, and it says {self.world.errors()[-300:]!r},"
            f" not {UNAVAILABLE} and {words!r}",
        )
        self.expect("Traceback" not in self.world.said(), f"a traceback: {self.world.errors()}")

    def goes_on(self, since: float) -> None:
        """Who asks now is acknowledged, and the task done: `since`, monotonic, nothing is wrong any more."""
        asked = came_true(self._ask_for_one, GIVEN_UP_AFTER_S)
        done = asked and came_true(self._newest_has_succeeded, GIVEN_UP_AFTER_S)
        self._figures.append(
            Figure(f"{self.name} over → a new task has succeeded", time.monotonic() - since, "s", GOES_ON_WITHIN_S)
        )
        self.expect(done, f"nothing goes on {GIVEN_UP_AFTER_S:g} s after it is over: {self.world.errors()[-300:]}")
        well = came_true(lambda: self.world.client.stats()["degraded"] is None, SHOWN_WITHIN_S)
        self.expect(well, f"when it is over `stats` says {self.world.client.stats()['degraded']}")

    def lives(self, *pids: int) -> None:
        """Those who were there before are there still."""
        gone = [pid for pid in pids if not is_alive(pid)]
        self.expect(not gone, f"processes {gone} did not outlive it: {self.world.errors()[-300:]}")

    def judge(self, deaths: int = 0) -> Report:
        """No more illness: all work ends, and the checker looks at it. `deaths`: of workers that were killed."""
        self.world.finish()
        return self.world.judge(self._faults, deaths, self._breaches, self._figures)

    def expect(self, holds: object, otherwise: str) -> None:
        """What has to hold, and what is the breach if it does not."""
        if not holds:
            self._breaches.append(f"{self.name}: {otherwise}")

    def _ask_for_one(self) -> bool:
        """Of those who wait it is the first."""
        try:
            self._newest = self.world.enqueue("nap", [{"s": 0}], priority=FIRST)[0]
        except AgentError:
            return False
        return True

    def _newest_has_succeeded(self) -> bool:
        try:
            record: dict[str, Any] = self.world.client.inspect(self._newest)
        except AgentError:
            return False
        return bool(record["state"] == "succeeded")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.world.wipe_out()
        with suppress(AgentError):  # the disk may be as ill as it was
            self.let_go()

