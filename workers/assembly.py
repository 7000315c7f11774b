"""The supervisor's parts, put together once: what each is given, in the order in which they need one another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from selectors import BaseSelector

from agent import failpoints
from agent.clock import Clock
from agent.config import Config, Loaded, dump, reloadable_changes
from agent.doorbell import Doorbell
from agent.errors import AgentError, ConfigError
from agent.escalation.channel import Channel
from agent.escalation.escalator import Escalator
from agent.maintenance.chores import Chores
from agent.maintenance.clock_watch import set_since
from agent.overview import spelled
from agent.steering.configured import channels, governor_settings, retention
from agent.steering.governing import Governing, PoolView
from agent.steering.standing import EVERYTHING, StandingOrders
from agent.store import SqliteStore, open_store
from agent.store.place import exposure
from agent.store.values import Waiting
from agent.telemetry import logs
from agent.telemetry.files import LogFile
from agent.telemetry.logs import log
from agent.telemetry.metrics import MetricsFile
from agent.telemetry.sensors import Sensors
from workers.burial import Undertaker
from workers.commands import Commands
from workers.fork_client import ForkServer
from workers.orders import Orders, worker_settings
from workers.pool import WorkerPool
from workers.recovery import Recovered, recover
from workers.wall_clock import WallClock

PATIENCE_S = 2.0  # for the write lock; then its holder is looked at
NOBODY = 0


@dataclass(slots=True)
class Parts:
    """What the supervisor works with."""

    config: Config
    clock: Clock
    logfile: LogFile
    metrics: MetricsFile
    store: SqliteStore
    recovered: Recovered
    standing: StandingOrders
    wall: WallClock
    governing: Governing
    undertaker: Undertaker
    pool: WorkerPool
    commands: Commands
    chores: Chores
    doorbell: Doorbell

    def orders(self) -> Orders:
        """What the pool is to keep to now, by configuration, operators and governor."""
        size = self.standing.now.max or self.config.bulk.max_concurrent
        limit = min(size, self.governing.limit)
        return Orders(size, limit, frozenset(self.standing.now.paused), worker_settings(self.config))

    def view(self, waiting: Waiting) -> PoolView:
        """What a sample says of the pool."""
        workers = {worker.id: worker.pid for worker in self.pool.workers.values() if worker.is_enrolled}
        frozen = sum(worker.is_frozen for worker in self.pool.workers.values())
        queued = sum(waiting.queued.values())
        paused = set(self.standing.now.paused)
        if self.governing.state.paused_until is not None:
            paused.add(EVERYTHING)
        return PoolView(workers, self.pool.inflight(), frozen, queued, tuple(sorted(paused)))

    def recover_again(self) -> None:
        """Look once more at owners that nobody could prove dead, if there are any."""
        if self.recovered.waiting:
            stale_s = 2 * self.config.telemetry.sample_interval_s
            self.recovered = recover(self.store, self.clock, stale_s, self.pool.workers, self.recovered)

    def rotate_logs(self) -> None:
        """Begin new log files where the old ones have grown large; a directory that forbids it stops nobody."""
        for file in (self.logfile, self.metrics.file):
            try:
                file.rotate_if_larger(self.config.telemetry.log_max_bytes, self.config.telemetry.log_keep)
            except ConfigError as error:
                log("output.not_rotated", error=str(error))

    def waiting(self) -> Waiting:
        """What there is to do, once what is due is queued."""
        waiting = self.store.custody.waiting()
        if waiting.next_due is not None and waiting.next_due <= self.clock.now():
            self.store.custody.promote(self.clock.now())
            waiting = self.store.custody.waiting()
        return waiting

    def runnable(self, queued: Mapping[str, int], handled: Collection[str]) -> int:
        """How many of the queued tasks are of types that somebody handles and nobody has paused."""
        paused = self.standing.now.paused
        if EVERYTHING in paused:
            return 0
        return sum(n for type_, n in queued.items() if type_ in handled and type_ not in paused)

    def close(self) -> None:
        """Close everything but the fork server; the last connection's closing checkpoints the log."""
        self.chores.stop(self.config.escalation.timeout_s)
        self.doorbell.close()
        self.store.close()
        self.governing.close()
        self.undertaker.close()
        self.metrics.file.close()
        self.logfile.close()


def assemble(loaded: Loaded, fork_server: ForkServer, selector: BaseSelector, clock: Clock) -> Parts:
    """Open, lock and recover the store, and build everything around it. Raises AgentError."""
    failpoints.play("supervisor")
    config = loaded.config
    directory = Path(config.telemetry.log_dir)
    logfile = logs.open_log(directory)
    logs.configure(logfile, console=True)
    log("config.loaded", path=str(loaded.path or "built-in defaults"), config=dump(config))
    busy_ms = int(PATIENCE_S * 1000)  # a foreign lock keeps the loop from its other duties no longer than one of ours
    store = open_store(Path(config.persistence.db_path), PATIENCE_S, busy_ms, supervises=True)
    if why := exposure(store.path):
        log("store.exposed", why=why)
    recovered = recover(store, clock, 2 * config.telemetry.sample_interval_s)
    store.custody.hasten(clock.now())
    standing = StandingOrders(store.oversight, clock)
    standing.shift(set_since(store.upkeep, clock))
    standing.end_what_is_over()
    if paused := standing.now.paused:
        log("control.paused", scopes=[spelled(scope) for scope in paused], cure="unpause")
    wall = WallClock(clock, store.custody, standing)
    ways = channels(config, clock)
    metrics = MetricsFile(directory)
    governor = governor_settings(config, standing.now.max)
    sensors = Sensors(config.governance.mem_limit_bytes)
    governing = Governing(store.oversight, sensors, metrics, clock, governor, tuple(ways))
    undertaker = Undertaker(store, clock, worker_settings(config))
    nobody = Orders(NOBODY, NOBODY, frozenset(), worker_settings(config))
    version = standing.now.version
    pool = WorkerPool(store, fork_server, selector, undertaker, clock, nobody, version, standing.touch)
    return Parts(
        config, clock, logfile, metrics, store, recovered, standing, wall, governing, undertaker, pool,
        Commands(store, pool, standing, clock), start_chores(config, store.path, clock), Doorbell(store.doorbell_path),
    )  # fmt: skip


def start_chores(config: Config, database: Path, clock: Clock) -> Chores:
    """The chore thread, running, on a store of its own."""
    store = SqliteStore(database)
    chores = Chores(
        store, clock, retention(config), Escalator(store.outbox, channels(config, clock), clock).deliver
    )
    chores.start()
    return chores


def reload(parts: Parts, load: Callable[[], Loaded]) -> bool:
    """Take over the changed configuration, whole or not at all; whether it was taken."""
    try:
        loaded = load()
        ways = channels(loaded.config, parts.clock)
    except AgentError as error:
        log("config.refused", error=str(error))
        return False
    changed, refused = reloadable_changes(parts.config, loaded.config)
    if refused:
        log("config.refused", error=f"only a restart can change {', '.join(refused)}", keys=list(refused))
        return False
    _reconfigure(parts, loaded.config, ways)
    log("config.reloaded", changed=list(changed))
    return True


def _reconfigure(parts: Parts, config: Config, ways: Mapping[str, Channel]) -> None:
    """Take over a configuration whose changed keys can all be changed while running."""
    parts.config = config
    parts.governing.settings = governor_settings(config, parts.standing.now.max)
    parts.governing.channels = tuple(ways)
    parts.undertaker.settings = worker_settings(config)
    parts.chores.retention = retention(config)
    parts.chores.deliver = Escalator(SqliteStore(parts.store.path).outbox, ways, parts.clock).deliver
