"""One attempt: whatever a handler returns or raises becomes an outcome, and never ends the worker."""

from __future__ import annotations

import random
from typing import Any, NoReturn

import pytest

from agent.errors import RetryAfter
from agent.handlers import Registered, Registry
from agent.lifecycle import State
from agent.task import Claimed
from workers.attempt import Failure, attempt_of, fail, perform
from workers.messages import Settings

SETTINGS = Settings(retry_attempts=1, retry_delay_s=60, retry_max_delay_s=60, max_result_bytes=1000, max_tasks=0)
TASK = Claimed(1, 1, 0, 0, "{}", None, None, None)
HOUR = 3_600_000_000


class Unreadable(dict[str, Any]):
    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self.error = error

    def items(self) -> NoReturn:
        raise self.error

    __iter__ = keys = items


class Mute(Exception):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> NoReturn:
        raise self.error

    __repr__ = __str__


class Later(RetryAfter):
    def __init__(self, seconds: Any = None) -> None:
        if seconds is not None:
            self.seconds = seconds


def handled_by(fn: Any) -> Registered:
    registry = Registry()
    registry.register("demo", fn)
    return registry.entries()[0]


def raising(error: BaseException) -> Registered:
    def handler(payload: object) -> NoReturn:
        raise error

    return handled_by(handler)


ENDINGS = [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit]


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_result_that_raises_when_it_is_read_is_a_failure(kind: type[BaseException]) -> None:
    for result in (Unreadable(kind()), {"a": Unreadable(kind())}):
        failure = perform(handled_by(lambda payload, result=result: result), TASK, 1000)
        assert isinstance(failure, Failure)
        assert f"result cannot be read ({kind.__name__})" in failure.error


@pytest.mark.parametrize("result", [None, [1], {"a": {1}}, {"a": float("nan")}, {"a": "x" * 1000}])
def test_a_handler_whose_result_cannot_be_stored_does_not_do_its_work_again(result: Any) -> None:
    handler = handled_by(lambda payload: result)
    failure = perform(handler, TASK, 1000)
    assert isinstance(failure, Failure)
    outcome = fail(attempt_of(TASK, handler, SETTINGS, 0, 1), failure, SETTINGS, random.Random())
    assert outcome.state == State.FAILED


@pytest.mark.parametrize("kind", ENDINGS)
def test_an_error_that_raises_when_it_is_to_say_what_it_is_is_a_failure(kind: type[BaseException]) -> None:
    failure = perform(raising(Mute(kind())), TASK, 1000)
    assert isinstance(failure, Failure)
    assert failure.error == f"Mute: (its text cannot be had: {kind.__name__})"


@pytest.mark.parametrize("seconds", [None, "soon", float("nan"), -1, 10**400, True, 1e300])
def test_a_retry_after_nothing_that_is_a_delay_comes_after_the_usual_one(seconds: Any) -> None:
    handler = raising(Later(seconds))
    failure = perform(handler, TASK, 1000)
    assert isinstance(failure, Failure)
    outcome = fail(attempt_of(TASK, handler, SETTINGS, 1, 2), failure, SETTINGS, random.Random(1))
    assert outcome.state == State.RETRY_SCHEDULED
    assert outcome.due_at is not None
    assert outcome.due_at < HOUR


def test_a_retry_after_a_delay_comes_after_that() -> None:
    handler = raising(Later(7200))
    failure = perform(handler, TASK, 1000)
    assert isinstance(failure, Failure)
    assert fail(attempt_of(TASK, handler, SETTINGS, 1, 2), failure, SETTINGS, random.Random(1)).due_at == 2 + 2 * HOUR
