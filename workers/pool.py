"""The pool: keeps as many workers alive as asked for, tells them what to do, wakes them, buries them.

Why it is so: everything here answers something that happened (an order, a message, a report, a tick), and none waits.
A worker that dies before it is ready is replaced after a growing delay, so that a broken start hook forks no storm.
An order that takes something away raises the admission's version before anybody is told: a late claim fails.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from selectors import EVENT_READ, BaseSelector

import msgspec

from agent.clock import Clock
from agent.errors import StoreBroken, Unavailable
from agent.host import identity, kill_and_wait, left_behind
from agent.store import SqliteStore
from agent.telemetry.logs import log
from workers import tick
from workers.birth_delay import Spacing
from workers.burial import Undertaker
from workers.channel import Channel, Nonsense, PeerGone, close_all, understood
from workers.deaths import End
from workers.fork_client import ForkServer
from workers.halting import Halted
from workers.messages import Boot, Report, Said, Target
from workers.orders import Orders, assign
from workers.output import LineRelay
from workers.process import Phase, WorkerProcess
from workers.stops import Stops
from workers.told import Told

DEAD_WITHIN_S = 5.0
LAST_READS = 64  # of a dead worker's output, 64 KiB each


class WorkerPool:
    """All workers, by id, and what they told. `version`: of the admission; `raise_version` stores a new one."""

    def __init__(
        self, store: SqliteStore, fork_server: ForkServer, selector: BaseSelector, undertaker: Undertaker, clock: Clock,
        orders: Orders, version: int, raise_version: Callable[[], int],
    ) -> None:  # fmt: skip
        self.workers: dict[int, WorkerProcess] = {}
        self.told = Told()
        self.is_closing = False
        self.version = version
        self.stops = Stops(self.workers, fork_server, store, clock)
        self.ticker = tick.Ticker(self.workers, self.stops, store.custody)
        self.relay = LineRelay()
        self.spacing = Spacing(clock)
        self._fork_server = fork_server
        self._store = store
        self._selector = selector
        self._undertaker = undertaker
        self._clock = clock
        self._orders = orders
        self._raise_version = raise_version
        self._rings = 0
        self._went_idle = False

    # -- Orders

    def order(self, orders: Orders) -> None:
        """Keep to new orders from now on."""
        before, self._orders = self._orders, orders
        try:
            if orders.takes_away_from(before):
                self.take_back()
                self.version = self._raise_version()
                self.take_back()  # what was claimed in between: nothing is claimed under the new version
        finally:
            self._send_targets()  # also when the store refuses: who is told to stop, stops

    def adopt(self, version: int) -> None:
        """The admission was stored anew: everybody needs its version."""
        self.version = version
        self._send_targets()

    def recycle(self, worker: WorkerProcess, why: str) -> None:
        """Let a worker finish what it runs and leave; another takes its place."""
        worker.is_draining = True
        tick.forbid(worker)
        self._send_targets()
        log("worker.recycled", worker=worker.word, pid=worker.pid, why=why)

    def take_back(self) -> None:
        """Take back everything that is claimed and has not begun."""
        for worker in self.workers.values():
            tick.forbid(worker)

    def drain(self) -> None:
        """Let everybody finish and leave; nobody follows."""
        self.is_closing = True
        for worker in self.workers.values():
            if worker.phase is Phase.STARTING:  # it runs nothing, and may never listen
                self._fork_server.signal(worker.id, signal.SIGKILL)
        try:
            self.order(Orders(0, 0, self._orders.paused, self._orders.settings))
        finally:
            self.stops.thaw_all()

    def recycle_above(self, limit: int, rss: Mapping[int, int]) -> None:
        """Recycle workers that hold more bytes than `limit` (0: no limit); `rss`: bytes by pid."""
        for worker in self.workers.values() if limit else ():
            if rss.get(worker.pid, 0) > limit and not worker.is_draining:
                self.recycle(worker, f"it holds {rss[worker.pid]} bytes")

    def follow(self, fork_server: ForkServer) -> None:
        """Another fork server has taken the place of one that was lost; nobody is born before it knows its types."""
        self._fork_server = fork_server
        self.stops.follow(fork_server)
        self._orders = replace(self._orders, size=0, limit=0)

    def kill_all(self) -> None:
        """SIGKILL to every worker's group."""
        for worker in self.workers.values():
            self._fork_server.signal(worker.id, signal.SIGKILL)

    def inflight(self) -> int:
        """How many attempts run now."""
        return sum(worker.running() is not None for worker in self.workers.values())

    # -- Work

    def ring(self, tasks: int) -> bool:
        """There is work for so many workers; whether some were left asleep, as others are about to look."""
        if not tasks:
            return False
        self._rings += 1
        looking = sum(worker.is_looking for worker in self.workers.values())
        idle = [worker for worker in self.workers.values() if worker.is_idle and worker.may_run]
        awake = max(0, tasks - looking)
        for worker in idle[:awake]:
            worker.tell({"op": "wake"}, self._rings)
        leaves_asleep = len(idle[:tasks]) > awake
        self.ticker.left_asleep |= leaves_asleep
        return leaves_asleep

    @property
    def is_at_work(self) -> bool:
        """Whether anybody runs something, or is being stopped: then the tick is needed."""
        return any(worker.is_at_work for worker in self.workers.values())

    def has_come_to_rest(self) -> bool:
        """Whether somebody went idle since the last time this was asked."""
        went_idle, self._went_idle = self._went_idle, False
        return went_idle

    def fill(self, now_ns: int) -> None:
        """Fork what is missing."""
        if self.is_closing or self.spacing.due_ns(now_ns):
            return
        staying = sum(worker.is_staying for worker in self.workers.values())
        try:
            for _ in range(self._orders.size - staying):
                self._bear(now_ns)
        except (Unavailable, OSError) as error:
            self.spacing.went_wrong(f"no worker can be born: {error}")

    # -- Births

    def _bear(self, now_ns: int) -> None:
        worker, theirs, their_output = WorkerProcess.unborn(self._store.slots_directory, now_ns)
        target = Target(version=0, share=1, mode="park", settings=self._orders.settings)
        boot = Boot(worker=worker.id, database=str(self._store.path), slot=str(worker.slot.path), target=target)
        self.workers[worker.id] = worker
        try:
            self._selector.register(worker.channel, EVENT_READ, lambda: self._hear(worker))
            self._selector.register(worker.output, EVENT_READ, lambda: self._relay(worker))
            self._fork_server.fork(worker.id, msgspec.to_builtins(boot), (theirs.fileno(), their_output))
        except OSError:
            self._remove(worker)
            raise
        finally:
            theirs.close()
            os.close(their_output)

    def enrol(self) -> None:
        """Give a row to each worker that was forked; until it stands, it is not to claim. Note how all stand."""
        for worker in self.workers.values():
            self.stops.note(worker)
            if worker.identity is not None and not worker.is_enrolled:
                self._store.custody.add_worker(worker.id, worker.identity, self._clock.now())
                worker.is_enrolled = True
                log("worker.started", worker=worker.word, pid=worker.pid)
                self._send_targets()

    def birth_due_ns(self, now_ns: int) -> int | None:
        """When a delayed birth is due."""
        return None if self.is_closing else self.spacing.due_ns(now_ns)

    # -- Deaths

    def on_report(self, report: Report, descriptors: list[int]) -> None:
        """The fork server says something of a worker."""
        worker = self.workers.get(report.worker)
        if worker is None:
            close_all(descriptors)
            return
        match report.op:
            case "forked":
                worker.pid, worker.pidfd = report.pid, descriptors[0]
                worker.identity = identity(worker.pid)  # None: dead already, its exit is on the way
            case "fork_failed":
                self._remove(worker)
                self.spacing.went_wrong(f"no process could be forked: {report.error}")
            case "stopped":
                self.stops.on_stopped(worker, report.conts, report.at_ns)
            case "continued":
                self.stops.on_continued(worker)
                self.told.of_work(0)  # it was passed over while it stood still
            case "exited":
                self._has_ended(worker, End(report.status, self.is_closing))

    def _has_ended(self, worker: WorkerProcess, end: End) -> None:
        worker.end = end
        self._hear(worker)  # its last words
        if worker.phase is Phase.STARTING and not self.is_closing:
            self.spacing.went_wrong(f"a worker ended (status {end.status}) before it was ready: see what it printed")

    def bury_dead(self) -> int:
        """Do for the tasks of workers that are proven dead what is due, and let go of them; how many those were."""
        dead = [(worker, worker.end) for worker in self.workers.values() if worker.end is not None]
        for worker, end in dead:
            self._bury(worker, end)
        return len(dead)

    def lose_all(self) -> None:
        """The fork server is gone, and all workers die with it: see to that, and to what they leave behind."""
        known = [worker.identity for worker in self.workers.values() if worker.identity is not None]
        survivors = kill_and_wait([*known, *left_behind(known)], DEAD_WITHIN_S)
        for worker in self.workers.values():
            if worker.end is None and worker.identity not in survivors:
                self._lose(worker)
            elif worker.end is None:  # it waits for a dead disk, say: until it dies its tasks are nobody else's
                worker.is_draining = True
                self._ignore(worker.pidfd)
                self._selector.register(worker.pidfd, EVENT_READ, partial(self._lose, worker))

    def _lose(self, worker: WorkerProcess) -> None:
        self._ignore(worker.pidfd)
        self._has_ended(worker, End(None, self.is_closing))

    def _bury(self, worker: WorkerProcess, end: End) -> None:
        for _ in range(LAST_READS):  # bounded: who left the worker's session may write for ever
            if not self._relay(worker):
                break
        self.relay.finish(worker.id)
        self._undertaker.bury(worker, end)
        self.stops.answer(worker, Halted.MISSED)
        self._remove(worker)

    def _remove(self, worker: WorkerProcess) -> None:
        self._ignore(worker.channel)
        self._ignore(worker.output)
        del self.workers[worker.id]
        worker.close()

    def _ignore(self, end: Channel | int) -> None:
        with suppress(KeyError, ValueError):  # nobody listens to it, or it was never there
            self._selector.unregister(end)

    # -- Messages

    def _hear(self, worker: WorkerProcess) -> None:
        if worker.id not in self.workers:  # removed by an earlier event of the same look
            return
        try:
            while (received := worker.channel.receive()) is not None:
                close_all(received[1])
                self._take_in(worker, understood(received[0], Said))
        except PeerGone as error:  # its exit is reported by the fork server; should it live, it leaves
            if isinstance(error, Nonsense):  # a handler may have written into a descriptor that is not its own
                log("worker.nonsense", worker=worker.word, pid=worker.pid)
            self._ignore(worker.channel)
            worker.channel.hang_up()

    def _take_in(self, worker: WorkerProcess, said: Said) -> None:
        match said.op:
            case "ready":
                worker.phase = Phase.READY
                self.spacing.went_well()
                log("worker.ready", worker=worker.word, pid=worker.pid)
                self._send_targets()
            case "idle":
                worker.complaints = 0
                if said.heard < worker.told:
                    return  # it is from before: what we have said since makes it look, and say so, again
                worker.is_idle = self._went_idle = True
                if worker.woken_at_ring < self._rings and worker.may_run:
                    worker.tell({"op": "wake"}, self._rings)
            case "counts":
                self.told.of_attempts(said)
                worker.complaints = 0
            case "stale":
                for task in said.tasks:
                    log("task.stale_outcome", task=task, worker=worker.word)
            case "gave back":
                self.told.of_work(0)
            case "broken":
                raise StoreBroken(said.error)
            case "trouble":
                self.told.trouble = said.error
                worker.complaints += 1
            case "bye":
                worker.phase = Phase.LEAVING
                if not worker.is_draining:
                    self.recycle(worker, said.why)

    def _send_targets(self) -> None:
        running = frozenset(worker.id for worker in self.workers.values() if worker.may_run)
        modes = assign(self.workers.values(), self._orders, running)
        share = max(1, min(self._orders.limit, self._orders.size))
        settings, paused = self._orders.settings, tuple(sorted(self._orders.paused))
        for worker in self.workers.values():
            mode = modes.get(worker.id, "drain")
            if not worker.is_enrolled or worker.end is not None:
                continue
            worker.is_draining = worker.is_draining or mode == "drain"
            target = Target(version=self.version, share=share, mode=mode, settings=settings, paused=paused)
            if target != worker.target:
                worker.target = target
                worker.tell(target.message(), self._rings)

    def _relay(self, worker: WorkerProcess) -> bool:
        data = worker.read_output() if worker.id in self.workers else None
        if data:
            self.relay.feed(worker.id, worker.last_task, data)
        elif data is not None:
            self._ignore(worker.output)
        return bool(data)
