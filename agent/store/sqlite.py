"""The store in SQLite: one object a process, whose parts share a connection."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import StoreError
from agent.store.connection import BUSY_TIMEOUT_MS, Connection
from agent.store.locks import SupervisorLock, WriteLock, run_directory
from agent.store.migrations import latest, prepare
from agent.store.opening import refuse_missing
from agent.store.place import check_place, check_privacy

if TYPE_CHECKING:
    from agent.store.claims import Claims
    from agent.store.custody import Custody
    from agent.store.interface import Store
    from agent.store.oversight import Outbox, Oversight
    from agent.store.tasks import Tasks
    from agent.store.upkeep import Upkeep

latest()  # reads the migrations: once, in the fork server, for all its workers


class SqliteStore:
    """The verbs over one database file, by who uses them. The parts are made when first asked for: a caller that only
    enqueues imports nothing else."""

    def __init__(
        self, path: Path, patience_s: float | None = None, busy_ms: int = BUSY_TIMEOUT_MS, run: Path | None = None
    ) -> None:
        """`run`: its run directory, from whoever has made and checked it."""
        self.path = path
        self.run_directory = run or run_directory(path)
        lock = WriteLock.of_today(self.run_directory)
        if patience_s is not None:  # the lock is the process's: a second store does not take its patience away
            lock.patience_s = patience_s
        self._connection = Connection(path, lock, busy_ms, schema=latest())

    @cached_property
    def tasks(self) -> Tasks:
        """The callers' verbs."""
        from agent.store.tasks import Tasks

        return Tasks(self._connection)

    def claims(self, worker: int) -> Claims:
        """One worker's verbs."""
        from agent.store.claims import Claims

        return Claims(self._connection, worker)

    @cached_property
    def custody(self) -> Custody:
        """The supervisor's verbs over workers and what they hold."""
        from agent.store.custody import Custody

        return Custody(self._connection)

    @cached_property
    def oversight(self) -> Oversight:
        """Admission, the governor's keeping, operators' commands."""
        from agent.store.oversight import Oversight

        return Oversight(self._connection)

    @cached_property
    def outbox(self) -> Outbox:
        """Letters that wait to be delivered."""
        from agent.store.oversight import Outbox

        return Outbox(self._connection)

    @cached_property
    def upkeep(self) -> Upkeep:
        """Retention and checkpoints."""
        from agent.store.upkeep import Upkeep

        return Upkeep(self._connection)

    def prepare(self, supervises: bool = False) -> None:
        """Make or check the schema, the first thing to do with a store; a supervisor locks and upgrades it."""
        if supervises:
            self.supervisor_lock.acquire()
        prepare(self._connection, may_upgrade=supervises)

    def data_version(self) -> int:
        """A number that changes whenever somebody else has committed."""
        return self._connection.data_version()

    def supervisor_pid(self) -> int | None:
        """The pid of the supervisor that serves this database, if another process is it."""
        return self.supervisor_lock.holder()

    @cached_property
    def supervisor_lock(self) -> SupervisorLock:
        """The lock that makes a supervisor the only one."""
        return SupervisorLock(self.run_directory)

    @cached_property
    def doorbell_path(self) -> Path:
        """Where the supervisor listens for new work."""
        return self.run_directory / "doorbell"

    @property
    def slots_directory(self) -> Path:
        """Where workers' slots are."""
        return self.run_directory / "slots"

    def close(self) -> None:
        """Close the connection; the next verb opens it again."""
        self._connection.close()


def open_store(
    path: Path,
    patience_s: float | None = None,
    busy_ms: int = BUSY_TIMEOUT_MS,
    supervises: bool = False,
    makes: bool = True,
) -> SqliteStore:
    """The store over a real path, its schema made or checked; `supervises`: locked against other supervisors first.

    `makes`: a database that is missing is made; else it is refused, and nothing is made beside where it would be.

    Raises AlreadySupervised, StoreError and its kinds.
    """
    try:
        real = path.resolve()
        str(real).encode()
        if not real.parent.is_dir():
            cure = "make it, or set persistence.db_path"
            raise StoreError(f"there is no directory {real.parent} for the database: {cure}")
        check_place(real)  # before anything is made beside it
        check_privacy(real, path, supervises)
        if not makes:
            refuse_missing(real)
    except (OSError, UnicodeEncodeError) as error:
        reason = "it is not valid UTF-8" if isinstance(error, UnicodeEncodeError) else str(error.strerror).lower()
        raise StoreError(f"{str(path)!a} cannot be a database ({reason}): set persistence.db_path") from error
    store = SqliteStore(real, patience_s, busy_ms)
    store.prepare(supervises)
    return store


if TYPE_CHECKING:

    def _keeps_the_contract(store: SqliteStore) -> Store:
        return store
