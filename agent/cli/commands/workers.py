"""`workers`, `freeze` and `thaw`: the processes that run tasks."""

from __future__ import annotations

from typing import Any

import click

from agent.cli.invocation import Invocation
from agent.cli.output import document, table, tell
from agent.cli.parameters import as_json

COLUMNS = ("worker", "pid", "state", "task", "type", "since", "heartbeat_at", "memory")

worker_id = click.argument("worker")


@click.command()
@as_json
@click.pass_obj
def workers(invocation: Invocation, as_json: bool) -> None:
    """Print the workers and what each of them does."""
    records = invocation.agent().workers()
    if as_json:
        document(records)
    elif records:
        tell(table(COLUMNS, [_row(record) for record in records]))
    else:
        tell("no workers: start some with `resume`")


@click.command()
@worker_id
@as_json
@click.pass_obj
def freeze(invocation: Invocation, worker: str, as_json: bool) -> None:
    """Stop a worker where it stands.

    WORKER goes on after `thaw`, or after governance.freeze_max_s.
    """
    _report(invocation.agent().freeze(worker), as_json)


@click.command()
@worker_id
@as_json
@click.pass_obj
def thaw(invocation: Invocation, worker: str, as_json: bool) -> None:
    """Let a frozen worker go on."""
    _report(invocation.agent().thaw(worker), as_json)


def _report(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        document(record)
    else:
        tell(f"worker {record['worker']} (process {record['pid']}) is {record['state']}")


def _row(record: dict[str, Any]) -> list[object]:
    memory = f"{record['rss_bytes'] / 1e6:,.0f} MB" if record["rss_bytes"] else None  # 0: no sample has looked yet
    return [*(record[column] for column in COLUMNS[:-1]), memory]
