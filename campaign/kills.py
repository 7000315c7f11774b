"""What do random SIGKILLs cost: of workers, the fork server, the supervisor, of everything at once, under load?"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

from campaign.processes import came_true, hit, is_alive
from campaign.run import Figure, Report, Run
from campaign.world import World

ROUNDS = 20
WORKERS = 4
TASKS, KILLS, OF_EACH = 10_000, 500, 50  # a full round: kills of workers, and of each of the others
OTHERS = ("supervisor", "fork server", "supervisor and fork server", "everything")
FEED = 300  # how many unfinished tasks there are at least, while there are more to ask for
PAUSE_S = 0.06  # between two kills, at most
FAMILY_DIES_WITHIN_S = 0.1
GIVEN_UP_S = 5.0
LONGEST_START_S = 2.0
AT_WORK, LONGEST_BIRTH_S = 0.7, 0.5  # the share of workers that are killed at work; others may be newborn
KEYED = 0.1  # the share of batches whose tasks have keys, and are asked for twice


def run(run: Run) -> Report:
    """One round."""
    with World(run.directory / "world", WORKERS) as world:
        return _Killing(run, world).play()


class _Killing:
    """A world, who was killed in it, and what that cost."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._rng = run.rng("kills")
        tasks = run.pick(TASKS, 400)
        self._load = _load(run.rng("load"), tasks)
        self._plan = _plan(self._rng, run.pick(KILLS, 16), run.pick(OF_EACH, 1))
        self._faults: Counter[str] = Counter()
        self._deaths = 0
        self._ended_after: list[float] = []
        self._breaches: list[str] = []
        self._patience_s = run.pick(120, 30)
        run.derive(tasks=tasks, kills=dict(Counter(self._plan)))

    def play(self) -> Report:
        """Kill under load, until the plan is done; then let all tasks end."""
        for victim in self._plan:
            self._see_to_a_supervisor()
            self._feed()
            self._kill(victim)
            time.sleep(self._rng.uniform(0, PAUSE_S))
        self._feed(everything=True)
        self._deaths += WORKERS  # `finish` ends who still serves
        self._world.finish(self._patience_s)
        return self._world.judge(self._faults, self._deaths, self._breaches, self._figures())

    def _feed(self, everything: bool = False) -> None:
        while everything or self._world.unfinished() < FEED:
            batch = next(self._load, None)
            if batch is None:
                return
            seconds, number = batch
            if self._rng.random() < KEYED:
                self._ask_twice(seconds, min(number, 5))
            else:
                self._world.enqueue("nap", [{"s": seconds}] * number)

    def _ask_twice(self, seconds: float, number: int) -> None:
        for _ in range(number):
            key = f"key-{self._rng.getrandbits(64):x}"
            (first,) = self._world.enqueue("nap", [{"s": seconds}], idempotency_key=key)
            payload = self._world.asked.payloads[-1][1]
            if (again := self._world.client.enqueue("nap", payload, idempotency_key=key)) != first:
                self._breaches.append(f"keys: {key} was acknowledged as task {first}, then as task {again}")

    def _see_to_a_supervisor(self) -> None:
        world = self._world
        world.reap()
        if not world.pids("supervisor"):
            world.start(ready=False)
        came_true(lambda: world.pids("worker"), LONGEST_START_S)

    def _kill(self, victim: str) -> None:
        family = self._world.family()
        workers = [pid for pid, role in family.items() if role == "worker"]
        self._faults[f"kill {victim}"] += 1
        if victim == "worker":
            if self._rng.random() < AT_WORK:
                came_true(self._at_work, LONGEST_BIRTH_S)
                workers = self._at_work() or workers
            self._deaths += bool(workers and hit(self._rng.choice(workers)))
            return
        self._deaths += len(workers) + WORKERS  # some may just be born
        if workers and (victim == "supervisor and fork server" or self._rng.random() < 0.3):
            hit(self._rng.choice(workers), signal.SIGSTOP)  # also who stands still dies with the others
        roles = victim.split(" and ")
        condemned = [pid for pid, role in family.items() if victim == "everything" or role in roles]
        self._rng.shuffle(condemned)
        at = [hit(pid) for pid in condemned]
        if "supervisor" in roles and any(at):
            self._watch_the_end(list(family), max(at))

    def _at_work(self) -> list[int]:
        return [each["pid"] for each in self._world.client.workers() if each["state"] == "busy"]

    def _watch_the_end(self, family: list[int], at: float) -> None:
        """Nobody outlives the supervisor (7)."""
        came_true(lambda: not any(is_alive(pid) for pid in family), GIVEN_UP_S)
        took_s = time.monotonic() - at
        self._ended_after.append(took_s)
        if took_s >= GIVEN_UP_S:
            left = [pid for pid in family if is_alive(pid)]
            self._breaches.append(f"orphans: {left} live {took_s:.1f} s after their supervisor")

    def _figures(self) -> Iterator[Figure]:
        slowest = max(self._ended_after, default=float("nan"))
        yield Figure("death of the supervisor → nobody left, slowest", slowest * 1e3, "ms", FAMILY_DIES_WITHIN_S * 1e3)


def _plan(rng: random.Random, workers: int, each: int) -> list[str]:
    """Who is killed, in order."""
    plan = ["worker"] * workers + list(OTHERS) * each
    rng.shuffle(plan)
    return plan


def _load(rng: random.Random, tasks: int) -> Iterator[tuple[float, int]]:
    """Batches of tasks: how long each takes, and how many there are."""
    while tasks > 0:
        number = min(tasks, rng.randint(1, 50))
        tasks -= number
        yield rng.choice([0, 0, 0.001, 0.003, 0.01, 0.02, 0.06]), number
