"""Where faults at failpoints are played: a world in which each waits for its turn, and is judged by what follows.

A fault waits as long as its file is there (see agent.failpoints, `once`); it has happened once the file holds a pid.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from agent.errors import AgentError
from agent.failpoints import VARIABLE
from campaign import Broken
from campaign.asked import Payload
from campaign.cells import AT_START, NEEDS_A_DEATH, Cell
from campaign.load import ask, hear_handlers, make_older
from campaign.processes import came_true, hit, is_alive, is_stopped, until
from campaign.run import Report
from campaign.world import World

WORKERS = 2
SETTINGS = {"governance": {"freeze_max_s": 0.5}}  # who was stopped from outside is let go on after that
REACHED_WITHIN_S, FINISHED_WITHIN_S, SETTLED_WITHIN_S = 15.0, 30.0, 10.0
PROVOKED_EVERY_S = 0.7
STANDS_STILL_S = 0.3
PAUSE_S = 0.2
A_LOG = [{"s": 0, "text": "x" * 150_000}] * 40  # what it takes to have a checkpoint
MANY = 2500
EXIT_CODES = {"kill": -signal.SIGKILL, "stop": -signal.SIGKILL, "full": 69}


class Stage:
    """One world; `play` its cells one after the other, or `storm` with all, then `judge`.

    `chance`: of each pass of a point to be the one at which it happens.

    `unheard_s`: from the death of a caller that could not ring until its task started. `freed_s`: from the stop of a
    worker that holds the write lock until its end.
    """

    def __init__(self, directory: Path, cells: Sequence[Cell], rng: random.Random, chance: float = 1.0) -> None:
        directory.mkdir()
        self._files = {cell: directory / f"fault-{number}" for number, cell in enumerate(cells)}
        for file in self._files.values():
            file.touch()
        entries = "; ".join(cell.entry(str(file), chance) for cell, file in self._files.items())
        self._world = World(directory / "world", WORKERS, SETTINGS, {VARIABLE: entries})
        self._rng = rng
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._complaints: list[str] = []
        self.unheard_s: list[float] = []
        self.freed_s: list[float] = []

    def play(self, cell: Cell) -> None:
        """Let it happen, and all tasks end. Raises Broken when the point is not reached."""
        before = len(self._world.said())
        if cell.role == "caller":
            pid = self._call(cell)
        else:
            pid = self._start(cell) if cell.point in AT_START else self._serve(cell)
        if not came_true(self._has_finished, FINISHED_WITHIN_S):
            self._complain(cell, f"work did not end: {self._world.look()}")
        if cell.role != "caller" and not cell.ends_it and not is_alive(pid):
            self._complain(cell, f"process {pid} did not survive it")
        said = self._world.said()[before:]
        if "Traceback" in said and cell.action not in ("raise", "full"):
            self._complain(cell, "somebody ended with a traceback")
        if "Exception in thread" in said:
            self._complain(cell, "a thread of the supervisor has ended, and the supervisor goes on")

    def storm(self, seconds: float) -> list[Cell]:
        """All of them, at passes that chance picks, while workers die besides; which of them happened in time."""
        for cell in self._files:
            self._arm(cell)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and len(self._happened()) < len(self._files):
            self._replace_supervisor()
            ask(self._world, self._rng)
            if workers := self._world.pids("worker"):
                hit(self._rng.choice(workers))
            time.sleep(PAUSE_S)
        happened = self._happened()
        for file in self._files.values():
            file.touch()
        if not came_true(lambda: self._replace_supervisor() and self._has_finished(), FINISHED_WITHIN_S):
            self._complaints.append(f"reaction: work did not end: {self._world.look()}")
        return happened

    def _happened(self) -> list[Cell]:
        return [cell for cell, file in self._files.items() if file.exists() and file.read_text()]

    def _replace_supervisor(self) -> bool:
        """One that a fault has ended is followed by another, which need not come to anything."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            self._world.reap()
            self._supervisor = self._world.start(ready=False)
        return True

    def judge(self, faults: Mapping[str, int]) -> Report:
        """What came of all of them, after an end in order."""
        if self._supervisor is not None:
            self._supervisor.terminate()
            if code := self._supervisor.wait(SETTLED_WITHIN_S):
                self._complaints.append(f"reaction: at the end the supervisor ended with {code}")
        self._world.stop()
        self._complaints += hear_handlers(self._world)
        return self._world.judge(faults, self._world.deaths(), self._complaints)

    # -- Scenes

    def _serve(self, cell: Cell) -> int:
        """An agent at work."""
        self._see_to_a_supervisor()
        self._ask(cell)
        with ThreadPoolExecutor(1) as beside:  # whoever asks may have to wait until the process has been settled
            pid = self._reach(cell, lambda: beside.submit(self._provoke, cell))
            self._settle(cell, pid)
        return pid

    def _provoke(self, cell: Cell) -> None:
        if cell.point in NEEDS_A_DEATH and (workers := self._world.pids("worker")):
            hit(self._rng.choice(workers))
        elif cell.point == "during_checkpoint":
            self._world.enqueue("nap", A_LOG)
        self._ask(cell)

    def _ask(self, cell: Cell) -> None:
        # An error inside of a handler ends no worker.
        ask(self._world, self._rng, from_inside=(cell.role, cell.action) != ("worker", "raise"))

    def _start(self, cell: Cell) -> int:
        """A supervisor that starts, and has something to put in order."""
        if cell.point == "during_migration":
            make_older(self._world)
        else:
            self._see_to_a_supervisor()
            ask(self._world, self._rng)
            until(lambda: self._world.look()["in_progress"], "a task to be under way")
            self._world.wipe_out()
        self._arm(cell)
        self._supervisor = self._world.start(ready=False)
        pid = self._reach(cell)
        self._settle(cell, pid)
        return pid

    def _call(self, cell: Cell) -> int:
        """A caller, beside an agent with nothing to do, if there is one yet."""
        if cell.point != "during_migration":
            self._see_to_a_supervisor()
        key = f"{self._rng.getrandbits(64):x}" if self._rng.random() < 0.5 and not cell.many else None
        payloads = self._world.asked.number("nap", [{"s": 0}] * (MANY if cell.many else 1))
        words, before = self._words(payloads, key), len(self._world.effects())
        self._arm(cell)
        call = self._world.call(*words)
        pid = self._reach(cell)
        died_at = time.monotonic()
        self._settle(cell, pid)
        out, err = call.communicate(timeout=SETTLED_WITHIN_S)
        self._judge_call(cell, call.returncode, err)
        if call.returncode == 0 and not cell.many:  # one of thousands is always cut short
            self._world.asked.acknowledged([int(out)], payloads, key)
            return pid
        self._look_what_stands(cell, payloads)
        if cell.point == "after_commit" and not cell.many:
            self._wait_unheard(cell, before, died_at)
        if key is not None:
            self._repeat(cell, words, payloads, key)
        return pid

    def _wait_unheard(self, cell: Cell, before: int, died_at: float) -> None:
        """Nobody has rung: the supervisor looks by itself."""
        if came_true(lambda: len(self._world.effects()) > before, SETTLED_WITHIN_S):
            self.unheard_s.append(self._world.effects()[before].at - died_at)
        else:
            self._complain(cell, f"its task did not start within {SETTLED_WITHIN_S:g} s")

    def _words(self, payloads: Sequence[Payload], key: str | None) -> list[str]:
        if len(payloads) == 1:
            return ["enqueue", "nap", json.dumps(payloads[0]), *(["--key", key] if key else [])]
        lines = [json.dumps({"payload": payload}) for payload in payloads]
        (self._world.directory / "many.jsonl").write_text("\n".join(lines), "utf-8")
        return ["enqueue", "nap", "--many", "many.jsonl"]

    def _judge_call(self, cell: Cell, code: int, err: str) -> None:
        is_right = code == EXIT_CODES.get(cell.action, code) if cell.ends_it else code == 0
        if not is_right or (code == 0) == cell.ends_it:
            self._complain(cell, f"the caller ended with {code}: {err}")
        if cell.action == "full" and "Traceback" in err:
            self._complain(cell, f"the caller showed a traceback: {err}")

    def _look_what_stands(self, cell: Cell, payloads: Sequence[Payload]) -> None:
        """What was committed stands, thousand by thousand, and nothing else."""
        expected = (len(payloads[:1000]) if cell.point == "after_commit" else 0) + 1000 * cell.many
        query = "SELECT count(*) FROM task WHERE json_extract(payload, '$.n') BETWEEN ? AND ?"
        has_tables = cell.point != "during_migration"
        found = self._world.rows(query, payloads[0]["n"], payloads[-1]["n"])[0][0] if has_tables else 0
        if found != expected:
            self._complain(cell, f"{found} tasks of the caller are stored, not {expected}")

    def _repeat(self, cell: Cell, words: Sequence[str], payloads: Sequence[Payload], key: str) -> None:
        """A caller who knows nothing asks again, with the same key."""
        again = self._world.command(*words)
        if again.returncode:
            self._complain(cell, f"asked again, the caller ended with {again.returncode}: {again.stderr}")
        else:
            self._world.asked.acknowledged([int(again.stdout)], payloads, key)

    # -- Faults

    def _arm(self, cell: Cell) -> None:
        self._files[cell].unlink()

    def _reach(self, cell: Cell, provoke: Callable[[], Future[None]] | None = None) -> int:
        """Wait until it has happened; the process to which it happened."""
        file = self._files[cell]
        if provoke:
            self._arm(cell)
        deadline, provoked = time.monotonic() + REACHED_WITHIN_S, None
        while time.monotonic() < deadline:
            if provoke and (provoked is None or provoked.result(REACHED_WITHIN_S) is None):
                provoked = provoke()
            if came_true(lambda: file.exists() and file.read_text(), PROVOKED_EVERY_S):
                return int(file.read_text())
        raise Broken(f"{cell}: never reached within {REACHED_WITHIN_S:g} s; {self._world.errors()}")

    def _settle(self, cell: Cell, pid: int) -> None:
        """See what becomes of the process."""
        at = time.monotonic()
        if cell.action == "stop":
            self._go_on(cell, pid)
        if cell.ends_it and not came_true(lambda: not is_alive(pid), SETTLED_WITHIN_S):
            self._complain(cell, f"process {pid} lives on")
        if cell.action == "stop" and cell.ends_it and not cell.then:
            self.freed_s.append(time.monotonic() - at)
        if cell.role == "supervisor" and cell.ends_it and self._supervisor is not None:
            self._judge_end(cell, self._supervisor)

    def _go_on(self, cell: Cell, pid: int) -> None:
        if cell.then:
            until(lambda: is_stopped(pid), f"{cell}: process {pid} to stand still")
            time.sleep(STANDS_STILL_S)
            hit(pid, signal.SIGCONT if cell.then == "continue" else signal.SIGKILL)
        if not came_true(lambda: not is_stopped(pid), SETTLED_WITHIN_S):
            self._complain(cell, f"process {pid} stands still")

    def _judge_end(self, cell: Cell, supervisor: subprocess.Popen[bytes]) -> None:
        code, self._supervisor = supervisor.wait(SETTLED_WITHIN_S), None
        if code != EXIT_CODES.get(cell.action, code) or code == 0:
            self._complain(cell, f"the supervisor ended with {code}")
        if not came_true(lambda: not self._world.family(), SETTLED_WITHIN_S):
            self._complain(cell, f"{self._world.family()} outlive the supervisor")

    # -- The agent

    def _see_to_a_supervisor(self) -> None:
        if self._supervisor is not None and (code := self._supervisor.poll()) is not None:
            self._complaints.append(f"reaction: the supervisor ended with {code}: {self._world.errors()}")
            self._supervisor = None
        if self._supervisor is None:
            self._world.reap()
            self._supervisor = self._world.start()

    def _has_finished(self) -> bool:
        self._see_to_a_supervisor()
        try:
            return not self._world.unfinished()
        except AgentError:  # not as it should be yet
            return False

    def _complain(self, cell: Cell, what: str) -> None:
        self._complaints.append(f"reaction: {cell}: {what}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._world.close()
