"""Messages and descriptors between two processes of ours, without waiting.

A channel is one end of an AF_UNIX SOCK_SEQPACKET pair. That kind of socket keeps the boundaries of messages and loses
none, so there is no framing to get out of step, and an end of file says for certain that the peer is gone. A message
is a JSON object; one too large for a packet travels in a memory file that is passed along.
"""

from __future__ import annotations

import array
import os
import select
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from agent.errors import Unavailable

LARGEST_PACKET = 32 * 1024  # bytes; what is larger travels in a memory file
MOST_DESCRIPTORS = 16  # in one message, the memory file not included
MOST_QUEUED = 1024  # messages; a peer that leaves more unread is as good as gone
IN_MEMORY_FILE = b"\x00"  # in place of a message

_ANCILLARY_BYTES = socket.CMSG_SPACE((MOST_DESCRIPTORS + 1) * array.array("i").itemsize)


Form = TypeVar("Form")


class PeerGone(Unavailable):
    """The process at the other end of the channel is gone."""


class Nonsense(PeerGone):
    """What the process at the other end of the channel says is no message of ours."""


@dataclass(frozen=True, slots=True)
class _Packet:
    """What waits for room in the socket; the descriptors are duplicates of our own."""

    data: bytes
    descriptors: tuple[int, ...]


class Channel:
    """One end; all of its descriptors close on exec, and so do those that it receives."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.set_inheritable(False)
        self._socket = end
        self._queue: deque[_Packet] = deque()

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two ends that belong together."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """For a selector: readable when there is a message, or the end."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether messages wait for room: call `flush` once the descriptor is writable."""
        return bool(self._queue)

    def send(self, message: dict[str, Any], fds: Iterable[int] = ()) -> bool:
        """Sends at once, or queues while the peer is slow; the descriptors stay the caller's.

        False when the peer is gone, or has left `MOST_QUEUED` messages unread.
        """
        descriptors = tuple(fds)
        if len(descriptors) > MOST_DESCRIPTORS:
            raise ValueError(f"a message carries at most {MOST_DESCRIPTORS} descriptors, not {len(descriptors)}")
        data = msgspec.json.encode(message)
        if len(data) <= LARGEST_PACKET:
            return self._send_or_queue(data, descriptors)
        file = _memory_file(data)
        try:
            return self._send_or_queue(IN_MEMORY_FILE, (*descriptors, file))
        finally:
            os.close(file)

    def flush(self) -> bool:
        """Sends what waits, as far as there is room. False when the peer is gone."""
        while self._queue:
            packet = self._queue[0]
            try:
                _send(self._socket, packet.data, packet.descriptors)
            except BlockingIOError:
                return True
            except OSError:
                self._drop_queue()
                return False
            close_all(self._queue.popleft().descriptors)
        return True

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next message and its descriptors, which are the caller's from now on; None when there is none yet.

        Raises PeerGone after the last message of a peer that is gone, and Nonsense when what it says is no message.
        """
        try:
            received = _receive(self._socket)
        except BlockingIOError:
            return None
        except OSError as error:
            raise PeerGone from error
        if received is None:
            raise PeerGone
        return _decode(*received)

    def receive_wait(self, timeout_s: float | None = None) -> tuple[dict[str, Any], list[int]] | None:
        """As `receive`, but waits for a message; None when there is none after `timeout_s` seconds (None: for ever)."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(None if timeout_s is None else timeout_s * 1000):
            return None
        return self.receive()

    def hang_up(self) -> None:
        """Say no more and hear no more: the peer sees the end, while our descriptor stays ours."""
        with suppress(OSError):  # it was gone before
            self._socket.shutdown(socket.SHUT_RDWR)

    def detach(self) -> socket.socket:
        """The socket itself; the channel is of no use any more."""
        self._drop_queue()
        return self._socket

    def close(self) -> None:
        """Closes our end, queued messages unsent; the peer sees the end of file once no other process holds it."""
        self._drop_queue()
        self._socket.close()

    def _send_or_queue(self, data: bytes, descriptors: tuple[int, ...]) -> bool:
        if not self._queue:
            try:
                _send(self._socket, data, descriptors)
                return True
            except BlockingIOError:
                pass  # no room: it waits in the queue
            except OSError:
                return False
        if len(self._queue) >= MOST_QUEUED:
            return False
        self._queue.append(_Packet(data, tuple(os.dup(descriptor) for descriptor in descriptors)))
        return self.flush()

    def _drop_queue(self) -> None:
        while self._queue:
            close_all(self._queue.popleft().descriptors)


def _send(end: socket.socket, data: bytes, descriptors: tuple[int, ...]) -> None:
    if not descriptors:
        end.send(data, socket.MSG_NOSIGNAL)
        return
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    end.sendmsg([data], [rights], socket.MSG_NOSIGNAL)


def _receive(end: socket.socket) -> tuple[bytes, list[int]] | None:
    """One packet; None at the end of file."""
    try:
        data, ancillary, flags, _ = end.recvmsg(LARGEST_PACKET, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # The peer left messages of ours unread. What it sent before comes behind this error, which is told once.
        data, ancillary, flags, _ = end.recvmsg(LARGEST_PACKET, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(descriptors)
        raise Nonsense
    return (data, list(descriptors)) if data else None


def _decode(data: bytes, descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
    try:
        if data == IN_MEMORY_FILE:
            data = _content_of(descriptors.pop())
        return msgspec.json.decode(data, type=dict[str, Any]), descriptors
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError, OSError) as error:
        close_all(descriptors)
        # A handler that writes into descriptors which are not its own may be the reason.
        raise Nonsense from error


def understood(message: dict[str, Any], form: type[Form]) -> Form:
    """A message as the value that it stands for. Raises Nonsense."""
    try:
        return msgspec.convert(message, form)
    except msgspec.ValidationError as error:
        raise Nonsense from error


def _memory_file(data: bytes) -> int:
    file = os.memfd_create("message", os.MFD_CLOEXEC)
    with open(file, "wb", closefd=False) as writer:
        writer.write(data)
    return file


def _content_of(file: int) -> bytes:
    with open(file, "rb") as reader:
        reader.seek(0)
        return reader.read(os.fstat(file).st_size)


def close_all(descriptors: Iterable[int]) -> None:
    """Closes what came with a message that nobody wants."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
