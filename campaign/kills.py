"""What do random SIGKILLs cost: of workers, the fork server, the supervisor, of everything at once, under load?"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator

from campaign.processes import came_true, hit, is_alive
from campaign.run import Figure, Report, Run
from campaign.world import World

ROUNDS = 20
WORKERS = 4
TASKS, KILLS, OF_EACH = 10_000, 500, 50  # a full round: kills of workers, and of each of the other three
FEED = 400  # how many unfinished tasks there are at least, while there are more to ask for
FAMILY_DIES_WITHIN_S = 0.1
PAUSE_S = 0.02  # between two kills, at most


def run(run: Run) -> Report:
    """One round."""
    with World(run.directory / "world", WORKERS) as world:
        return _Killing(run, world).play()


class _Killing:
    """A world, who was killed in it, and what that cost."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._rng = run.rng("kills")
        self._load = _load(run.rng("load"), run.pick(TASKS, 400))
        self._plan = _plan(self._rng, run.pick(KILLS, 20), run.pick(OF_EACH, 1))
        self._faults: Counter[str] = Counter()
        self._deaths = 0
        self._ended_after: list[float] = []
        self._breaches: list[str] = []
        run.derive(tasks=run.pick(TASKS, 400), kills=dict(Counter(self._plan)))

    def play(self) -> Report:
        """Kill under load, until the plan is done; then let all tasks end."""
        for victim in self._plan:
            self._feed()
            self._see_to_a_supervisor()
            self._kill(victim)
            time.sleep(self._rng.uniform(0, PAUSE_S))
        self._feed(everything=True)
        self._deaths += len(self._world.pids("worker"))  # `finish` drains, but nothing forbids a late death
        self._world.finish()
        return self._world.judge(self._faults, self._deaths, self._breaches, self._figures())

    def _feed(self, everything: bool = False) -> None:
        if everything or self._world.unfinished() < FEED:
            for count, (seconds, batch) in enumerate(self._load):
                self._world.enqueue("nap", [{"s": seconds}] * batch)
                if not everything and count >= 3:
                    return

    def _see_to_a_supervisor(self) -> None:
        world = self._world
        world.reap()
        if not world.pids("supervisor"):
            world.start(ready=False)
        came_true(lambda: world.pids("worker"), 5.0)

    def _kill(self, victim: str) -> None:
        family = self._world.family()
        workers = [pid for pid, role in family.items() if role == "worker"]
        self._faults[f"kill {victim}"] += 1
        if victim == "worker":
            self._deaths += bool(workers and hit(self._rng.choice(workers)))
            return
        self._deaths += len(workers) + WORKERS  # some may just be born
        if victim == "everything":
            for pid in self._rng.sample(sorted(family), len(family)):
                hit(pid)
        else:
            for pid in (pid for pid, role in family.items() if role == victim):
                at = hit(pid)
                if victim == "supervisor" and at:
                    self._watch_the_end(list(family), at)

    def _watch_the_end(self, family: list[int], at: float) -> None:
        """Nobody outlives the supervisor (7)."""
        if came_true(lambda: not any(is_alive(pid) for pid in family), 5.0):
            self._ended_after.append(time.monotonic() - at)
        else:
            left = [pid for pid in family if is_alive(pid)]
            self._breaches.append(f"orphans: {left} live 5 s after their supervisor")

    def _figures(self) -> Iterator[Figure]:
        slowest = max(self._ended_after, default=float("nan"))
        yield Figure("death of the supervisor → nobody left, slowest", slowest * 1e3, "ms", FAMILY_DIES_WITHIN_S * 1e3)


def _plan(rng: random.Random, workers: int, each: int) -> list[str]:
    """Who is killed, in order."""
    plan = ["worker"] * workers + ["supervisor", "fork server", "everything"] * each
    rng.shuffle(plan)
    return plan


def _load(rng: random.Random, tasks: int) -> Iterator[tuple[float, int]]:
    """Batches of tasks: how long each takes, and how many there are."""
    while tasks > 0:
        batch = min(tasks, rng.randint(1, 50))
        tasks -= batch
        yield rng.choice([0, 0.001, 0.003, 0.01, 0.02]), batch
