"""Upgrades that are cut short: each is whole or has not happened, and the backup is on the disk before.

The database is of the first schema, with tasks in every state; its upgrade has every migration to go through, those of
the newer code included. It is killed between two of them, or at any moment.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import apsw

from agent.clock import SECOND, Clock
from agent.failpoints import VARIABLE
from agent.lifecycle import State
from agent.store import SqliteStore
from agent.store.connection import Connection
from agent.store.migrations import APPLICATION_ID, steps
from agent.store.values import Admission
from agent.task import Claimed, NewTask, Outcome, Start
from campaign.examination import rows_of
from campaign.newer import NEWER, NOTED, STANDING, UPGRADE_UNLOCKED
from campaign.processes import came_true, hit
from campaign.run import Report, Run
from campaign.world import World

WORKERS = 2
CUTS, SHORT_CUTS = 60, 4
OF_EACH, BYTES = 30, 2000  # tasks of each state, and what each holds: the backup takes a while
AT_MOST_S = 0.15  # until a kill at any moment
BACKUP = "state.db.before-schema-2"
HELD = (State.RESERVED, State.IN_PROGRESS)
WORKER = 7


def cut_short(run: Run, main: Path) -> Report:
    """Cut after cut, each over the same database; then an upgrade that nobody cuts short, and all tasks end."""
    with World(run.directory / "upgrades", WORKERS) as world:
        make_first(world)
        return _Cuts(run, world, main).play()


class _Cuts:
    """A database of the first schema, and what became of it."""

    def __init__(self, run: Run, world: World, main: Path) -> None:
        self._rng = run.rng("cuts")
        self._cuts = run.pick(CUTS, SHORT_CUTS)
        self._world = world
        self._main = main
        self._first = world.directory / "first"
        shutil.copy(world.database, self._first)
        self._rows = rows_of(self._first)
        self._faults: Counter[str] = Counter()
        self._breaches: list[str] = []
        self._went_through = 0  # upgrades that were done when the kill came
        self._run = run

    def play(self) -> Report:
        """Cut after cut; then none."""
        for _ in range(self._cuts):
            self._lay()
            if self._rng.random() < 0.5:
                self._cut_between()
            else:
                self._cut_anywhere()
        self._lay()
        self._world.main = self._main
        self._world.finish()
        self._run.derive(upgraded_before_the_kill=self._went_through)
        self._breaches += self._judge_upgraded("at last")
        return self._world.judge(self._faults, OF_EACH * len(HELD), self._breaches)

    def _lay(self) -> None:
        for path in self._world.directory.glob("state.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(self._first, self._world.database)

    def _cut_between(self) -> None:
        """Between two migrations: the backup is there, and nothing else has happened."""
        action, n = self._rng.choice(["kill", "kill", "raise", "full"]), self._rng.randrange(1, NEWER)
        where = f"{action} after migration {n + 1}"
        self._faults[f"upgrade: {action} between two migrations"] += 1
        done = self._world.call(str(self._main.parent), "state.db", code=_armed(f"during_migration:{action}:n={n}"))
        done.communicate(timeout=60)
        if not done.returncode:
            self._breaches.append(f"upgrade: {where}: it went through")
        if self._version() != 1 or rows_of(self._world.database) != self._rows:
            self._breaches.append(f"upgrade: {where}: it is not as it was: schema {self._version()}")
        self._check_backup(where)

    def _cut_anywhere(self) -> None:
        """At any moment: it has happened, after its backup, or it has not."""
        call = self._world.call(str(self._main.parent), "state.db", code=_armed(""))
        until_there = self._world.database.with_name("state.db.run")
        came_true(until_there.exists, 30)
        time.sleep(self._rng.uniform(0, AT_MOST_S))
        self._faults["upgrade: kill at any moment"] += bool(hit(call.pid))
        call.communicate(timeout=60)
        if self._version() == 1:
            if rows_of(self._world.database) != self._rows:
                self._breaches.append("upgrade: kill at any moment: it has the old schema, and other rows")
        else:
            self._went_through += 1
            self._breaches += self._judge_upgraded("kill at any moment")

    def _judge_upgraded(self, where: str) -> Iterator[str]:
        self._check_backup(where)
        if (version := self._version()) != NEWER:
            yield f"upgrade: {where}: it is half done: schema {version}"
            return
        noted = self._world.rows(NOTED)
        with closing(apsw.Connection(str(self._first), flags=apsw.SQLITE_OPEN_READONLY)) as first:
            if noted != list(first.execute(STANDING)):
                yield f"upgrade: {where}: {len(noted)} tasks were taken over, not as they stood"

    def _check_backup(self, where: str) -> None:
        if self._rows is None or rows_of(self._world.directory / BACKUP) != self._rows:
            self._breaches.append(f"upgrade: {where}: it has begun, and there is no backup that is whole")

    def _version(self) -> int:
        return int(self._world.rows("PRAGMA user_version")[0][0])


def _armed(entry: str) -> str:
    """The program that upgrades, with a fault in it."""
    return f"import os; os.environ[{VARIABLE!r}] = {entry!r}\n{UPGRADE_UNLOCKED}" if entry else UPGRADE_UNLOCKED


# -- A database of the first schema


def make_first(world: World) -> None:
    """Lay down a database as the first version had it, with tasks in every state, made by the verbs of the store."""
    store = SqliteStore(world.database)
    connection: Connection = store._connection
    with connection.writing() as cursor:
        cursor.execute(steps()[0])
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        cursor.execute("PRAGMA user_version = 1")
    for state in sorted(State, key=State.QUEUED.__eq__):  # last: what is queued, claims take along
        _make(world, store, state)
    store.close()


def _make(world: World, store: SqliteStore, state: State) -> None:
    now = Clock().now()
    name = "nap" if state in (State.SCHEDULED, State.RETRY_SCHEDULED, State.QUEUED, *HELD) else "noop"
    payloads = world.asked.number(name, [{"s": 0, "text": "x" * BYTES}] * OF_EACH)
    due_at = now + SECOND if state is State.SCHEDULED else None
    new = [NewTask(name, json.dumps(payload), due_at=due_at) for payload in payloads]
    ids = [each.id for each in store.tasks.enqueue(new, now)]
    world.asked.acknowledged(ids, payloads)
    if state is State.CANCELLED:
        for id_ in ids:
            store.tasks.cancel(id_, now)
    elif state not in (State.SCHEDULED, State.QUEUED):
        _run(store, name, state, dict(zip(ids, payloads, strict=True)), now)


def _run(store: SqliteStore, name: str, state: State, payloads: Mapping[int, Mapping[str, object]], now: int) -> None:
    claims = store.claims(WORKER + state)
    kind = claims.kinds([name])[name]
    admission = Admission(store.oversight.standing().version, frozenset([kind]), lambda _, queued: queued)
    held = [Claimed(*task) for task in claims.exchange(kind, (), None, admission).tasks]
    starts = [Start(WORKER + state, task.id, task.claims, 1, now) for task in held]
    if state is not State.RESERVED:
        store.custody.catch_up({}, starts, ())
    if state not in HELD:
        claims.exchange(kind, [_outcome(task, state, payloads[task.id]["n"], now) for task in held], None, None)


def _outcome(task: Claimed, state: State, n: object, now: int) -> Outcome:
    if state is State.SUCCEEDED:
        result = json.dumps({"n": n, "attempt": 1})
        return Outcome(task.id, task.claims, 1, state, now, now, None, result, None, None, "succeeded")
    due_at = now if state is State.RETRY_SCHEDULED else None
    return Outcome(task.id, task.claims, 1, state, now, now, due_at, None, "no luck", None, "failed")
