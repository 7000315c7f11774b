"""`inspect`: the stored record of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from agent.cli.invocation import Invocation
from agent.cli.output import as_json as to_json
from agent.cli.output import counted, document, tell
from agent.cli.parameters import as_json, possible, task_id

WIDTH = 14  # of the names


@click.command()
@click.argument("task", metavar="ID", type=task_id)
@click.option("--attempts", is_flag=True, help="Show each attempt with its error in full.")
@as_json
@click.pass_obj
def inspect(invocation: Invocation, task: int, attempts: bool, as_json: bool) -> None:
    """Print the stored record of a task."""
    record = invocation.agent().inspect(possible(task))
    if as_json:
        document(record)
        return
    tell("\n".join(_fields({**record, "attempts": None} if attempts else record)))
    if attempts:
        tell("\n".join(_history(record["attempts"])))


def _fields(record: Mapping[str, Any]) -> Iterator[str]:
    """A line for each field that has a value; an error's further lines stand below its first."""
    yield f"{'task':{WIDTH}}{record['id']}"
    for name, value in record.items():
        if name == "attempts" and value is not None:
            yield f"{name:{WIDTH}}{counted(len(value), 'attempt')}{'; --attempts shows them' if value else ''}"
        elif name != "id" and value is not None:
            yield f"{name:{WIDTH}}{_shown(name, value)}"


def _shown(name: str, value: object) -> str:
    if name in ("payload", "result"):
        return to_json(value)
    return str(value).replace("\n", "\n" + " " * WIDTH)


def _history(attempts: list[Mapping[str, Any]]) -> Iterator[str]:
    for attempt in attempts:
        yield ""
        yield f"attempt {attempt['attempt']}: {attempt['outcome'] or 'running'}{_when(attempt)}"
        if attempt["error"]:
            yield from (f"    {line}" for line in attempt["error"].rstrip().split("\n"))


def _when(attempt: Mapping[str, Any]) -> str:
    words = [f"on worker {attempt['worker']}"] if attempt["worker"] else []
    words += [f"from {attempt['started_at']}"] if attempt["started_at"] else []
    words += [f"to {attempt['ended_at']}"] if attempt["ended_at"] else []
    return ", " + " ".join(words) if words else ""
