"""What a power loss may leave on a disk, from what was recorded before it: no files, no time, only chance.

Why it is so: what a file held at its last completed sync is safe. Of what was written since, each sector of 512 bytes
may show any age, so writes are torn and reach the disk in any order; bytes beside a write are never harmed (SQLite's
"powersafe overwrite", which disks keep). A file that grew may have its new length and none of its data: then zeros,
noise or what the disk held before. Names that were made or removed since the directory's last sync may come and go.
After SQLite's own crash tests (test6.c) and LazyFS (Ramos et al., 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from campaign.recorder import Create, Delete, Event, Sync, SyncDirectory, Truncate, Write

SECTOR = 512  # bytes: what a disk writes wholly or not at all


class Piece(NamedTuple):
    """The part of the `op`th write since the last sync that lies within one sector."""

    op: int
    at: int
    data: bytes

    @property
    def sector(self) -> int:
        """The number of the sector."""
        return self.at // SECTOR


Fate = Callable[[Sequence[Piece], Random], list[Piece]]  # which pieces reach the disk, the last one last


class File:
    """A file's safe content, and what is on its way to the disk."""

    def __init__(self, safe: bytes = b"") -> None:
        self._safe = bytearray(safe)
        self._pieces: list[Piece] = []
        self._sizes = [len(safe)]  # after each write since the last sync

    def write(self, offset: int, data: bytes) -> None:
        """Bytes are on their way."""
        self._pieces += _pieces(len(self._sizes), offset, data)
        self._sizes.append(max(self._sizes[-1], offset + len(data)))

    def truncate(self, size: int) -> None:
        """Another length is on its way; what is cut off reads as zeros if the file grows again."""
        if size < self._sizes[-1]:
            self._pieces += _pieces(len(self._sizes), size, bytes(self._sizes[-1] - size))
        self._sizes.append(size)

    def sync(self) -> None:
        """All of it has arrived."""
        _lay(self._safe, self._pieces)
        _resize(self._safe, self._sizes[-1])
        self._pieces, self._sizes = [], [len(self._safe)]

    def after_power_loss(self, rng: Random) -> bytes:
        """What is found there."""
        found = bytearray(self._safe)
        if len(self._sizes) == 1:
            return bytes(found)
        size = _size(self._sizes, rng)
        _resize(found, max(size, *self._sizes), rng.choice(FILLINGS)(bytes(self._safe), rng))
        survivors = rng.choice(FATES)(self._pieces, rng)
        if rng.random() < 0.1:
            _lay(found, _garbled(self._pieces, rng))
        _lay(found, survivors)
        _resize(found, size)
        return bytes(found)


class Disk:
    """A directory's files, and which names are safe."""

    def __init__(self, base: Mapping[str, bytes]) -> None:
        self._files = {number: File(base[name]) for number, name in enumerate(sorted(base))}
        self._names = {name: number for number, name in enumerate(sorted(base))}
        self._changes: list[Create | Delete] = []

    def happen(self, events: Iterable[Event]) -> None:
        """Go through what was recorded next."""
        for event in events:
            self._happen(event)

    def after_power_loss(self, rng: Random) -> dict[str, bytes]:
        """One of the states in which the power's loss at this place may leave the files, by name."""
        names = dict(self._names)
        for change in _some_changes(self._changes, rng):
            _rename(names, change)
        return {name: self._files[number].after_power_loss(rng) for name, number in sorted(names.items())}

    def _happen(self, event: Event) -> None:
        match event:
            case Write(file, offset, data):
                self._files[file].write(offset, data)
            case Truncate(file, size):
                self._files[file].truncate(size)
            case Sync(file):
                self._files[file].sync()
            case Create(file):
                self._files[file] = File()
                self._changes.append(event)
            case Delete():
                self._changes.append(event)
            case SyncDirectory():
                for change in self._changes:
                    _rename(self._names, change)
                self._changes.clear()


def image(base: Mapping[str, bytes], events: Sequence[Event], place: int, rng: Random) -> dict[str, bytes]:
    """What a power loss after the first `place` events may leave, by name; the same for the same chance."""
    disk = Disk(base)
    disk.happen(events[:place])
    return disk.after_power_loss(rng)


# -- Which of the pieces arrive


def nothing(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """The disk had not begun."""
    return []


def everything(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """The disk had just finished, but could not say so."""
    return list(pieces)


def in_order(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """The first writes, and of the next one some sectors."""
    torn = rng.choice(pieces).op if pieces else 0
    return [each for each in pieces if each.op < torn or (each.op == torn and rng.random() < 0.5)]


def each_at_its_age(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """Each sector as it stood at some time since the last sync."""
    return [each for written in _by_sector(pieces) for each in written[: rng.randint(0, len(written))]]


def nearly_everything(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """One sector is lost, or a few."""
    chance = rng.choice([0.5, 2.0, 8.0]) / max(len(pieces), 1)
    return [each for written in _by_sector(pieces) if rng.random() >= chance for each in written]


def hardly_anything(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """One sector arrives, or a few."""
    chance = rng.choice([0.5, 2.0, 8.0]) / max(len(pieces), 1)
    return [each for written in _by_sector(pieces) if rng.random() < chance for each in written]


def scattered(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """Any of them, in any order."""
    chance = rng.random()
    arrived = [each for each in pieces if rng.random() < chance]
    rng.shuffle(arrived)
    return arrived


FATES: tuple[Fate, ...] = (
    nothing,
    everything,
    everything,
    in_order,
    each_at_its_age,
    nearly_everything,
    hardly_anything,
    scattered,
)


# -- What is found where a file grew and its data did not arrive

Filling = Callable[[bytes, Random], Callable[[int], bytes]]  # so many bytes


def zeros(safe: bytes, rng: Random) -> Callable[[int], bytes]:
    """As most file systems promise."""
    return bytes


def noise(safe: bytes, rng: Random) -> Callable[[int], bytes]:
    """What the disk held there before: somebody else's."""
    return rng.randbytes


def old_blocks(safe: bytes, rng: Random) -> Callable[[int], bytes]:
    """What the disk held there before: of this very file."""
    shift = rng.randrange(len(safe)) // SECTOR * SECTOR if safe else 0
    source = bytes(safe[shift:]) or bytes(SECTOR)
    return lambda size: (source * (size // len(source) + 1))[:size]


FILLINGS: tuple[Filling, ...] = (zeros, zeros, noise, old_blocks)


# -- Means


def _pieces(op: int, offset: int, data: bytes) -> Iterator[Piece]:
    """A write by sectors."""
    at, end = offset, offset + len(data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield Piece(op, at, data[at - offset : until - offset])
        at = until


def _by_sector(pieces: Sequence[Piece]) -> list[list[Piece]]:
    found: dict[int, list[Piece]] = {}
    for each in pieces:
        found.setdefault(each.sector, []).append(each)
    return list(found.values())


def _garbled(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """Some of what did not arrive broke what was there, within the bytes written."""
    return [Piece(each.op, each.at, rng.randbytes(len(each.data))) for each in pieces if rng.random() < 0.2]


def _size(sizes: Sequence[int], rng: Random) -> int:
    """A length that the file had since the last sync, or one on the way to it."""
    if rng.random() < 0.75:
        return sizes[-1]
    return rng.choice([rng.choice(sizes), sizes[0], rng.randint(min(sizes), max(sizes))])


def _lay(content: bytearray, pieces: Iterable[Piece]) -> None:
    for _, at, data in pieces:
        if at > len(content):
            content.extend(bytes(at - len(content)))
        content[at : at + len(data)] = data


def _resize(content: bytearray, size: int, filling: Callable[[int], bytes] = bytes) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(filling(size - len(content)))


def _some_changes(changes: Sequence[Create | Delete], rng: Random) -> Sequence[Create | Delete]:
    """Those that reached the disk: the first of them, as with a journal, or any."""
    if rng.random() < 0.5:
        return changes[: rng.randint(0, len(changes))]
    chance = rng.random()
    return [each for each in changes if rng.random() < chance]


def _rename(names: dict[str, int], change: Create | Delete) -> None:
    if isinstance(change, Create):
        names[change.name] = change.file
    else:
        names.pop(change.name, None)
