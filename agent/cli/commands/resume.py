"""`resume`: run the agent."""

from __future__ import annotations

import click

from agent.cli.invocation import Invocation
from agent.cli.output import document
from agent.cli.parameters import WORKERS, as_json


@click.command()
@click.option("--drain", is_flag=True, help="End once nothing is left that can run, now or later.")
@click.option("--max-concurrent", type=WORKERS, metavar="N", help="The number of workers; overrides the configuration.")
@as_json
@click.pass_obj
def resume(invocation: Invocation, drain: bool, max_concurrent: int | None, as_json: bool) -> int:
    """Start the agent.

    Ctrl-C lets running tasks finish; a second Ctrl-C does not wait for them.
    """
    code = invocation.agent().resume(drain=drain, max_concurrent=max_concurrent)
    if as_json:
        document({"exit_code": code})
    return code
