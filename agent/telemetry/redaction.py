"""Anything as JSON can hold it, without secrets: the last step before a value is written to a log.

Never raises: what cannot be shown is replaced by a note. Long texts, long collections and deep nesting are cut, so that
one careless field cannot fill the disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec

from agent.secrecy import HIDDEN, is_secret, without_secrets

TEXT_MAX = 16_384
ITEMS_MAX = 1_000
ALL_ITEMS_MAX = 10_000  # of a value with all that is nested in it
DEPTH_MAX = 8


class _Room:
    """How many items may still be shown: few that hold one another often are many."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = ALL_ITEMS_MAX


def plain(value: Any) -> Any:
    """`value` made of dicts, lists, texts, numbers, booleans and None, the values of secret-looking keys hidden."""
    return _shown(value, 0, _Room())


def _shown(value: Any, depth: int, room: _Room) -> Any:
    room.left -= 1
    if room.left < 0:
        return "…"
    try:
        return _plain(value, depth, room)
    except BaseException as error:  # a foreign __repr__ or __iter__ may raise whatever it likes
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _plain(value: Any, depth: int, room: _Room) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else hex(value)
    if isinstance(value, str):
        return _text(value)
    if depth >= DEPTH_MAX:
        return f"<{type(value).__name__}, nested too deep>"
    if (fields := _fields(value)) is not None:
        return _mapping(fields, depth, room)
    if isinstance(value, list | tuple | set | frozenset):
        return _cut([_shown(item, depth + 1, room) for item in islice(value, ITEMS_MAX)], len(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value[:TEXT_MAX]).decode("utf-8", "backslashreplace"))
    if isinstance(value, BaseException):
        return _text(f"{type(value).__name__}: {value}")
    return _text(repr(value))


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return None


def _mapping(fields: Mapping[Any, Any], depth: int, room: _Room) -> dict[str, Any]:
    shown = {}
    for key, value in islice(fields.items(), ITEMS_MAX):
        name = _text(key) if isinstance(key, str) else _text(str(key))
        shown[name] = HIDDEN if is_secret(name) and value is not None else _shown(value, depth + 1, room)
    return shown


def _cut(items: list[Any], total: int) -> Iterable[Any]:
    return items if total <= ITEMS_MAX else [*items, f"… {total - ITEMS_MAX} more"]


def _text(text: str) -> str:
    """Encodable, bounded, without what looks like a secret."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}… {len(text) - TEXT_MAX} more characters"
    return without_secrets(text).encode("utf-8", "backslashreplace").decode()
