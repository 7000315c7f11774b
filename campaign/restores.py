"""Backups: one is taken under load and put back later, as documented or not; or made two databases of.

Everything that the backup holds is there, and ends. What was acknowledged after it is gone: no outcome of that time is
accepted, no id of that time is given to anybody else.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from agent.clock import Clock
from agent.errors import AgentError, StoreReplaced
from agent.lifecycle import State
from agent.store import open_store
from agent.task import Outcome
from campaign import Broken, PromiseBroken
from campaign.asked import Asked
from campaign.effects import Effect, read
from campaign.processes import came_true, until
from campaign.run import Report, Run
from campaign.world import World

WORKERS = 2
TASKS = 120  # before the backup, and after it
UNAVAILABLE = 69
SETTLED_WITHIN_S = 60.0
BACK_UP = "import apsw; apsw.Connection('state.db').execute('VACUUM INTO ?', ('backup.db',))"
DOCUMENTED, LOG_LEFT, SLOTS_LEFT, IN_USE = WAYS = ("as documented", "log left", "slots left", "in use")
BACKED_UP = "SELECT id, worker, claims, attempt, state BETWEEN 4 AND 5 FROM task"
CLAIMED = "SELECT id, worker, claims, attempt, type FROM task WHERE worker IS NOT NULL"
STANDING = "SELECT id, state, attempt, claims, worker, result, error FROM task ORDER BY id"

Row = tuple[Any, ...]


def restore(run: Run, way: str) -> Report:
    """A backup put back in one of the ways."""
    with World(run.directory / way.replace(" ", "-"), WORKERS) as world:
        try:
            return _Restoration(run.rng(way), world, way).play()
        except AgentError as error:
            raise PromiseBroken(f"restored: {way}: it cannot be used: {error}") from error


def clone(run: Run) -> Report:
    """A backup in two directories, which are served at the same time, and know nothing of each other."""
    with World(run.directory / "original", WORKERS) as original:
        original.start()
        _load(original, run.rng("clones"))
        _back_up(original)
        original.wipe_out()
        with World(run.directory / "one", WORKERS) as one, World(run.directory / "other", WORKERS) as other:
            return _live_apart(original, one, other)


def _live_apart(original: World, one: World, other: World) -> Report:
    memories = []
    for world in (one, other):
        shutil.copy(original.directory / "backup.db", world.database)
        memories.append(Memory(original, world))
        world.start()
    for world in (one, other):
        world.enqueue("nap", [{"s": 0.001}] * TASKS)
    for world, memory in zip((one, other), memories, strict=True):
        world.finish()
        memory.merge_effects()
    first, second = (world.judge({}, 2 * WORKERS) for world in (one, other))
    return Report({"clones": 2}, first.breaches + second.breaches, first.verdict + second.verdict)


class Memory:
    """What a restored world has in common with the one that the backup was taken of."""

    def __init__(self, before: World, world: World) -> None:
        self._world = world
        self._effects = read(before.directory / "effects")
        self.rows: dict[int, Row] = {row[0]: row for row in _rows(before.directory / "backup.db", BACKED_UP)}
        (world.directory / "effects").unlink(missing_ok=True)
        world.asked = self._remembered(before.asked)

    def _remembered(self, asked: Asked) -> Asked:
        """Whatever was acknowledged after the backup is not asked for any more."""
        found = Asked()
        found.payloads = list(asked.payloads)
        found.numbers = {id_: n for id_, n in asked.numbers.items() if id_ in self.rows}
        for key, ids in asked.by_key.items():
            found.by_key[key] = [id_ for id_ in ids if id_ in self.rows]
        return found

    def merge_effects(self) -> None:
        """Handlers' starts that the backup knows of, before those after it; the others have not happened for it."""
        path = self._world.directory / "effects"
        now = read(path)
        again = {(effect.task, effect.attempt) for effect in now if effect.word == "start"}
        kept = [effect for effect in self._effects if self._is_known(effect, again)]
        path.write_text("".join(f"{' '.join(map(str, effect))}\n" for effect in [*kept, *now]), "ascii")

    def _is_known(self, effect: Effect, again: set[tuple[int, int]]) -> bool:
        if effect.task not in self.rows:
            return False
        attempt, is_held = self.rows[effect.task][3:]
        was_recorded_since = bool(is_held) and (effect.task, effect.attempt) not in again  # by the very same claim
        return bool(effect.attempt <= attempt + was_recorded_since)


class _Restoration:
    """A world, its backup, and what happened after it was taken."""

    def __init__(self, rng: random.Random, world: World, way: str) -> None:
        self._rng = rng
        self._world = world
        self._way = way
        self._faults: Counter[str] = Counter({f"restored: {way}": 1})
        self._breaches: list[str] = []
        self._late: list[Row] = []

    def play(self) -> Report:
        """A backup, more work, an end, the backup again, and all tasks end."""
        supervisor = self._live_on_after_a_backup()
        self._late = self._world.rows(CLAIMED)
        if self._way == IN_USE:
            self._copy_over(supervisor)
        self._world.wipe_out()
        last = max(self._world.asked.numbers)
        self._put_back()
        memory = Memory(self._world, self._world)
        self._bring_late([row for row in self._late if not self._still_holds(memory, row)], "before the start")
        if (first := self._world.enqueue("nap", [{"s": 0}])[0]) <= last:
            self._breaches.append(f"restored: {self._way}: id {first} was given again, {last} was acknowledged before")
        self._world.finish()
        self._bring_late(self._late, "when all had ended")
        memory.merge_effects()
        return self._world.judge(self._faults, 2 * WORKERS, self._breaches)

    def _live_on_after_a_backup(self) -> subprocess.Popen[bytes]:
        supervisor = self._world.start()
        _load(self._world, self._rng)
        until(lambda: self._world.look()["succeeded"], "a task to end", SETTLED_WITHIN_S)
        _back_up(self._world)
        ended = self._world.look()["succeeded"]
        _load(self._world, self._rng)
        until(lambda: self._world.look()["succeeded"] > ended + TASKS // 4, "tasks to end", SETTLED_WITHIN_S)
        if self._way != DOCUMENTED:
            self._world.client.close()  # while others use it: whoever is the last merges the log
        if self._way != IN_USE:
            self._world.wipe_out()
        return supervisor

    def _copy_over(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Nobody writes into the file that was put there, and everybody says why."""
        shutil.copyfile(self._world.directory / "backup.db", self._world.database)
        if not came_true(lambda: supervisor.poll() is not None, SETTLED_WITHIN_S):
            self._breaches.append("restored: a backup was copied over a database in use, and the supervisor goes on")
        elif supervisor.returncode != UNAVAILABLE or "replaced while it was in use" not in self._world.said():
            said = f"{supervisor.returncode}: {self._world.errors()}"
            self._breaches.append(f"restored: a backup was copied over a database in use; the supervisor said {said}")

    # -- Putting it back

    def _put_back(self) -> None:
        left = self._world.directory / "before-restore"
        left.mkdir()
        for path in list(self._world.directory.glob("state.db*")):
            if self._way == DOCUMENTED or (self._way == SLOTS_LEFT and path.name != "state.db.run"):
                path.rename(left / path.name)
        backup = self._world.directory / "backup.db"
        if self._way == IN_USE and self._world.database.read_bytes() != backup.read_bytes():
            self._breaches.append("restored: who had the database open wrote into what was copied over it")
        shutil.copyfile(backup, self._world.database)
        self._world.database.chmod(0o600)
        if self._way in (LOG_LEFT, IN_USE):
            self._see_it_refused()
        elif self._way == DOCUMENTED:
            self._see_the_old_client_refused()

    def _see_it_refused(self) -> None:
        """The log that was left belongs to the database that was there before."""
        log = self._world.database.with_name("state.db-wal")
        if not log.exists():
            raise Broken("no log was left")
        before = self._world.database.read_bytes(), log.read_bytes()
        for words in (["resume", "--drain"], ["enqueue", "nap", '{"s": 0}']):
            done = self._world.command(*words)
            if done.returncode != UNAVAILABLE or f"remove {log}" not in done.stderr or "Traceback" in done.stderr:
                code, said = done.returncode, done.stderr[-300:]
                self._breaches.append(f"restored: {self._way}: `{words[0]}` ended with {code}: {said}")
        if not log.exists() or before != (self._world.database.read_bytes(), log.read_bytes()):
            self._breaches.append(f"restored: {self._way}: it was written to")
        for suffix in ("-wal", "-shm"):  # as the message says
            self._world.database.with_name(f"state.db{suffix}").unlink(missing_ok=True)

    def _see_the_old_client_refused(self) -> None:
        """Who has had the old database open all the time gets no acknowledgement from it."""
        try:
            id_ = self._world.client.enqueue("nap", {"s": 0, "n": -1})
        except StoreReplaced:
            self._faults["a client of before the restoration"] += 1
        else:
            self._breaches.append(f"restored: a client of before was acknowledged task {id_} in a file nobody opens")
        self._world.client.close()

    # -- Workers of before

    def _still_holds(self, memory: Memory, row: Row) -> bool:
        """Whether the worker has the task by the claim that the backup knows: its outcome is as good as ever."""
        known = memory.rows.get(row[0])
        return known is not None and bool(known[4]) and known[1:3] == row[1:3]

    def _bring_late(self, late: Sequence[Row], when: str) -> None:
        """Workers of after the backup record what they have: nothing may come of it."""
        store = open_store(self._world.database)
        before, now = self._world.rows(STANDING), Clock().now()
        for id_, worker, claims, attempt, kind in late:
            result = json.dumps({"late": True})
            outcome = Outcome(id_, claims, attempt, State.SUCCEEDED, now, now, None, result, None, None, "succeeded")
            store.claims(worker).exchange(kind, [outcome], None, None)
            self._faults["late outcomes"] += 1
        store.close()
        changed = set(self._world.rows(STANDING)) - set(before)
        if changed:
            self._breaches.append(f"restored: late outcomes {when} were accepted: {sorted(changed)[:3]}")


def _load(world: World, rng: random.Random) -> None:
    world.enqueue("nap", [{"s": rng.choice([0, 0.002, 0.01, 0.06])} for _ in range(TASKS)])
    world.enqueue("fails", [{"times": 1}] * 3)
    for _ in range(3):
        world.enqueue("nap", [{"s": 0.001}], idempotency_key=f"{rng.getrandbits(64):x}")


def _back_up(world: World) -> None:
    done = subprocess.run([sys.executable, "-c", BACK_UP], cwd=world.directory, capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"the documented backup ended with {done.returncode}: {done.stderr}")


def _rows(path: Path, query: str) -> list[Row]:
    handle = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(handle.execute(query))
    finally:
        handle.close()
