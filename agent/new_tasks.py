"""What callers ask for, checked before anything is stored: durations, times, lines of a file become `NewTask`s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any

import msgspec

from agent.clock import SECOND
from agent.duration import Duration, parse_duration
from agent.errors import PayloadError, UsageError
from agent.handlers import MOST_ATTEMPTS, check_type
from agent.payload import parse_payload, repeated_name
from agent.task import NewTask

PRIORITIES = range(-(2**31), 2**31)
LONGEST_KEY = 1000
THOUSAND = 1000
LONGEST_REASON = 200  # characters


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of `enqueue --many`."""

    payload: msgspec.Raw
    type: str | None = None
    key: str | None = None
    priority: int = 0


_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class PlainLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What most lines are: no key, and a payload of which nothing needs a closer look; in the documented order."""

    type: str | None = None
    payload: dict[str, _Whole | float | str | bool | None]
    priority: int = 0


_NAMES = tuple(f'"{name}"'.encode() for name in Line.__struct_fields__)  # as a line has them that escapes nothing

_decode_line = msgspec.json.Decoder(Line).decode
_decode_plain_line = msgspec.json.Decoder(PlainLine).decode
_encode = msgspec.json.Encoder().encode


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
    if isinstance(priority, bool) or not isinstance(priority, int) or priority not in PRIORITIES:
        raise UsageError(f"priority takes a whole number of 32 bits, not {priority!r}")
    if max_attempts is not None and (isinstance(max_attempts, bool) or not 1 <= max_attempts <= MOST_ATTEMPTS):
        raise UsageError(f"max_attempts takes a whole number from 1 to {MOST_ATTEMPTS:,}, not {max_attempts!r}")
    return NewTask(
        type=type_, payload=payload, key=key, priority=priority, due_at=_due_at(now, delay, run_at),
        max_attempts=max_attempts, timeout_us=_timeout_us(timeout),
    )  # fmt: skip


def tasks_of_lines(lines: Iterable[bytes], default_type: str | None, where: str, limit: int) -> Iterator[NewTask]:
    """The tasks of a JSON-lines file; blank lines are passed over. Raises PayloadError naming file and line."""
    for number, text in enumerate(lines, 1):
        if text.strip():
            plain = _task_of_plain_line(text, default_type, limit)
            yield plain or _task_of_line(text, default_type, f"{where}:{number}", limit)


def thousands(tasks: Iterable[NewTask]) -> Iterator[list[NewTask]]:
    """Lists of a thousand, the last one shorter."""
    iterator = iter(tasks)
    while chunk := list(islice(iterator, THOUSAND)):
        yield chunk


def seconds(value: Duration, name: str) -> float:
    """A duration in seconds. Raises UsageError naming what it is for."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


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


def _task_of_plain_line(text: bytes, default_type: str | None, limit: int) -> NewTask | None:
    """The task of a line that has nothing special about it, in a fifth of the time; None: look closely.

    Such a line has a small, flat payload, and is what its value encodes to, but for one space after commas and colons:
    so no key stands twice, no number is spelled in a way of its own, and a line that has such spaces inside its strings
    is not taken for another.
    """
    text = text.rstrip(b" \t\r\n")
    if len(text) > limit:
        return None
    try:
        line = _decode_plain_line(text)
        if _encode(line) not in (text, text.replace(b": ", b":").replace(b", ", b",")):
            return None
        type_ = line.type if line.type is not None else default_type
        if type_ is None:
            return None
        _check_place(type_, line.priority)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, UsageError):
        return None
    return NewTask(type_, _encode(line.payload).decode(), None, line.priority)


def _on_one_line(text: str) -> str:
    """A message that repeats a name from the line, which may hold anything."""
    text = text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@lru_cache(maxsize=64)
def _check_place(type_: str, priority: int) -> None:
    """What is the same in most lines is checked once. Raises UsageError."""
    new_task(type_, "{}", 0, priority=priority)


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
