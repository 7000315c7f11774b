"""`tasks`: the newest tasks."""

from __future__ import annotations

import click

from agent.cli.invocation import Invocation
from agent.cli.output import document, table, tell
from agent.cli.parameters import Whole, as_json
from agent.lifecycle import State

COLUMNS = ("id", "type", "state", "attempt", "created_at", "error")
STATES = click.Choice([state.word for state in State])
LIMIT = Whole(1, 1_000_000)


@click.command()
@click.option("--state", type=STATES, metavar="S", help=f"Only tasks in this state: {', '.join(STATES.choices)}.")
@click.option("--type", metavar="T", help="Only tasks of this type.")
@click.option("--limit", type=LIMIT, default=50, show_default=True, metavar="N", help="At most so many.")
@as_json
@click.pass_obj
def tasks(invocation: Invocation, state: str | None, type: str | None, limit: int, as_json: bool) -> None:
    """Print the newest tasks, newest first."""
    records = invocation.agent().tasks(state, type, limit)
    if as_json:
        document(records)
    elif records:
        tell(table(COLUMNS, [[record[column] for column in COLUMNS] for record in records]))
    else:
        tell("no tasks")
