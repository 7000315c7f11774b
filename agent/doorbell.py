"""The doorbell: how any process tells the supervisor, at once and at next to no cost, that there is work.

A datagram socket beside the database; a ring says how many tasks are new, so that as many workers can be woken before
anybody looks. It is a hint and nothing more: one that is lost, because nobody listens or may be reached, costs only the
time until the supervisor looks by itself.
"""

from __future__ import annotations

import atexit
import errno
import functools
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import Unavailable

LONGEST_ADDRESS = 107  # bytes: sun_path of unix(7), less its NUL
LONGEST_NAME = 80  # bytes: what remains for a name behind /proc/self/fd/N/
MOST_TOLD = 255  # tasks, in the one byte of a ring; of more it says that everything is to be looked at
RINGS_AT_ONCE = 1000  # more than the kernel queues: `drain` ends even while somebody rings on


class Doorbell:
    """The supervisor's end; takes the place of one that an earlier supervisor left.

    Raises Unavailable when it cannot be bound, or when something that is not a socket lies at `path`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        place = _place(path)
        self.path = Path(os.fsdecode(place))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            # The file takes its mode from the socket: so at no moment may others ring.
            os.fchmod(self._socket.fileno(), 0o600)
            _remove_stale(self.path)
            with _address(place) as address:
                self._socket.bind(address)
            self._inode = self.path.lstat().st_ino
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"cannot listen at {self.path}: {error.strerror}; is its directory writable?") from error
        except Unavailable:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For a selector: readable once somebody has rung."""
        return self._socket.fileno()

    def drain(self) -> tuple[int, bool]:
        """How many tasks are new since the last time, and whether that is all: a full bell forgets who rings on."""
        rung: list[int] = []
        with suppress(BlockingIOError):
            while len(rung) < RINGS_AT_ONCE:
                rung.append(int.from_bytes(self._socket.recv(1)))
        return sum(rung), not rung or (len(rung) == 1 and rung[0] > 0)

    def close(self) -> None:
        """Takes the bell away; one that somebody else hung in its place stays."""
        self._socket.close()
        with suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()


def ring(path: str | os.PathLike[str], tasks: int = 0) -> bool:
    """Rings the bell at `path`; False when nobody will hear it. Never waits, never raises for it.

    `tasks` are new, and may run at once; 0: something else is to be looked at.
    """
    word = bytes((tasks if tasks <= MOST_TOLD else 0,))
    try:
        place = _place(path)
        if len(place) <= LONGEST_ADDRESS:  # as nearly always: a context would take longer than the ring
            _button.socket().sendto(word, place)
        else:
            with _address(place) as address:
                _button.socket().sendto(word, address)
    except BlockingIOError:
        return True  # the bell is full of rings that nobody has heard yet
    except OSError as error:
        _button.forget_if_lost(error)
        return False
    return True


class _Button:
    """The socket that this process rings with: one for all bells, never shared with a forked child."""

    def __init__(self) -> None:
        self._pid = 0
        self._socket: socket.socket | None = None

    def socket(self) -> socket.socket:
        if self._socket is None or self._pid != os.getpid():
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket, self._pid = socket.socket(socket.AF_UNIX, kind), os.getpid()
            atexit.register(self._socket.close)
        return self._socket

    def forget_if_lost(self, error: OSError) -> None:
        """Drops a socket that somebody closed behind our back; its number may be another file's by now."""
        if self._socket is not None and error.errno in (errno.EBADF, errno.ENOTSOCK):
            self._socket.detach()
            self._socket = None


_button = _Button()


def _place(path: str | os.PathLike[str]) -> bytes:
    """Where the bell hangs: at `path`, or beside it under a short name when its own is too long for any address."""
    absolute = os.fspath(path)
    return _place_of(absolute if absolute.startswith("/") else os.path.abspath(absolute))


@functools.lru_cache(maxsize=16)
def _place_of(absolute: str) -> bytes:
    directory, name = os.path.split(os.fsencode(absolute))
    if len(name) > LONGEST_NAME:
        import hashlib  # 15 ms that only a very long name needs to spend

        name = f".{hashlib.blake2b(name, digest_size=8).hexdigest()}.bell".encode()
    return os.path.join(directory, name)


@contextmanager
def _address(place: bytes) -> Iterator[bytes]:
    """What to bind or to send to; a path longer than unix(7) allows is reached through its directory's descriptor."""
    if len(place) <= LONGEST_ADDRESS:
        yield place
        return
    directory, name = os.path.split(place)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/".encode() + name
    finally:
        os.close(descriptor)


def _remove_stale(place: Path) -> None:
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Unavailable(f"{place} is not a socket of ours: move it away, the supervisor listens there")
    place.unlink()
