"""What dead workers leave behind: tasks that they hold, claimed and begun by the store's own verbs."""

from __future__ import annotations

import signal
import subprocess
import sys

from agent.clock import Clock
from agent.host import Identity, identity
from agent.store import SqliteStore
from agent.store.values import Admission
from agent.task import Start, new_worker_id
from campaign import Broken
from campaign.world import World


def abandon(world: World, tasks: int, workers: int, begun: int = 0) -> None:
    """Ask for short tasks, let `workers` claim them in equal shares and begin each `begun` of those, and be dead."""
    world.enqueue("nap", [{"s": 0}] * tasks)
    store, dead, now = SqliteStore(world.database), _of_the_dead(), Clock().now()
    kinds = frozenset(store.claims(0).kinds(["nap"]).values())
    share = -(-tasks // workers)
    admission = Admission(store.oversight.standing().version, kinds, lambda _, queued: min(share, queued))
    for worker in (new_worker_id() for _ in range(workers)):
        store.custody.add_worker(worker, dead, now)
        held = store.claims(worker).exchange(0, (), None, admission).tasks
        starts = [Start(worker, task[0], task[1], task[2] + 1, now) for task in held[:begun]]
        store.custody.catch_up({}, starts, ())
    store.close()


def _of_the_dead() -> Identity:
    """A process that lived until just now."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        who = identity(process.pid)
        process.send_signal(signal.SIGKILL)
    if who is None:
        raise Broken("a process that was just started is not to be seen in /proc")
    return who
