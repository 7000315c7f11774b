"""What governs the work: admission, the governor's state with its samples, operators' commands, the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from agent.outbox import Delivery
from agent.store.commands import command_of
from agent.store.connection import Connection
from agent.store.custody import sql as custody_sql
from agent.store.queries import load
from agent.store.values import Command, Note, Standing

__all__ = ["Command", "Note", "Outbox", "Oversight", "Standing"]

sql = load("oversight")


class Oversight:
    """Verbs of the governor's keeper; the command line uses `ask`, `answer_of` and the readers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def standing(self) -> Standing:
        """The operators' standing orders and the admission's version."""
        with self._connection.reading() as cursor:
            version, most, until, paused = cursor.execute(sql.admission).fetchall()[0]
        return Standing(version, most, until, msgspec.json.decode(paused))

    def admit(self, standing: Standing) -> Standing:
        """Store standing orders under a new version: claims made under an older one fail from now on."""
        paused = msgspec.json.encode(dict(standing.paused)).decode()
        with self._connection.writing() as cursor:
            rows = cursor.execute(sql.set_admission, (standing.max, standing.max_until, paused)).fetchall()
        return replace(standing, version=rows[0][0])

    def governor(self) -> str | None:
        """The governor's stored state."""
        with self._connection.reading() as cursor:
            row = cursor.execute(sql.governor).fetchone()
        return row[0] if row else None

    def sampled_at(self) -> int | None:
        """When a supervisor last stored a sample."""
        with self._connection.reading() as cursor:
            row = cursor.execute(sql.sampled_at).fetchone()
        return row[0] if row else None

    def observe(
        self,
        now: int,
        sample: str,
        state: str,
        notes: Sequence[Note],
        letters: Sequence[tuple[str, str, str]],
        beats: Mapping[int, int],
    ) -> None:
        """Store a sample, the governor's state and decisions, letters for the outbox and heartbeats, together.

        `letters`: (episode, channel, payload); `beats`: worker → resident bytes.
        """
        with self._connection.writing() as cursor:
            cursor.execute(sql.add_sample, (now, sample))
            cursor.execute(sql.set_governor, (state, now))
            for note in notes:
                cursor.execute(sql.add_decision, (now, note.deed, note.why, note.detail))
            for episode, channel, payload in letters:
                cursor.execute(sql.post, (episode, channel, payload, now, now))
            cursor.executemany(custody_sql.beat, [(now, rss, worker) for worker, rss in beats.items()])

    def latest_sample(self) -> str | None:
        """The newest sample."""
        with self._connection.reading() as cursor:
            row = cursor.execute(sql.latest_sample).fetchone()
        return row[0] if row else None

    def ask(self, verb: str, detail: Mapping[str, object], now: int) -> int:
        """Leave a command for the supervisor; its number."""
        with self._connection.writing() as cursor:
            return int(
                cursor.execute(sql.ask, (verb, msgspec.json.encode(dict(detail)).decode(), now)).fetchall()[0][0]
            )

    def commands(self) -> list[Command]:
        """Commands that wait, oldest first."""
        with self._connection.reading() as cursor:
            rows = cursor.execute(sql.asked).fetchall()
        return [command_of(*row) for row in rows]

    def answer(self, command: int, outcome: str, now: int) -> None:
        """Say what became of a command."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.answer, (now, outcome, command))

    def answer_of(self, command: int) -> str | None:
        """What became of a command, or None while it waits."""
        with self._connection.reading() as cursor:
            row = cursor.execute(sql.answer_of, (command,)).fetchone()
        return row[1] if row and row[0] is not None else None

    def withdraw(self, command: int) -> None:
        """Take a command back that nobody has applied."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.withdraw, (command,))


class Outbox:
    """Letters that wait to be delivered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def due(self, now: int, limit: int) -> list[Delivery]:
        """Letters to deliver now."""
        with self._connection.reading() as cursor:
            return [Delivery(*row) for row in cursor.execute(sql.due, (now, limit)).fetchall()]

    def next_due(self) -> int | None:
        """When the next letter is due."""
        with self._connection.reading() as cursor:
            due_at: int | None = cursor.execute(sql.next_due).fetchall()[0][0]
        return due_at

    def delivered(self, letter: int, now: int) -> None:
        """It has arrived."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.delivered, (now, letter))

    def postpone(self, letter: int, due_at: int, error: str) -> None:
        """It did not arrive; try again at `due_at`."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.postpone, (due_at, error, letter))

    def give_up(self, letter: int, now: int, error: str) -> None:
        """It did not arrive, and is not tried again."""
        with self._connection.writing() as cursor:
            cursor.execute(sql.give_up, (now, error, letter))
