"""The registry, its options, and what a running handler may ask."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import UsageError
from agent.handlers import (
    DECORATED,
    AttemptInfo,
    HandlerOptions,
    Registry,
    current_attempt,
    did_you_mean,
    handler,
    let_ask,
)


def one(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


def two(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_registered_type_is_found_with_its_options_and_its_place(registry: Registry) -> None:
    registry.register("demo", one, max_attempts=2, timeout="1m", max_concurrent=3, retry_on=ConnectionError)
    found = registry.get("demo")
    assert found is not None
    assert found.fn is one
    assert found.options == HandlerOptions(2, 60.0, 3, (ConnectionError,))
    assert found.place.endswith(f"test_handlers.py:{one.__code__.co_firstlineno}")
    assert registry.get("other") is None


def test_types_are_listed_in_alphabetical_order(registry: Registry) -> None:
    registry.register("b", one)
    registry.register("a", two)
    assert registry.types() == ["a", "b"]


def test_a_type_registered_twice_names_both_places(registry: Registry) -> None:
    registry.register("demo", one)
    with pytest.raises(UsageError) as caught:
        registry.register("demo", two)
    for fn in (one, two):
        assert f"test_handlers.py:{fn.__code__.co_firstlineno}" in str(caught.value)


def test_registries_that_share_a_handler_merge_and_others_do_not(registry: Registry) -> None:
    registry.register("demo", one)
    registry.worker_start.append(print)
    same, other, slower = Registry(), Registry(), Registry()
    same.register("demo", one)
    same.register("more", two)
    same.worker_start += [print, locals]
    registry.absorb_registry(same)
    assert registry.types() == ["demo", "more"]
    assert registry.worker_start == [print, locals]
    other.register("demo", two)
    with pytest.raises(UsageError, match="'demo' is registered twice"):
        registry.absorb_registry(other)
    slower.register("demo", one, timeout=5)
    with pytest.raises(UsageError, match="'demo' is registered twice"):
        registry.absorb_registry(slower)


def test_handlers_made_by_one_factory_are_told_apart(registry: Registry) -> None:
    def make(number: int) -> Any:
        return lambda payload: {"number": number}

    registry.register("demo", make(1))
    other = Registry()
    other.register("demo", make(2))
    with pytest.raises(UsageError, match="registered twice"):
        registry.absorb_registry(other)


@pytest.mark.parametrize("name", ["demo", "a b", "été/日本:x.y-z", "x" * 200])
def test_a_type_is_any_printable_text(registry: Registry, name: str) -> None:
    registry.register(name, one)
    assert registry.types() == [name]


@pytest.mark.parametrize("name", ["", " demo", "demo ", "x" * 201, "a\nb", "a\0", "\ud800", 5, None])
def test_other_names_for_a_type_are_refused(registry: Registry, name: Any) -> None:
    with pytest.raises(UsageError, match="type"):
        registry.register(name, one)


async def slow(payload: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return payload


async def drip(payload: dict[str, Any]) -> AsyncIterator[int]:
    yield 1


def yielding(payload: dict[str, Any]) -> Iterator[int]:
    yield 1


def no_argument() -> dict[str, Any]:
    return {}


class Job:
    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        return payload

    async def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        return payload


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (None, "is of type NoneType: pass a function"),
        ("demo", "is of type str: pass a function"),
        (slow, "is asynchronous"),
        (functools.partial(slow), "is asynchronous"),
        (drip, "is asynchronous"),
        (Job(), "is asynchronous"),
        (yielding, "is a generator"),
        (no_argument, "let it take one argument"),
        (Job.run, "let it take one argument"),
        (Job, "is a class"),
    ],
)
def test_what_cannot_handle_a_payload_is_refused_at_once(registry: Registry, fn: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        registry.register("demo", fn)
    assert "'demo'" in str(caught.value)


def test_methods_partials_and_built_in_functions_may_handle(registry: Registry) -> None:
    registry.register("method", Job().run)
    registry.register("partial", functools.partial(one))
    registry.register("built-in", len)
    assert registry.types() == ["built-in", "method", "partial"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_attempts": 0}, "max_attempts takes a whole number from 1"),
        ({"max_attempts": True}, "max_attempts takes a whole number"),
        ({"max_attempts": 1.5}, "max_attempts takes a whole number"),
        ({"max_concurrent": -1}, "max_concurrent takes a whole number"),
        ({"max_concurrent": 10**5000}, "max_concurrent takes a whole number"),
        ({"timeout": 0}, "timeout must be longer than 0 s"),
        ({"timeout": "soon"}, "timeout: 'soon' is not a duration"),
        ({"timeout": timedelta(seconds=-1)}, "timeout: .* from 0 seconds"),
        ({"retry_on": "ValueError"}, "retry_on takes classes of exceptions"),
        ({"retry_on": ValueError()}, "retry_on takes classes of exceptions"),
        ({"retry_on": (ValueError, int)}, "retry_on takes classes of exceptions"),
        ({"timout": 5}, "no option 'timout'; did you mean 'timeout'?"),
    ],
)
def test_an_option_out_of_range_is_named_with_its_cure_and_the_place(
    registry: Registry, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        registry.register("demo", one, **options)
    assert "handler of type 'demo' at " in str(caught.value)


def test_options_left_out_follow_the_configuration() -> None:
    assert HandlerOptions() == HandlerOptions(None, None, None, None)
    assert HandlerOptions.of(timeout=timedelta(minutes=2)).timeout == 120.0
    assert HandlerOptions.of(retry_on=[OSError, ValueError]).retry_on == (OSError, ValueError)


def test_the_decorator_leaves_the_function_as_it_is_and_remembers_it() -> None:
    known = len(DECORATED)
    assert handler("decorated", max_attempts=2)(one) is one
    (entry,) = DECORATED[known:]
    assert (entry.type, entry.fn, entry.options.max_attempts) == ("decorated", one, 2)
    del DECORATED[known:]


def test_the_decorator_without_a_type_is_an_error_that_shows_how() -> None:
    with pytest.raises(UsageError, match=r'write @handler\("demo"\)'):
        handler(one)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "hint"), [("demmo", "; did you mean 'demo'?"), ("zzz", ""), ("", "")], ids=["close", "far", "empty"]
)
def test_a_known_word_is_suggested_only_if_it_is_close(word: str, hint: str) -> None:
    assert did_you_mean(word, ["demo", "resize", "mail"]) == hint


def test_the_current_attempt_is_seen_by_every_thread_of_the_handler() -> None:
    info = AttemptInfo(7, "demo", 2, "key", 12.5)
    seen: list[AttemptInfo] = []
    let_ask(lambda: info)
    try:
        thread = threading.Thread(target=lambda: seen.append(current_attempt()))
        thread.start()
        thread.join()
    finally:
        let_ask(lambda: None)
    assert seen == [info]
    with pytest.raises(AttributeError):
        info.attempt = 3  # type: ignore[misc]


def test_there_is_no_current_attempt_outside_a_handler() -> None:
    with pytest.raises(UsageError, match="only inside a handler"):
        current_attempt()


def test_only_what_is_near_is_suggested() -> None:
    assert did_you_mean("retyr", ["retry", "resume"]) == "; did you mean 'retry'?"
    assert did_you_mean("great", ["retry", "resume"]) == ""
