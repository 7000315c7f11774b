"""What does each hostile handler come to, and do its neighbours notice?

One after the other, on the only free worker: the poison ends as it should, what waits behind it succeeds with its first
attempt in the surroundings it expects, the pool is whole again. Meanwhile a task runs on another worker, to its end. At
the end nobody is left but who has left the worker's session, and the supervisor holds no more than at the start.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from campaign import hostile_handlers
from campaign.effects import starts_by_task
from campaign.pack import POISONS, Poison
from campaign.pack.descriptors import PRECIOUS
from campaign.processes import came_true, kill_all
from campaign.run import Figure, Report, Run
from campaign.world import Settings, World

HANDLERS = Path(hostile_handlers.__file__)
WORKERS = 2
BEHIND = 10  # healthy tasks behind each
SETTINGS: Settings = {"bulk": {"retry_attempts": 0, "max_worker_rss_mb": 250}, "governance": {"freeze_max_s": 0.5}}
PATIENCE_S = 20.0
MORE_DESCRIPTORS, MORE_RSS_MB = 4, 8  # of the supervisor, at the end


def run(run: Run) -> Report:
    """One round."""
    with World(run.directory / "world", WORKERS, SETTINGS, handlers=HANDLERS) as world:
        return _OneByOne(run, world).play()


def parts() -> list[str]:
    """The names of the handlers."""
    return [each.name for each in _poisons()]


def _poisons() -> list[Poison]:
    return [each for each in POISONS.values() if each.kind in ("quick", "timed")]


class _OneByOne:
    """A world, and what it was given."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._breaches: list[str] = []
        self._faults: Counter[str] = Counter()
        self._took: dict[str, float] = {}
        self._poisons = [each for each in _poisons() if run.means(each.name)]
        run.rng("order").shuffle(self._poisons)
        del self._poisons[run.pick(1000, 24) :]
        run.derive(poisons=[each.name for each in self._poisons])

    def play(self) -> Report:
        """All of them."""
        world = self._world
        supervisor = world.start()
        witness = world.enqueue("gate", [{"gate": "end"}])[0]
        self._taste(Poison("nothing", "succeeded", 1, "", "quick"))
        before = held(supervisor.pid)
        for poison in self._poisons:
            if not self._taste(poison):
                break
        after = held(supervisor.pid)
        (world.directory / "end").touch()
        came_true(lambda: not world.unfinished(), PATIENCE_S)
        self._expect("the witness", witness, "succeeded", 1)
        self._end(supervisor.pid)
        self._compare(before, after)
        return world.judge(self._faults, 10_000, self._breaches, self._figures(before, after))

    def _taste(self, poison: Poison) -> bool:
        """Whether all came to its end."""
        world, began = self._world, time.monotonic()
        type_ = poison.type if poison.name in POISONS else "well"
        task = world.enqueue(type_, [{"s": 0}])[0]
        behind = world.enqueue("well", [{"s": 0}] * BEHIND)
        ends = came_true(lambda: world.unfinished() == 1, PATIENCE_S)
        if not ends:
            self._breaches.append(f"{poison.name}: no end of work within {PATIENCE_S:g} s: {world.look()}")
        self._took[poison.name] = time.monotonic() - began
        self._faults[type_] += 1
        self._expect(poison.name, task, poison.end, poison.starts, poison.evidence)
        found = len(self._breaches)
        for each in behind:
            if len(self._breaches) == found:  # one tells for all
                self._expect(f"a healthy task behind {poison.name!r}", each, "succeeded", 1)
        return ends

    def _expect(self, who: str, task: int, state: str, starts: int, evidence: str = "") -> None:
        record = self._world.client.inspect(task)
        seen = len(starts_by_task(self._world.effects())[task])
        if (record["state"], record["attempt"], seen) != (state, starts, starts):
            found = f"{record['state']}, attempt {record['attempt']}, {seen} starts, {record['error']}"
            self._breaches.append(f"{who}: expected {state} after {starts}, found {found}")
        elif evidence not in (record["error"] or ""):
            self._breaches.append(f"{who}: its error does not say {evidence!r}: {record['error']}")

    def _end(self, supervisor: int) -> None:
        """Nobody may be left, but for those who left the session."""
        world = self._world
        os.kill(supervisor, signal.SIGTERM)
        if not came_true(lambda: supervisor not in world.family(), PATIENCE_S):
            self._breaches.append(f"the supervisor did not end within {PATIENCE_S:g} s of SIGTERM: {world.errors()}")
        end_daemons(world)
        if not came_true(lambda: not world.family(), 1.0):
            self._breaches.append(f"orphans: {world.family()}")
        world.wipe_out()
        self._breaches += files_written_over(world)

    def _compare(self, before: tuple[int, float], after: tuple[int, float]) -> None:
        if after[0] > before[0] + MORE_DESCRIPTORS:
            self._breaches.append(f"the supervisor had {before[0]} descriptors, and {after[0]} in the end")

    def _figures(self, before: tuple[int, float], after: tuple[int, float]) -> Iterator[Figure]:
        yield Figure("kinds of hostile handlers", len(self._poisons))
        yield Figure("supervisor's descriptors, more than before", after[0] - before[0], "", MORE_DESCRIPTORS)
        yield Figure("supervisor's memory, more than before", after[1] - before[1], "MB", MORE_RSS_MB)
        name, took = max(self._took.items(), key=lambda each: each[1])
        yield Figure(f"longest: {name}", took, "s")


def end_daemons(world: World) -> None:
    """Those who have left the session of their worker are nobody's but ours."""
    daemons = world.directory / "daemons"
    kill_all(int(line) for line in (daemons.read_text("ascii").split() if daemons.exists() else ()))


def files_written_over(world: World) -> Iterator[str]:
    """Files of handlers into which somebody else has written."""
    for path in world.directory.glob("precious-*"):
        if path.read_bytes() != PRECIOUS:
            yield f"{path.name}: a handler's file was written over"


def held(pid: int) -> tuple[int, float]:
    """Descriptors, and resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return len(os.listdir(f"/proc/{pid}/fd")), pages * os.sysconf("SC_PAGESIZE") / 1e6
