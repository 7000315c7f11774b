"""`pause`, `unpause` and `scale`: an operator's orders, which hold for this supervisor or the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from agent.cli.invocation import Invocation
from agent.cli.output import counted, document, note, tell, warn
from agent.cli.parameters import WORKERS, as_json, duration

EVERY_TYPE = "*"

span = click.option("--for", "span", type=duration, metavar="SPAN", help="Only for so long: 30s, 10m, 2h, 7d.")


@click.command()
@click.argument("type", required=False)
@span
@as_json
@click.pass_obj
def pause(invocation: Invocation, type: str | None, span: float | None, as_json: bool) -> None:
    """Start no more tasks, of one type or of all."""
    agent = invocation.agent()
    target = agent.pause(type, duration=span)
    if type is not None and (warning := agent.unhandled(type)):
        warn(warning)
    _report(target, as_json)


@click.command()
@click.argument("type", required=False)
@as_json
@click.pass_obj
def unpause(invocation: Invocation, type: str | None, as_json: bool) -> None:
    """End an operator's pause (the governor's ends by itself)."""
    agent = invocation.agent()
    _report(agent.unpause(type), as_json)
    for reason in agent.stats()["governor"]["reasons"]:
        if not reason.startswith("scaled"):
            note(f"still {reason}")


@click.command()
@click.argument("number", metavar="N", type=WORKERS)
@span
@as_json
@click.pass_obj
def scale(invocation: Invocation, number: int, span: float | None, as_json: bool) -> None:
    """Let at most N workers run tasks."""
    _report(invocation.agent().scale(number, duration=span), as_json)


def _report(target: Mapping[str, Any], as_json: bool) -> None:
    document(target) if as_json else tell(described(target))


def described(target: Mapping[str, Any]) -> str:
    """The new target in a sentence, and whether it holds already."""
    pauses = sorted(target["paused"].items(), key=lambda pause: (pause[0] != EVERY_TYPE, pause[0]))
    words = [_pause(type, until) for type, until in pauses] or ["nothing is paused"]
    limit = "" if target["max"] is None else f"at most {counted(target['max'], 'worker')}; "
    later = "" if target["applied"] else " (no supervisor has applied it; it waits for the next one)"
    return f"{limit}{'; '.join(words)}{later}"


def _pause(type: str, until: str | None) -> str:
    subject = "every type is paused" if type == EVERY_TYPE else f"type {type} is paused"
    return f"{subject} until {until or '`unpause`'}"
