"""How long does nobody write when a worker, or the supervisor, is stopped inside a transaction?

The worst moment for a SIGSTOP: whoever holds the write lock holds up everybody. Workers stop themselves there, by a
failpoint, again and again: the supervisor has to find out who it is, and end it. A supervisor that is stopped so can
end nobody: who wants to write is told its pid, and once it goes on, all goes on.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import client
from agent.errors import StoreLocked
from agent.store.locks import WriteLock, run_directory
from campaign.effects import percentile
from campaign.processes import CHECKOUT, came_true, hit, is_alive, is_stopped, until
from campaign.run import Figure, Report, Run
from campaign.world import World

ROUNDS = 10
WORKERS = 4
TRIALS, SHORT = 20, 1
WRITES_RESUME_WITHIN_S = 5.0
GIVEN_UP_AFTER_S = 30.0
PATIENCE_S = 5.0  # of our own, with the write lock
IMPATIENT = f"""
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from agent import client
from enhanced_automation_agent import main
client.PATIENCE_S = 0.5
sys.exit(main(["enqueue", "nap", '{{"s": 0}}']))
"""
CALLER = (sys.executable, "-c", IMPATIENT)  # the command, but for its patience: 30 s
POINTS = ("in_transaction", "before_commit")
SETTINGS = {"telemetry": {"sample_interval_s": 0.1}}


def run(run: Run) -> Report:
    """One round."""
    marks = {(role, point): run.directory / f"{role}-{point}" for role in ("worker", "supervisor") for point in POINTS}
    for mark in marks.values():
        mark.touch()  # until it is taken away, nobody stops there
    armed = "; ".join(f"{point}:stop:by={role}:once={mark}" for (role, point), mark in marks.items())
    environment = {"SANAAGENT_FAILPOINTS": armed}
    with _impatient(), World(run.directory / "world", WORKERS, SETTINGS, environment) as world:
        return _Holding(run, world, marks).play()


@contextmanager
def _impatient() -> Iterator[None]:
    """In the block, whoever opens a database gives up sooner: so it is tried again and again."""
    before, client.PATIENCE_S = client.PATIENCE_S, PATIENCE_S
    try:
        yield
    finally:
        client.PATIENCE_S = before


class _Holding:
    """A world, and who stood still in it with the lock in his hands."""

    def __init__(self, run: Run, world: World, marks: dict[tuple[str, str], Path]) -> None:
        self._world = world
        self._marks = marks
        self._rng = run.rng("trials")
        self._trials = run.pick(TRIALS, SHORT)
        self._faults: Counter[str] = Counter()
        self._resumed_after: list[float] = []
        self._breaches: list[str] = []
        run.derive(trials=self._trials)

    def play(self) -> Report:
        """One trial after the other, under load."""
        self._world.start()
        for number in range(self._trials):
            self._feed()
            self._stop_a_worker(POINTS[number % len(POINTS)])
        self._feed()
        self._stop_the_supervisor(self._rng.choice(POINTS))
        self._world.finish()
        return self._world.judge(self._faults, self._trials, self._breaches, self._figures())

    def _feed(self) -> None:
        self._world.enqueue("nap", [{"s": self._rng.choice([0, 0.001, 0.01, 0.05])} for _ in range(60)])

    def _stop_a_worker(self, point: str) -> None:
        pid = self._caught("worker", point)
        stopped_at = time.monotonic()
        self._faults[f"stop worker {point}"] += 1
        if came_true(self._writes, GIVEN_UP_AFTER_S):
            self._resumed_after.append(time.monotonic() - stopped_at)
        else:
            self._breaches.append(f"lock: worker {pid} holds up all writers for {GIVEN_UP_AFTER_S:g} s")
        if not came_true(lambda: not is_alive(pid), GIVEN_UP_AFTER_S):  # its lock goes a moment before itself
            self._breaches.append(f"lock: worker {pid} stood still in a transaction, and lives")
            hit(pid, signal.SIGCONT)

    def _stop_the_supervisor(self, point: str) -> None:
        lock = WriteLock.of(run_directory(self._world.database))
        while (pid := self._caught("supervisor", point)) != lock.holder():
            hit(pid, signal.SIGCONT)  # its other thread had the lock, and stopped a little later than the main thread
            self._feed()
        self._faults[f"stop supervisor {point}"] += 1
        directory = self._world.directory
        asked = subprocess.run(CALLER, cwd=directory, capture_output=True, text=True, timeout=GIVEN_UP_AFTER_S)
        hit(pid, signal.SIGCONT)
        if asked.returncode != StoreLocked.exit_code or f"process {pid} " not in asked.stderr:
            said = f"{asked.returncode}: {asked.stdout}{asked.stderr}"
            self._breaches.append(f"lock: supervisor {pid} holds it, and a caller was told {said}")
        if not came_true(self._writes, WRITES_RESUME_WITHIN_S):
            self._breaches.append(f"lock: {WRITES_RESUME_WITHIN_S:g} s after the supervisor goes on nobody can write")

    def _caught(self, role: str, point: str) -> int:
        """Who has stopped at a point, once it stands still."""
        mark = self._marks[role, point]
        mark.unlink()
        pid = until(lambda: mark.exists() and int(mark.read_text() or 0), f"a {role} to come to {point}")
        until(lambda: is_stopped(pid), f"{role} {pid} to stop")
        return pid

    def _writes(self) -> bool:
        try:
            self._world.enqueue("nap", [{"s": 0}])
        except StoreLocked:
            return False
        return True

    def _figures(self) -> Iterator[Figure]:
        after = self._resumed_after
        if not after:
            return
        yield Figure("stopped in a transaction → writes resume, p50", percentile(after, 0.5), "s")
        yield Figure("stopped in a transaction → writes resume, slowest", max(after), "s", WRITES_RESUME_WITHIN_S)
