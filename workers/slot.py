"""A worker's piece of shared memory: what it runs, how far it may go, and the outcomes it has not committed yet.

A slot is a small file beside the database, mapped by its worker and by the supervisor. It begins with 64-bit words,
each stored by one aligned 8-byte store, so that a reader sees the old value or the new one and nothing between; each
word has one writer. Behind them lies a ring of outcomes. The page cache outlives `kill -9`: whoever opens the file
after a crash finds every store that the dead worker made. It does not outlive a power loss; then the checksums and
the fences in the store tell what is worth nothing.

The ring
    A record is its length (u32), its checksum (u32) and its bytes, padded to 8. None wraps: where the rest of the lap
    is too short, a mark says that the next record begins the next lap. Offsets are virtual, that is, they never
    wrap: an offset is at `offset % SLOT_BYTES` in the ring. The worker stores `PUBLISHED`, the end of the last
    record, after the record's bytes; so what lies before it is whole, however the worker ends. x86 keeps the
    order of stores. ARM does not promise it to a reader on another core; there the checksum, which covers the
    record's offset too, rejects a record that is not all there yet or is a leftover of the last lap, and the list
    ends before it until the next look. One process publishes, one reads at a time.
    Both may commit what was published, so each has a word of its own, and the greater one counts.

How far a chunk may go
    `BEGUN` = chunk * 1024 + position, with positions from 1 to 1022; position 0 is a chunk of which nothing has begun,
    1023 one that is closed. The worker writes BEGUN and then reads `LIMIT`, and steps back when LIMIT is of this
    chunk and below BEGUN. The supervisor writes LIMIT = BEGUN as it reads it (`take_back`), and may release what
    lies beyond only if BEGUN, read again later, is still the same (`taken_back`). A processor may let the worker's
    read of LIMIT overtake its write of BEGUN, even x86: therefore "later" is a tick, at least a millisecond, thousands
    of times what a store needs to become visible. A worker that is stopped between the two goes on by reading LIMIT;
    so LIMIT is never raised within a chunk: what it meets then may have been released.
"""

from __future__ import annotations

import mmap
import os
import zlib
from pathlib import Path
from struct import Struct
from typing import Self

from agent.errors import Unavailable
from agent.private import make_file

# Words of the worker.
LAYOUT = 0  # which layout this file has; stored last of all by `create`
WORKER_ID = 1
PID = 2
TASK = 3  # the id of the task whose attempt runs; 0 between two
CLAIMS = 4  # with the worker's id, the fence
ATTEMPT = 5
STARTED_NS = 6  # monotonic
DEADLINE_NS = 7  # monotonic; 0: none
STARTED_AT = 8  # wall time in microseconds
BUSY = 9  # how many connections of this process are at work in the database
BEAT = 10
BEGUN = 11
PUBLISHED = 12  # virtual offset behind the last outcome
COMMITTED = 13  # virtual offset up to which the worker has committed them
CHUNK = 14
CHUNK_TASKS = 15  # how many tasks the open chunk has
LAST = 16  # the id of the chunk's task that began last, or is about to: tasks with later ids have not begun
# Words of the supervisor, a cache line apart.
HOLD = 32  # not 0: no new turn begins
LIMIT = 33
RECORDED = 34  # virtual offset up to which the supervisor has committed outcomes

HEADER_BYTES = 4096
SLOT_BYTES = 128 * 1024  # of the ring
FILE_BYTES = HEADER_BYTES + SLOT_BYTES
CURRENT_LAYOUT = 0x534C4F54_00000001  # "SLOT", version 1

CHUNK_SHIFT = 10
CLOSED = 1023

_HEAD = Struct("<II")
_crc32 = zlib.crc32
_WRAP = 0xFFFFFFFF  # in place of a length: the lap ends here


class Slot:
    """One mapped slot; the supervisor's by `create`, the worker's, or that of whoever harvests, by `open`."""

    def __init__(self, path: Path, mapped: mmap.mmap, commits_in: int) -> None:
        self.path = path
        self._mapped = mapped
        self._bytes = memoryview(mapped)
        self._ring = self._bytes[HEADER_BYTES:]
        self.words = self._bytes[:HEADER_BYTES].cast("q")
        self._commits_in = commits_in
        self._room_ends = 0  # virtual offset up to which the ring was free when last looked at

    @classmethod
    def create(cls, path: str | os.PathLike[str], worker_id: int) -> Self:
        """A new slot for a worker yet to be born.

        Its blocks are allocated now: storing into a hole of a full disk would be a SIGBUS.
        Raises Unavailable when there is no space, or when something lies at `path`.
        """
        try:
            descriptor = make_file(path)
        except OSError as error:
            raise Unavailable(f"cannot make the slot {path}: {error.strerror}; is its directory writable?") from error
        try:
            os.posix_fallocate(descriptor, 0, FILE_BYTES)
            slot = cls(Path(path), mmap.mmap(descriptor, FILE_BYTES), RECORDED)
        except OSError as error:
            os.unlink(path)
            raise Unavailable(f"cannot make the slot {path}: {error.strerror}; free some space there") from error
        finally:
            os.close(descriptor)
        slot.words[WORKER_ID] = worker_id
        slot.words[LIMIT] = -1
        slot.words[LAYOUT] = CURRENT_LAYOUT
        return slot

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """A slot that exists. Raises Unavailable when the file is missing or is not a whole slot of this version."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"cannot open the slot {path}: {error.strerror}") from error
        try:
            if os.fstat(descriptor).st_size != FILE_BYTES:
                raise Unavailable(f"{path} is not a slot of this version: remove it")
            slot = cls(Path(path), mmap.mmap(descriptor, FILE_BYTES), COMMITTED)
        finally:
            os.close(descriptor)
        if slot.words[LAYOUT] != CURRENT_LAYOUT:
            slot.close()
            raise Unavailable(f"{path} is not a slot of this version: remove it")
        return slot

    def close(self) -> None:
        """Unmaps the slot; the file stays."""
        self.words.release()
        self._ring.release()
        self._bytes.release()
        self._mapped.close()

    def discard(self) -> None:
        """Unmaps the slot and removes its file."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def worker_id(self) -> int:
        """Whose slot it is."""
        return self.words[WORKER_ID]

    @property
    def committed(self) -> int:
        """The virtual offset up to which outcomes are in the database, whoever brought them there."""
        return max(self.words[COMMITTED], self.words[RECORDED])

    # The worker's side of the ring.

    def publish(self, blob: bytes) -> bool:
        """Adds an outcome; it outlives this process from the return on. False when it does not fit: commit first."""
        start: int = self.words[PUBLISHED]
        at, length = start % SLOT_BYTES, len(blob)
        end = start + _record_bytes(length)
        if end > self._room_ends or at + 8 + length > SLOT_BYTES:
            start, end = self._find_room(start, end - start)
            if start == end:
                return False
            at = start % SLOT_BYTES
        ring = self._ring
        _HEAD.pack_into(ring, at, length, _crc32(blob, start >> 3 & 0xFFFFFFFF))
        ring[at + 8 : at + 8 + length] = blob
        self.words[PUBLISHED] = end
        return True

    def _find_room(self, start: int, size: int) -> tuple[int, int]:
        """Where a record of `size` bytes begins and ends, in the next lap if need be; nowhere: two equal offsets."""
        self._room_ends = self.committed + SLOT_BYTES
        at = start % SLOT_BYTES
        skipped = SLOT_BYTES - at if at + size > SLOT_BYTES else 0
        if start + skipped + size > self._room_ends:
            return start, start
        if skipped:
            _HEAD.pack_into(self._ring, at, _WRAP, _checksum(b"", start))
        return start + skipped, start + skipped + size

    # Either side.

    def pending(self) -> list[tuple[bytes, int]]:
        """The outcomes published and not committed, oldest first, each with the offset to commit it by.

        Ends before the first record that is not whole.
        """
        found = []
        offset, end = self.committed, self.words[PUBLISHED]
        while offset < end:
            record = self._read(offset, end)
            if record is None:
                break
            blob, offset = record
            if blob is not None:
                found.append((blob, offset))
        return found

    def commit_to(self, offset: int) -> None:
        """Gives back the space of all outcomes up to `offset`, for they are in the database; never takes any."""
        if offset > self.committed:
            self.words[self._commits_in] = offset

    # How far the chunk may go: the worker's side.

    def open_chunk(self, number: int, tasks: int = 1) -> None:
        """Before the first task of a chunk: nothing of it has begun. Numbers count up from 1."""
        self.words[LAST] = 0
        self.words[CHUNK] = number
        self.words[CHUNK_TASKS] = tasks
        self.words[BEGUN] = number << CHUNK_SHIFT

    def begin(
        self, position: int, task: int, claims: int, attempt: int, started_ns: int, started_at: int, deadline_ns: int
    ) -> bool:
        """Name the task at `position` (from 1) of the open chunk as the one that runs; False: it was taken back."""
        words = self.words
        words[TASK] = 0  # the words below belong together: TASK names them once they all stand
        words[CLAIMS] = claims
        words[ATTEMPT] = attempt
        words[STARTED_NS] = started_ns
        words[STARTED_AT] = started_at
        words[DEADLINE_NS] = deadline_ns
        words[LAST] = task
        base = words[CHUNK] << CHUNK_SHIFT
        words[BEGUN] = begun = base + position
        if base <= words[LIMIT] < begun:
            return False  # never named: nobody writes a start for what goes back to the queue
        words[TASK] = task
        return True

    def close_chunk(self) -> None:
        """After the chunk, or what is left of it: nothing more of it begins, nothing can be taken back."""
        self.words[BEGUN] = (self.words[CHUNK] << CHUNK_SHIFT) + CLOSED

    # How far the chunk may go: the supervisor's side.

    def unbegun(self) -> int:
        """How many tasks of the open chunk have not begun; 0 when none is open."""
        begun: int = self.words[BEGUN]
        position = begun & CLOSED
        is_open = begun >> CHUNK_SHIFT == self.words[CHUNK] and position != CLOSED
        return max(0, self.words[CHUNK_TASKS] - position) if is_open else 0

    @property
    def is_between_chunks(self) -> bool:
        """Whether no chunk is open."""
        begun: int = self.words[BEGUN]
        return not begun or begun & CLOSED == CLOSED

    def take_back(self) -> int:
        """Forbids whatever has not begun; returns how far the worker had come, for `taken_back` a tick later."""
        seen: int = self.words[BEGUN]
        if self.words[LIMIT] >> CHUNK_SHIFT != seen >> CHUNK_SHIFT:
            self.words[LIMIT] = seen
        return seen

    def taken_back(self, seen: int) -> bool:
        """Whether the worker has begun nothing since `take_back` returned `seen`: what lies beyond may be released."""
        return bool(self.words[BEGUN] == seen)

    def _read(self, offset: int, end: int) -> tuple[bytes | None, int] | None:
        """The blob at `offset`, or None in its place for the mark of a lap's end, and where the next record begins."""
        at = offset % SLOT_BYTES
        if at % 8:
            return None
        length, checksum = _HEAD.unpack_from(self._ring, at)
        if length == _WRAP:
            following = offset + SLOT_BYTES - at
            return (None, following) if following <= end and checksum == _checksum(b"", offset) else None
        following = offset + _record_bytes(length)
        if following > end or at + 8 + length > SLOT_BYTES:
            return None
        # Copied before it is checked: the worker may be writing over it.
        blob = bytes(self._ring[at + 8 : at + 8 + length])
        return (blob, following) if checksum == _checksum(blob, offset) else None


def _record_bytes(length: int) -> int:
    return (8 + length + 7) & ~7


def _checksum(blob: bytes, offset: int) -> int:
    """CRC-32 of the bytes and of the place they were written for."""
    return _crc32(blob, offset >> 3 & 0xFFFFFFFF)
