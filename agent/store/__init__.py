"""The durable record: tasks, workers, governance, in one SQLite file.

Reading order: `interface` (the contract) with `values`; `tasks`, `claims`, `custody`, `oversight`, `upkeep` (the
verbs, by who uses them); `outcomes`, `connection`, `locks`, `migrations`, `queries`, `sql/`.

Why it is so: one class for all verbs would be a thousand lines that nobody needs at once; callers, workers, supervisor
and chores each get theirs. Every verb is one transaction, guarded by the states (and the fence) it expects. Connections
open on first use and know the process they belong to. SQLite's peculiarities end at this package's border.
"""

from __future__ import annotations

from agent.store.sqlite import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]
