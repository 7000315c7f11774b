"""A backup that somebody put in the database's place: what it cannot know of the time after it.

Why it is so: `VACUUM INTO` makes a database without a write-ahead log and says so in its header, while each of ours has
a log from its first page on. So a header without one tells of a backup that nobody has used yet. Found beside a log,
it is the log of the database that was there before: SQLite would mix the pages of both, and take the mixture for whole.
"""

from __future__ import annotations

from agent.errors import StoreBroken
from agent.store.connection import Connection
from agent.store.descriptors import says_it_has_a_log
from agent.store.queries import load

LEAP = 1_000_000_000  # ids: more than anybody asks for between a backup and its loss


def refuse_anothers_log(connection: Connection) -> None:
    """Refuse a backup beside the log of what it took the place of, before any is written. Raises StoreBroken."""
    with connection.beside_writers() as handle:
        has_log = handle.pragma("journal_mode") == "wal"  # asked first: a log of its own stands in the header before
        is_backup = not says_it_has_a_log(handle)
    if has_log and is_backup:
        raise StoreBroken(
            f"{connection.path} is a backup with another database's log beside it: remove {connection.path}-wal and"
            f" {connection.path}-shm, then try again"
        )


def take_up(connection: Connection, has_tables: bool) -> None:
    """Give it a log, and ids beyond those that were acknowledged after it was taken: they are nobody else's."""
    with connection.beside_writers() as handle:
        if handle.pragma("journal_mode") == "wal":
            return
    sql = load("upkeep")
    with connection.excluding_writers() as handle:
        if has_tables and not says_it_has_a_log(handle):  # else somebody has come before us
            with handle:
                handle.execute(sql.count_tasks_ids)
                handle.execute(sql.leap, (LEAP,))
        handle.pragma("journal_mode", "wal")
