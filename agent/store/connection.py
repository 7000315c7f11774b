"""One connection to the database: opened as it must be, guarded against forks, transactions that are counted.

Why it is so: autocommit `UPDATE … RETURNING` keeps the write lock until its last row is fetched, so every write is
BEGIN IMMEDIATE, fetch all, COMMIT. A forked child opens its own, and before that closes what it inherited: else SQLite
would take its parent's locks for its own, and lose what the child writes once the parent has closed. So a fork waits
until no other thread is inside SQLite. After an error of the disk a handle is closed: what a failed sync has left
behind nobody knows, and the kernel tells of it once. One whose descriptors lead elsewhere would damage the database,
and its closing somebody else's files: it is neither used nor closed, and no other of its process is used any more.
`busy` goes up before the write lock is asked for and stays up for reads: whoever freezes this process looks at it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from weakref import ref

import apsw

from agent.errors import StoreCutOff, StoreError, StoreLocked, StoreReplaced
from agent.failpoints import ARMED, reach
from agent.store.busy import busy
from agent.store.descriptors import Descriptors, open_now, says_it_has_a_log
from agent.store.locks import WriteLock
from agent.store.opening import connect
from agent.store.refusals import FOREIGN, OF_THE_DISK, newer, raise_ours
from agent.store.turns import Turn

BUSY_TIMEOUT_MS = 5000
FORK_PATIENCE_S = 2.0  # for other threads to leave SQLite

_connections: list[ref[Connection]] = []  # all of this process
_forking = threading.local()  # turns that were taken for a fork
_abandoned: list[apsw.Connection] = []  # never used again, nor closed: that might close files of others
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


class Connection:
    """A lazily opened connection of one process to one database file.

    `patience_ms` is how long SQLite itself waits for a foreign process's lock before StoreLocked; `schema`: the newest
    version that this code knows (None: it does not matter). Who upgrades it does not ask who has it open.
    """

    def __init__(
        self,
        path: Path,
        lock: WriteLock | None,
        patience_ms: int = BUSY_TIMEOUT_MS,
        read_only: bool = False,
        schema: int | None = None,
    ) -> None:
        self.path = path
        self._lock = lock
        self._patience_ms = patience_ms
        self._read_only = read_only
        self._schema = schema
        self._pid = 0
        self._turns: dict[int, Turn] = {}  # by process: a forked child must not wait for its parent's threads
        self._handle: apsw.Connection | None = None
        self._descriptors = Descriptors({}, {})
        _connections.append(ref(self, _connections.remove))

    @property
    def handle(self) -> apsw.Connection:
        """The open handle of this very process. Raises StoreCutOff when its descriptors are not its own any more."""
        if self._handle is None or self._pid != os.getpid():
            return self._open()
        if self.path in _cut_off or not self._descriptors.are_ours():
            self._abandon(self._handle)
            raise _lost(self.path)
        return self._handle

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        """A write transaction; rolled back when the block raises. Raises StoreError and StoreLocked, NewerDatabase."""
        with self._turn(self._lock_of_this_process()) as handle:
            cursor = handle.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                if ARMED:
                    reach("in_transaction")
                self._check_schema(cursor)
                yield cursor
                if ARMED:
                    reach("before_commit")
                self._check_place(handle)
                cursor.execute("COMMIT")
            except BaseException:
                if handle.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            if ARMED:
                reach("after_commit")

    @contextmanager
    def reading(self, any_schema: bool = False) -> Iterator[Cursor]:
        """A read transaction: every query in the block sees the same state. Raises NewerDatabase."""
        with self._turn() as handle:
            cursor = handle.cursor()
            cursor.execute("BEGIN")
            try:
                if not any_schema:
                    self._check_schema(cursor)
                yield cursor
            finally:
                if handle.in_transaction:
                    cursor.execute("COMMIT")

    @contextmanager
    def excluding_writers(self) -> Iterator[apsw.Connection]:
        """The bare handle, while no other process of ours writes: for checkpoints."""
        with self._turn(self._lock_of_this_process()) as handle:
            yield handle

    @contextmanager
    def beside_writers(self) -> Iterator[apsw.Connection]:
        """The bare handle, while others may write. Raises StoreLocked when one of them is in the way."""
        with self._turn() as handle:
            yield handle

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with self._turn() as handle:
            return int(handle.pragma("data_version"))

    def close(self) -> None:
        """Close the handle; the next use opens again what has the name then. One that crossed a fork is let go of, one
        whose descriptors lead elsewhere stays open: what they lead to is somebody else's."""
        self._let_go_of_parents()
        if self._handle is not None:
            with suppress(StoreCutOff), self._turn() as handle:
                handle.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, not says_it_has_a_log(handle))
                handle.close()
        self._handle, self._descriptors = None, Descriptors({}, {})

    def hold_still(self) -> Turn | None:
        """Let no other thread use the handle; what to let go of. None: it is in use for long, or by this thread."""
        turn = self._turn_of_this_process()
        return turn if turn.take(FORK_PATIENCE_S) else None

    @contextmanager
    def _turn(self, right: WriteLock | None = None) -> Iterator[apsw.Connection]:
        """The open handle, for one thread at a time: a handle has one transaction.

        `right`: what has to be had first, while other threads may still read. Whatever interrupts it, nothing of it is
        left: said twice, for a signal's handler may raise as it is said.
        """
        turn = self._turn_of_this_process()
        if turn.is_mine() or (right and right.is_mine()):
            raise StoreLocked(f"this thread is in the midst of using {self.path}: do it outside of a signal's handler")
        under_way = object()
        try:
            try:
                busy.begin(under_way)
                if right:
                    right.acquire()
                self._wait_for(turn)
                try:
                    yield self.handle
                except FOREIGN as error:
                    raise_ours(error, self.path)
            except StoreError as error:
                if turn.is_mine():
                    self._learn_from(error)
                raise
            finally:
                self._let_go(turn, right, under_way)
        except BaseException:
            self._let_go(turn, right, under_way)
            raise

    def _let_go(self, turn: Turn, right: WriteLock | None, under_way: object) -> None:
        handle = self._handle
        if turn.is_mine() and handle is not None:
            try:
                if handle.in_transaction:
                    handle.execute("ROLLBACK")
            except apsw.Error:  # `close` has closed it
                pass
        turn.let_go()
        if right:
            right.release()
        busy.end(under_way)

    def _turn_of_this_process(self) -> Turn:
        return self._turns.get(os.getpid()) or self._turns.setdefault(os.getpid(), Turn())

    def _wait_for(self, turn: Turn) -> None:
        patience = self._lock.patience_s if self._lock else None
        if not turn.take(patience):
            raise StoreLocked(
                f"another thread of this process has used {self.path} for {patience:g} s: try again later"
            )

    def _learn_from(self, error: StoreError) -> None:
        handle = self._handle
        if handle is None or not isinstance(error.__cause__, OF_THE_DISK):
            return
        if not self._descriptors.are_ours():  # which may be what the disk complains of
            self._abandon(handle)
            return
        self._handle = None
        with suppress(apsw.Error):  # nothing more is to be had of it
            handle.close()

    def _check_schema(self, cursor: Cursor) -> None:
        """What was upgraded since it was opened, this code leaves alone: 1 µs."""
        found = cursor.execute("PRAGMA user_version").fetchall()[0][0]
        if self._schema is not None and found > self._schema:
            raise newer(self.path, found, self._schema)

    def _check_place(self, handle: apsw.Connection) -> None:
        """Nothing is acknowledged in a file that nobody opens any more, or in the log of one that was overwritten."""
        if (lost := self._descriptors.lost_place() or self._lock_of_this_process().lost_place()) is not None:
            raise _replaced(lost, self.path)
        if not says_it_has_a_log(handle):
            raise _replaced(str(self.path), self.path)

    def _lock_of_this_process(self) -> WriteLock:
        if self._lock is None:
            raise StoreError(f"{self.path} was opened to be read only")
        if self._lock.pid != os.getpid():  # we are a forked child
            patience_s = self._lock.patience_s
            self._lock = WriteLock.of(self._lock.directory)
            self._lock.patience_s = patience_s
        return self._lock

    def _open(self) -> apsw.Connection:
        for connection in _living():
            connection._let_go_of_parents()
        if self.path in _cut_off:
            raise _lost(self.path)
        if (lost := self._descriptors.lost_database()) is not None:  # it was open before: nothing is made in its place
            raise _replaced(lost, self.path)
        with _opening.setdefault(os.getpid(), threading.Lock()):
            before = open_now()
            self._handle = connect(self.path, self._patience_ms, self._read_only)
            self._descriptors = Descriptors.opened_since(before, self.path)
        self._pid = os.getpid()
        return self._handle

    def _let_go_of_parents(self) -> None:
        """In a forked child: close a handle that crossed the fork, leaving the log to those who use it.

        Not one that another thread was using at that moment, nor one that a stranger's file would be closed with: then
        what SQLite believes of this process's locks stays wrong, and it cannot use the database.
        """
        handle = self._handle
        if handle is None or self._pid == os.getpid():
            return
        turn = self._turns.get(self._pid)
        if (turn is not None and turn.is_taken()) or self._descriptors.lead_elsewhere():
            self._abandon(handle)
            return
        self._handle = None
        try:
            handle.close()
        except FOREIGN as error:
            raise_ours(error, self.path)

    def _abandon(self, handle: apsw.Connection) -> None:
        """Neither use nor close it any more; from now on this process cannot use the database."""
        _cut_off.add(self.path)
        _abandoned.append(handle)
        self._handle = None


def _living() -> list[Connection]:
    return [connection for each in list(_connections) if (connection := each()) is not None]


def _replaced(lost: str, path: Path) -> StoreReplaced:
    return StoreReplaced(
        f"{lost} was removed, renamed or replaced while it was in use: stop everything that uses {path},"
        " put the right file in its place, and start again"
    )


def _lost(path: Path) -> StoreCutOff:
    return StoreCutOff(
        f"the descriptors of {path} in process {os.getpid()} were closed, lead to other files, or were in use when it"
        " was forked: let nothing there close descriptors that it did not open, and start the process again"
    )


def _hold_still() -> None:
    """Before a fork: the child would inherit what other threads have half done, and the mutexes they hold."""
    _forking.turns = [turn for each in _living() if (turn := each.hold_still()) is not None]


def _go_on() -> None:
    for turn in _forking.turns:
        turn.let_go()


def _go_on_in_child() -> None:
    busy.renew()
    _go_on()


os.register_at_fork(before=_hold_still, after_in_parent=_go_on, after_in_child=_go_on_in_child)


def explain(handle: apsw.Connection, sql: str, bindings: Any = ()) -> list[str]:
    """The query plan of a statement, a line a step: what tests assert."""
    return [str(row[3]) for row in handle.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
