"""Is what stands still taken for dead or late: SIGSTOP for 1 to 20 heartbeats, freezes, pauses, under load, at random?

Stopped are workers, the fork server, the supervisor, or all at once; between that, workers are killed and tasks
cancelled. Half of the tasks have a deadline that is over sooner than their worker goes on: time for which somebody
stood still does not count. A few others never end by themselves, and do have to be ended.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agent.errors import AgentError, Conflict, NotFound
from campaign.processes import came_true, hit, is_alive, is_stopped
from campaign.run import Report, Run
from campaign.world import World

ROUNDS = 12
WORKERS = 6
HEARTBEAT_S = 0.1
LONGEST, SHORT_LONGEST = 20, 8  # heartbeats
FAULTS, SHORT = 150, 9
AT_ONCE = 4  # workers that stand still
FEED = 60  # how many unfinished tasks there are at least
DEADLINE_S = 0.8  # of tasks that take a quarter of it, and of some that take for ever
BREAK_S = 0.2  # between two faults, at most
GOES_ON_WITHIN_S = 5.0
WEIGHTS = {
    "stop worker": 10, "stop everything": 2, "stop supervisor": 1, "stop fork server": 1,
    "freeze": 4, "pause": 2, "kill worker": 1, "cancel": 2,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "governance": {
        "cpu_high_pct": 100,
        "mem_high_pct": 100,
        "hysteresis_pct": 1,
        "pause_after_error_burst": {"threshold": 1_000_000},
        "pause_mode": "freeze",
    },
    "telemetry": {"sample_interval_s": HEARTBEAT_S},
}


def run(run: Run) -> Report:
    """One round."""
    with World(run.directory / "world", WORKERS, SETTINGS) as world:
        return _Stopping(run, world).play()


class _Stopping:
    """A world, and who stands still in it."""

    def __init__(self, run: Run, world: World) -> None:
        self._world = world
        self._rng, self._load = run.rng("faults"), run.rng("load")
        number, self._longest = run.pick(FAULTS, SHORT), run.pick(LONGEST, SHORT_LONGEST)
        self._plan = [*WEIGHTS, *self._rng.choices([*WEIGHTS], [*WEIGHTS.values()], k=number - len(WEIGHTS))]
        self._rng.shuffle(self._plan)
        self._patience_s = run.pick(120, 40)
        self._faults: Counter[str] = Counter()
        self._deaths = 0
        self._timers: list[threading.Timer] = []
        self._orders: list[tuple[float, Callable[[], object]]] = []  # when we end a freeze or a pause, and how
        self._doomed: set[int] = set()
        self._ids: list[int] = []
        self._breaches: list[str] = []
        run.derive(faults=dict(Counter(self._plan)), heartbeat_s=HEARTBEAT_S)

    def play(self) -> Report:
        """Stop and let go under load, until the plan is done; then let all tasks end."""
        agent = self._world.start()
        try:
            for fault in self._plan:
                self._feed()
                self._do(fault)
                time.sleep(self._rng.uniform(0, BREAK_S))
                self._end_orders(time.monotonic())
        finally:
            self._let_everybody_go()
        self._see_that_all_go_on()
        if agent.poll() is not None:
            self._breaches.append(f"alive: the supervisor ended with {agent.returncode}: {self._world.errors()}")
        self._world.finish(self._patience_s)
        self._judge_deadlines()
        self._count_freezes()
        return self._world.judge(self._faults, self._deaths, self._breaches)

    # -- Load

    def _feed(self) -> None:
        while self._world.unfinished() < FEED:
            seconds = [self._load.choice([0, 0.002, 0.02, 0.1, 0.3]) for _ in range(10)]
            self._ids += self._world.enqueue("nap", [{"s": each} for each in seconds])
            self._ids += self._world.enqueue("fails", [{"times": 1}])
            in_time = [{"s": DEADLINE_S / 4}] * 10
            self._ids += self._world.enqueue("stroll", in_time, timeout=DEADLINE_S, max_attempts=1)
        if not self._doomed or self._load.random() < 0.05:
            endless = [{"s": 3600}]
            self._doomed |= set(self._world.enqueue("nap", endless, timeout=DEADLINE_S, max_attempts=1))

    # -- Faults

    def _do(self, fault: str) -> None:
        verb, _, whom = fault.partition(" ")
        self._faults[fault] += 1
        if verb == "stop":
            self._stop(whom)
        elif verb == "kill":
            self._deaths += bool(hit(self._rng.choice(self._world.pids("worker") or [0])) if self._workers() else 0)
        elif verb == "cancel":
            self._try(self._world.client.cancel, self._rng.choice(self._ids))
        elif verb == "freeze":
            self._freeze()
        elif self._try(self._world.client.pause):
            self._orders.append((self._until(), self._world.client.unpause))

    def _stop(self, whom: str) -> None:
        family = self._world.family()
        if whom == "worker":
            running = [pid for pid in self._workers() if not is_stopped(pid)]
            victims = self._rng.sample(running, min(1, max(0, AT_ONCE - len(self._workers()) + len(running))))
        else:
            victims = [pid for pid, role in family.items() if whom in (role, "everything")]
        self._rng.shuffle(victims)
        for pid in victims:
            hit(pid, signal.SIGSTOP)
        timer = threading.Timer(self._duration(), _let_go, [self._rng.sample(victims, len(victims))])
        timer.start()
        self._timers.append(timer)

    def _freeze(self) -> None:
        pid = self._rng.choice(self._workers() or [1])
        if self._try(self._world.client.freeze, str(pid)):
            self._orders.append((self._until(), lambda: self._world.client.thaw(str(pid))))

    def _try(self, order: Callable[..., object], *words: Any) -> bool:
        """Whether the order was carried out: it may come too late, or meet who stands still."""
        try:
            order(*words)
        except (Conflict, NotFound):
            return False
        except AgentError as error:
            self._breaches.append(f"orders: {order.__name__} {words}: {error}")
            return False
        return True

    def _end_orders(self, now: float) -> None:
        due = [order for order in self._orders if order[0] <= now]
        self._orders = [order for order in self._orders if order[0] > now]
        for _, end in due:
            self._try(end)

    def _workers(self) -> list[int]:
        return self._world.pids("worker")

    def _duration(self) -> float:
        return self._rng.uniform(1, self._longest) * HEARTBEAT_S

    def _until(self) -> float:
        return time.monotonic() + self._duration()

    # -- The end

    def _let_everybody_go(self) -> None:
        for timer in self._timers:
            timer.join()
        self._end_orders(float("inf"))

    def _see_that_all_go_on(self) -> None:
        """Nobody is left standing, and whoever is said to stand still does."""

        def all_go_on() -> bool:
            return not any(each["state"] == "frozen" for each in self._world.client.workers())

        if not came_true(all_go_on, GOES_ON_WITHIN_S):
            told = [(each["pid"], each["state"], is_stopped(each["pid"])) for each in self._world.client.workers()]
            self._breaches.append(f"frozen: {GOES_ON_WITHIN_S:g} s after the last thaw (pid, told, stopped): {told}")
        if not came_true(lambda: not self._standing(), GOES_ON_WITHIN_S):
            self._breaches.append(f"frozen: processes {self._standing()} still stand still")

    def _standing(self) -> list[int]:
        return [pid for pid in self._world.family() if is_stopped(pid)]

    def _judge_deadlines(self) -> None:
        late = self._world.rows("SELECT task FROM attempt WHERE outcome = 'timed_out'")
        for (task,) in late:
            if task not in self._doomed:
                self._breaches.append(f"deadlines: task {task} was ended for being late, and it had stood still")
        for task, state in self._world.rows("SELECT id, state FROM tasks WHERE key IS NULL"):
            if task in self._doomed and state != "failed":
                self._breaches.append(f"deadlines: task {task} may take {DEADLINE_S:g} s, never ends, and is {state}")

    def _count_freezes(self) -> None:
        """As the supervisor saw them; and the deaths of those whom it ended because they held the write lock."""
        for event in self._events():
            if event["event"] == "worker.frozen":
                self._faults["freezes"] += 1
                self._faults["freezes inside a handler"] += event["task"] is not None
            self._deaths += "holding the write lock" in str(event.get("why"))

    def _events(self) -> Iterator[dict[str, Any]]:
        for path in sorted((self._world.directory / "logs").glob("agent.jsonl*")):
            yield from map(json.loads, path.read_text("utf-8").splitlines())


def _let_go(pids: Iterable[int]) -> None:
    for pid in pids:
        if is_alive(pid):
            hit(pid, signal.SIGCONT)
