"""Is an unrelated process killed because it has the pid of a dead worker, fork server or supervisor?

Played as root in a pid namespace of its own, where it can be said which pid comes next: everything is killed by SIGKILL
under load, each of its pids is given to a session of somebody else, a leader with a child; then the agent starts again.
Whoever kills by pid alone kills them. What the dead held must be recovered all the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from campaign import Broken, PromiseBroken
from campaign.processes import CHECKOUT, came_true, is_alive, is_stopped, kill_all, until
from campaign.run import Report, Run, Verdict
from campaign.world import World

ROUNDS = 5
WORKERS = 4
TRIALS, SHORT = 20, 2
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
FAR_AWAY = 20_000
RECOVERED_WITHIN_S = 20.0
ENDS_WITHIN_S = 120


def run(run: Run) -> Report:
    """One round, in another process."""
    if shutil.which("unshare") is None:
        raise Broken("pids are reused in a pid namespace of its own: there is no unshare(1) to make it")
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-m", "campaign.reuse"]
    words += [str(run.seed), str(run.directory), str(run.pick(TRIALS, SHORT))]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=ENDS_WITHIN_S)
    if done.returncode:
        raise Broken(f"pids are reused by root, in a pid namespace of its own: {done.stderr.strip()[-500:]}")
    told = json.loads(done.stdout)
    run.derive(trials=run.pick(TRIALS, SHORT))
    return Report(told["faults"], tuple(told["breaches"]), Verdict(**told["verdict"]))


def main(seed: str, directory: str, trials: str) -> int:
    """The first process of the namespace: the report as JSON."""
    if os.getpid() != 1:
        raise Broken("this is played in a pid namespace of its own")
    with World(Path(directory) / "world", WORKERS) as world:
        reusing = _Reusing(Run(int(seed), Path(directory)), world)
        try:
            report = reusing.play(int(trials))
        except PromiseBroken as error:
            report = Report({}, (str(error),))
        print(json.dumps(asdict(report)))
    return 0


class _Reusing:
    """A world, and whose pids were given to others."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._rng = run.rng("trials")
        self._faults: Counter[str] = Counter()
        self._deaths = 0
        self._breaches: list[str] = []

    def play(self, trials: int) -> Report:
        """Trial by trial, each over what the last one has left."""
        self._world.start()
        for number in range(trials):
            self._try(f"gate {number}")
        self._world.finish()
        return self._world.judge(self._faults, self._deaths, self._breaches)

    def _try(self, gate: str) -> None:
        running = self._world.enqueue("gate", [{"gate": gate}] * WORKERS)
        self._world.enqueue("nap", [{"s": self._rng.choice([0, 0.01])} for _ in range(self._rng.randint(0, 50))])
        until(lambda: self._have_started(running), "all workers to be in a handler")
        family = self._world.family()
        self._deaths += WORKERS
        self._faults["kill everything"] += 1
        kill_all(family)
        self._world.reap()
        _free(family)
        strangers = [_stranger(pid) for pid in family]
        self._faults["pids that somebody else got"] += len(strangers)
        if (pid := self._world.client.stats()["supervisor_pid"]) is not None:
            self._breaches.append(f"reuse: process {pid} is said to supervise, and nobody does")
        self._world.start()
        (self._world.directory / gate).touch()
        if not came_true(lambda: not self._world.unfinished(), RECOVERED_WITHIN_S):
            raise PromiseBroken(f"liveness: {self._world.look()} {RECOVERED_WITHIN_S:g} s after the start")
        self._see_that_they_live(strangers)
        kill_all(pid for pair in strangers for pid in pair)
        _free(pid for pair in strangers for pid in pair)

    def _have_started(self, tasks: Iterable[int]) -> bool:
        return set(tasks) <= {effect.task for effect in self._world.effects() if effect.word == "start"}

    def _see_that_they_live(self, strangers: Iterable[tuple[int, int]]) -> None:
        for each in (pid for pair in strangers for pid in pair):
            if is_stopped(each) or not is_alive(each):
                self._breaches.append(f"reuse: process {each} was none of the agent's, and was stopped or killed")


def _stranger(pid: int) -> tuple[int, int]:
    """A session of somebody else's whose leader has this pid, and a child in it."""
    hears, tells = os.pipe()
    LAST_PID.write_text(str(pid - 1))
    leader = os.fork()
    if leader == 0:
        _live_for_oneself(tells)
    os.close(tells)
    with open(hears, "rb", buffering=0) as told:
        child = int(told.read(16) or 0)
    if leader != pid or not child:
        raise Broken(f"pid {pid} was to lead a session, and {leader} does, or does not")
    return leader, child


def _live_for_oneself(tells: int) -> NoReturn:
    try:
        os.setsid()
        LAST_PID.write_text(str(FAR_AWAY))  # the pid after ours may be wanted next
        child = os.fork()
        if child:
            os.write(tells, str(child).encode())
        os.closerange(0, 64)
        time.sleep(ENDS_WITHIN_S)
    finally:
        os._exit(0)  # nothing of this process may go on


def _free(pids: Iterable[int]) -> None:
    """A zombie keeps its pid; the first process of a namespace is everybody's parent in the end."""
    left = set(pids)

    def are_free() -> bool:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        return not any(Path(f"/proc/{pid}").exists() for pid in left)

    until(are_free, f"pids {sorted(left)} to be free")


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Broken as error:
        sys.exit(str(error))
