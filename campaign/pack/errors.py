"""Handlers that raise what is hard to tell, or return what is no result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from campaign.handlers import Payload
from campaign.pack import Act, fails
from enhanced_automation_agent import Fail


class Sly(BaseException):
    """No Exception, as a library might have one."""


class Mute(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise ValueError("no comment")


class Deadly(Exception):
    """Ends whoever wants to tell it."""

    def __str__(self) -> str:
        sys.exit(7)


class Booby(dict[str, Any]):
    """Ends whoever reads it."""

    def items(self) -> NoReturn:
        sys.exit(7)


def _raises(make: Callable[[], BaseException]) -> Act:
    def act(_: Payload) -> NoReturn:
        raise make()

    return act


fails("calls sys.exit", "SystemExit")(lambda _: sys.exit(0))
fails("raises KeyboardInterrupt", "KeyboardInterrupt")(_raises(KeyboardInterrupt))
fails("raises GeneratorExit", "GeneratorExit")(_raises(GeneratorExit))
fails("raises a BaseException of its own", "Sly: got you")(_raises(lambda: Sly("got you")))
fails("raises what cannot be told", "Mute")(_raises(Mute))
fails("raises what exits when told", "Deadly")(_raises(Deadly))
fails("raises 10 MB of text", "ValueError: xxx")(_raises(lambda: ValueError("x" * 10_000_000)))
fails("raises half of a surrogate pair", "ValueError: ")(_raises(lambda: ValueError("\ud800")))
fails("gives up", "closed")(_raises(lambda: Fail("closed")))
fails("asks for more memory than there is", "MemoryError")(lambda _: {"it": bytearray(1 << 60)})


@fails("recurses to death", "RecursionError")
def recurse(payload: Payload) -> None:
    """Until Python has enough."""
    recurse(payload)


@fails("raises a chain of 5,000 errors", "ValueError")
def chain(_: Payload) -> None:
    """Each the cause of the next."""
    error = ValueError("the first")
    for _number in range(5000):
        before, error = error, ValueError("another")
        error.__cause__ = before
    raise error


def _endless() -> Payload:
    box: Payload = {}
    box["box"] = box
    return box


NO_RESULTS: dict[str, Callable[[], object]] = {
    "an object": lambda: {"it": object()},
    "a generator": lambda: (each for each in [1]),
    "no dict": lambda: [1],
    "10 MB": lambda: {"it": "x" * 10_000_000},
    "half of a surrogate pair": lambda: {"it": "\ud800"},
    "what is no number": lambda: {"it": float("nan")},
    "what holds itself": _endless,
    "what exits when read": lambda: Booby(it=[1]),
}


def _returns(make: Callable[[], object]) -> Act:
    return lambda _: make()


for _what, _make in NO_RESULTS.items():
    fails(f"returns {_what}", "result")(_returns(_make))
