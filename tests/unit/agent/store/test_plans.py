"""Every query finds tasks by an index: what a claim costs must not depend on how many tasks there are."""

from __future__ import annotations

import re

import apsw.ext
import pytest

from agent.store.connection import Connection, explain
from agent.store.queries import SQL, load

FILES = sorted(path.stem for path in SQL.glob("*.sql"))
QUERIES = {f"{file}.{name}": query for file in FILES for name, query in vars(load(file)).items()}

INDEXES = {  # the index that each query on a hot path, or on many tasks, has to use
    "claims.heads": "queued",
    "claims.line": "queued",
    "claims.claim": "queued",
    "claims.claimed": "held",
    "claims.occupied": "held",
    "claims.release": "held",
    "custody.keep_lost": "held",
    "custody.rescue_all": "held",
    "custody.release_all": "held",
    "custody.unknown_owners": "held",
    "custody.promote": "due",
    "custody.next_due": "due",
    "custody.has_commands": "control_open",
    "custody.hasten": "due",
    "tasks.in_progress": "held",
    "tasks.oldest_queued": "queued",
    "tasks.list_held": "held",
    "tasks.list_waiting": "due",
    "tasks.list_ended_badly": "ended_badly",
    "oversight.due": "outbox_due",
    "oversight.asked": "control_open",
    "oversight.latest_sample": "metrics_at",
}
MAY_SCAN = {"tasks.list_by_id"}  # walks down from the newest task, and stops at its limit
BY_ID = ("claims.succeed_short", "claims.succeed", "claims.standing", "custody.begin", "custody.rescue", "tasks.find")


def plan(connection: Connection, name: str) -> list[str]:
    """The steps of a query's plan."""
    query = QUERIES[name].replace("{values}", "(?, ?, ?, ?, ?), (?, ?, ?, ?, ?)")
    bindings = apsw.ext.query_info(connection.handle, query).bindings_count
    return explain(connection.handle, query, (None,) * bindings)


def full_scans(steps: list[str], query: str) -> list[str]:
    """Steps that look at every task, by the table or by an index of all of it; the indexes named hold few."""
    names = "|".join(["task", *re.findall(r"\btask AS (\w+)", query)])
    return [step for step in steps if re.match(rf"SCAN ({names})\b(?!.* INDEX (queued|held|due|ended_badly)\b)", step)]


@pytest.mark.parametrize("name", INDEXES)
def test_a_hot_query_uses_its_index(connection: Connection, name: str) -> None:
    steps = plan(connection, name)

    assert [step for step in steps if re.search(rf"INDEX {INDEXES[name]}\b", step)], "\n".join(steps)


@pytest.mark.parametrize("name", BY_ID)
def test_one_task_is_found_by_its_id(connection: Connection, name: str) -> None:
    steps = plan(connection, name)

    assert [step for step in steps if re.search(r"task USING INTEGER PRIMARY KEY", step)], "\n".join(steps)


@pytest.mark.parametrize("name", sorted(QUERIES.keys() - MAY_SCAN))
def test_no_query_looks_at_every_task(connection: Connection, name: str) -> None:
    assert full_scans(plan(connection, name), QUERIES[name]) == []


def test_a_claim_sorts_nothing(connection: Connection) -> None:
    assert [step for step in plan(connection, "claims.claim") if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM task WHERE priority = 3",
        "SELECT id FROM task WHERE state = 3 OR state = 4",
        "UPDATE task SET worker = NULL WHERE worker = 5",
        "SELECT one.id FROM task AS one WHERE payload = 'x' ORDER BY id DESC",
    ],
)
def test_a_full_scan_is_seen(connection: Connection, query: str) -> None:
    assert full_scans(explain(connection.handle, query), query)


@pytest.mark.parametrize("name", sorted(MAY_SCAN))
def test_what_may_scan_does(connection: Connection, name: str) -> None:
    assert full_scans(plan(connection, name), QUERIES[name])
