"""The supervisor's view of one worker: its ends of pipe and slot, and what is known of it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from agent.host import Identity
from agent.private import make_directory
from agent.task import Outcome, new_worker_id
from workers.channel import Channel
from workers.deaths import End
from workers.harvest import Running, outcomes_of, running_of
from workers.messages import Target
from workers.slot import BEAT, BUSY, HOLD, LAST, TASK, Slot

WAKES_WITHIN_NS = 50_000_000
_MOST_READ = 65536  # bytes of output taken at a time


class Phase(Enum):
    """How far a worker has come."""

    STARTING = "starting"  # asked for, or not ready yet
    READY = "ready"
    LEAVING = "leaving"  # it said goodbye


@dataclass(slots=True)
class Halt:
    """A worker is being stopped on purpose: to stay frozen, or to have the attempt it runs ended."""

    purpose: str  # freeze, time_out, cancel
    running: Running | None
    why: str
    tries: int = 1
    is_let_go: bool = False  # it was busy in the database, and runs on until it is not


class WorkerProcess:
    """One worker. Only the pool changes it."""

    def __init__(self, worker_id: int, slot: Slot, channel: Channel, output: int, now_ns: int) -> None:
        self.id = worker_id
        self.slot = slot
        self.channel = channel
        self.output = output
        self.born_ns = now_ns
        self.pid = 0
        self.pidfd = -1
        self.identity: Identity | None = None
        self.phase = Phase.STARTING
        self.is_idle = False
        self.target: Target | None = None
        self.woken_at_ring = 0
        self._told_at = self._overslept = (0, 0)  # which beat it was at, when
        self.told = 0  # how many messages it was sent
        self.halt: Halt | None = None
        self.conts = 0  # how often we have let it go on
        self.frozen_ns: int | None = None  # since when it stands still
        self.frozen_by = ""  # operator, pause, outside
        self.killed_for: Halt | None = None
        self.written: tuple[int, int] = (0, 0)  # task and claim whose start stands in the store
        self.limited_at: int | None = None  # what `take_back` returned
        self.limited_ns = 0  # and when
        self.returned_at: int | None = None  # … when what lay beyond was released
        self._stood: tuple[int, int, int] = (0, 0, 0)  # task, claim, nanoseconds that it stood still
        self.is_enrolled = False
        self.complaints = 0  # of the store, one after the other
        self.is_draining = False
        self.noted = "starting"  # what its row says
        self.end: End | None = None

    @classmethod
    def unborn(cls, slots: Path, now_ns: int) -> tuple[Self, Channel, int]:
        """One to be forked, with the ends of its pipes that are to be its own. Raises Unavailable and OSError."""
        worker_id = new_worker_id()
        make_directory(slots)
        with ExitStack() as half_made:
            slot = Slot.create(slots / f"{worker_id:016x}", worker_id)
            half_made.callback(slot.discard)
            ours, theirs = Channel.pair()
            for end in (ours, theirs):
                half_made.callback(end.close)
            output, their_output = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(output, False)
            half_made.pop_all()
        return cls(worker_id, slot, ours, output, now_ns), theirs, their_output

    def running(self) -> Running | None:
        """The attempt under way, if there is one."""
        return running_of(self.slot)

    @property
    def last_task(self) -> int:
        """The task that runs, or ran last: what is printed without a tag is laid to it. 0: there is none."""
        return self.slot.words[TASK] or self.slot.words[LAST]

    def pending(self) -> tuple[Sequence[Outcome], int]:
        """Outcomes that nobody has committed, and the offset to commit them by."""
        return outcomes_of(self.slot)

    @property
    def is_busy_in_store(self) -> bool:
        """Whether a transaction of its is under way."""
        return bool(self.slot.words[BUSY] > 0)

    def hold(self, is_held: bool) -> None:
        """Let it begin no new turn, or let it again."""
        self.slot.words[HOLD] = int(is_held)

    def deadline_ns(self, running: Running) -> int:
        """When the attempt is to be ended, the time it stood still not counted; 0: never."""
        stood = self._stood[2] if self._stood[:2] == (running.task, running.claims) else 0
        return running.deadline_ns + stood if running.deadline_ns else 0

    def stood_still(self, nanoseconds: int) -> None:
        """Add to what the attempt under way stood still."""
        running = self.running()
        if running:
            before = self._stood[2] if self._stood[:2] == (running.task, running.claims) else 0
            self._stood = (running.task, running.claims, before + nanoseconds)

    def tell(self, message: dict[str, Any], rings: int) -> None:
        """Send a message; it looks for work after that, and says so. `rings`: how often there was word of work."""
        self.is_idle = False
        self.woken_at_ring = rings
        self.told += 1
        self._told_at = (self.slot.words[BEAT], time.monotonic_ns())
        self.channel.send(message)

    def read_output(self) -> bytes | None:
        """What its pipe holds now; None for nothing yet, empty at the end."""
        try:
            return os.read(self.output, _MOST_READ)
        except BlockingIOError:
            return None

    @property
    def is_at_work(self) -> bool:
        """Whether it may run something, or is being stopped."""
        return (self.phase is Phase.READY and not self.is_idle) or self.halt is not None or self.limited_at is not None

    @property
    def is_staying(self) -> bool:
        """Whether it is one of those that the pool is to have: not about to leave, not dead and still to be buried."""
        return not self.is_draining and self.end is None

    @property
    def may_run(self) -> bool:
        """Whether it was told to claim."""
        return (
            self.phase is Phase.READY and self.target is not None and self.target.mode == "run" and not self.is_frozen
        )

    @property
    def is_looking(self) -> bool:
        """Whether it is sure to look for work soon, before it says that it is idle; it has begun if it was told to."""
        is_well = self.may_run and self.halt is None and not self.complaints
        return is_well and not self.is_idle and self.slot.is_between_chunks and self._has_woken

    @property
    def _has_woken(self) -> bool:
        """A thread that a handler has left may hold the interpreter's lock: then it does not hear what it is told."""
        beat, told_ns = self._told_at
        return self.slot.words[BEAT] != beat or time.monotonic_ns() - told_ns < WAKES_WITHIN_NS

    def oversleeps(self) -> bool:
        """Whether it was told something and has not woken, once for each message: others may have to do its work."""
        if self.is_idle or self._has_woken or self._overslept == self._told_at:
            return False
        self._overslept = self._told_at
        return True

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still."""
        return self.frozen_ns is not None

    @property
    def word(self) -> str:
        """Its id for people."""
        return f"{self.id:016x}"

    @property
    def to_note(self) -> str:
        """What its row is to say; between idle and busy its slot tells the difference."""
        if self.is_frozen:
            return "frozen"
        if self.is_draining and (self.noted == "draining" or self.running()):
            return "draining"
        return "idle" if self.noted == "frozen" else self.noted

    @property
    def state(self) -> str:
        """The word for people: starting, idle, busy, frozen, draining."""
        if self.frozen_ns is not None:
            return "frozen"
        if self.phase is Phase.STARTING:
            return "starting"
        if self.phase is Phase.LEAVING or self.is_draining:
            return "draining"
        return "idle" if self.is_idle else "busy"

    def close(self) -> None:
        """Let go of everything; the slot's file is removed."""
        self.channel.close()
        os.close(self.output)
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.slot.discard()
