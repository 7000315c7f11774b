"""From old code to newer code, under load: nobody of the old writes to the schema of the newer.

First the newer code comes while the old serves, and is turned away. Then the old supervisor dies, and the newer one
takes over at once: it upgrades, perhaps not at the first try. The old command line is turned away from then on.
"""

from __future__ import annotations

import hashlib
import random
import signal
from collections import Counter
from pathlib import Path

from agent.failpoints import VARIABLE
from campaign.newer import MORE, NEWER, OURS
from campaign.processes import MAIN, came_true, hit
from campaign.run import Report, Run
from campaign.world import World

WORKERS = 2
TASKS = 150  # at a time
UNAVAILABLE, TRY_LATER = 69, 75
SETTLED_WITHIN_S = 30.0
COMMANDS = (
    ("enqueue", "nap", '{"s": 0}'), ("enqueue", "nap", '{"s": 0}', "--key", "k"), ("stats", "--json"),
    ("inspect", "1"), ("tasks",), ("cancel", "1"), ("retry", "1"), ("pause",), ("unpause",), ("scale", "1"),
    ("workers",), ("freeze", "1"), ("thaw", "1"), ("resume",), ("resume", "--drain"),
)  # fmt: skip


def hand_over(run: Run, main: Path) -> Report:
    """One handover, and all tasks end."""
    with World(run.directory / "handover", WORKERS) as world:
        return _Handover(run, world, main).play()


class _Handover:
    """A world of old code, and the newer code that takes it over."""

    def __init__(self, run: Run, world: World, main: Path) -> None:
        self._rng: random.Random = run.rng("handover")
        self._asked = run.pick(len(COMMANDS), 1)
        self._tries = self._rng.sample(range(1, len(MORE) + 1), run.pick(2, 1))
        self._world = world
        self._main = main
        self._faults: Counter[str] = Counter()
        self._breaches: list[str] = []
        run.derive(killed_in_migration=self._tries)

    def play(self) -> Report:
        old = self._world.start()
        self._load()
        self._turn_newer_away(old.pid)
        self._load()
        hit(old.pid, self._rng.choice([signal.SIGKILL, signal.SIGTERM]))
        old.wait(SETTLED_WITHIN_S)
        self._take_over()
        self._world.stop()
        self._turn_old_away()
        self._world.finish()
        return self._world.judge(self._faults, 5 * WORKERS, self._breaches)

    def _load(self) -> None:
        self._world.enqueue("nap", [{"s": self._rng.choice([0, 0.001, 0.02])} for _ in range(TASKS)])
        self._world.enqueue("fails", [{"times": 1}] * 3)

    def _turn_newer_away(self, pid: int) -> None:
        """As long as the old supervisor serves, nobody upgrades under it."""
        self._world.main = self._main
        for words in (("resume",), *self._some(self._asked // 2)):
            expected = (UNAVAILABLE, f"has the older schema {OURS}")
            if words[0] == "resume":
                expected = (TRY_LATER, f"process {pid} supervises")
            self._ask("newer code under an old supervisor", words, expected)
        self._world.main = MAIN
        if (version := self._version()) != OURS:
            self._breaches.append(f"handover: schema {version} stands while old code serves")

    def _take_over(self) -> None:
        self._world.main = self._main
        for n in self._tries:
            killed = self._world.start(ready=False, **{VARIABLE: f"during_migration:kill:n={n}"})
            killed.wait(SETTLED_WITHIN_S)
            self._faults["kill in the middle of a migration"] += 1
            if (version := self._version()) != OURS:
                self._breaches.append(f"handover: an upgrade killed in the middle is half done: schema {version}")
        self._world.start(ready=False)
        if not came_true(lambda: self._version() == NEWER, SETTLED_WITHIN_S):
            self._breaches.append(f"handover: newer code does not upgrade: {self._world.errors()}")

    def _turn_old_away(self) -> None:
        """Old code is refused whatever it asks for, and leaves every byte as it is."""
        self._world.main = MAIN
        before = self._bytes()
        for words in (COMMANDS[0], *self._some(self._asked)):
            said = f"schema {NEWER}, this version knows {OURS}: upgrade"
            self._ask("old code on a newer schema", words, (UNAVAILABLE, said))
            if self._bytes() != before:
                self._breaches.append(f"handover: old `{' '.join(words)}` wrote to a newer schema")
        self._world.main = self._main

    def _ask(self, what: str, words: tuple[str, ...], expected: tuple[int, str]) -> None:
        self._faults[what] += 1
        done = self._world.command(*words)
        code, said = done.returncode, done.stderr
        if (code, expected[1] in said) != (expected[0], True) or "Traceback" in said:
            self._breaches.append(f"handover: {what}: `{' '.join(words)}` ended with {code}: {said[-300:]!r}")

    def _some(self, commands: int) -> list[tuple[str, ...]]:
        return self._rng.sample(COMMANDS, commands)

    def _bytes(self) -> list[bytes]:
        names = [self._world.database, self._world.database.with_name("state.db-wal")]
        return [hashlib.sha256(name.read_bytes() if name.exists() else b"").digest() for name in names]

    def _version(self) -> int:
        return int(self._world.rows("PRAGMA user_version")[0][0])
