"""A worker: one process, one thread, one connection. It claims a chunk, runs its tasks one by one, records them.

Why it is so: nothing is told to anybody per task. The slot holds what runs and what has ended, so a crash loses
nothing; one transaction records a chunk and claims the next; the pipe is read between chunks. Whatever a handler holds
up (a long run, the GIL in C, a stopped process) the supervisor does for it, from the slot.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent import failpoints, handlers
from agent.clock import wall_ns
from agent.errors import StoreBroken, StoreCutOff, StoreError, TryLater
from agent.failpoints import ARMED, reach
from agent.handlers import AttemptInfo, Registered, Registry
from agent.secrecy import without_secrets
from agent.store.busy import busy
from agent.store.claims import Claims  # also so that the fork server has read it: each worker would
from agent.store.sqlite import SqliteStore
from agent.store.values import Admission, Chunk
from agent.task import Claimed, Outcome
from workers import output
from workers.attempt import Failure, attempt_of, fail, perform, succeed
from workers.channel import Channel, PeerGone, understood
from workers.chunk_size import Pace
from workers.footing import Footing
from workers.messages import Boot, Ended, Target
from workers.original import mark_original
from workers.slot import (
    BEAT,
    BUSY,
    DEADLINE_NS,
    HOLD,
    PID,
    PUBLISHED,
    STARTED_AT,
    TASK,
    Slot,
)
from workers.strangers import Strangers
from workers.tally import Tally

# Once a handler returns, what has ended is committed if this has passed since the last time: a chunk's aim, so that
# most chunks are committed once. A handler that takes longer is the supervisor's business (workers/tick.py).
RECORD_AFTER_NS = 45_000_000
RELEASE_AFTER_NS = 50_000_000  # what has not begun this long after its claim goes back to the queue
HELD_LOOK_S = 0.0005
TROUBLE_PAUSE_S = 0.5
COULD_NOT_START = 70  # EX_SOFTWARE of sysexits.h

_encode = msgspec.json.encode
_monotonic = time.monotonic_ns


def main(boot: dict[str, Any], registry: Registry, control: socket.socket) -> int:
    """Be a worker until told to leave; the process's exit code."""
    try:
        worker = Worker(msgspec.convert(boot, Boot), registry, Channel(control))
        worker.boot()
    except Exception:
        print(without_secrets(traceback.format_exc()), end="", file=sys.stderr)
        return COULD_NOT_START
    try:
        worker.run()
    except PeerGone:
        return 0  # the supervisor is gone; what is not recorded yet stands in the slot
    except StoreCutOff as error:
        worker.leave(str(error))
    return 0


class Worker:
    """The state of one worker process."""

    def __init__(self, boot: Boot, registry: Registry, channel: Channel) -> None:
        self._target = boot.target
        self._registry = registry
        self._channel = channel
        self._slot = Slot.open(boot.slot)
        run = Path(boot.slot).parent.parent
        self._claims: Claims = SqliteStore(Path(boot.database), run=run).claims(boot.worker)
        self._admission: Admission | None = None
        self._kinds: dict[str, int] = {}
        self._handlers: dict[int, Registered] = {}
        self._timeouts_ns: dict[str, int] = {}  # 0: none
        self._pace = Pace()
        self._tally = Tally()
        self._rng = random.Random()  # nosec B311  # spreads retries
        self._running: tuple[str, Claimed] | None = None  # type and task
        self._is_original = mark_original()
        self._heard = 0  # messages: so it is known to what an `idle` is the answer
        self._failed = 0
        self._outcomes: list[Outcome] = []  # ended, not recorded
        self._unbegun_after: int | None = None  # held tasks with later ids have not begun and will not
        self._chunks = 0
        self._ended = 0

    def boot(self) -> None:
        """Get ready: the slot, the types, the user's own start hooks."""
        failpoints.play("worker")
        self._slot.words[PID] = os.getpid()
        busy.publish(self._slot.words, BUSY)
        outlet = output.capture(lambda: self._slot.words[TASK])
        self._kinds = self._claims.kinds(self._registry.types())
        self._handlers = {self._kinds[each.type]: each for each in self._registry.entries()}
        self._timeouts_ns = {each.type: int((each.options.timeout or 0) * 1e9) for each in self._registry.entries()}
        handlers.let_ask(self._current_attempt)
        for hook in self._registry.worker_start:
            hook()
            self._end_a_copy()
        self._strangers = Strangers()
        self._footing = Footing(outlet.descriptor, self._strangers)
        self._follow(self._target)
        gc.freeze()
        if ARMED:
            reach("at_birth")
        self._channel.send({"op": "ready"})

    def run(self) -> None:
        """Record and claim, run, again; wait when there is nothing to do; leave when told to, or when we have to."""
        kind, why = 0, ""
        while not why:
            self._obey()
            chunk = self._exchange(kind)
            kind = chunk.kind
            if chunk.tasks:
                why = self._strangers.watch() or self._run_chunk(kind, chunk.tasks)
            elif self._is_leaving():
                why = "it has run its number of tasks"
            else:
                why = self._wait()
        self.leave(why)

    def leave(self, why: str) -> None:
        """Say goodbye: another worker takes our place."""
        self._say_counts()
        self._channel.send({"op": "bye", "why": why})

    def _run_chunk(self, kind: int, tasks: Sequence[Claimed]) -> str:
        """Run a chunk's tasks in order, until it ends, is taken back or has taken too long; why to leave after it."""
        slot, handler, most_bytes = self._slot, self._handlers[kind], self._target.settings.max_result_bytes
        now = claimed = committed = _monotonic()
        busy_ns, done, failed_before = 0, 0, self._failed
        for task in tasks:
            if now - claimed > RELEASE_AFTER_NS or not self._begin(handler, task, done + 1, now):
                break
            result = perform(handler, task, most_bytes)
            self._end_a_copy()
            before, now = now, _monotonic()
            outcome = self._judge(handler, task, result, now - before)
            done, busy_ns = done + 1, busy_ns + now - before
            self._outcomes.append(outcome)
            is_kept = slot.publish(_encode(outcome))
            if not is_kept or (now - committed > RECORD_AFTER_NS and done < len(tasks)):
                self._exchange(kind, claims=False)
                slot.words[TASK] = 0  # it is recorded: nobody is to end it any more
                now = committed = _monotonic()
        slot.close_chunk()
        slot.words[TASK] = 0
        self._running = None
        self._unbegun_after = (tasks[done - 1][0] if done else 0) if done < len(tasks) else None
        self._ended += done
        if self._is_leaving():
            self._admission = None
        self._pace.measured(kind, done, busy_ns / 1e9)
        if done:
            self._tally.add(handler.type, self._target.version, done, self._failed - failed_before, busy_ns / 1e9)
        return self._footing.put_back()

    def _begin(self, handler: Registered, task: Claimed, position: int, now: int) -> bool:
        """Name the task in the slot; False when it was taken back."""
        id_, claims, attempt, _, _, _, timeout_us, _ = task
        timeout_ns = timeout_us * 1000 if timeout_us else self._timeouts_ns[handler.type]
        deadline = now + timeout_ns if timeout_ns else 0
        begins = self._slot.begin(position, id_, claims, attempt + 1, now, wall_ns() // 1000, deadline)
        self._running = (handler.type, task) if begins else None
        if ARMED and begins:
            reach("before_start")
        return begins

    def _judge(self, handler: Registered, task: Claimed, result: bytes | Failure, ran_ns: int) -> Outcome:
        """What came of a task whose handler has ended."""
        if ARMED:
            reach("after_handler")
        settings = self._target.settings
        started_at = self._slot.words[STARTED_AT]
        ended_at = started_at + ran_ns // 1000
        if isinstance(result, bytes):
            outcome = succeed(task, started_at, ended_at, result)
            if not settings.tells_all:
                return outcome
        else:
            self._failed += 1
            ended_at = wall_ns() // 1000  # what is due by it is due by the clock as it is now, should it have been set
            outcome = fail(attempt_of(task, handler, settings, started_at, ended_at), result, settings, self._rng)
        told = (outcome.state, outcome.error, self._target.version, outcome.due_at)
        self._tally.tell(Ended(outcome.task, handler.type, outcome.attempt, *told))
        return outcome

    def _end_a_copy(self) -> None:
        """A child that a handler forked, and that leaves the handler, is no worker: slot and task are its parent's."""
        if not self._is_original[0]:
            os._exit(0)

    def _current_attempt(self) -> AttemptInfo | None:
        """What the handler that runs may know of itself."""
        if self._running is None:
            return None
        type_, task = self._running
        deadline = self._slot.words[DEADLINE_NS]
        return AttemptInfo(task[0], type_, task[2] + 1, task[7], deadline / 1e9 if deadline else None)

    def _exchange(self, kind: int, claims: bool = True) -> Chunk:
        """Record what has ended, give back what will not begin, claim the next chunk; patient with a troubled store.

        `claims` False: in the midst of a chunk, where another would be lost.
        """
        while True:
            self._stand_still_while_held()
            published = self._slot.words[PUBLISHED]
            admission = self._admission if claims else None  # trouble may have brought another target
            try:
                chunk = self._claim_and_open(kind, admission)
            except StoreCutOff:
                raise
            except (StoreError, TryLater) as error:
                if admission is not None:
                    self._unbegun_after = 0  # whatever this try may have claimed goes back with the next
                word = "broken" if isinstance(error, StoreBroken) else "trouble"
                self._channel.send({"op": word, "error": str(error)})
                self._take_in(self._channel.receive_wait(TROUBLE_PAUSE_S))
                continue
            self._slot.commit_to(published)
            self._outcomes.clear()
            if self._unbegun_after is not None:
                self._unbegun_after = None
                self._channel.send({"op": "gave back"})
            self._say_counts_if_due(chunk)
            return chunk

    def _claim_and_open(self, kind: int, admission: Admission | None) -> Chunk:
        """One exchange. Who freezes us waits for its end, and finds an open chunk, of which all can be taken back."""
        busy.begin(self)
        try:
            if ARMED:
                reach("before_claim")
            chunk = self._claims.exchange(kind, self._outcomes, self._unbegun_after, admission)
            if ARMED:
                reach("after_claim")
            if chunk.tasks:
                self._chunks += 1
                self._slot.open_chunk(self._chunks, len(chunk.tasks))
            return chunk
        finally:
            busy.end(self)

    def _stand_still_while_held(self) -> None:
        """Begin no new turn while the supervisor is about to freeze us."""
        words = self._slot.words
        words[BEAT] += 1
        while words[HOLD]:
            time.sleep(HELD_LOOK_S)

    def _obey(self) -> None:
        """Take in what the supervisor has said; the newest target wins."""
        while (received := self._channel.receive()) is not None:
            self._take_in(received)

    def _take_in(self, received: tuple[dict[str, Any], list[int]] | None) -> None:
        self._heard += received is not None
        if received is not None and received[0].get("op") == "target":
            self._follow(understood(received[0], Target))

    def _follow(self, target: Target) -> None:
        self._target = target
        paused = set(target.paused)
        if target.mode != "run" or "*" in paused or self._is_leaving():
            self._admission = None
            return
        admitted = {kind: each for kind, each in self._handlers.items() if each.type not in paused}
        limits = {kind: each.options.max_concurrent for kind, each in admitted.items() if each.options.max_concurrent}
        self._admission = Admission(target.version, frozenset(admitted), self._chunk_size, limits)

    def _chunk_size(self, kind: int, queued: int) -> int:
        size = self._pace.size(kind, queued, self._target.share)
        most = self._target.settings.max_tasks
        return min(size, max(1, most - self._ended)) if most else size

    def _is_leaving(self) -> bool:
        most = self._target.settings.max_tasks
        return self._target.mode == "drain" or bool(most and self._ended >= most)

    def _wait(self) -> str:
        """Say that there is nothing to do, and sleep until the supervisor says something; why to leave then."""
        self._say_counts()
        self._channel.send({"op": "idle", "heard": self._heard})
        self._take_in(self._channel.receive_wait(self._strangers.patience_s()))
        return self._strangers.watch()

    def _say_counts_if_due(self, chunk: Chunk) -> None:
        if chunk.stale:
            self._channel.send({"op": "stale", "tasks": [outcome.task for outcome in chunk.stale]})
        if self._tally.is_due(_monotonic()):
            self._say_counts()

    def _say_counts(self) -> None:
        message = self._tally.take(_monotonic())
        if message:
            self._channel.send(message)
