"""Waiting for a condition: the only place of the tests where time passes unused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

PAUSE = 0.005  # seconds between two looks


def until(condition: Callable[[], T], timeout: float = 30, what: str = "") -> T:
    """The first true value of `condition`, asked every few milliseconds; the test fails after `timeout` seconds.

    `what` completes the sentence "waited 30 s for …". What `condition` raises is not caught.
    """
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout
    while True:
        last_look = time.monotonic() >= deadline  # decided first: a machine that stood still gets one look more
        if value := condition():
            return value
        if last_look:
            pytest.fail(f"waited {timeout:g} s for {what or _name(condition)}; at the last look it was {value!r}")
        time.sleep(PAUSE)


def _name(condition: Callable[[], object]) -> str:
    return f"{getattr(condition, '__qualname__', repr(condition))} to be true"
