"""`stats`: how many tasks stand where, and how the agent does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from agent.cli.invocation import Invocation
from agent.cli.output import document, seconds, table, tell, visible
from agent.cli.parameters import as_json
from agent.lifecycle import State

WATCH_S = 1.0  # between two looks
ALWAYS = frozenset({State.QUEUED, State.IN_PROGRESS, State.SUCCEEDED, State.FAILED})
"""The states that have a column even while no task is in them."""


@click.command()
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
@as_json
@click.pass_obj
def stats(invocation: Invocation, watch: bool, as_json: bool) -> None:
    """Print how many tasks are in which state.

    A line for each type, and below it what the governor does and whether a supervisor runs.
    """
    agent = invocation.agent()
    if not watch:
        document(agent.stats()) if as_json else tell(described(agent.stats()))
    elif not as_json and sys.stdout.isatty():
        _refresh(agent.stats() for _ in _each_second())
    else:
        for _ in _each_second():
            document(agent.stats()) if as_json else tell(described(agent.stats()) + "\n")


def described(stats: Mapping[str, Any]) -> str:
    """The counts as a table, a line for each type, and below it what holds for the whole."""
    totals: Mapping[str, int] = stats["states"]
    shown = [state.word for state in State if totals.get(state.word) or state in ALWAYS]
    types = sorted(stats["types"].items())
    rows = [[name, *(counts.get(word, 0) for word in shown)] for name, counts in types]
    rows.append(["all", *(totals.get(word, 0) for word in shown)])
    return "\n".join([table(["type", *shown], rows), "", *_whole(stats)])


def _whole(stats: Mapping[str, Any]) -> Iterator[str]:
    if stats["oldest_queued_s"] is not None:
        yield f"the oldest queued task waits for {seconds(stats['oldest_queued_s'])}"
    governor = stats["governor"]
    limit = f"governor: at most {governor['limit']} of {governor['max']} workers run tasks"
    reasons, until = [str(reason) for reason in governor["reasons"]], governor["paused_until"]
    if until is not None and not any(until in reason for reason in reasons):
        limit += f"; paused until {until}"
    yield "; ".join([limit, *reasons])
    if stats["supervisor_pid"] is None:
        yield "no supervisor runs: start one with `resume`"
    else:
        yield f"supervisor: process {stats['supervisor_pid']}"
    if degraded := stats["degraded"]:
        yield f"degraded since {degraded['since']}: {degraded['why']}"


def _each_second() -> Iterator[None]:
    while True:
        yield
        time.sleep(WATCH_S)


def _refresh(looks: Iterator[Mapping[str, Any]]) -> None:
    """Show each look in the place of the one before."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:
        for stats in looks:
            live.update(Text(visible(described(stats))), refresh=True)
