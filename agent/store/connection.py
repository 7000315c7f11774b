"""One connection to the database: opened as it must be, guarded against forks, transactions that are counted.

Why it is so: autocommit `UPDATE … RETURNING` keeps the write lock until its last row is fetched, so every write is
BEGIN IMMEDIATE, fetch all, COMMIT. A connection that crossed a fork loses commits silently, so a forked child abandons
the handle without closing it and opens anew. One whose descriptors lead elsewhere would damage the database: it is not
used any more, nor is any other of its process. `busy` goes up before the write lock is asked for and stays up for
reads: whoever freezes this process looks at it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import apsw

from agent.errors import AgentError, ForeignDatabase, StoreCutOff, StoreError, StoreLocked, StoreReplaced
from agent.failpoints import ARMED, reach
from agent.store.descriptors import Descriptors, open_now
from agent.store.locks import WriteLock

MINIMUM_SQLITE = (3, 54)  # earlier ones can corrupt a WAL that is checkpointed while others write
BUSY_TIMEOUT_MS = 5000
LONGEST_LOG = 4096  # pages: where the chore thread does not keep the log short, or there is none, whoever commits does

_abandoned: list[apsw.Connection] = []  # handles that crossed a fork: never used again, never closed
_cut_off: set[Path] = set()  # databases that this process, and whoever it forks, can no longer use
_opening: dict[int, threading.Lock] = {}  # by process: one handle at a time, so that its descriptors are known


class Cursor(Protocol):
    """What the verbs use of a cursor: rows are tuples of whatever the query selects."""

    connection: apsw.Connection

    def execute(self, statements: str, bindings: Sequence[Any] = ()) -> Cursor:
        """Run a query; the cursor itself, to fetch from."""

    def executemany(self, statements: str, sequenceofbindings: Iterable[Sequence[Any]]) -> object:
        """Run a query for each of many bindings."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""


class Words(Protocol):
    """Numbers by place, such as a slot's words."""

    def __getitem__(self, at: int, /) -> int:
        """The number there."""

    def __setitem__(self, at: int, number: int, /) -> None:
        """Put a number there."""


class BusyCount:
    """How many transactions of this process are under way, in a word that others may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._words: Words = [0]
        self._at = 0

    def publish(self, words: Words, at: int) -> None:
        """From now on count in `words[at]`: a word of the worker's slot."""
        self._lock = threading.Lock()
        words[at] = 0
        self._words, self._at = words, at

    def add(self, n: int) -> None:
        """One more (1) or one fewer (-1)."""
        with self._lock:
            self._words[self._at] += n


busy = BusyCount()


class Connection:
    """A lazily opened connection of one process to one database file.

    `patience_ms` is how long SQLite itself waits for a foreign process's lock before StoreLocked.
    """

    def __init__(
        self, path: Path, lock: WriteLock | None, patience_ms: int = BUSY_TIMEOUT_MS, read_only: bool = False
    ) -> None:
        self.path = path
        self._lock = lock
        self._patience_ms = patience_ms
        self._read_only = read_only
        self._pid = 0
        self._turns: dict[int, threading.Lock] = {}  # by process: a forked child must not wait for its parent's threads
        self._handle: apsw.Connection | None = None
        self._descriptors = Descriptors({}, {})

    @property
    def handle(self) -> apsw.Connection:
        """The open handle of this very process. Raises StoreCutOff when its descriptors are not its own any more."""
        if self._handle is None or self._pid != os.getpid():
            return self._open()
        if not self._descriptors.are_ours():
            _cut_off.add(self.path)
            raise _lost(self.path)
        return self._handle

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        """A write transaction; rolled back when the block raises. Raises StoreError and StoreLocked."""
        with self._turn() as handle, self._lock_of_this_process(), _errors_of(self.path):
            cursor = handle.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                if ARMED:
                    reach("in_transaction")
                yield cursor
                if ARMED:
                    reach("before_commit")
                self._check_place()
                cursor.execute("COMMIT")
            except BaseException:
                if handle.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            if ARMED:
                reach("after_commit")

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """A read transaction: every query in the block sees the same state."""
        with self._turn() as handle, _errors_of(self.path):
            cursor = handle.cursor()
            cursor.execute("BEGIN")
            try:
                yield cursor
            finally:
                if handle.in_transaction:
                    cursor.execute("COMMIT")

    @contextmanager
    def excluding_writers(self) -> Iterator[apsw.Connection]:
        """The bare handle, while no other process of ours writes: for checkpoints."""
        with self._turn() as handle, self._lock_of_this_process(), _errors_of(self.path):
            yield handle

    @contextmanager
    def beside_writers(self) -> Iterator[apsw.Connection]:
        """The bare handle, while others may write. Raises StoreLocked when one of them is in the way."""
        with self._turn() as handle, _errors_of(self.path):
            yield handle

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with self._turn() as handle, _errors_of(self.path):
            return int(handle.pragma("data_version"))

    def close(self) -> None:
        """Close the handle; the next use opens it again. A handle that crossed a fork is only let go."""
        if self._handle is not None and self._pid == os.getpid():
            with suppress(StoreCutOff), self._turn() as handle, _errors_of(self.path):
                handle.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
                handle.close()
                self._handle = None
        if self._handle is not None:
            _abandoned.append(self._handle)
        self._handle = None

    @contextmanager
    def _turn(self) -> Iterator[apsw.Connection]:
        """The open handle, for one thread at a time: a handle has one transaction."""
        turn = self._turns.setdefault(os.getpid(), threading.Lock())
        patience = self._lock.patience_s if self._lock else None
        if not turn.acquire(timeout=-1 if patience is None else patience):
            raise StoreLocked(
                f"another thread of this process has used {self.path} for {patience:g} s: try again later"
            )
        busy.add(1)
        try:
            yield self.handle
        finally:
            busy.add(-1)
            turn.release()

    def _check_place(self) -> None:
        """Nothing is acknowledged that stands in a file which nobody opens any more."""
        if (lost := self._descriptors.lost_place()) is not None:
            raise StoreReplaced(
                f"{lost} was removed, renamed or replaced while it was in use: stop everything that uses {self.path},"
                " put the right file in its place, and start again"
            )

    def _lock_of_this_process(self) -> WriteLock:
        if self._lock is None:
            raise StoreError(f"{self.path} was opened to be read only")
        return self._lock

    def _open(self) -> apsw.Connection:
        if self._handle is not None:
            _abandoned.append(self._handle)
        if self._lock is not None:
            patience = self._lock.patience_s
            self._lock = WriteLock.of(self._lock.directory)
            self._lock.patience_s = patience
        if self.path in _cut_off:
            raise _lost(self.path)
        with _opening.setdefault(os.getpid(), threading.Lock()), _errors_of(self.path):
            before = open_now()
            self._handle = _connect(self.path, self._patience_ms, self._read_only)
            self._descriptors = Descriptors.opened_since(before, self.path)
        self._pid = os.getpid()
        return self._handle


def check_sqlite() -> None:
    """Refuse an SQLite that can corrupt its log in our shape. Raises StoreError."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < MINIMUM_SQLITE:
        raise StoreError(f"SQLite {apsw.sqlite_lib_version()} is too old, 3.54 is needed: pip install --upgrade apsw")


def _connect(path: Path, patience_ms: int, read_only: bool) -> apsw.Connection:
    check_sqlite()
    if read_only:
        flags = apsw.SQLITE_OPEN_READONLY
    else:
        # The path is a real one: a link in it was planted since.
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
        if not path.exists():
            create_private(path)
    flags |= apsw.SQLITE_OPEN_NOMUTEX  # `_turn` lets one thread in at a time
    handle = apsw.Connection(str(path), flags=flags, statementcachesize=128)
    # APSW closes what is open as the interpreter ends, wherever the descriptors lead by then: let nothing be written.
    handle.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    handle.set_busy_timeout(patience_ms)
    handle.execute("PRAGMA trusted_schema = OFF")
    if not read_only:
        if handle.pragma("page_count") == 0:  # a new one: what may be another program's stays as it is
            handle.pragma("journal_mode", "wal")
        handle.execute("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY")
        handle.execute(f"PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = {LONGEST_LOG}")
    handle.pragma("schema_version")  # the first look opens the log and its index
    return handle


def _lost(path: Path) -> StoreCutOff:
    return StoreCutOff(
        f"the descriptors of {path} in process {os.getpid()} were closed, or lead to other files now: let nothing there"
        " close descriptors that it did not open, and start the process again"
    )


def create_private(path: Path) -> None:
    """Make a missing file 0600. One that exists is never opened here: closing it would drop SQLite's locks."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        cure = "choose a directory that exists and may be written (persistence.db_path)"
        raise StoreError(f"cannot make the database {path}: {error.strerror}; {cure}") from error


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Foreign errors become ours here, and nowhere else."""
    try:
        yield
    except AgentError:
        raise
    except apsw.BusyError as error:
        raise StoreLocked(f"another process holds {path}: end it or wait, then try again") from error
    except apsw.NotADBError as error:
        raise ForeignDatabase(f"{path} is not an SQLite database: name another file in persistence.db_path") from error
    except apsw.CorruptError as error:
        raise StoreError(
            f"{path} is damaged ({error}): restore a backup, or salvage it with sqlite3's .recover"
        ) from error
    except apsw.FullError as error:
        raise StoreError(f"no space is left for {path}: make room, then try again") from error
    except apsw.ReadOnlyError as error:
        raise StoreError(
            f"{path} cannot be written: give the agent's user write permission on it and its directory"
        ) from error
    except apsw.CantOpenError as error:
        raise StoreError(f"{path} cannot be opened: check that its directory exists and may be written") from error
    except apsw.ConstraintError as error:
        raise StoreError(f"{path} refused a change that breaks its rules: {error}") from error
    except (apsw.IOError, apsw.PermissionsError, apsw.AuthError, apsw.ProtocolError, apsw.NoLFSError) as error:
        raise StoreError(f"{path}: {error}: check the disk and the permissions") from error


def explain(handle: apsw.Connection, sql: str, bindings: Any = ()) -> list[str]:
    """The query plan of a statement, a line a step: what tests assert."""
    return [str(row[3]) for row in handle.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
