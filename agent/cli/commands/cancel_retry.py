"""`cancel` and `retry`: an operator's answer to what became of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from agent.cli.invocation import Invocation
from agent.cli.output import complain, document, tell, visible
from agent.cli.parameters import as_json, possible, task_id
from agent.errors import AgentError

MEANINGS = {
    "cancelled": "cancelled",
    "requested": "requested; a worker has it and is told to end it",
    "queued": "queued again",
}
"""The outcomes that `AgentApi` names, for people."""

ids = click.argument("tasks", metavar="ID...", type=task_id, nargs=-1, required=True)


@click.command()
@ids
@as_json
@click.pass_obj
def cancel(invocation: Invocation, tasks: Sequence[int], as_json: bool) -> int:
    """Cancel tasks; of one that runs, the handler is ended."""
    return _answer(invocation.agent().cancel, tasks, as_json)


@click.command()
@ids
@as_json
@click.pass_obj
def retry(invocation: Invocation, tasks: Sequence[int], as_json: bool) -> int:
    """Queue failed or cancelled tasks again."""
    return _answer(invocation.agent().retry, tasks, as_json)


def _answer(verb: Callable[[int], str], tasks: Sequence[int], as_json: bool) -> int:
    """Apply the verb to each task, whatever becomes of the others; the exit code of the first error, or 0."""
    code = 0
    answers: list[dict[str, Any]] = []
    for task in tasks:
        try:
            outcome = verb(possible(task))
        except AgentError as error:
            complain(str(error))
            code = code or error.exit_code
            answers.append({"id": task, "error": visible(str(error))})
        else:
            answers.append({"id": task, "outcome": outcome})
            if not as_json:
                tell(f"{task} {MEANINGS.get(outcome, outcome)}")
    if as_json:
        document(answers)
    return code
