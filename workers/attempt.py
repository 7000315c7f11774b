"""One attempt: decode, call the handler, judge what came of it. Nothing here knows of processes or the store."""

from __future__ import annotations

import traceback
from random import Random
from typing import Final, NamedTuple

import msgspec

from agent.duration import LONGEST_S
from agent.errors import Fail, RetryAfter
from agent.handlers import Registered
from agent.lifecycle import State
from agent.payload import ResultError, dump_result
from agent.retry import Failed, decide
from agent.secrecy import without_secrets
from agent.task import Claimed, Outcome
from workers.messages import Settings

LONGEST_ERROR = 500  # characters of the line that stands on the task
LONGEST_TRACEBACK = 16 * 1024  # characters kept with an attempt
_MARGIN = 1024  # characters looked at beyond what is kept: the name of a secret may stand there

PAYLOAD: Final = 4  # of a claimed task, which is a plain tuple

_decode = msgspec.json.decode
_new = tuple.__new__
_SUCCEEDED = int(State.SUCCEEDED)


class Failure(NamedTuple):
    """Why an attempt failed: a line for the task, the whole for the attempt, and what it says about another try."""

    error: str
    traceback: str | None
    verdict: Failed


class Run(NamedTuple):
    """An attempt that ended: its fence, what was before, how many tries the task has, when (wall µs)."""

    task: int
    claims: int
    attempt: int
    failures: int
    tries: int
    started_at: int
    ended_at: int


def perform(handler: Registered, task: Claimed, max_result_bytes: int) -> bytes | Failure:
    """Run a task's handler: the result's JSON, or why there is none. Whatever the handler raises is caught here."""
    try:
        result = handler.fn(_decode(task[PAYLOAD]))
    except BaseException as error:  # also SystemExit and KeyboardInterrupt: a handler cannot end its worker by raising
        return _failure_of(error, handler)
    try:
        return dump_result(result, max_result_bytes)
    except ResultError as error:
        text = f"the handler of {handler.type!r} returned what cannot be stored: {error}"
        return Failure(text[:LONGEST_ERROR], None, Failed(text, final=True))  # its work is done: not to be done again


def attempt_of(task: Claimed, handler: Registered, settings: Settings, started_at: int, ended_at: int) -> Run:
    """The attempt of a claimed task that ended just now."""
    id_, claims, attempt, failures, _, max_attempts, _, _ = task
    tries = max_attempts or handler.options.max_attempts or 1 + settings.retry_attempts
    return Run(id_, claims, attempt + 1, failures, tries, started_at, ended_at)


def succeed(task: Claimed, started_at: int, ended_at: int, result: bytes) -> Outcome:
    """The outcome of an attempt whose handler returned."""
    id_, claims, attempt, _, _, _, _, _ = task
    text = result.decode()
    made = (id_, claims, attempt + 1, _SUCCEEDED, started_at, ended_at, None, text, None, None, "succeeded")
    return _new(Outcome, made)  # what Outcome(*made) does, in a third of its time


def fail(run: Run, failure: Failure, settings: Settings, rng: Random, word: str = "failed") -> Outcome:
    """The outcome of a failed attempt: another one when it is due, or the end."""
    base, cap = settings.retry_delay_s, settings.retry_max_delay_s
    move = decide(failure.verdict, run.failures, run.tries, base, cap, rng, run.ended_at)
    return Outcome(
        run.task, run.claims, run.attempt, move.state, run.started_at, run.ended_at, move.due_at, None, failure.error,
        failure.traceback, word,
    )  # fmt: skip


def _failure_of(error: BaseException, handler: Registered) -> Failure:
    line = _one_line(error)
    retry_on = handler.options.retry_on
    final = isinstance(error, Fail) or (
        retry_on is not None and not isinstance(error, retry_on) and not isinstance(error, RetryAfter)
    )
    return Failure(line, _traceback(error), Failed(line, final, _delay_of(error)))


def _delay_of(error: BaseException) -> float | None:
    """The seconds that a RetryAfter asks for; None, so the usual delay, for one of the user's own that forgot them."""
    seconds: object = getattr(error, "seconds", None) if isinstance(error, RetryAfter) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if 0 <= seconds < LONGEST_S else None


def _one_line(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # a user's exception may fail to say what it is
        text = f"(its text cannot be had: {type(broken).__name__})"
    name = type(error).__name__
    line = f"{name}: {text}" if text else name
    line = " ".join(line[:LONGEST_TRACEBACK].split())
    return without_secrets(_storable(line[: LONGEST_ERROR + _MARGIN]))[:LONGEST_ERROR]


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__.tb_next if error.__traceback__ else None  # without our own frame
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except BaseException:
        lines = [_one_line(error)]
    if sum(map(len, lines)) <= LONGEST_TRACEBACK:
        lines = [_storable("".join(lines))]  # which may make it longer
    length = sum(map(len, lines))
    if length <= LONGEST_TRACEBACK:
        return without_secrets("".join(lines))
    half, looked_at = LONGEST_TRACEBACK // 2, LONGEST_TRACEBACK // 2 + _MARGIN  # one of the lines may be huge
    head = without_secrets(_storable("".join(line[:looked_at] for line in lines)[:looked_at]))[:half]
    tail = without_secrets(_storable("".join(line[-looked_at:] for line in lines)[-looked_at:]))[-half:]
    return f"{head}\n… {length - 2 * half} characters left out …\n{tail}"


def _storable(text: str) -> str:
    """Text that is valid UTF-8, whatever a handler put into its exception."""
    return text.encode("utf-8", "backslashreplace").decode()
