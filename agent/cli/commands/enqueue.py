"""`enqueue`: store one task, or a file of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, Unpack

import click

from agent.cli.invocation import Invocation
from agent.cli.output import as_json as to_json
from agent.cli.output import counted, document, note, tell, visible, warn
from agent.cli.parameters import Whole, as_json, duration, moment
from agent.errors import AgentError, NotFound, PayloadError, UsageError, WaitTimeout

if TYPE_CHECKING:
    from agent.api import AgentApi

LONGEST_INPUT = 256 * 1024 * 1024  # bytes; what is longer is no file of tasks, but a device or a mistake
PRIORITIES = Whole(-(2**31), 2**31 - 1)
ATTEMPTS = Whole(1, 1_000_000)
PAYLOAD_CURE = "give the payload as JSON, @file or - (stdin), as in enqueue demo '{\"value\": 42}'"


class Options(TypedDict):
    """What may be said about one task, by the names of `AgentApi.enqueue_text`."""

    idempotency_key: str | None
    priority: int
    delay: float | None
    run_at: datetime | None
    max_attempts: int | None
    timeout: float | None


@click.command()
@click.argument("type", required=False)
@click.argument("payload", metavar="[JSON]", required=False)
@click.option("--key", "idempotency_key", metavar="K", help="Idempotency key: the work of a key is done once.")
@click.option("--priority", type=PRIORITIES, default=0, metavar="N", help="Higher goes first; 0 is the default.")
@click.option("--delay", type=duration, metavar="SPAN", help="Not before so long: 30s, 10m, 2h, 7d.")
@click.option("--at", "run_at", type=moment, metavar="ISO", help="Not before this time: 2026-12-24T18:00:00Z.")
@click.option("--max-attempts", type=ATTEMPTS, metavar="N", help="Give up after so many attempts.")
@click.option("--timeout", type=duration, metavar="SPAN", help="The longest an attempt may take.")
@click.option("--many", metavar="FILE.jsonl", help='A task a line: {"type"?, "payload", "key"?, "priority"?}.')
@click.option("--wait", is_flag=True, help="Wait for the end and print the result.")
@click.option("--wait-timeout", type=duration, metavar="SPAN", help="The longest to wait; exit code 6 after that.")
@as_json
@click.pass_context
def enqueue(
    context: click.Context,
    type: str | None,
    payload: str | None,
    many: str | None,
    wait: bool,
    wait_timeout: float | None,
    as_json: bool,
    **options: Unpack[Options],
) -> None:
    """Store a task, or a file of them, and print its id.

    TYPE names the handler. JSON is the payload: an object such as '{"value": 42}', @file to read it from there, or -
    for stdin. Quote it, so that the shell passes it on as it is.
    """
    _refuse_contradictions(context)
    invocation: Invocation = context.obj
    if many is not None:
        _enqueue_file(invocation.agent(), many, type, as_json)
        return
    if type is None or payload is None:
        missing = "TYPE and JSON are" if type is None else "JSON is"
        raise click.UsageError(f"{missing} missing: {PAYLOAD_CURE}.", context)
    text, where = _payload(payload)
    agent = invocation.agent()
    task = agent.enqueue_text(type, text, where=where, **options)
    _warn_of_unhandled(agent, {type})
    result = _result(agent, task, wait_timeout, is_quiet=as_json) if wait else None
    if as_json:
        kept = {"id": task, "type": type, "state": "succeeded", "result": result, "key": options["idempotency_key"]}
        document(_record(agent, task, kept))
    else:
        tell(to_json(result) if wait else str(task))


def _refuse_contradictions(context: click.Context) -> None:
    typed = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    }
    if "many" in typed:
        if clash := [word for name, word in typed.items() if name not in ("many", "type", "as_json")]:
            shown = "JSON" if clash[0] == "payload" else clash[0]
            cure = "a line of the file holds all that is said of its task"
            raise click.UsageError(f"--many and {shown} exclude each other: {cure}.", context)
    elif "delay" in typed and "run_at" in typed:
        raise click.UsageError("--delay and --at exclude each other: keep one of them.", context)
    elif "wait_timeout" in typed and "wait" not in typed:
        raise click.UsageError("--wait-timeout needs --wait: add it, or leave both out.", context)


# -- One task


def _payload(text: str) -> tuple[bytes, str]:
    """The payload's bytes, and what errors call it."""
    if text == "-":
        return _whole("-"), "payload from stdin"
    if text.startswith("@"):
        return _whole(text[1:]), f"payload in {text[1:]}"
    return os.fsencode(text), "payload"


def _whole(path: str) -> bytes:
    """All that a file holds. Raises PayloadError when it does not end."""
    read = bytearray()
    for line in _lines(path):
        read += line
        if len(read) > LONGEST_INPUT:
            raise PayloadError(f"{path!r} holds more than {LONGEST_INPUT:,} bytes: that is no payload")
    return bytes(read)


def _result(agent: AgentApi, task: int, timeout: float | None, is_quiet: bool) -> dict[str, Any]:
    """A task's result, once it is there; who waits at a terminal is told what for."""
    if is_quiet:
        return agent.result(task, timeout=timeout)
    from agent.cli.waiting import Watch  # here: who does not wait need not load it

    note(f"task {task}")  # whoever stops waiting knows what to ask for
    return agent.result(task, timeout=timeout, meanwhile=Watch(agent, task).look)


def _record(agent: AgentApi, task: int, kept: dict[str, Any]) -> dict[str, Any]:
    """The task's record; of a deleted task, what its key has kept."""
    try:
        return agent.inspect(task)
    except NotFound:
        return {**kept, "result": _kept_result(agent, task) if kept["result"] is None else kept["result"]}


def _kept_result(agent: AgentApi, task: int) -> dict[str, Any] | None:
    try:
        return agent.result(task, timeout=0)
    except (NotFound, WaitTimeout):
        return None


def _warn_of_unhandled(agent: AgentApi, types: Iterable[str]) -> None:
    for type in sorted(types):
        if warning := agent.unhandled(type):
            warn(warning)


# -- Many


def _enqueue_file(agent: AgentApi, path: str, type: str | None, as_json: bool) -> None:
    types: set[str] = set()
    try:
        ids = agent.enqueue_lines(_lines(path), type, "stdin" if path == "-" else path, seen_types=types)
    except AgentError as error:
        _tell_stored(error, as_json)
        raise
    _warn_of_unhandled(agent, types)
    if as_json:
        document({"ids": ids})
    else:
        tell(str(len(ids)))


def _tell_stored(error: AgentError, as_json: bool) -> None:
    """Which tasks were stored before the error."""
    ids: list[int] | None = getattr(error, "ids", None)
    if ids is None:
        return
    if as_json:
        document({"ids": ids, "error": visible(str(error))})
    elif ids:
        tell(str(len(ids)))
        note(f"stored before the error: {counted(len(ids), 'task')}, {_ranges(ids)}")


def _ranges(ids: list[int]) -> str:
    """`1–1000, 1005–2004`."""
    ranges: list[list[int]] = []
    for task in sorted(ids):
        if ranges and task == ranges[-1][1] + 1:
            ranges[-1][1] = task
        else:
            ranges.append([task, task])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges)


def _lines(path: str) -> Iterator[bytes]:
    """What the file holds, or stdin for `-`. Raises UsageError when it cannot be read."""
    try:
        with _opened(path) as file:
            while line := file.readline(LONGEST_INPUT + 1):
                if len(line) > LONGEST_INPUT:
                    raise PayloadError(f"{path!r} has a line of more than {LONGEST_INPUT:,} bytes: that is no payload")
                yield line
    except OSError as error:
        name = "stdin" if path == "-" else repr(path)
        raise UsageError(f"{name} cannot be read ({error.strerror}): check the name and the permissions") from error


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    if path != "-":
        return open(path, "rb")
    if sys.stdin is None:
        raise UsageError("stdin is closed: give the name of a file instead of -")
    return nullcontext(sys.stdin.buffer)
