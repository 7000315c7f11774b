"""At start: put in order what an earlier supervisor left behind, before the first claim.

Why it is so: evidence comes before timeouts. An owner whose boot, pid namespace, pid and start time still exist is
killed and waited for before its slot or rows are touched; one of another boot, or without a process, is dead. Only
where that cannot be checked does the age of the heartbeat decide, and its rows are looked at again until then.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.clock import SECOND, Clock
from agent.errors import Unavailable
from agent.failpoints import ARMED, reach
from agent.host import is_alive, kill_and_wait, left_behind
from agent.store import SqliteStore
from agent.store.values import Burial, Death, WorkerRow
from agent.task import Outcome, Start
from agent.telemetry.logs import log
from workers.harvest import outcomes_of, running_of, unless_ended
from workers.slot import WORKER_ID, Slot

KILL_WITHIN_S = 5.0
WHY = "the agent was stopped or died while the handler ran"


@dataclass(slots=True)
class Recovered:
    """What was found and done: numbers of workers and tasks. `waiting`: owners that may still live elsewhere.

    `began_ns`: when we looked first, monotonic.
    """

    began_ns: int
    workers: int = 0
    killed: int = 0
    recorded: int = 0
    released: int = 0
    rescued: int = 0
    waiting: int = 0

    def add(self, burial: Burial) -> None:
        """Count a burial in."""
        self.workers += 1
        self.recorded += burial.recorded
        self.released += burial.released
        self.rescued += burial.rescued


def recover(
    store: SqliteStore, clock: Clock, stale_after_s: float, ours: Container[int] = (), before: Recovered | None = None
) -> Recovered:
    """Bury every worker that is not of `ours`; call it under the supervisor's lock. `before`: what was done earlier."""
    done = Recovered(before.began_ns if before else clock.monotonic())
    left = [row for row in store.custody.workers() if row.id not in ours]
    done.killed = _end(left)
    for row in left:
        if is_alive(row.identity) is None and _age_s(row, clock, done.began_ns) <= stale_after_s:
            done.waiting += 1
            continue
        done.add(_bury(store, clock, row.id))
    for worker in store.custody.unknown_owners():
        done.add(_bury(store, clock, worker))
    if not done.waiting and not ours:
        _discard_slots(store.slots_directory)
    if done.workers:
        log("recovery.done", **{name: getattr(done, name) for name in Recovered.__slots__[1:]})
    return done


def _age_s(row: WorkerRow, clock: Clock, began_ns: int) -> float:
    """Of the heartbeat; of one in the future, for the clock was set back, at least the time for which we look."""
    age_s = (clock.now() - row.heartbeat_at) / SECOND
    return age_s if age_s >= 0 else (clock.monotonic() - began_ns) / 1e9


def _end(left: Iterable[WorkerRow]) -> int:
    """Kill what still lives of earlier workers and of the processes their handlers started; how many it were."""
    known = [row.identity for row in left]
    meant = [*(who for who in known if is_alive(who)), *left_behind(known)]
    survivors = kill_and_wait(meant, KILL_WITHIN_S) if meant else []
    if survivors:
        pids = ", ".join(str(each.pid) for each in survivors)
        raise Unavailable(f"processes {pids} of an earlier run cannot be ended: wait for their disk, or reboot")
    return len(meant)


def _bury(store: SqliteStore, clock: Clock, worker: int) -> Burial:
    if ARMED:
        reach("during_recovery")
    outcomes, running = _harvest(store.slots_directory / f"{worker:016x}", worker)
    return store.custody.bury(worker, outcomes, running, Death.LOST, WHY, clock.now())


def _harvest(path: Path, worker: int) -> tuple[list[Outcome], Start | None]:
    """What a dead worker's slot tells: outcomes not committed, and the attempt under way."""
    try:
        slot = Slot.open(path)
    except Unavailable:  # none, or torn by a power loss: the rows alone tell
        return [], None
    try:
        if slot.words[WORKER_ID] != worker:
            return [], None
        outcomes, _ = outcomes_of(slot)
        running = unless_ended(running_of(slot), outcomes)
        return outcomes, running.start(worker) if running else None
    finally:
        slot.close()


def _discard_slots(directory: Path) -> None:
    """Slots of nobody we know are worth nothing."""
    with suppress(OSError):  # there is none yet
        for path in directory.iterdir():
            with suppress(OSError):  # a directory, say: it is in nobody's way
                path.unlink()
