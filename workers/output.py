"""What handlers print: from the worker's streams through a pipe to the supervisor's stderr, and nobody ever waits.

In the worker, `capture` puts the id of the running task before each line, as `\\x1e<id>\\x1f`. It writes through an
open file description of its own, which does not block; descriptors 1 and 2 stay blocking, for the processes that a
handler starts know nothing of full pipes. In the supervisor, a `LineRelay` turns the tags into prefixes for people.
Where there is no room, lines are dropped and counted.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TextIO, cast

from agent.host import move_out_of_the_way

ATOMIC = 4096  # bytes: PIPE_BUF, which a pipe takes whole or not at all; and what fits if poll(2) says writable
LONGEST_LINE = 8 * 1024  # bytes; a longer one is broken into several
PIPE_BYTES = 256 * 1024  # room for bursts

_TAG = re.compile(rb"\x1e(\d{1,19})\x1f")  # an id of 64 bits: more digits are somebody's text
_AS_WRITTEN = re.compile(rb"(?:\x1e[1-9]\d{0,18}\x1f[^\x1e\n]{0,%d}\n)*+" % LONGEST_LINE)


def capture(current_task: Callable[[], int]) -> Outlet:
    """From now on sys.stdout and sys.stderr write tagged lines into the pipe behind descriptor 1.

    `current_task` is asked for each line; 0 is no task.
    """
    with suppress(OSError):  # the limit for pipes of this user is reached: bursts find less room
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
    outlet = Outlet(move_out_of_the_way(os.open("/proc/self/fd/1", flags)), current_task)
    sys.stdout, sys.stderr = _text_stream(outlet, "<stdout>"), _text_stream(outlet, "<stderr>")
    return outlet


class Outlet:
    """The worker's end of its pipe, `descriptor`. `dropped` counts the lines that found no room."""

    def __init__(self, descriptor: int, current_task: Callable[[], int]) -> None:
        self.dropped = 0
        self.descriptor = descriptor
        self._current_task = current_task

    def tag(self) -> bytes:
        """What goes before a line that begins now; it ends what came before, too, should that lack its end."""
        return b"\x1e%d\x1f" % self._current_task()

    def write(self, line: bytes) -> bool:
        """Whether there was room for it; a long line goes in pieces, and its rest is dropped at the first refusal."""
        for start in range(0, len(line), ATOMIC):
            try:
                os.write(self.descriptor, line[start : start + ATOMIC])
            except OSError:  # full, or closed by the handler: printing is not worth an error
                self.dropped += 1
                return False
        return True


class _Lines(io.RawIOBase):
    """One of the two streams: knows where it stands in a line."""

    def __init__(self, outlet: Outlet, name: str) -> None:
        super().__init__()
        self.name = name
        self.mode = "wb"
        self._outlet = outlet
        self._at_line_start = True
        self._is_dropping = False  # the rest of a line whose beginning found no room

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1 if self.name == "<stdout>" else 2

    def write(self, data: object) -> int:
        text = bytes(cast(bytes, data))
        for line in _lines_of(text):
            if not self._is_dropping:
                tagged = self._outlet.tag() + line if self._at_line_start else line
                self._is_dropping = not self._outlet.write(tagged)
            self._at_line_start = line.endswith(b"\n")
            self._is_dropping &= not self._at_line_start
        return len(text)


class LineRelay:
    """The supervisor's side: every worker's lines, each with a prefix, to `fd_out` as far as it takes them now.

    `dropped` counts the lines for which there was no room.
    """

    def __init__(self, fd_out: int = 2) -> None:
        self.dropped = 0
        self._fd_out = fd_out
        self._partial: dict[int, bytes] = {}
        self._is_torn = False  # the last line that went out lacks its end

    def feed(self, worker_id: int, task_now: int, data: bytes) -> None:
        """What was read from a worker's pipe. Lines without a tag are laid to `task_now`, or to the worker if it is 0.

        A line whose end has not come yet is kept until it does, or until it is too long.
        """
        data = self._partial.pop(worker_id, b"") + data
        end = data.rfind(b"\n") + 1
        overlong, partial = _break_off(data[end:])
        if partial:
            self._partial[worker_id] = partial
        lines = data[:end] + b"".join(piece + b"\n" for piece in overlong)
        self._put(_for_people(lines, worker_id, task_now))

    def finish(self, worker_id: int, task_now: int = 0) -> None:
        """After the last of a worker's output: its line without an end goes out as it is."""
        partial = self._partial.pop(worker_id, b"")
        if partial:
            self._put(_for_people(partial + b"\n", worker_id, task_now))

    def _put(self, lines: bytes) -> None:
        start = 0
        while start < len(lines):
            end = (lines.rfind(b"\n", start, start + ATOMIC) + 1) or (lines.index(b"\n", start) + 1)
            self._write(lines[start:end], lines.count(b"\n", start, end))
            start = end

    def _write(self, block: bytes, lines: int) -> None:
        if self._is_torn:
            block = b"\n" + block
        rest = memoryview(block)
        while rest:
            if not self._has_room():
                self.dropped += lines
                break
            try:
                rest = rest[os.write(self._fd_out, rest[:ATOMIC]) :]
            except OSError:  # nobody reads any more: the agent goes on without
                self.dropped += lines
                break
        written = len(block) - len(rest)
        if written:
            self._is_torn = not block[:written].endswith(b"\n")

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._fd_out, select.POLLOUT)
        return bool(poll.poll(0))


def _text_stream(outlet: Outlet, name: str) -> TextIO:
    buffered = io.BufferedWriter(_Lines(outlet, name))
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _lines_of(text: bytes) -> list[bytes]:
    """The lines with their ends, the last perhaps without; unlike splitlines, a carriage return ends none."""
    *lines, rest = text.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def _break_off(partial: bytes) -> tuple[list[bytes], bytes]:
    """What of a line without an end is too long to be kept, and what is kept, with its tag."""
    if len(partial) <= LONGEST_LINE:
        return [], partial
    tag, begins = b"", 0
    for match in _TAG.finditer(partial):
        tag, begins = match[0], match.end()
    before, text = partial[: begins - len(tag)], partial[begins:]
    overlong = [before] if before else []
    while len(text) > LONGEST_LINE:
        overlong.append(tag + text[:LONGEST_LINE])
        text = text[LONGEST_LINE:]
    return overlong, tag + text


def _for_people(lines: bytes, worker_id: int, task_now: int) -> bytes:
    """Tags become prefixes, in one go where there is one before each line and no other."""
    if _AS_WRITTEN.fullmatch(lines):
        return _TAG.sub(rb"[task \1] ", lines)
    return b"".join(piece for line in lines[:-1].split(b"\n") for piece in _pieces(line, worker_id, task_now))


def _pieces(line: bytes, worker_id: int, task_now: int) -> Iterator[bytes]:
    """The lines for people that one line from the pipe holds: more than one when it is long, or was cut off."""
    before, *tagged = _TAG.split(line)
    if before or not tagged:
        yield from _prefixed(before, task_now, worker_id)
    for task, text in zip(tagged[::2], tagged[1::2], strict=True):
        yield from _prefixed(text, int(task), worker_id)


def _prefixed(text: bytes, task: int, worker_id: int) -> Iterator[bytes]:
    prefix = b"[task %d] " % task if task else b"[worker %016x] " % worker_id
    for start in range(0, max(1, len(text)), LONGEST_LINE):
        yield prefix + text[start : start + LONGEST_LINE] + b"\n"
