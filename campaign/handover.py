"""From old code to newer code, under load: nobody of the old writes to the schema of the newer.

First the newer code comes while the old serves, and is turned away. Then the old supervisor dies, and the newer one
takes over at once: it upgrades, perhaps not at the first try. The old command line is turned away from then on, and so
is a program of old code that had the database open all the time. Or the upgrade comes from behind, while the old
supervisor and its workers live: they have to end by themselves.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

from agent.failpoints import VARIABLE
from campaign import Broken
from campaign.newer import MORE, NEWER, NOTED, OURS, STANDING, UPGRADE_UNLOCKED
from campaign.processes import CHECKOUT, MAIN, came_true, hit, until
from campaign.run import Report, Run
from campaign.world import World

WORKERS = 2
TASKS = 150  # at a time
UNAVAILABLE, TRY_LATER = 69, 75
REFUSED = f"schema {NEWER}, this version knows {OURS}: upgrade"
SETTLED_WITHIN_S = 30.0
LINGERING = f"""\
import json, sys, time
sys.path.insert(0, {str(CHECKOUT)!r})
from enhanced_automation_agent import AgentError, EnhancedAutomationAgent
agent = EnhancedAutomationAgent()
try:
    for payload in json.load(open("stock")):
        print(agent.enqueue("nap", payload), flush=True)
        time.sleep(0.005)
except AgentError as error:
    sys.exit(f"{{error.exit_code}} {{error}}")
"""
STOCK = 10_000  # more than it gets rid of in time
COMMANDS = (
    ("enqueue", "nap", '{"s": 0}'), ("enqueue", "nap", '{"s": 0}', "--key", "k"), ("stats", "--json"),
    ("inspect", "1"), ("tasks",), ("cancel", "1"), ("retry", "1"), ("pause",), ("unpause",), ("scale", "1"),
    ("workers",), ("freeze", "1"), ("thaw", "1"), ("resume",), ("resume", "--drain"),
)  # fmt: skip


def hand_over(run: Run, main: Path) -> Report:
    """One handover, and all tasks end."""
    with World(run.directory / "handover", WORKERS) as world:
        return _Handover(run, world, main).play()


def come_from_behind(run: Run, main: Path) -> Report:
    """An upgrade under everybody's feet, and all tasks end."""
    with World(run.directory / "from-behind", WORKERS) as world:
        return _Handover(run, world, main).play_from_behind()


class _Handover:
    """A world of old code, and the newer code that takes it over."""

    def __init__(self, run: Run, world: World, main: Path) -> None:
        self._rng: random.Random = run.rng("handover")
        self._asked = run.pick(len(COMMANDS), 1)
        self._tries = self._rng.sample(range(1, len(MORE) + 1), run.pick(2, 1))
        self._run = run
        self._world = world
        self._main = main
        self._faults: Counter[str] = Counter()
        self._breaches: list[str] = []
        run.derive(killed_in_migration=self._tries)

    def play(self) -> Report:
        old = self._world.start()
        self._linger()
        self._load()
        self._turn_newer_away(old.pid)
        self._load()
        hit(old.pid, self._rng.choice([signal.SIGKILL, signal.SIGTERM]))
        old.wait(SETTLED_WITHIN_S)
        self._take_over()
        self._see_lingering_refused()
        self._world.stop()
        self._turn_old_away()
        self._world.finish()
        return self._world.judge(self._faults, 5 * WORKERS, self._breaches)

    def play_from_behind(self) -> Report:
        """Old code at work while another process upgrades the database, whatever lock there is."""
        old = self._world.start()
        self._linger()
        self._load()
        until(lambda: self._world.look()["succeeded"], "a task to end")
        upgrade = self._world.call(str(self._main.parent), "state.db", code=UPGRADE_UNLOCKED)
        said = upgrade.communicate(timeout=SETTLED_WITHIN_S)[1]
        if upgrade.returncode:
            raise Broken(f"no upgrade from behind: {said}")
        self._faults["upgrade under living workers"] += 1
        self._see_lingering_refused()
        if not came_true(lambda: old.poll() is not None, SETTLED_WITHIN_S):
            self._breaches.append("handover: an old supervisor goes on over a newer schema")
        elif old.returncode != UNAVAILABLE or REFUSED not in self._world.said():
            self._breaches.append(f"handover: an old supervisor ended with {old.returncode}: {self._world.errors()}")
        self._world.wipe_out()
        if written := set(self._world.rows(STANDING)) ^ set(self._world.rows(NOTED)):
            self._breaches.append(f"handover: old code wrote to a newer schema: {sorted(written)[:4]}")
        unfinished = self._world.rows("SELECT count(*) FROM noted WHERE state < 6")[0][0]
        self._run.derive(unfinished_when_upgraded=unfinished)
        self._world.main = self._main
        self._world.finish()
        return self._world.judge(self._faults, 5 * WORKERS, self._breaches)

    def _linger(self) -> None:
        """A program of old code asks for one task after the other, and keeps the database open."""
        self._stock = self._world.asked.number("nap", [{"s": 0}] * STOCK)
        (self._world.directory / "stock").write_text(json.dumps(self._stock), "utf-8")
        self._lingering = self._world.call(code=LINGERING)
        until(lambda: self._world.rows("SELECT 1 FROM task LIMIT 1"), "a program that enqueues")

    def _see_lingering_refused(self) -> None:
        """What it was acknowledged counts; the first task after the upgrade is refused."""
        self._faults["program that had it open before the upgrade"] += 1
        try:
            out, said = self._lingering.communicate(timeout=SETTLED_WITHIN_S)
        except subprocess.TimeoutExpired:
            hit(self._lingering.pid)
            out, said = self._lingering.communicate()
        ids = [int(line) for line in out.split()]
        self._world.asked.acknowledged(ids, self._stock[: len(ids)])
        if not said.startswith(str(UNAVAILABLE)) or REFUSED not in said:
            self._breaches.append(f"handover: a program of old code went on to ask a newer schema: {said[-300:]!r}")
        if after := set(ids).difference(row[0] for row in self._world.rows("SELECT id FROM noted")):
            self._breaches.append(f"handover: old code wrote {len(after)} tasks to a newer schema")

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
            self._ask("old code on a newer schema", words, (UNAVAILABLE, REFUSED))
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
