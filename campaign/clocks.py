"""What does a wall clock do that is set ± 1 s, 1 h, 10 years, back and forth, under load, and while nobody runs?

Attempts, deadlines and pauses go by the monotonic clock; what stands in the store goes by the wall clock, which a
failpoint moves for the whole family. Between its jumps the machine is suspended (all stop, the wall clock goes on), and
the supervisor is ended or killed and started again at another time. Nothing may be lost, run twice, deleted as old,
ended as late, or wait for a time that is years away.
"""

from __future__ import annotations

import json
import mmap
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from agent import clock
from campaign.processes import came_true, hit
from campaign.run import Report, Run
from campaign.world import World

ROUNDS = 5
WORKERS = 3
FAULTS, SHORT = 60, 7
YEARS_10 = 10 * 365.25 * 86400
JUMPS_S = (0, 1, -1, 3600, -3600, YEARS_10, -YEARS_10)
WEIGHTS = {"jump": 10, "suspend": 3, "restart": 2, "kill supervisor": 2, "pause": 3, "burst": 1, "look": 2}
FEED, SHORT_FEED = 30, 6  # how many unfinished tasks there are at least
SOON_S = 0.3  # delays, and operators' pauses
PATIENT_S = 30.0  # deadlines, which nobody reaches
LATE_S = 5.0  # beyond what a wait was to last
BREAK_S, SHORT_BREAK_S = 0.5, 0.2  # between two faults, at most: longer than a sample's interval
COMMANDS = (("stats",), ("stats", "--json"), ("tasks",), ("workers",), ("inspect", "1", "--attempts"))
SETTINGS: dict[str, dict[str, Any]] = {
    "governance": {
        "cpu_high_pct": 100, "mem_high_pct": 100, "hysteresis_pct": 1, "window_s": 1.0, "half_open_probes": 0,
        "pause_after_error_burst": {"threshold": 20, "duration_s": SOON_S},
    },
    "telemetry": {"sample_interval_s": 0.1},
}  # fmt: skip


def run(run: Run) -> Report:
    """One round."""
    with MovedClock.at(run.directory / "clock") as moved:
        environment = {"SANAAGENT_FAILPOINT_CLOCK": str(moved.path)}
        with World(run.directory / "world", WORKERS, SETTINGS, environment) as world:
            return _Moving(run, world, moved).play()


class MovedClock:
    """The wall clock of a family of processes, and of this one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._ahead = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Self]:
        """A clock that can be moved, also for us, while the block runs."""
        moved, true = cls(path), clock.wall_ns
        clock.wall_ns = lambda: true() + moved._ahead[0]
        try:
            yield moved
        finally:
            clock.wall_ns = true

    def set(self, seconds: float) -> None:
        """So far is it ahead of the true time."""
        self._ahead[0] = int(seconds * 1e9)

    @property
    def ahead_s(self) -> float:
        """How far it is ahead."""
        return self._ahead[0] / 1e9


class _Moving:
    """A world, and what was done to its clock."""

    def __init__(self, run: Run, world: World, moved: MovedClock) -> None:
        self._world = world
        self._clock = moved
        self._rng, self._load = run.rng("faults"), run.rng("load")
        number = run.pick(FAULTS, SHORT)
        self._plan = [*WEIGHTS, *self._rng.choices([*WEIGHTS], [*WEIGHTS.values()], k=number - len(WEIGHTS))]
        self._rng.shuffle(self._plan)
        self._break_s = SHORT_BREAK_S if run.is_short else BREAK_S
        self._fed, self._looks = run.pick(FEED, SHORT_FEED), run.pick(len(COMMANDS), 2)
        self._faults: Counter[str] = Counter()
        self._deaths = 0
        self._breaches: list[str] = []
        run.derive(faults=dict(Counter(self._plan)))

    def play(self) -> Report:
        """Move the clock under load, until the plan is done; then see that time goes on, and let all tasks end."""
        self._agent = self._world.start()
        for fault in self._plan:
            self._feed()
            self._do(fault)
            time.sleep(self._rng.uniform(0, self._break_s))
            self._see_that_nobody_ended()
        self._jump_to(0)
        self._see_that_nothing_waits_for_years()
        asleep_s = 3600 * self._faults["suspend"]  # by which the clock may have been further ahead
        self._jump_to(YEARS_10 + asleep_s + 60)  # what was delayed while the clock was ahead is due now
        self._world.finish()
        self._judge_deadlines()
        return self._world.judge(self._faults, self._deaths, self._breaches, wall_is_true=False)

    def _feed(self) -> None:
        while self._world.unfinished() < self._fed:
            self._world.enqueue("nap", [{"s": self._load.choice([0, 0.01, 0.1, 0.4])} for _ in range(4)])
            self._world.enqueue("nap", [{"s": 0.1}], timeout=PATIENT_S)
            self._world.enqueue("nap", [{"s": 0}], delay=SOON_S)
            self._world.enqueue("stumbles", [{"s": 0.3, "times": self._load.choice([1, 2])} for _ in range(2)])

    # -- Faults

    def _do(self, fault: str) -> None:
        self._faults[fault] += 1
        if fault == "jump":
            for seconds in self._rng.sample(JUMPS_S, 3):
                self._have_somebody_run()
                self._jump_to(seconds)
        elif fault == "suspend":
            self._suspend()
        elif fault in ("restart", "kill supervisor"):
            self._start_anew(fault)
        elif fault == "pause":
            self._pause()
        elif fault == "burst":
            self._world.enqueue("hopeless", [{}] * 25)
        else:
            self._look()

    def _have_somebody_run(self) -> None:
        """In a handler that has a deadline, unless all is paused just now."""
        (task,) = self._world.enqueue("nap", [{"s": SOON_S}], timeout=PATIENT_S, priority=9)
        came_true(lambda: self._world.client.inspect(task)["state"] == "in_progress", SOON_S)

    def _jump(self) -> None:
        self._jump_to(self._rng.choice(JUMPS_S))

    def _jump_to(self, seconds: float) -> None:
        self._faults[f"jump by {_words(seconds - self._clock.ahead_s)}"] += 1
        self._clock.set(seconds)

    def _suspend(self) -> None:
        """All stand still, and find that an hour has passed."""
        everybody = [*self._world.family()]
        for pid in everybody:
            hit(pid, signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.2, 0.6))
        self._clock.set(self._clock.ahead_s + 3600)
        for pid in everybody:
            hit(pid, signal.SIGCONT)

    def _start_anew(self, fault: str) -> None:
        """The supervisor ends; the clock is set, where it can by ten years; another one starts."""
        self._deaths += len(self._world.pids("worker")) if fault.startswith("kill") else 0
        self._agent.send_signal(signal.SIGKILL if fault.startswith("kill") else signal.SIGTERM)
        self._agent.wait(30)
        self._jump_to(YEARS_10 if self._clock.ahead_s < YEARS_10 else self._rng.choice(JUMPS_S))
        self._agent = self._world.start()

    def _pause(self) -> None:
        """A pause for so long lasts no longer, whatever the clock says."""
        self._world.client.pause(duration=SOON_S)
        if self._rng.random() < 0.5:
            self._jump()
        if not came_true(lambda: not self._is_paused(), SOON_S + LATE_S):
            reasons = self._governor()["reasons"]
            self._breaches.append(f"pause: one for {SOON_S:g} s lasts {LATE_S:g} s longer: {reasons}")
            self._world.client.unpause()

    def _look(self) -> None:
        """Commands bear with any time."""
        for words in self._rng.sample(COMMANDS, self._looks):
            done = self._world.command(*words)
            if done.returncode or "Traceback" in done.stderr or "-" in str(self._oldest(done.stdout, words)):
                said = f"{done.returncode}: {done.stdout[-200:]} {done.stderr[-300:]}"
                self._breaches.append(f"command: {' '.join(words)}, {_words(self._clock.ahead_s)} off: {said}")

    @staticmethod
    def _oldest(text: str, words: tuple[str, ...]) -> Any:
        return json.loads(text)["oldest_queued_s"] if words == ("stats", "--json") else None

    # -- What must hold meanwhile

    def _governor(self) -> dict[str, Any]:
        found: dict[str, Any] = self._world.client.stats()["governor"]
        return found

    def _is_paused(self) -> bool:
        return any("operator" in reason for reason in self._governor()["reasons"])

    def _see_that_nobody_ended(self) -> None:
        if self._agent.poll() is not None:
            self._breaches.append(f"alive: the supervisor ended with {self._agent.returncode}: {self._world.errors()}")
            self._agent = self._world.start()

    def _see_that_nothing_waits_for_years(self) -> None:
        """With the clock as it should be, work goes on, and what failed is tried again."""
        canary = self._world.enqueue("nap", [{"s": 0}], priority=9)[0]

        def goes_on() -> bool:
            return self._world.unfinished() == self._world.look()["scheduled"]

        if not came_true(goes_on, LATE_S + 10):
            waiting = "SELECT id, due_at FROM tasks WHERE state = 'retry_scheduled' LIMIT 3"
            self._breaches.append(f"late: {self._world.look()} at rest; {self._world.rows(waiting)}")
        state = self._world.client.inspect(canary)["state"]
        if state != "succeeded":
            self._breaches.append(f"late: task {canary} was asked for at the right time, and is {state}")

    def _judge_deadlines(self) -> None:
        for (task,) in self._world.rows("SELECT task FROM attempt WHERE outcome = 'timed_out'"):
            self._breaches.append(f"deadlines: task {task} was ended for being late, and it was not")


def _words(seconds: float) -> str:
    """± 1 s, 1 h, 10 years."""
    size = abs(seconds)
    kind = "10 years" if size > 86400 * 365 else "hours" if size > 1800 else "seconds"
    return f"{'+' if seconds > 0 else '-'} {kind}" if size > 0.5 else "nothing"
