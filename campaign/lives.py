"""A database's life, from its opening to a loss of power: what happened on the disk, and what was acknowledged when.

Why it is so: each verb is one transaction, so that after each there is one state that its return acknowledges; a power
loss may leave that of the last verb that had returned, or that of the verb under way, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

from agent.clock import SECOND
from agent.store import open_store
from agent.store.connection import Connection, Cursor
from campaign.ledger import Rows, look
from campaign.recorder import Event, Recorder, recording, write_files
from campaign.users import WORKERS, Opener, Users

DATABASE = "state.db"
NOON = 1_800_000_000 * SECOND
A_MONTH = 30 * 86400 * SECOND
MEANWHILE = 0.04  # how often a verb of somebody else's comes between two writes of a checkpoint

T = TypeVar("T")
Verb = Callable[[Users], None]

MERGE = "merge the log"
VERBS: dict[str, tuple[int, Verb]] = {  # how often; what
    "enqueue one": (10, Users.enqueue_one),
    "enqueue some": (8, Users.enqueue_some),
    "enqueue with keys": (8, Users.enqueue_with_keys),
    "claim": (12, Users.claim),
    "record and claim": (20, Users.exchange),
    "catch up": (8, Users.catch_up),
    "promote": (5, Users.promote),
    "cancel": (5, Users.cancel),
    "retry": (4, Users.retry),
    "prune tasks": (2, Users.prune),
    "prune the rest": (2, Users.prune_rest),
    "observe": (3, Users.observe),
    "ask or answer": (2, Users.command),
    "admit": (2, Users.admit),
}
OTHERS: dict[str, tuple[int, Verb]] = {
    MERGE: (5, Users.merge),
    "merge the log wholly": (4, Users.merge_wholly),
    "close all and open": (2, Users.restart),
}


class Mark(NamedTuple):
    """A verb returned after `place` events; the first of its own came after `begun`. `rows`: what it acknowledged."""

    verb: str
    begun: int
    place: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Life:
    """What was recorded. `base`: the files it began with; `breaches`: where the store did not do what it had said."""

    base: Mapping[str, bytes]
    events: Sequence[Event]
    marks: Sequence[Mark]
    breaches: Sequence[str] = ()

    def acknowledged(self, place: int) -> int | None:
        """The last mark before a place; None: nothing has returned yet."""
        past = [n for n, mark in enumerate(self.marks) if mark.place <= place]
        return past[-1] if past else None

    def allowed(self, place: int) -> list[int]:
        """The marks whose rows may be found after a power loss at a place."""
        last = self.acknowledged(place)
        if last is None:
            return [0]
        return [last] + [n for n, mark in enumerate(self.marks) if n > last and mark.begun < place]


def live(
    directory: Path,
    base: Mapping[str, bytes],
    rng: Random,
    verbs: int,
    thousands: int = 0,
    opener: Opener = open_store,
) -> Life:
    """Let users work on the database in a directory, which begins with the files of `base`, and record it.

    `thousands`: how often a thousand tasks are enqueued at once.
    """
    write_files(directory, base)
    with recording(directory, rng.getrandbits(32)) as recorder:
        users = Users(directory / DATABASE, rng, NOON + rng.randrange(10) * A_MONTH, opener)
        player = _Player(recorder, users, rng)
        try:
            player.play(verbs, thousands)
            return Life(recorder.base, tuple(recorder.events), tuple(player.marks), tuple(player.breaches))
        finally:
            users.close()


class _Player:
    """Has the users act one after the other, and sets the marks."""

    def __init__(self, recorder: Recorder, users: Users, rng: Random) -> None:
        self.marks: list[Mark] = []
        self.breaches: list[str] = []
        self._recorder = recorder
        self._users = users
        self._rng = rng

    def play(self, verbs: int, thousands: int) -> None:
        """Open, recover what an earlier life has left, then anything."""
        self._act("open", self._users.open)
        self._users.ledger.learn(self.marks[-1].rows)
        self._recover()
        with self._meanwhile():
            big = self._rng.sample(range(verbs), thousands)
            for n in range(verbs):
                self._anything({**VERBS, **OTHERS})
                if n in big:
                    self._act("enqueue a thousand", partial(self._users.enqueue, 1000))

    def _recover(self) -> None:
        self._act("name the types", self._users.name_types)
        for worker in self._users.strangers():
            tasks = self._look(partial(_held_by, worker))
            self._act("bury", partial(self._users.bury_stranger, worker, tasks))
        for _ in range(WORKERS):
            self._act("add a worker", self._users.be_born)

    def _anything(self, verbs: Mapping[str, tuple[int, Verb]]) -> None:
        self._users.let_time_pass()
        (name,) = self._rng.choices(list(verbs), [weight for weight, _ in verbs.values()])
        self._act(name, partial(verbs[name][1], self._users))

    def _act(self, verb: str, action: Callable[[], None]) -> None:
        begun = len(self._recorder.events)
        action()
        rows = self._look(look)
        if self.marks:  # what came in between has marks of its own
            begun = max(begun, self.marks[-1].place)
            self.breaches += [f"{verb}: {complaint}" for complaint in self._users.ledger.settle(rows)]
        self.marks.append(Mark(verb, begun, len(self._recorder.events), rows))

    def _look(self, what: Callable[[Cursor], T]) -> T:
        """By a connection that is closed at once: the users' close is to be the last."""
        reader = Connection(self._recorder.directory / DATABASE, None, read_only=True)
        try:
            with reader.reading() as cursor:
                return what(cursor)
        finally:
            reader.close()

    @contextmanager
    def _meanwhile(self) -> Iterator[None]:
        """While the log is merged, others write."""

        def interrupt(event: Event) -> None:
            if self._users.merging is not None and self._rng.random() < MEANWHILE:
                self._recorder.between = None
                self._anything(VERBS)
                self._recorder.between = interrupt

        self._recorder.between = interrupt
        try:
            yield
        finally:
            self._recorder.between = None


def _held_by(worker: int, cursor: Cursor) -> list[int]:
    rows = cursor.execute("SELECT id FROM task WHERE state BETWEEN 4 AND 5 AND worker = ?", (worker,)).fetchall()
    return [row[0] for row in rows]
