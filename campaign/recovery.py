"""How soon is all well again after a worker's death, the supervisor's death, a start that finds 100,000 stale rows?"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from campaign.abandoned import abandon
from campaign.effects import delays, percentile
from campaign.processes import came_true, hit, until
from campaign.run import Figure, Report, Run, total
from campaign.world import World

NAPS_S = (0.002, 0.01, 0.03)
FEED = 100
KILLS, SUPERVISORS, STALE = 130, 30, 100_000  # kills of workers for each size of the pool
PACE_S = (0.02, 0.1)
POOLS = (2, 4)
AGAIN_P50_MS, AGAIN_P99_MS, FAMILY_MS, RESTART_MS = 50, 500, 100, 2000
NOTICED_WITHIN_S = 0.5  # also by a slow machine: beyond it, a death waits for a look that comes by itself
PARENTS = 2  # of four workers: in handlers that have processes of their own
GIVEN_UP_AFTER_S = 5.0
SHORT_STALE, SHORT_KILLS = 2000, 5


def run(run: Run) -> Report:
    """One round."""
    pools = POOLS if not run.is_short else (run.rng("pool").choice(POOLS),)
    reports = [_worker_deaths(run, workers) for workers in pools]
    reports.append(_supervisor_deaths(run))
    tasks = run.pick(STALE, SHORT_STALE)
    reports.append(_stale_rows(run, "by 32 workers", tasks, workers=32, begun=1))
    if not run.is_short:
        reports.append(_stale_rows(run, "by 400 workers", tasks, workers=400, begun=1))
        reports.append(_stale_rows(run, "in progress", tasks, workers=32, begun=tasks))
    return total(reports)


# -- A worker's death


def _worker_deaths(run: Run, workers: int) -> Report:
    """Under a steady load of naps, one worker at a time."""
    rng, kills = run.rng(f"{workers} workers"), run.pick(KILLS, SHORT_KILLS)
    deaths: list[tuple[int, float]] = []
    with World(run.directory / f"workers-{workers}", workers) as world:
        world.start()
        for _ in range(kills):
            _feed(world, rng)
            until(lambda: _at_work(world) >= workers, "the pool to be full again")
            time.sleep(rng.uniform(*PACE_S))
            pid = rng.choice(world.pids("worker"))
            deaths.append((pid, hit(pid)))
        until(lambda: not world.unfinished(), "all to be done", 60)
        world.finish()
        found = delays(world.effects(), deaths)
        report = world.judge({f"kill one of {workers} workers": kills}, world.deaths(), [*_unnoticed(found)])
    name = f"death of one of {workers} workers → its task's next start"
    figures = (
        Figure(f"{name}, p50 of {len(found)}", percentile(found, 0.5) * 1e3, "ms", AGAIN_P50_MS),
        Figure(f"{name}, p99", percentile(found, 0.99) * 1e3, "ms", AGAIN_P99_MS),
    )
    return total([report, Report({}, figures=figures)])


def _unnoticed(delays_s: list[float]) -> Iterator[str]:
    if (usual_s := percentile(delays_s, 0.5)) > NOTICED_WITHIN_S:
        yield f"recovery: the task of a dead worker starts again after {usual_s:.1f} s, as a rule"


def _feed(world: World, rng: random.Random) -> None:
    if world.unfinished() < FEED // 2:
        world.enqueue("nap", [{"s": rng.choice(NAPS_S)} for _ in range(FEED)])


def _at_work(world: World) -> int:
    return len([each for each in world.client.workers() if each["state"] != "starting"])


# -- The supervisor's death


def _supervisor_deaths(run: Run) -> Report:
    """With workers that are stopped, that have processes of their own, that are busy: nobody of the family is left."""
    rng, kills = run.rng("supervisors"), run.pick(SUPERVISORS, 2)
    ended_after: list[float] = []
    with World(run.directory / "supervisors", workers=4) as world:
        breaches = [each for _ in range(kills) for each in _supervisor_death(world, rng, ended_after)]
        world.finish()
        report = world.judge({"kill supervisor": kills}, world.deaths(), breaches)
    name = f"death of the supervisor → nobody of its family left, slowest of {kills}"
    return total([report, Report({}, figures=(Figure(name, max(ended_after) * 1e3, "ms", FAMILY_MS),))])


def _supervisor_death(world: World, rng: random.Random, ended_after: list[float]) -> Iterator[str]:
    before = set(world.pids("child"))
    supervisor = world.start()
    if not came_true(lambda: before.isdisjoint(world.pids("child")), GIVEN_UP_AFTER_S):
        yield f"orphans: handlers' processes {before.intersection(world.pids('child'))} outlive the next start"
    world.enqueue("parent", [{}] * PARENTS)
    world.enqueue("nap", [{"s": 0.02}] * 50)
    until(lambda: len(world.pids("child")) >= PARENTS, "handlers to start their processes")
    hit(rng.choice(world.pids("worker")), signal.SIGSTOP)
    took_s = _end_of(supervisor.pid, [pid for pid, role in world.family().items() if role != "child"])
    ended_after.append(took_s)
    if took_s >= GIVEN_UP_AFTER_S:
        yield f"orphans: {world.family()} live {took_s:g} s after their supervisor"
    world.reap()


def _end_of(supervisor: int, family: Iterable[int]) -> float:
    """SIGKILL to the supervisor; the seconds until all of them are dead."""
    poll, left = select.poll(), {os.pidfd_open(pid) for pid in family}
    for pidfd in left:
        poll.register(pidfd, select.POLLIN)
    at = hit(supervisor)
    while left and time.monotonic() < at + GIVEN_UP_AFTER_S:
        for pidfd, _ in poll.poll(100):
            poll.unregister(pidfd)
            left.discard(pidfd)
            os.close(pidfd)
    return time.monotonic() - at


# -- A start that finds stale rows


def _stale_rows(run: Run, whose: str, tasks: int, workers: int, begun: int) -> Report:
    """`begun`: how many of its tasks each worker had begun, by the store."""
    with World(run.directory / f"stale-{whose.replace(' ', '-')}", workers=2) as world:
        abandon(world, tasks, workers, begun)
        wall, at = time.time(), time.monotonic()
        world.start(ready=False)
        until(lambda: any(effect.word == "start" for effect in world.effects()[:1]), "a first start", 60)
        first_ms = (world.effects()[0].at - at) * 1e3
        (done,) = (event for event in world.events() if event["event"] == "recovery.done")
        done_ms = (datetime.fromisoformat(done["at"]).timestamp() - wall) * 1e3
        until(lambda: not world.unfinished(), "all to be done", 120)
        world.stop()
        report = world.judge({f"stale rows {whose}": tasks}, world.deaths() + min(tasks, begun * workers))
    name = f"start with {tasks:,} stale rows {whose}"
    return total([report, Report({}, figures=tuple(_restart(name, done_ms, first_ms)))])


def _restart(name: str, done_ms: float, first_ms: float) -> Iterator[Figure]:
    yield Figure(f"{name} → recovered", done_ms, "ms", RESTART_MS)
    yield Figure(f"{name} → first task started", first_ms, "ms", RESTART_MS)
