"""Other processes at the same store: `python -m tests.conformance.peers ROLE BACKEND PLACE`.

drain: claim and succeed chunk after chunk until nothing is queued; prints the ids, one a line.
stall: record ANN's first task and stand still inside that transaction, after printing "inside".
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from agent.task import Claimed, new_worker_id
from tests.conformance.backends import BACKENDS, Backend
from tests.conformance.scene import ANN, Scene, succeeded
from tests.support.processes import CHECKOUT

CHUNK = 64


def start_peer(role: str, backend: Backend, place: Path) -> subprocess.Popen[str]:
    """A process that plays a role."""
    command = [sys.executable, "-m", "tests.conformance.peers", role, backend.name, str(place)]
    return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def drain(scene: Scene) -> None:
    """Run everything."""
    worker = new_worker_id()
    claims, admission = scene.store.claims(worker), scene.admission("demo", size=CHUNK)
    (kind,) = admission.kinds
    chunk = claims.exchange(kind, (), None, admission)
    while chunk.tasks:
        ran = [Claimed(*each) for each in chunk.tasks]
        print(*(each.id for each in ran), sep="\n")
        chunk = claims.exchange(kind, [succeeded(each, json.dumps({"by": worker})) for each in ran], None, admission)


def stall(scene: Scene) -> None:
    """Stop within a write."""
    (task,) = scene.store.tasks.list(None, None, 1)
    claim = Claimed(task.id, task.claims, task.attempt, 0, "{}", None, None, None)
    scene.store.custody.catch_up({ANN: [succeeded(claim)]}, (), [stalling_return()])


def stalling_return() -> object:
    """A return that is never decided."""
    from agent.store.values import Return

    def still() -> bool:
        print("inside", flush=True)
        return bool(sys.stdin.read())

    return Return(ANN, 0, still)


if __name__ == "__main__":
    role, name, place = sys.argv[1:]
    {"drain": drain, "stall": stall}[role](Scene(BACKENDS[name], Path(place)))
