"""One bound for a whole conversation with a server, however it is slow: name look-up, handshake, a byte at a time.

Time limits of sockets count each call by itself, and a name look-up has none. So the conversation has a thread of its
own, which is waited for no longer than the bound; then its socket is shut down, and it ends by itself.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_NO_LINGERING = struct.pack("ii", 1, 0)  # socket(7): who pours on hears at once that nobody reads any more


class Deadline:
    """What a conversation asks how long it may still take, and tells which socket it uses."""

    def __init__(self, seconds: float) -> None:
        self.verdict = f"no complete answer within {seconds:g} s"
        self._end = time.monotonic() + seconds
        self._expired = threading.Event()
        self._socket: Callable[[], socket.socket | None] = lambda: None

    def left(self) -> float:
        """Seconds left, more than 0. Raises TimeoutError."""
        seconds = self._end - time.monotonic()
        if self._expired.is_set() or seconds <= 0:
            raise TimeoutError(self.verdict)
        return seconds

    def watch(self, current: Callable[[], socket.socket | None]) -> None:
        """When time is up, shut down what `current` returns then."""
        self._socket = current

    def expire(self) -> None:
        """Time is up: whoever waits for the socket is woken."""
        self._expired.set()
        if (used := self._socket()) is not None:
            with suppress(OSError):  # it is closed already
                used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
                # Not SSLSocket.shutdown, which takes the TLS state away from under its reader.
                socket.socket.shutdown(used, socket.SHUT_RDWR)


def within(seconds: float, converse: Callable[[Deadline], T]) -> T:
    """What `converse` returns or raises, or TimeoutError after `seconds`."""
    deadline = Deadline(seconds)
    outcomes: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()

    def run() -> None:
        try:
            outcomes.put((converse(deadline), None))
        except BaseException as error:  # handed over and raised below
            outcomes.put((None, error))

    threading.Thread(target=run, name="delivery", daemon=True).start()
    try:
        result, error = outcomes.get(timeout=seconds)
    except Empty:
        deadline.expire()
        raise TimeoutError(deadline.verdict) from None
    if isinstance(error, TimeoutError):  # a single call took all the time there was
        raise TimeoutError(deadline.verdict) from error
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
