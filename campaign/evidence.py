"""The evidence of a world at rest: the database read only, CLI's JSON, effects, processes and files left."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from agent.lifecycle import State
from campaign.asked import Asked
from campaign.effects import Effect, read
from campaign.processes import MAIN, family

FINISHED = ("succeeded", "failed", "cancelled")
_TASKS = (
    "SELECT id, type, state, attempt, max_attempts, claims, crashes, kills, finished_at, key, payload, result, error"
    " FROM tasks"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A task's row, as the view `tasks` shows it; `finished_at` in wall microseconds."""

    id: int
    type: str
    state: str
    attempt: int
    max_attempts: int | None
    claims: int
    crashes: int
    kills: int
    finished_at: int | None
    key: str | None
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands where.

    `kept`: (task, attempt, outcome) of attempts without success; `counted`, `told`: tasks by state, as the table of
    counts and as `stats --json` have them; `deaths`: how many workers died, at most; `wall_is_true`: nobody moved it.
    """

    asked: Asked
    rows: dict[int, Row]
    kept: list[tuple[int, int, str]]
    effects: list[Effect]
    counted: dict[str, int]
    told: dict[str, int]
    integrity: list[str]
    living_workers: int
    processes: dict[int, str]
    files: list[str]
    deaths: int
    wall_is_true: bool


def gather(
    directory: Path, database: Path, asked: Asked, deaths: int, wall_is_true: bool = True, main: Path = MAIN
) -> Evidence:
    """Look at everything. The agent has come to its end. `main`: whose command line is asked."""
    told = _stats(directory, main)  # first: its own start may put an interrupted log in order
    handle = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = {row.id: row for row in (_row(values) for values in handle.execute(_TASKS))}
        return Evidence(
            asked, rows, list(handle.execute("SELECT task, attempt, outcome FROM attempt")),
            read(directory / "effects"), _counts(handle), told, _integrity(handle),
            len(handle.execute("SELECT id FROM worker WHERE gone_at IS NULL").fetchall()),
            family(directory), _files_left(database), deaths, wall_is_true,
        )  # fmt: skip
    finally:
        handle.close()


def _row(values: tuple[Any, ...]) -> Row:
    payload, result, error = values[10:]
    decoded: Any = (json.loads(payload), json.loads(result) if result else None, error)
    return Row(*values[:10], *decoded)


def _stats(directory: Path, main: Path) -> dict[str, int]:
    words = [sys.executable, str(main), "stats", "--json"]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=60)
    return dict(json.loads(done.stdout)["states"]) if done.returncode == 0 else {}


def _counts(handle: apsw.Connection) -> dict[str, int]:
    """The sums of the table of counts, under the states' words; tasks that are held count as `in_progress`."""
    sums: list[Any] = handle.execute("SELECT state, sum(n) FROM counts GROUP BY state").fetchall()
    return {State.IN_PROGRESS.word if state == State.RESERVED else State(state).word: int(n) for state, n in sums}


def _integrity(handle: apsw.Connection) -> list[str]:
    found = [str(row[0]) for row in handle.execute("PRAGMA integrity_check")]
    found += [f"foreign key: {row}" for row in handle.execute("PRAGMA foreign_key_check")]
    return [complaint for complaint in found if complaint != "ok"]


def _files_left(database: Path) -> list[str]:
    """Slots, and anything that looks unfinished, beside the database."""
    run = database.with_name(f"{database.name}.run")
    slots = run / "slots"
    left = [str(path.relative_to(database.parent)) for path in slots.iterdir()] if slots.exists() else []
    return left + [path.name for path in database.parent.iterdir() if path.name.endswith((".tmp", "-journal"))]
