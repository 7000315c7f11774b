"""Freezing, thawing, ending attempts: who asked for a stop, and what is done once it has come about."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping

from agent.clock import Clock
from agent.errors import StoreError
from agent.host import Identity, identity, is_stopped, waits_for_its_threads
from agent.store import SqliteStore
from agent.store.locks import WriteLock
from agent.telemetry.logs import log
from workers import halting
from workers.fork_client import ForkServer
from workers.halting import Halted
from workers.harvest import Running
from workers.process import Halt, WorkerProcess

UNBOUNDED = "pause"  # a freeze by the governor's pause ends with it

GLANCE_S = 2.0  # at most, between two looks at the fork server
CUT_OFF_AFTER = 4  # complaints in a row, two seconds

LOOKS, LOOK_S = 5, 0.005

Answer = Callable[[Halted], None]


class Stops:
    """The stops under way, over the pool's workers."""

    def __init__(
        self, workers: Mapping[int, WorkerProcess], fork_server: ForkServer, store: SqliteStore, clock: Clock
    ) -> None:
        self._workers = workers
        self._fork_server = fork_server
        self._store = store
        self._clock = clock
        self._answers: dict[int, list[Answer]] = {}

    def freeze(self, worker: WorkerProcess, by: str, answer: Answer | None = None) -> None:
        """Stop a worker where it stands; `answer` hears what came of it."""
        if answer:
            self._answers.setdefault(worker.id, []).append(answer)
        if worker.halt is None:
            halting.begin(worker, Halt("freeze", worker.running(), by), self._signal, self._is_busy)

    def freeze_running(self, by: str) -> None:
        """Stop everybody who runs something."""
        for worker in self._workers.values():
            if worker.running() and not worker.is_frozen:
                self.freeze(worker, by)

    def thaw(self, worker: WorkerProcess) -> None:
        """Let a frozen worker go on."""
        halting.let_go(worker, self._signal, self._clock.monotonic())
        log("worker.thawed", worker=worker.word, pid=worker.pid)
        self.note(worker)

    def note(self, worker: WorkerProcess) -> None:
        """Let a worker's row say how it stands; to be repeated, for the database may refuse."""
        word = worker.to_note
        if worker.is_enrolled and worker.noted != word:
            self._store.custody.set_worker(worker.id, word, self._clock.now())
            worker.noted = word

    def thaw_all(self, by: str | None = None) -> None:
        """Let everybody go on who was frozen by `by`; None: by anybody."""
        for worker in self._workers.values():
            if worker.is_frozen and by in (None, worker.frozen_by):
                self.thaw(worker)
            elif worker.halt and worker.halt.purpose == "freeze" and by in (None, worker.halt.why):
                halting.let_go(worker, self._signal, self._clock.monotonic())

    def cancel(self, task: int, is_still_asked: Callable[[], bool]) -> bool:
        """End the attempt of a task that runs; False when no worker of ours runs it.

        Asked only once the attempt is known: so it is none that began after an operator had changed his mind.
        """
        for worker in self._workers.values():
            running = worker.running()
            if running and running.task == task:
                if is_still_asked():
                    self._end(worker, Halt("cancel", running, "cancelled by request"))
                return True
        return False

    def time_out(self, worker: WorkerProcess, running: Running) -> None:
        """End an attempt whose deadline has passed; not while the fork server cannot see whether it stands still."""
        if not self.wake_fork_server():
            self._end(worker, Halt("time_out", running, "its deadline has passed"))

    def count_out(self, seconds: float) -> None:
        """For so long nobody can vouch for the workers: deadlines do not count it, as they do not count a freeze."""
        if not seconds:
            return
        now, unseen_ns = self._clock.monotonic(), int(seconds * 1e9)
        for worker in self._workers.values():
            running = worker.running()
            if running and (worker.frozen_ns is None or worker.frozen_ns > now - unseen_ns):
                worker.stood_still(min(unseen_ns, now - running.started_ns))

    def wake_fork_server(self) -> bool:
        """Let the fork server go on if somebody has stopped it, for nobody is seen, ended or born without it.

        Whether it had been stopped.
        """
        if not self._fork_server.is_stopped():
            return False
        log("fork_server.stopped", pid=self._fork_server.pid)
        self._fork_server.go_on()
        self.count_out(GLANCE_S)
        return True

    def thaw_after(self, seconds: float, now_ns: int) -> bool:
        """Let those go on who have been frozen for so long, but for a governor's pause: every freeze has an end.

        Whether there was one.
        """
        over = [
            worker
            for worker in self._workers.values()
            if worker.frozen_ns is not None
            and worker.frozen_by != UNBOUNDED
            and now_ns - worker.frozen_ns > seconds * 1e9
        ]
        for worker in over:
            self.thaw(worker)
        return bool(over)

    def retry(self) -> None:
        """Go on with stops that met a worker busy in the database."""
        for worker in self._workers.values():
            halting.retry(worker, self._signal, self._is_busy)

    def on_stopped(self, worker: WorkerProcess, conts: int, at_ns: int) -> None:
        """The fork server has seen a worker stopped, at that time; it had been let go `conts` times by then.

        Fewer than we have: it goes on, and does not stand still at what its slot says. We may hear of it much later,
        when a write has kept us: no deadline counts that either.
        """
        if conts < worker.conts:
            return
        if worker.halt is None:
            if not worker.is_frozen and worker.killed_for is None:
                self._is_frozen(worker, "outside", at_ns)
            return
        halted = halting.on_stopped(worker, self._signal, self._is_busy, at_ns)
        if halted is Halted.FROZEN:
            self._is_frozen(worker, worker.frozen_by, at_ns)
        if halted is not Halted.PENDING:
            self.answer(worker, halted)

    def on_continued(self, worker: WorkerProcess) -> None:
        """The fork server has seen a worker going on; if nobody of us let it, somebody else did."""
        if worker.is_frozen:
            self.thaw(worker)
        elif worker.halt and not worker.halt.is_let_go:  # the stop it stood at may never be reported
            self._signal(worker.id, signal.SIGSTOP)

    def follow(self, fork_server: ForkServer) -> None:
        """Another fork server sends the signals from now on."""
        self._fork_server = fork_server

    def bear_trouble(self) -> None:
        """We cannot write either: nobody is cut off; one who stands still with the write lock is ended."""
        for worker in self._workers.values():
            worker.complaints = 0
        self.free_lock(WriteLock.of(self._store.run_directory).holder())

    def free_lock(self, pid: int | None) -> None:
        """End a worker that stands still with the write lock in its hands: everybody waits for it.

        What /proc says counts too: the fork server's report may still wait to be read. One of our own stops ends soon.
        A thread that a handler has left, and that holds the interpreter's lock, keeps a worker from going on as well.
        """
        holder = identity(pid) if pid else None
        for worker in self._workers.values():
            if holder is None or not _is_of(worker, holder.pid) or worker.halt is not None:
                continue
            if worker.is_frozen or is_stopped(holder) or _is_starved(holder):
                log("worker.killed", worker=worker.word, pid=pid, why="it stood still holding the write lock")
                self._signal(worker.id, signal.SIGKILL)

    def end_cut_off(self) -> None:
        """End workers that cannot write while we can: what they have not recorded is in their slots."""
        for worker in self._workers.values():
            if worker.complaints >= CUT_OFF_AFTER:
                log("worker.killed", worker=worker.word, pid=worker.pid, why="it can no longer use the database")
                self._signal(worker.id, signal.SIGKILL)

    def answer(self, worker: WorkerProcess, halted: Halted) -> None:
        """Tell those who asked."""
        for answer in self._answers.pop(worker.id, []):
            answer(halted)

    def _end(self, worker: WorkerProcess, halt: Halt) -> None:
        if worker.killed_for is not None:
            return
        if worker.is_frozen:
            worker.killed_for = halt
            self._signal(worker.id, signal.SIGKILL)
        elif worker.halt is None:
            halting.begin(worker, halt, self._signal, self._is_busy)

    def _is_frozen(self, worker: WorkerProcess, by: str, since_ns: int) -> None:
        worker.frozen_ns, worker.frozen_by = since_ns, by
        running = worker.running()
        log("worker.frozen", worker=worker.word, pid=worker.pid, by=by, task=running.task if running else None)
        self.note(worker)

    def _is_busy(self, worker: WorkerProcess) -> bool:
        """Whether it is in a transaction, or a child of its handler holds the write lock: a stop stops that as well."""
        if worker.is_busy_in_store:
            return True
        try:
            writer = WriteLock.of(self._store.run_directory).holder()
        except StoreError:  # its file cannot be opened
            return False
        return writer is not None and _is_of(worker, writer)

    def _signal(self, worker: int, number: int) -> None:
        self._workers[worker].conts += number == signal.SIGCONT
        self._fork_server.signal(worker, number)


def _is_of(worker: WorkerProcess, pid: int) -> bool:
    """Whether it is the worker, or somebody of its session."""
    if worker.pid == pid:
        return True
    try:
        return worker.pid > 0 and os.getsid(pid) == worker.pid
    except OSError:
        return False


def _is_starved(who: Identity) -> bool:
    """Whether its threads keep it from going on: not for a moment, as the interpreter's lock changes hands."""
    for _ in range(LOOKS):
        if not waits_for_its_threads(who):
            return False
        time.sleep(LOOK_S)
    return True
