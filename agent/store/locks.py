"""Two locks beside the database: who may write next, and who supervises.

Why it is so: SQLite's busy handler sleeps and is unfair, so writers queue on a record lock of a file of their own
before BEGIN IMMEDIATE. Record locks (fcntl) belong to a process and never leak into a handler's children, as flock
does; closing any descriptor of the file would drop them, so each process keeps one and never closes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import threading
from functools import cached_property
from pathlib import Path
from types import FrameType, TracebackType
from typing import ClassVar

from agent.errors import AlreadySupervised, StoreError, StoreLocked
from agent.private import make_directory, open_file
from agent.store.descriptors import mark_of
from agent.store.holders import named, writer_of
from agent.store.marks import Mark
from agent.store.place import check_run_directory, closed_to_us
from agent.store.turns import Turn

_RUN = ".run"  # behind the database's name
_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, len, pid


def run_directory(database: Path) -> Path:
    """The directory beside the database for its locks, wake-up socket and slots; made when missing, 0700."""
    directory = database.with_name(database.name + _RUN)
    try:
        if not directory.is_dir():  # to ask a frozen file system for one that exists would hang
            make_directory(directory, database.name)
        check_run_directory(directory, database)
    except OSError as error:
        raise StoreError(
            f"cannot make {directory}: {error.strerror}; give the agent a directory it may write"
        ) from error
    return directory


def _open(path: Path) -> int:
    try:
        return open_file(path)
    except PermissionError as error:
        raise StoreError(closed_to_us(path)) from error
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}; give the agent a directory it may write") from error


def _open_to_look(path: Path) -> int:
    """Where nothing can be written, a descriptor that tells who has the lock, and cannot take it."""
    try:
        return _open(path)
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EROFS and path.exists():
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        raise


def _holder(fd: int) -> int | None:
    """The pid of another process that holds a lock on the file, if any."""
    probe = fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    kind, _, _, _, pid = _FLOCK.unpack(probe)
    return None if kind == fcntl.F_UNLCK else int(pid)


def _word(holder: int | None) -> str:
    """For people; None: it has let go since, or cannot be seen from here."""
    return "another process" if holder is None else f"process {holder}"


class WriteLock:
    """The right to write next, one object a process and database; also excludes the process's own threads.

    Use `WriteLock.of(directory)`, then `with lock:`. With `patience_s` set, the main thread waits no longer than that:
    StoreLocked names the holder. Everybody else waits; the supervisor frees the lock from a frozen worker.
    """

    _made: ClassVar[dict[tuple[int, Path], WriteLock]] = {}

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid = os.getpid()
        self._path = directory / "write.lock"
        self._name = os.fsencode(self._path)
        self._threads = Turn()
        self.patience_s: float | None = None

    @cached_property
    def _fd(self) -> int:
        """Opened when first needed: who only reads needs none, and where nothing can be written there is none."""
        return _open(self._path)

    @cached_property
    def _mark(self) -> Mark | None:
        return mark_of(self._fd)

    @classmethod
    def of(cls, directory: Path) -> WriteLock:
        """This process's lock; a forked child gets its own, as its parent's threads may have held the other."""
        mark = (os.getpid(), directory)
        if mark not in cls._made:
            cls._made[mark] = cls(directory)
        return cls._made[mark]

    @classmethod
    def of_today(cls, directory: Path) -> WriteLock:
        """The same; a new one when the files that the other belongs to are gone, as after a restoration."""
        if cls.of(directory).lost_place():
            del cls._made[os.getpid(), directory]
        return cls.of(directory)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait for it. Raises StoreLocked."""
        if self.is_mine():
            raise StoreLocked(f"this thread holds {self._path}: do it outside of a signal's handler")
        try:
            if not self._threads.take(self.patience_s):
                raise StoreLocked(
                    f"another thread of this process has held {self._path} for {self.patience_s:g} s: try again later"
                )
            self._acquire_file()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """If it is this thread's, it is not any more; may be said again, by whoever was interrupted in the midst."""
        if self.is_mine() and "_fd" in vars(self):
            fcntl.lockf(self._fd, fcntl.LOCK_UN)
        self._threads.let_go()

    def is_mine(self) -> bool:
        """Whether this thread has it."""
        return self._threads.is_mine()

    def lost_place(self) -> str | None:
        """The name of its file when that was removed or replaced: who comes later makes another, and holds that."""
        has_been_opened = "_fd" in vars(self)
        return str(self._path) if has_been_opened and mark_of(self._name) != self._mark else None

    def holder(self) -> int | None:
        """The pid that holds the lock now, if another process does."""
        return _holder(self._fd)

    def _acquire_file(self) -> None:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if self.patience_s is None or not _alarm_is_free():
                fcntl.lockf(self._fd, fcntl.LOCK_EX)
            else:
                self._acquire_before_the_alarm(self.patience_s)

    def _acquire_before_the_alarm(self, seconds: float) -> None:
        waiting = True

        def ring(signum: int, frame: FrameType | None) -> None:
            if waiting:
                raise _Rang

        signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))  # 0 would mean never
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            waiting = False
        except _Rang:
            waiting = False
            fcntl.lockf(self._fd, fcntl.LOCK_UN)  # the alarm may have rung after the lock was had
            raise StoreLocked(self._told(seconds)) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _told(self, seconds: float) -> str:
        """Who is to blame: the one who holds this lock, or the one whom that one waits for."""
        holder, database = self.holder(), self.directory.with_name(self.directory.name.removesuffix(_RUN))
        writer = writer_of(database)
        if writer is None or writer == holder:
            return f"{_word(holder)} has held {self._path} for {seconds:g} s: continue it or end it"
        return f"{named(writer)} holds {database}, and {_word(holder)} waits for it: continue it or end it"


class _Rang(Exception):
    """The alarm rang while a lock was waited for."""


def _alarm_is_free() -> bool:
    """Whether this thread may use SIGALRM without taking it from anybody."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and signal.getitimer(signal.ITIMER_REAL)[0] == 0


class SupervisorLock:
    """At most one supervisor for each real path of a database; also tells who it is."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "supervisor.lock"
        self._fd = _open_to_look(self._path)

    def acquire(self) -> None:
        """Take it for as long as this process lives. Raises AlreadySupervised, naming the other's pid; StoreError."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # both mean that somebody has it: fcntl(2)
            message = "supervises this database already: stop it first, or use another database"
            raise AlreadySupervised(f"{_word(self.holder())} {message}") from error
        except OSError as error:
            why = "its file system is read-only" if error.errno == errno.EBADF else error.strerror
            raise StoreError(f"cannot lock {self._path}: {why}; make it writable, or use another disk") from error

    def holder(self) -> int | None:
        """The pid of the supervisor, or None (also when it is this very process)."""
        return _holder(self._fd)

    def close(self) -> None:
        """Release it; drops the lock."""
        os.close(self._fd)
