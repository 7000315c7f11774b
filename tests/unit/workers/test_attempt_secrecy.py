"""What is kept of an attempt that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.handlers import Registered, registered
from agent.task import Claimed
from workers.attempt import LONGEST_ERROR, LONGEST_TRACEBACK, Failure, perform

TASK = Claimed(id=1, claims=1, attempt=0, failures=0, payload="{}", max_attempts=None, timeout_us=None, key=None)


def failure(fn: Callable[[Any], Any]) -> Failure:
    handler: Registered = registered("it", fn)
    result = perform(handler, TASK, 1000)
    assert isinstance(result, Failure)
    return result


def refuse(text: str) -> Callable[[Any], Any]:
    def handler(payload: Any) -> Any:
        raise ConnectionError(text)

    return handler


def test_no_secret_stands_in_the_error_or_its_traceback() -> None:
    def handler(payload: Any) -> Any:
        try:
            raise OSError("refused: {'api_key': 'geheim'}")
        except OSError as error:
            raise ConnectionError("password=geheim for smtp://me:geheim@host") from error

    found = failure(handler)
    assert found.error == "ConnectionError: password=*** for smtp://***@host"
    assert "geheim" not in str(found.traceback)
    assert "OSError: refused: {'api_key': ***}" in str(found.traceback)
    assert found.verdict.error == found.error


@pytest.mark.parametrize("before", [LONGEST_ERROR - 30, LONGEST_ERROR, LONGEST_TRACEBACK // 2, LONGEST_TRACEBACK])
@pytest.mark.parametrize("after", [0, LONGEST_TRACEBACK // 2 - 20, LONGEST_TRACEBACK])
def test_a_secret_that_a_cut_parts_from_its_name_is_hidden(before: int, after: int) -> None:
    found = failure(refuse("x" * before + " password=" + "geheim" * 20 + " " + "y" * after))
    assert "heim" not in found.error
    assert "heim" not in str(found.traceback).replace('"geheim" * 20', "")
    assert len(found.error) <= LONGEST_ERROR
    assert len(str(found.traceback)) <= LONGEST_TRACEBACK + 100


def test_an_error_of_any_length_is_cut_in_no_time() -> None:
    assert len(failure(refuse("token " * 2_000_000)).error) <= LONGEST_ERROR


@pytest.mark.parametrize("times", [LONGEST_TRACEBACK // 4, LONGEST_TRACEBACK])
def test_a_text_that_grows_as_it_is_made_storable_is_cut_as_well(times: int) -> None:
    found = failure(refuse("\ud800" * times + "the end"))

    told = str(found.traceback)
    assert "\\ud800" in told
    assert told.endswith("the end\n")
    assert len(told) <= LONGEST_TRACEBACK + 100
