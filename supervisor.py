"""The supervisor: the process that owns reservation and governance, and never runs a handler.

Reading order: `supervise`, `Supervisor.run`, then the duties in the order of the loop.

Why it is so: one loop over one selector (signals, the doorbell, the fork server's reports, the workers' messages and
output), and a timetable of duties. What is slow or may hang (checkpoints, retention, webhooks) is the chore thread's.
What the database refuses for a moment is tried again: every duty may be repeated.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from agent.clock import SECOND, Clock
from agent.config import Loaded
from agent.errors import AgentError, HandlersError, StoreBroken, StoreError, TryLater, Unavailable
from agent.governance.decision import Decision, Paused
from agent.steering.configured import governor_settings
from agent.steering.governing import reopens
from agent.steering.standing import EVERYTHING
from agent.store.values import Waiting
from agent.systemd import Notifier
from agent.telemetry.logs import log
from workers.assembly import Parts, assemble, reload
from workers.channel import PeerGone
from workers.fork_client import ForkServer
from workers.handled import why_none
from workers.reckoning import Reckoning
from workers.signals import SignalInbox
from workers.stops import GLANCE_S
from workers.timetable import Timetable
from workers.trouble import Trouble
from workers.vigil import Vigil

CLOSELY_S = 0.010  # while a command is under way
TROUBLE_S = 0.5
LAST_WORDS_S = 5.0  # from the last SIGKILL until a worker's exit is given up on
INTERRUPTED = 130
HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to supervise. `start` starts the fork server; `restarts`: whether another can follow one that is lost."""

    loaded: Loaded
    reload: Callable[[], Loaded]
    start: Callable[[], ForkServer]
    restarts: bool
    drain: bool


def supervise(plan: Plan) -> int:
    """Supervise until told to stop, or until nothing is left to run; the exit code. Raises AgentError."""
    with SignalInbox(*HEEDED) as signals, DefaultSelector() as selector:
        fork_server = plan.start()  # before the database is opened: it must never hold a handle of it
        try:
            parts = assemble(plan.loaded, fork_server, selector, Clock())
        except BaseException:
            fork_server.stop(LAST_WORDS_S)
            raise
        supervisor = Supervisor(plan, parts, fork_server, selector, signals)
        try:
            return supervisor.run()
        finally:
            supervisor.shut_down()


class Supervisor:
    """The loop and its duties."""

    def __init__(
        self, plan: Plan, parts: Parts, fork_server: ForkServer, selector: DefaultSelector, signals: SignalInbox
    ) -> None:
        self._plan = plan
        self._parts = parts
        self._pool = parts.pool
        self._fork_server = fork_server
        self._selector = selector
        self._signals = signals
        self._clock = parts.clock
        self._notifier = Notifier()
        self._timetable = Timetable(self._clock)
        self._is_stopping, self._exit_code = False, 0
        self._data_version = 0
        self._types: dict[str, int | None] | None = None  # their max_attempts, as the fork server has told
        self._knows_types = False  # and so does the store
        self._trouble = Trouble(self._notifier, self._clock)
        self._reckoning = Reckoning(parts, self._notifier)
        self._vigil = Vigil(self._clock.monotonic())
        selector.register(parts.doorbell, EVENT_READ, self._on_ring)
        selector.register(signals, EVENT_READ, self._obey_signals)
        selector.register(fork_server, EVENT_READ, self._on_fork_server)
        self._timetable.now("sample")
        if self._notifier.watchdog_s:
            self._timetable.now("watchdog")
        self._timetable.after("summary", parts.config.telemetry.log_interval_s)
        log("supervisor.started", pid=os.getpid(), database=str(parts.store.path))

    def run(self) -> int:
        """The loop, until there is nothing more to do."""
        while not self._is_over():
            try:
                self._hear(self._timetable.wait_s())
                self._do_what_needs_no_database()
                self._look_after_workers(self._clock.monotonic())
                self._do_what_is_due()
            except (StoreError, TryLater) as error:
                self._bear_with(error)
        self._trouble.check_end(len(self._pool.workers), self._parts.store.slots_directory)
        return self._exit_code

    def shut_down(self) -> None:
        """Let go of everything; workers that are left die with the fork server."""
        self._fork_server.stop(LAST_WORDS_S)
        self._pool.lose_all()
        with suppress(StoreError, TryLater):  # the next start recovers what they held
            self._pool.bury_dead()
        self._reckoning.close()
        log("supervisor.stopped", pid=os.getpid(), exit_code=getattr(sys.exception(), "exit_code", self._exit_code))
        self._parts.close()

    # -- Hearing

    def _hear(self, wait_s: float | None) -> None:
        if self._fork_server.fileno() >= 0:  # else it was lost while we stop
            wants = EVENT_READ | (EVENT_WRITE if self._fork_server.channel.wants_write else 0)
            if wants != self._selector.get_key(self._fork_server).events:
                self._selector.modify(self._fork_server, wants, self._on_fork_server)
        for key, _ in self._selector.select(wait_s):
            key.data()

    def _on_ring(self) -> None:
        new_tasks, is_all = self._parts.doorbell.drain()
        if self._pool.ring(new_tasks) or not is_all:  # who runs a task that came alone need not wait for a look
            self._timetable.now("look")

    def _on_fork_server(self) -> None:
        self._fork_server.channel.flush()
        try:
            while (received := self._fork_server.receive()) is not None:
                report, descriptors = received
                if report.op == "types":
                    self._types = {name: each.max_attempts for name, each in report.types.items()}
                    self._timetable.now("announce")
                elif report.op == "import_error":
                    raise HandlersError(report.text)
                else:
                    self._pool.on_report(report, descriptors)
        except PeerGone:
            self._on_fork_server_lost()

    def _announce(self) -> None:
        """The fork server has told which types have handlers: now there is something to run."""
        types = self._types or {}
        self._parts.store.custody.announce(types)
        self._knows_types = True
        if types:
            log("handlers.loaded", types=sorted(types))
        else:
            log("handlers.none", why=why_none(self._plan.loaded, is_program=not self._plan.restarts))
        for type_, waiting in self._parts.store.custody.unhandled().items():
            log("handlers.missing_type", type=type_, waiting=waiting)
        self._notifier.tell(READY=1, STATUS="running")
        self._order()
        self._timetable.now("look")

    def _on_fork_server_lost(self) -> None:
        self._selector.unregister(self._fork_server)
        log("fork_server.lost", pid=self._fork_server.pid, status=self._fork_server.stop(LAST_WORDS_S))
        self._pool.lose_all()
        if self._is_stopping:
            return  # nobody is born any more
        self._fork_server.check_import()
        if not self._plan.restarts:
            raise Unavailable("the fork server died, and with it this program's handlers: start the program again")
        self._types, self._knows_types = None, False
        self._fork_server = self._plan.start()
        self._pool.follow(self._fork_server)
        self._selector.register(self._fork_server, EVENT_READ, self._on_fork_server)

    # -- Signals

    def _obey_signals(self) -> None:
        for number in sorted(self._signals.take(), key=signal.SIGHUP.__eq__):  # stops first: a reload may fail
            if number == signal.SIGCONT:
                self._vigil.go_on()
            elif number == signal.SIGHUP and reload(self._parts, self._plan.reload):
                self._order()
            elif number in (signal.SIGINT, signal.SIGTERM):
                self._stop(is_forced=self._is_stopping)

    def _stop(self, is_forced: bool) -> None:
        """Drain; or, when asked a second time, end at once."""
        grace_s = 0.0 if is_forced else self._parts.config.bulk.drain_grace_s
        self._is_stopping = True
        self._timetable.after("force", grace_s)
        if is_forced:
            self._exit_code = INTERRUPTED
            return
        self._notifier.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=int((grace_s + LAST_WORDS_S) * SECOND))
        log("supervisor.draining", grace_s=grace_s, inflight=self._pool.inflight())
        self._pool.drain()

    # -- Duties

    def _do_what_needs_no_database(self) -> None:
        """First of all, so that a database that refuses keeps nobody from ending, nor systemd from hearing of us."""
        if self._timetable.is_due("force"):
            self._pool.kill_all()
            self._timetable.after("give up", LAST_WORDS_S)
        if self._timetable.is_due("watchdog"):
            self._timetable.after("watchdog", self._notifier.watchdog_s)
            self._notifier.tell(WATCHDOG=1)

    def _look_after_workers(self, now_ns: int) -> None:
        self._obey_signals()  # one may tell that we were stopped
        self._pool.stops.count_out(self._vigil.look(now_ns, self._clock.monotonic(), self._timetable.late_s("tick")))
        self._pool.enrol()
        self._pool.fill(now_ns)  # before the dead are buried: while that is written, others are born
        if self._pool.bury_dead():
            self._timetable.now("look")
        if self._timetable.is_due("tick") and self._pool.ticker.tick(now_ns):
            self._timetable.now("look")
        if self._drains and not self._pool.is_at_work and self._pool.has_come_to_rest():
            self._timetable.now("look")
        if self._pool.told.look_at is not None:
            self._timetable.at_wall("look", self._pool.told.look_at)
            self._pool.told.look_at = None
        self._timetable.is_due("birth")  # `fill` has looked
        self._timetable.at("birth", self._pool.birth_due_ns(now_ns))

    def _do_what_is_due(self) -> None:
        if self._timetable.is_due("announce"):
            self._announce()
        if self._timetable.is_due("look"):
            self._look()
        if self._timetable.is_due("sample"):
            self._timetable.every("sample", self._parts.config.telemetry.sample_interval_s)
            self._sample()
        if self._timetable.is_due("glance"):
            self._glance()
        if self._timetable.is_due("summary"):
            self._timetable.every("summary", self._parts.config.telemetry.log_interval_s)
            self._reckoning.sum_up()
        self._timetable.at("tick", self._pool.ticker.due_ns(self._clock.monotonic()))

    def _glance(self) -> Waiting:
        """With every sample, or by itself: has anybody committed meanwhile, whether or not the doorbell was rung?"""
        self._timetable.put_off(GLANCE_S, "glance")
        waiting = self._parts.store.custody.waiting()
        seen, self._data_version = self._data_version, waiting.data_version
        if seen != self._data_version:
            self._timetable.now("look")
        self._pool.stops.wake_fork_server()
        if self._pool.stops.thaw_after(self._parts.config.governance.freeze_max_s, self._clock.monotonic()):
            self._timetable.now("look")
        return waiting

    def _look(self) -> None:
        """See what there is to do: commands, orders that end, tasks that are due, work for the idle."""
        self._follow_the_clock()  # before what has its end by it
        waiting = self._parts.waiting()
        if waiting.has_commands or self._parts.commands.has_open:
            self._parts.commands.obey()
        self._parts.standing.end_what_is_over()
        if self._pool.version != self._parts.standing.now.version:  # also what was stored before the database refused
            self._order()
        if self._parts.commands.has_open:
            self._timetable.after("look", CLOSELY_S)
        self._timetable.at_wall("look", waiting.next_due, self._parts.standing.next_end())
        self._pool.ring(self._parts.runnable(waiting.queued, self._types or {}))
        if self._drains and not self._parts.store.custody.unfinished():
            self._stop(is_forced=False)

    def _follow_the_clock(self) -> None:
        if self._parts.wall.follow():  # what is due, tasks and letters, is due at another time now
            self._timetable.now("look")
            self._parts.chores.poke(self._pool.is_at_work)

    @property
    def _drains(self) -> bool:
        """Whether it is to end once nothing is left to run."""
        return self._plan.drain and self._knows_types and not self._is_stopping

    def _order(self) -> None:
        """Tell the pool what to keep to now; nobody is born before the handlers are there."""
        if self._is_stopping or not self._knows_types:
            return
        standing = self._parts.standing.now
        self._parts.governing.settings = governor_settings(self._parts.config, standing.max)
        self._pool.order(self._parts.orders())
        self._pool.adopt(self._parts.standing.now.version)
        self._timetable.now("birth")  # more workers may be wanted
        self._freeze_or_thaw("pause order", EVERYTHING in standing.paused)

    def _freeze_or_thaw(self, by: str, is_paused: bool) -> None:
        """With pause_mode freeze: a pause stops what runs where it stands, and its end lets it go on."""
        if is_paused and self._parts.config.governance.pause_mode == "freeze":
            self._pool.stops.freeze_running(by)
        elif not is_paused:
            self._pool.stops.thaw_all(by)

    def _sample(self) -> None:
        decisions, reading = self._reckoning.sample(self._glance())
        complaint, self._pool.told.trouble = self._pool.told.trouble, None
        if self._trouble.judge(complaint):
            self._pool.spacing.forget()
        self._pool.stops.end_cut_off()
        self._act_on(decisions)
        if self._parts.governing.state.paused_until is None:
            self._pool.stops.thaw_all("pause")  # with every sample: the database may have refused when it ended
        self._pool.recycle_above(self._parts.config.bulk.max_worker_rss_mb * 1_000_000, reading.worker_rss)
        self._parts.chores.sampled(self._pool.is_at_work, is_news=bool(decisions))
        self._parts.undertaker.watch_memory()
        self._parts.rotate_logs()
        self._follow_the_clock()
        self._parts.recover_again()

    def _act_on(self, decisions: Sequence[Decision]) -> None:
        if not decisions:
            return
        self._order()
        if any(isinstance(decision, Paused) for decision in decisions):
            self._freeze_or_thaw("pause", True)
        if reopens(decisions):
            self._reckoning.reopened = self._parts.standing.touch()
            self._pool.adopt(self._reckoning.reopened)
            self._freeze_or_thaw("pause", self._parts.governing.state.paused_until is not None)

    # -- Trouble and the end

    def _bear_with(self, error: AgentError) -> None:
        """The database refuses: say so once, free its lock from a worker that stands still, try again in a while."""
        self._trouble.met(str(error))
        if isinstance(error, StoreBroken):
            raise error
        self._pool.stops.bear_trouble()
        self._timetable.put_off(TROUBLE_S, "look", "sample", "glance", "summary", "tick", "birth")
        if self._types is not None and not self._knows_types:
            self._timetable.after("announce", TROUBLE_S)

    def _is_over(self) -> bool:
        return self._is_stopping and (not self._pool.workers or self._timetable.is_due("give up"))
