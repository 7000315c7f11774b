"""Lines of a file become tasks: the short way for plain ones gives what the long way gives, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import PayloadError
from agent.new_tasks import _task_of_line, _tasks_of_plain_lines, tasks_of_lines
from agent.task import NewTask

LIMIT = 1 << 20

PLAIN = [
    b'{"payload":{"value":42}}\n', b'{"payload": {"value": 42, "name": "a,b"}}', b'{"payload":{"name":"a, b: c"}}\r\n',
    b'{"type": "demo", "payload": {}}', b'{"payload": {"on": true, "off": null, "x": 1.5}, "priority": 3}',
    b' { "payload" : {"a  b" :1,"ab": " c d "}} ',
]  # fmt: skip
SPECIAL = [
    b'{"payload": {"a": 1, "a": 2}}', b'{"payload":{"a":1,"a":2}}', b'{"payload":{},"payload":{}}',
    b'{"payload": {"a": 1e2}}', b'{"payload": {"a": -0}}', b'{"payload": {"a": 01}}', b'{"payload": {"a": NaN}}',
    b'{"payload": {"a": [1]}}', b'{"payload": {"a": 18446744073709551616}}', b'{"payload": {"a": "\\u00e9"}}',
    b'{"payload": {"a b": 1, "a b": 1}}', b'{"payload": {"a": "b\\u0020c"}}', b'{"payload":\t{}}',
    b'{"payload": []}', b'{"payload": {}, "key": "k"}', b'{"payload": {}, "type": ""}',
    b'{"payload": {}, "priority": 99999999999}', b'{"payload": {}, "odd": 1}', b'{"payload": {"a": "\xff"}}', b"[",
    b"{}", b"\xef\xbb\xbf{}", b'{"payload":' + b'{"a":' * 5000,
]  # fmt: skip
NOISE = (
    r'\{"payload": ?\{("[ab:, \\"]{0,3}" ?: ?(-?\d{1,20}(\.\d)?|"[ab:, ]{0,4}|true|null),? ?)*\}(, "priority": \d)?\}'
)


def _task_of_plain_line(line: bytes) -> NewTask | None:
    tasks = _tasks_of_plain_lines([line.rstrip(b"\r\n")], "noop", LIMIT)
    return tasks[0] if tasks else None


def tasks_of(lines: list[bytes], type_: str | None = "noop", limit: int = LIMIT) -> list[NewTask]:
    return list(tasks_of_lines(lines, type_, "f", limit))


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_takes_the_short_way_to_the_same_task(line: bytes) -> None:
    assert _task_of_plain_line(line) == _task_of_line(line, "noop", "f:1", LIMIT)


@pytest.mark.parametrize("line", SPECIAL, ids=lambda line: line[:40].decode("latin-1"))
def test_a_line_with_anything_special_takes_the_long_way(line: bytes) -> None:
    assert _task_of_plain_line(line) is None


@given(st.binary(max_size=40) | st.from_regex(NOISE, fullmatch=True).map(str.encode))
def test_the_short_way_never_differs_from_the_long_way(line: bytes) -> None:
    task = _task_of_plain_line(line)
    assert task is None or task == _task_of_line(line, "noop", "f:1", LIMIT)


def test_a_thousand_plain_lines_take_the_short_way_together() -> None:
    lines = [b'{"payload": {"value": %d}, "priority": %d}' % (n, 1 + n % 3) for n in range(1000)]

    assert _tasks_of_plain_lines(lines, "noop", LIMIT) == tasks_of(lines)
    assert tasks_of(lines) == [_task_of_line(line, "noop", "f:1", LIMIT) for line in lines]


@pytest.mark.parametrize("at", [0, 1, 499, 500, 998, 999])
def test_a_special_line_among_a_thousand_is_stored_where_it_stands(at: int) -> None:
    lines = [b'{"payload": {"value": %d}}\n' % n for n in range(1000)]
    lines[at] = b'{"payload": {"value": [1]}, "key": "k"}\n'

    expected = [NewTask("noop", f'{{"value":{n}}}') for n in range(1000)]
    expected[at] = NewTask("noop", '{"value":[1]}', "k")
    assert tasks_of(lines) == expected


@given(st.lists(st.sampled_from([*PLAIN, *SPECIAL, b"\n", PLAIN[0] + PLAIN[1], b'{"payload":', b"{}}"]), max_size=4))
def test_lines_together_are_what_they_are_one_by_one(lines: list[bytes]) -> None:
    try:
        alone = [task for n, line in enumerate(lines, 1) for task in tasks_of([b"\n"] * (n - 1) + [line])]
    except PayloadError as error:
        with pytest.raises(PayloadError, match=re.escape(str(error))):
            tasks_of(lines)
    else:
        assert tasks_of(lines) == alone


def test_what_is_wrong_with_a_line_is_told_before_the_next_are_read() -> None:
    read = 0

    def lines() -> Iterator[bytes]:
        nonlocal read
        for line in [*[PLAIN[0]] * 100, b'{"payload": {"a": "%s"}}' % (b"x" * 2_000_000), *[PLAIN[0]] * 1000]:
            read += 1
            yield line

    with pytest.raises(PayloadError, match=r"^f:101: payload is larger"):
        list(tasks_of_lines(lines(), "noop", "f", LIMIT))
    assert read == 101


def test_what_is_wrong_with_a_line_is_told_though_no_more_can_be_read() -> None:
    def lines() -> Iterator[bytes]:
        yield from PLAIN
        yield b"{"
        raise OSError("the disk is gone")

    with pytest.raises(PayloadError, match=rf"^f:{len(PLAIN) + 1} is not valid JSON"):
        list(tasks_of_lines(lines(), "noop", "f", LIMIT))


def test_a_line_of_a_later_thousand_is_named_by_its_number() -> None:
    with pytest.raises(PayloadError, match=r"^f:2005 is not valid JSON"):
        tasks_of([*[PLAIN[0]] * 2004, b"{"])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a\\nb\\u001b": {}}', r"^f:1: Object contains unknown field `a\\nb\\x1b`: a line is"),
        (b'{"payload": {}\r\n', r"^f:1 is not valid JSON at column 15 \(expecting ',' delimiter\)"),
        (b'{"' + b"x" * 999 + b'": {}}', "^f:1: Object contains unknown field `x+…: a line is"),
        (b'{"payload": {}, "payload": {}}', 'f:1 has "payload" more than once: keep one of them'),
        (b'{"type": "a", "payload": {}, "\\u0074ype": "b"}', 'f:1 has "type" more than once'),
        (b'{"payload": ' + b"[" * 9999 + b"]" * 9999 + b"}", "f:1 at column 76 is nested more than 64 levels"),
    ],
)
def test_a_line_that_is_none_is_refused_in_one_sentence(line: bytes, why: str) -> None:
    with pytest.raises(PayloadError, match=why):
        tasks_of([line])


def test_what_only_looks_like_the_same_name_twice_is_none() -> None:
    line = b'{"payload": {"type": "\\u00e9", "payload": "key"}, "type": "type"}'
    assert tasks_of([line], None) == [NewTask("type", '{"type":"é","payload":"key"}')]


def test_a_line_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(PayloadError, match="f:2: payload is larger than the 30 bytes allowed"):
        tasks_of([b'{"payload": {}}', b'{"payload": {"a": "%s"}}' % (b"x" * 30)], limit=30)


def test_blank_lines_are_passed_over_and_a_line_without_any_type_is_refused() -> None:
    assert tasks_of([b"\n", b'{"payload": {}, "type": "a"}', b" \n"], None) == [NewTask("a", "{}")]
    with pytest.raises(PayloadError, match="f:1 names no type"):
        tasks_of([b'{"payload": {}}'], None)
