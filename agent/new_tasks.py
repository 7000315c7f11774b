"""What callers ask for, checked before anything is stored: durations, times, lines of a file become `NewTask`s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec

from agent.clock import SECOND
from agent.duration import Duration, parse_duration
from agent.errors import PayloadError, UsageError
from agent.handlers import MOST_ATTEMPTS, check_type
from agent.payload import parse_payload, repeated_name
from agent.task import NewTask

T = TypeVar("T")

PRIORITIES = range(-(2**31), 2**31)
LONGEST_KEY = 1000
THOUSAND = 1000
BLOCK_BYTES = 1 << 20  # of lines that are looked at together, unless one line is longer
FEW = 16  # lines of which one is special: looked at one by one
LONGEST_REASON = 200  # characters


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of `enqueue --many`."""

    payload: msgspec.Raw
    type: str | None = None
    key: str | None = None
    priority: int = 0


_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Priority = Annotated[int, msgspec.Meta(ge=PRIORITIES.start, lt=PRIORITIES.stop)]


class PlainLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What most lines of `enqueue --many` are: no key, and a flat payload; in the documented order."""

    type: str | None = None
    payload: dict[str, _Whole | float | str | bool | None]
    priority: _Priority = 0


_NAMES = tuple(f'"{name}"'.encode() for name in Line.__struct_fields__)  # as a line has them that escapes nothing

_decode_line = msgspec.json.Decoder(Line).decode
_decode_plain_lines = msgspec.json.Decoder(PlainLine).decode_lines
_encode_lines = msgspec.json.Encoder().encode_lines


def new_task(
    type_: str,
    payload: str,
    now: int,
    *,
    key: str | None = None,
    priority: int = 0,
    delay: Duration | None = None,
    run_at: datetime | None = None,
    max_attempts: int | None = None,
    timeout: Duration | None = None,
) -> NewTask:
    """A checked request; `payload` is checked JSON text. Raises UsageError."""
    check_type(type_)
    _check_key(key)
    _check_priority(priority)
    if max_attempts is not None and (isinstance(max_attempts, bool) or not 1 <= max_attempts <= MOST_ATTEMPTS):
        raise UsageError(f"max_attempts takes a whole number from 1 to {MOST_ATTEMPTS:,}, not {max_attempts!r}")
    return NewTask(
        type=type_, payload=payload, key=key, priority=priority, due_at=_due_at(now, delay, run_at),
        max_attempts=max_attempts, timeout_us=_timeout_us(timeout),
    )  # fmt: skip


def tasks_of_lines(lines: Iterable[bytes], default_type: str | None, where: str, limit: int) -> list[NewTask]:
    """The tasks of a JSON-lines file; blank lines are passed over. Raises PayloadError naming file and line."""
    tasks: list[NewTask] = []
    first = 1
    for block in _blocks(lines):
        tasks += _tasks_of(block, first, default_type, where, limit)
        first += len(block)
    return tasks


def thousands(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of a thousand, the last one shorter."""
    iterator = iter(items)
    while thousand := list(islice(iterator, THOUSAND)):
        yield thousand


def seconds(value: Duration, name: str) -> float:
    """A duration in seconds. Raises UsageError naming what it is for."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def _blocks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lists of lines without their ends, a first one of one line, each other at most twice as long as the last: what is
    wrong early on is told before much more is read."""
    most, size = 1, 0
    block: list[bytes] = []
    try:
        for line in lines:
            block.append(line.rstrip(b"\r\n"))
            size += len(line)
            if len(block) == most or size > BLOCK_BYTES:
                yield block
                most, size, block = min(2 * most, THOUSAND), 0, []
    except Exception:
        yield block  # what is wrong in it comes first
        raise
    yield block


def _tasks_of(lines: list[bytes], first: int, default_type: str | None, where: str, limit: int) -> list[NewTask]:
    """Plain lines together, and the few around one that is not one by one: it is looked for by halves."""
    plain = _tasks_of_plain_lines(lines, default_type, limit)
    if plain is not None:
        return plain
    if len(lines) <= FEW:
        numbered = enumerate(lines, first)
        return [_task_of_line(text, default_type, f"{where}:{n}", limit) for n, text in numbered if text.strip()]
    half = len(lines) // 2
    before = _tasks_of(lines[:half], first, default_type, where, limit)
    return before + _tasks_of(lines[half:], first + half, default_type, where, limit)


def _task_of_line(text: bytes, default_type: str | None, where: str, limit: int) -> NewTask:
    form = 'a line is {"type"?, "payload", "key"?, "priority"?}'
    try:
        line = _decode_line(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        parse_payload(text, max(limit, len(text)), where)  # says where the JSON itself is wrong
        raise PayloadError(f"{where}: {_on_one_line(str(error))}: {form}") from error
    type_ = line.type if line.type is not None else default_type
    if type_ is None:
        raise PayloadError(f"{where} names no type: add one to the line, or give TYPE before --many")
    payload = parse_payload(bytes(line.payload), limit, f"{where}: payload")
    if (b"\\u00" in text or any(text.count(name) > 1 for name in _NAMES)) and (name := repeated_name(text)):
        raise PayloadError(f"{where} has {name} more than once: keep one of them")
    try:
        return new_task(type_, payload, 0, key=line.key, priority=line.priority)
    except UsageError as error:
        raise PayloadError(f"{where}: {error}") from error


def _tasks_of_plain_lines(lines: list[bytes], default_type: str | None, limit: int) -> list[NewTask] | None:
    """The tasks of lines that have nothing special about them; None: look closely."""
    plain = _plain_lines(lines, limit)
    if plain is None:
        return None
    default = default_type or ""  # which is no type
    tasks = [
        NewTask(default if line.type is None else line.type, payload, None, line.priority) for line, payload in plain
    ]
    try:
        for type_ in set(map(attrgetter("type"), tasks)):
            check_type(type_)
    except UsageError:
        return None
    return tasks


def _plain_lines(lines: list[bytes], limit: int) -> Iterator[tuple[PlainLine, str]] | None:
    """What lines say, each with its payload's compact JSON, all of them in a fifth of the time; None: look closely.

    Such a line has a small, flat payload, and is what its value encodes to, whatever spaces it has: so no key stands
    twice, and no number is spelled in a way of its own. Inside strings the spaces are the same, as it was decoded.
    """
    text = b"\n".join(lines) + b"\n"
    if len(text) > limit and max(map(len, lines), default=0) > limit:
        return None
    try:
        found: list[Any] = _decode_plain_lines(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if len(found) != len(lines) or _encode_lines(found).replace(b" ", b"") != text.replace(b" ", b""):
        return None
    payloads = _encode_lines([line.payload for line in found]).decode().split("\n")[:-1]
    return zip(found, payloads, strict=True)


def _on_one_line(text: str) -> str:
    """A message that repeats a name from the line, which may hold anything."""
    text = text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _check_priority(priority: Any) -> None:
    if isinstance(priority, bool) or not isinstance(priority, int) or priority not in PRIORITIES:
        raise UsageError(f"priority takes a whole number of 32 bits, not {priority!r}")


def _check_key(key: Any) -> None:
    if key is None:
        return
    if not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY or not _is_storable(key):
        raise UsageError(f"an idempotency key is text of 1 to {LONGEST_KEY} characters in valid UTF-8")


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _due_at(now: int, delay: Duration | None, run_at: datetime | None) -> int | None:
    if delay is not None and run_at is not None:
        raise UsageError("delay and run_at exclude each other: give one of them")
    if delay is not None:
        return now + round(seconds(delay, "delay") * SECOND)
    if run_at is None:
        return None
    if not isinstance(run_at, datetime):
        raise UsageError(f"run_at takes a datetime, not {run_at!r}")
    moment = run_at if run_at.tzinfo else run_at.replace(tzinfo=UTC)
    return round(moment.timestamp() * SECOND)


def _timeout_us(timeout: Duration | None) -> int | None:
    if timeout is None:
        return None
    microseconds = round(seconds(timeout, "timeout") * SECOND)
    if not microseconds:
        raise UsageError("timeout must be longer than 0 s; leave it out for what the handler says")
    return microseconds
