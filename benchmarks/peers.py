"""Task queues of others: what each needs, its producer and its workers as processes of their own.

    with Peer("huey", options) as peer:
        rate = peer.drain(5000)
    with Peer("huey", options) as peer:
        latencies_s = peer.pick_up(200, every_s=0.02)

Durability is what each peer has by default: Huey commits to SQLite with synchronous=FULL, Redis keeps nothing on disk
here, PostgreSQL waits for its log.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from benchmarks import Broken, servers
from benchmarks.apps import marks
from benchmarks.apps.marks import Mark
from benchmarks.options import Options
from benchmarks.processes import CHECKOUT, Running, until

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Program:
    """How a peer is called, what it needs, and the command of its workers ({workers}, {redis}); none: it needs none."""

    label: str
    packages: tuple[str, ...]
    server: str | None
    command: str
    one_process_each: bool = False


PROGRAMS = {
    "huey": Program(
        "Huey (SQLite)", ("huey",), None,
        "huey_consumer benchmarks.apps.huey_app.huey -k process -w {workers} -d 0.01 -m 0.05 -q",
    ),
    "celery": Program(
        "Celery (Redis)", ("celery", "redis"), "redis",
        "celery -A benchmarks.apps.celery_app worker -c {workers} -P prefork --loglevel ERROR --without-gossip"
        " --without-mingle --without-heartbeat",
    ),
    "dramatiq": Program(
        "Dramatiq (Redis)", ("dramatiq", "redis"), "redis", "dramatiq benchmarks.apps.dramatiq_app -p {workers} -t 4"
    ),
    "rq": Program("RQ (Redis)", ("rq", "redis"), "redis", "rq worker-pool default -n {workers} -u {redis}/5 -q"),
    "saq": Program(
        "SAQ (Redis)", ("saq", "redis"), "redis", "saq benchmarks.apps.saq_app.settings --workers {workers}"
    ),
    "procrastinate": Program(
        "Procrastinate (PostgreSQL)", ("procrastinate", "psycopg"), "postgres",
        "procrastinate --app=benchmarks.apps.procrastinate_app.app worker -c 4", one_process_each=True,
    ),
    "dbos": Program("DBOS (SQLite, in its producer)", ("dbos",), None, ""),
}  # fmt: skip


def available() -> tuple[str, ...]:
    """The names of the peers that can be measured here."""
    return tuple(name for name in PROGRAMS if not missing(name))


def absent() -> tuple[str, ...]:
    """A note, if any, on the peers that cannot be measured here: what is missing for each."""
    lacking = [f"{name} (needs {' and '.join(needs)})" for name in PROGRAMS if (needs := missing(name))]
    return (f"not measured, as they are not installed: {', '.join(lacking)}",) if lacking else ()


def missing(name: str) -> list[str]:
    """What has to be installed for a peer: packages, its server."""
    program = PROGRAMS[name]
    server = servers.missing(program.server) if program.server else None
    return [package for package in program.packages if find_spec(package) is None] + ([server] if server else [])


class Peer:
    """One peer with an empty queue, in a directory of its own, removed at the end of the `with` block."""

    def __init__(self, name: str, options: Options, workers: int = 2) -> None:
        if needs := missing(name):
            raise Broken(f"{PROGRAMS[name].label} needs {' and '.join(needs)}: install it, or leave it out")
        self.name = name
        self.label = PROGRAMS[name].label
        self.workers = workers
        self._room = TemporaryDirectory(prefix=f"{name}-bench-", dir=options.directory)
        self.directory = Path(self._room.name)
        self._env = {"PYTHONPATH": str(CHECKOUT), "BENCH_DIRECTORY": str(self.directory)}
        self._open = ExitStack()

    def enqueue(self, count: int, every_s: float = 0.0) -> float:
        """Tasks one by one from one process, or one each `every_s`; the seconds it took, start-up not counted."""
        words = [sys.executable, "-m", "benchmarks.apps.produce", self.name, str(count), str(every_s)]
        with Running(words, self.directory, self._env) as running:
            if code := running.wait():
                raise Broken(f"the producer of {self.label} ended with {code}: {running.errors()}")
            return float(running.output())

    @contextmanager
    def working(self) -> Iterator[list[Running]]:
        """Its workers, at work; ended after the block. What they are is told by their processes."""
        command = PROGRAMS[self.name].command.format(workers=self.workers, redis=self._env.get("BENCH_REDIS", ""))
        program, *words = command.split() or [""]
        copies = self.workers if PROGRAMS[self.name].one_process_each else 1
        with ExitStack() as stack:
            yield [
                stack.enter_context(Running([BIN / program, *words], self.directory, self._env))
                for _ in range(copies if program else 0)
            ]

    def wait(self, total: int, running: list[Running]) -> None:
        """Until so many handlers have run, of all that were ever enqueued."""
        first = running[0] if running else None
        until(lambda: marks.count(self.directory) >= total, f"{self.label} had run {total} tasks", first)

    def marks(self) -> list[Mark]:
        """When each task was enqueued and handled, in the order of their handling."""
        return sorted(marks.read(self.directory), key=lambda mark: mark.handled_at)

    def drain(self, tasks: int) -> float:
        """Tasks a second, all enqueued before the workers start: from the first handled to the last."""
        self.enqueue(tasks)
        with self.working() as running:
            self.wait(tasks, running)
        handled = self.marks()
        return len(handled) / (handled[-1].handled_at - handled[0].handled_at)

    def pick_up(self, tasks: int, every_s: float) -> list[float]:
        """Seconds from before each call of enqueue to its handler: idle workers, a task each `every_s`."""
        first = self.workers * 5
        self.enqueue(first)
        with self.working() as running:
            self.wait(first, running)
            self.enqueue(tasks, every_s)
            self.wait(first + tasks, running)
        return [mark.handled_at - mark.enqueued_at for mark in self.marks()[first:]]

    def __enter__(self) -> Self:
        server = PROGRAMS[self.name].server
        if server == "redis":
            self._env["BENCH_REDIS"] = self._open.enter_context(servers.redis(self.directory))
        elif server == "postgres":
            self._env["BENCH_POSTGRES"] = self._open.enter_context(servers.postgres(self.directory))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._room.cleanup()
