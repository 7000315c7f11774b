"""What is killed at a system call: the stretches of the processes' lives in which a task's fate is decided.

Each is played again and again in a world of its own: `prepare` gives the process that is about to be traced, `go`
lets it live through its stretch, `is_over` tells that it came through, `settle` puts up with what became of it.
"""

from __future__ import annotations

import json
import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from campaign import PromiseBroken
from campaign.abandoned import abandon
from campaign.processes import CHECKOUT, came_true, hit, is_stopped, until
from campaign.run import Report
from campaign.world import World

QUIET = {"telemetry": {"sample_interval_s": 10, "log_interval_s": 600}, "bulk": {"retry_attempts": 0}}
WITHIN_S = 20.0
NAP_S = 0.1
PRELOADED = f"""
import importlib, os, pkgutil, signal, sys
sys.path.insert(0, {str(CHECKOUT)!r})
import %s
from enhanced_automation_agent import main
os.kill(os.getpid(), signal.SIGSTOP)
sys.exit(main())
"""
"""The command line; it stands still once the modules it needs are imported."""


class Stretch(ABC):
    """One stretch, and its world: one worker, and as little as can be that happens by itself."""

    name: ClassVar[str]
    follows: ClassVar[bool] = False

    def __init__(self, directory: Path) -> None:
        self.world = World(directory, 1, QUIET)
        self.abandoned = 0  # attempts that nobody saw the beginning of

    @abstractmethod
    def prepare(self) -> int:
        """Who is to be traced."""

    @abstractmethod
    def go(self) -> None:
        """Let it live."""

    @abstractmethod
    def is_over(self) -> bool:
        """Whether the stretch is over."""

    @abstractmethod
    def settle(self) -> None:
        """Whatever has become of it: all is well again. Raises PromiseBroken where it is not."""

    def judge(self, faults: dict[str, int]) -> Report:
        """What came of all of it."""
        self.world.finish()
        return self.world.judge(faults, self.world.deaths() + self.abandoned)

    def is_idle(self) -> bool:
        """Whether everything is done, and the worker waits."""
        return not self.world.unfinished() and [each["state"] for each in self.world.client.workers()] == ["idle"]

    def see_to_a_supervisor(self) -> None:
        """Another follows one that is dead, with its family."""
        if not self.world.pids("supervisor"):
            if not came_true(lambda: not self.world.family(), 5.0):
                raise PromiseBroken(f"orphans: {self.world.family()} live 5 s after their supervisor")
            self.world.reap()
            self.world.start()

    def must(self, condition: bool, what: str) -> None:
        """Raises PromiseBroken."""
        if not condition:
            raise PromiseBroken(f"{self.name}: {what}; {self.world.errors()}")

    def all_done(self) -> None:
        """All tasks end, and the worker waits again."""
        self.must(came_true(self.is_idle, WITHIN_S), f"work did not end within {WITHIN_S:g} s: {self.world.look()}")


class Caller(Stretch):
    """`enqueue`, from its configuration to its end."""

    name = "a caller"

    def prepare(self) -> int:
        self.see_to_a_supervisor()
        self._payloads = self.world.asked.number("nap", [{"s": 0}])
        self._key = f"key {self._payloads[0]['n']}"
        code = PRELOADED % "agent.cli.commands.enqueue, agent.store.tasks, agent.client"
        words = ("enqueue", "nap", json.dumps(self._payloads[0]), "--key", self._key)
        self._call = self.world.call(*words, code=code)
        until(lambda: is_stopped(self._call.pid), f"a caller to be ready: {self._call.poll()}")
        return self._call.pid

    def go(self) -> None:
        hit(self._call.pid, signal.SIGCONT)

    def is_over(self) -> bool:
        return self._call.poll() is not None

    def settle(self) -> None:
        out, err = self._call.communicate(timeout=WITHIN_S)
        self.must(self._call.returncode in (0, -signal.SIGKILL), f"it ended with {self._call.returncode}: {err}")
        known = [int(out)] if out.strip() else []
        again = self.world.client.enqueue("nap", self._payloads[0], idempotency_key=self._key)
        self.must(known in ([], [again]), f"its task had the id {known}, asked again it has {again}")
        self.world.asked.acknowledged([again], self._payloads, self._key)


class Worker(Stretch):
    """A worker, from the ring to idleness: claim, run, record."""

    name = "a worker"

    def prepare(self) -> int:
        self.see_to_a_supervisor()
        self.all_done()
        (worker,) = self.world.client.workers()
        return int(worker["pid"])

    def go(self) -> None:
        self.world.enqueue("nap", [{"s": 0}])

    def is_over(self) -> bool:
        return self.is_idle()

    def settle(self) -> None:
        self.all_done()


class Burial(Stretch):
    """The supervisor, from a worker's death in mid-handler until its task is done."""

    name = "the supervisor at a burial"
    role: ClassVar[str] = "supervisor"

    def prepare(self) -> int:
        self.see_to_a_supervisor()
        self.all_done()
        before = len(self.world.effects())
        self.world.enqueue("nap", [{"s": NAP_S}])
        until(lambda: len(self.world.effects()) > before, "a handler to start")
        self._victim = self.world.effects()[before].pid
        (pid,) = self.world.pids(self.role)
        return pid

    def go(self) -> None:
        hit(self._victim)

    def is_over(self) -> bool:
        return self.is_idle()

    def settle(self) -> None:
        self.see_to_a_supervisor()
        self.all_done()


class Birth(Burial):
    """The fork server, and the worker that it forks after another one's death."""

    name = "the fork server, or a newborn worker"
    role = "fork server"
    follows = True


class Start(Stretch):
    """A supervisor that starts and finds what another one has left behind, until a task of that starts, if any does."""

    name = "the supervisor at its start"

    def prepare(self) -> int:
        self.world.wipe_out()
        if not self.world.database.exists() or not self.world.rows("SELECT 1 FROM task WHERE state BETWEEN 4 AND 5"):
            abandon(self.world, tasks=3, workers=1, begun=1)
            self.abandoned += 1
        self._before = len(self.world.effects())
        modules = "yaml, encodings.utf_8_sig, supervisor, agent.cli.commands.resume, workers.worker"
        self._supervisor = self.world.call("resume", code=PRELOADED % modules)
        until(lambda: is_stopped(self._supervisor.pid), f"a supervisor to be ready: {self._supervisor.poll()}")
        return self._supervisor.pid

    def go(self) -> None:
        hit(self._supervisor.pid, signal.SIGCONT)

    def is_over(self) -> bool:
        """A task has started; or there is none left, for the slots of the last supervisor's worker told of them all."""
        has_started = len(self.world.effects()) > self._before
        return has_started or not self.world.rows("SELECT 1 FROM task WHERE state < 6 LIMIT 1")

    def settle(self) -> None:
        if self._supervisor.poll() is not None:
            self.must(self._supervisor.returncode == -signal.SIGKILL, f"it ended with {self._supervisor.returncode}")
            self.must(came_true(lambda: not self.world.family(), 5.0), f"{self.world.family()} outlive it")
        else:
            self.world.wipe_out()


STRETCHES: tuple[type[Stretch], ...] = (Caller, Worker, Burial, Birth, Start)
