"""Payloads by the thousand come to what they come to one by one; what needs a closer look gets one."""

from __future__ import annotations

import enum
import math
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import PayloadError
from agent.payload import dump_payload
from agent.plain import plain_payloads

LIMIT = 1 << 20


class Colour(enum.StrEnum):
    RED = "red"


class Equal:
    """Equal to anything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Text(str):
    __slots__ = ()


SPECIAL: list[Any] = [
    {"a": math.nan}, {"a": math.inf}, {"a": 2**63}, {"a": -(2**63) - 1}, {"a": 2**70}, {"a": [1]}, {"a": {}},
    {"a": (1,)},
    {1: "a"}, {None: 1}, {"a": "\ud800"}, {"\udfff": 1}, {"a": Decimal("1.5")}, {"a": datetime(2026, 1, 1, tzinfo=UTC)},
    {"a": UUID(int=1)}, {"a": b"x"}, {"a": {1}}, {"a": Equal()}, {"a": object()}, {"a": threading.Lock()},
    OrderedDict(a=1), [1], "text", None, 7, {"a": math}, {Colour.RED: 1}, {"a": Text("x")},
]  # fmt: skip
FLAT = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(-(2**64), 2**64),
    max_size=4,
)


def one_by_one(values: list[Any]) -> list[str] | None:
    try:
        return [dump_payload(value, LIMIT) for value in values]
    except PayloadError:
        return None


@pytest.mark.parametrize("value", SPECIAL, ids=range(len(SPECIAL)))
def test_what_is_special_is_not_taken_for_plain_unless_it_comes_to_the_same(value: Any) -> None:
    plain = plain_payloads([{"a": 1}, value], LIMIT)

    assert plain is None or plain == one_by_one([{"a": 1}, value])


@given(st.lists(FLAT, min_size=1, max_size=4))
def test_flat_payloads_come_to_what_they_come_to_one_by_one(values: list[Any]) -> None:
    assert plain_payloads(values, LIMIT) == one_by_one(values)


@given(st.lists(st.recursive(FLAT, lambda inner: st.dictionaries(st.text(max_size=2), inner | st.lists(inner)))))
def test_no_payload_is_refused_or_changed(values: list[Any]) -> None:
    plain = plain_payloads(values, LIMIT)

    assert plain is None or plain == one_by_one(values)


def test_payloads_of_lines_and_of_other_separators_stay_whole() -> None:
    values = [{"a": text} for text in ("one\ntwo", "\r\n", "\x85", "\u2028", "\0", "")]

    assert plain_payloads(values, LIMIT) == one_by_one(values)


def test_one_payload_beyond_the_limit_is_looked_at_closely() -> None:
    values = [{"a": "ä" * 6}] * 9

    assert plain_payloads(values, 20) == ['{"a":"ääääää"}'] * 9
    assert plain_payloads([*values, {"a": "ä" * 7}], 20) is plain_payloads(values, 19) is None
