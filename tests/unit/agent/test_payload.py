"""Payloads and results: what may be stored comes back as it was, all else is refused with its place and a cure."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import PayloadError
from agent.payload import MAX_DEPTH, ResultError, canonical, dump_payload, dump_result, parse_payload

LIMIT = 1 << 20

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
OBJECTS = st.dictionaries(
    st.text(),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10),
    max_size=20,
)


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@settings(deadline=None)  # a busy machine is no failure
@given(OBJECTS)
def test_whatever_may_be_stored_comes_back_as_it_was(value: dict[str, object]) -> None:
    assert json.loads(dump_payload(value, LIMIT)) == value
    assert json.loads(dump_result(value, LIMIT)) == value
    assert json.loads(parse_payload(json.dumps(value), LIMIT)) == value
    assert json.loads(parse_payload(json.dumps(value, ensure_ascii=False).encode(), LIMIT)) == value


def test_what_is_stored_is_compact_and_keeps_the_order_of_the_keys() -> None:
    assert parse_payload('\n{ "b": [1, 2.50, true],\t"a": {"ü": null} }\n', LIMIT) == (
        '{"b":[1,2.5,true],"a":{"ü":null}}'
    )


def test_nul_characters_survive_sqlite() -> None:
    stored = parse_payload(r'{"a\u0000b": "x\u0000y"}', LIMIT)
    row = apsw.Connection(":memory:").execute("SELECT ?", (stored,)).fetchone()
    assert row is not None
    assert json.loads(row[0]) == {"a\0b": "x\0y"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "payload is not valid JSON at column 1 (expecting value): pass a JSON object, {} for nothing"),
        ("{value: 42}", "single quotes: '{\"value\": 42}'"),
        ('{"a":1,\n "b":2,}', "at line 2, column"),
        ('{"a":1} x', "at column 9 (extra data)"),
        ('{"a":"x\ny"}', "at line 1, column 8 (invalid control character)"),
        ('{"a":"x', "at column 6 (unterminated string)"),
        ("[1]", "payload is a list, but must be a JSON object"),
        ("null", "payload is null, but"),
        ("42", "payload is a number, but"),
        ('{"a":{"b":[1,NaN]}}', "payload.a.b[1] is not a finite number"),
        ('{"a":-Infinity}', "payload.a is not a finite number"),
        ('{"a":1e999}', "payload.a is not a finite number"),
        ('{"u":{"x":1,"x":2}}', 'payload.u has the key "x" more than once'),
        ('{"u":{"x":{"y":1,"y":2}},"u":1}', 'payload has the key "u" more than once'),
        ('{"a b":[{"":{"x":1,"x":1}}]}', 'payload["a b"][0][""] has the key "x" more than once'),
        (r'{"a":"\ud800"}', "payload.a has half of a surrogate pair"),
        (r'{"a":{"\udc00":1}}', r'payload.a has the key "\udc00" with half of a surrogate pair'),
        ('{"a":"\ud800"}', "half of a surrogate pair at column 7"),
        ('{"a":9223372036854775808}', "payload.a is a whole number beyond 64 bits"),
        ('{"a":-9223372036854775809}', "payload.a is a whole number beyond 64 bits"),
        ('{"a":[' + "9" * 5000 + "]}", "payload.a[0] is a whole number beyond 64 bits"),
        ("\ufeff{}", "byte order mark"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{\n"a":"\xff"}', "not valid UTF-8 at line 2, column 6 (byte 7)"),
        (nested(MAX_DEPTH + 1), "column 321 is nested more than 64 levels deep"),
    ],
)
def test_what_may_not_be_stored_is_refused_with_its_place_and_a_cure(text: str | bytes, message: str) -> None:
    with pytest.raises(PayloadError) as caught:
        parse_payload(text, LIMIT)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)


def test_the_message_begins_with_where_the_payload_came_from() -> None:
    with pytest.raises(PayloadError, match=r"^line 17 of tasks\.jsonl: payload\.a is not a finite number"):
        parse_payload('{"a":NaN}', LIMIT, "line 17 of tasks.jsonl: payload")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_the_outermost_numbers_of_64_bits_are_accepted(number: int) -> None:
    assert parse_payload(f'{{"a":{number}}}', LIMIT) == f'{{"a":{number}}}'
    assert dump_result({"a": number}, LIMIT) == f'{{"a":{number}}}'.encode()


def test_64_levels_are_accepted() -> None:
    assert parse_payload(nested(MAX_DEPTH), LIMIT) == nested(MAX_DEPTH)


def test_brackets_inside_text_are_no_levels() -> None:
    text = '{"a":"' + "[{" * 100 + '\\"' + "[" * 100 + '"}'
    assert parse_payload(text, LIMIT) == text


@pytest.mark.parametrize(
    "text",
    ["[" * 1_000_000, '{"a":' * 200_000, '{"a":"' + '\\"' * 500_000 + "[" * 100, '"[{' * 300_000, "]" * 99 + "[" * 999],
)
def test_hostile_text_is_refused_without_recursion(text: str) -> None:
    with pytest.raises(PayloadError):
        parse_payload(text, 1 << 21)


def test_the_limit_is_in_bytes_and_counts_what_is_stored() -> None:
    assert parse_payload('{"a":"éé"}', 12) == '{"a":"éé"}'
    with pytest.raises(PayloadError, match="larger than the 11 bytes allowed"):
        parse_payload('{"a":"éé"}', 11)
    with pytest.raises(PayloadError, match="larger than the 16 bytes allowed"):
        parse_payload('{"a":1}' + " " * 10, 16)
    with pytest.raises(ResultError, match="result is larger than the 10 bytes allowed"):
        dump_result({"a": "x" * 10}, 10)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Metres(float):
    pass


class Pair(NamedTuple):
    x: int
    y: tuple[int, ...]


class Name(str):
    __slots__ = ()


def test_subclasses_and_tuples_are_stored_as_what_json_has() -> None:
    value = OrderedDict(c=Colour.RED, l=Level.HIGH, m=Metres(1.5), n=Name("n"), p=Pair(1, (2,)), t=True)
    assert dump_result(value, LIMIT) == b'{"c":"red","l":3,"m":1.5,"n":"n","p":[1,[2]],"t":true}'
    assert dump_payload(MappingProxyType({Name("k"): 1}), LIMIT) == '{"k":1}'


LOOP: dict[str, object] = {}
LOOP["me"] = [LOOP]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: 2}, "payload has a key of type int"),
        ({"users": {None: 2}}, "payload.users has a key of type NoneType"),
        ({"user": {"when": datetime(2026, 1, 1)}}, "payload.user.when is of type datetime"),
        ({"a": {1, 2}}, "payload.a is of type set"),
        ({"a": [b"x"]}, "payload.a[0] is of type bytes"),
        ({"a": float("nan")}, "payload.a is not a finite number"),
        ({"a": [Metres("inf")]}, "payload.a[0] is not a finite number"),
        ({"a": 2**63}, "payload.a is a whole number beyond 64 bits"),
        ({"a": 10**5000}, "payload.a is a whole number beyond 64 bits"),
        ({"a": "\ud800"}, "payload.a has half of a surrogate pair"),
        ({"\ud800": 1}, "half of a surrogate pair"),
        (LOOP, "is nested more than 64 levels deep, or holds itself"),
        ([1], "payload is a list, but must be a JSON object (a dict)"),
        (None, "payload is null"),
        (object(), "payload is of type object"),
    ],
)
def test_a_value_json_lacks_is_refused_with_its_path(value: object, message: str) -> None:
    with pytest.raises(PayloadError) as caught:
        dump_payload(value, LIMIT)
    assert message in str(caught.value)
    if value is not None:
        with pytest.raises(ResultError) as refused:
            dump_result(value, LIMIT)
        assert message.replace("payload", "result") in str(refused.value)


def test_a_handler_that_returns_nothing_is_told_what_to_return() -> None:
    with pytest.raises(ResultError, match=r"result is None, .* return \{\}"):
        dump_result(None, LIMIT)


def test_a_value_that_repeats_itself_beyond_measure_is_refused_before_it_is_written() -> None:
    fan: list[object] = [1]
    for _ in range(50):
        fan = [fan] * 10
    with pytest.raises(ResultError, match="larger than"):
        dump_result({"fan": fan}, LIMIT)
    with pytest.raises(ResultError, match="larger than"):
        dump_result({"texts": ["é" * 1_000_000] * 1_000_000}, LIMIT)


def test_equal_payloads_have_equal_digests_whatever_the_order_of_their_keys() -> None:
    one = canonical(parse_payload('{"a":1,"b":{"x":[1,2],"y":2}}', LIMIT))
    assert one == canonical(parse_payload('{ "b":{"y":2,"x":[1,2]}, "a":1 }', LIMIT))
    assert len(one) == 32
    assert one != canonical('{"a":1,"b":{"x":[2,1],"y":2}}')
    assert one != canonical('{"a":"1","b":{"x":[1,2],"y":2}}')
