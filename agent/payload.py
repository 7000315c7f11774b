"""Strict JSON at the door: what a payload and a result may be, and how they are written.

Both are JSON objects: text that is valid UTF-8 (NUL included, which is kept escaped), whole numbers of 64 bits with a
sign, finite numbers, true, false, null, lists and objects nested at most 64 levels deep, each key once. Tuples become
lists. Python's and msgspec's encoders are laxer, each in its own way (NaN becomes null, 1 and "1" become the same key,
the last of two equal keys wins), so every value is looked at before it is encoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agent.errors import PayloadError

MAX_DEPTH = 64
"""Levels of lists and objects, the outermost object included."""

_LEAST, _MOST = -(2**63), 2**63 - 1  # what SQLite's INTEGER and most readers of JSON can hold
_SMALL = 16  # keys of a dict that is worth the short way
_HARMLESS = frozenset({str, bool, type(None)})
_BOXES = (dict, list, tuple)
_BOM = "\ufeff"

# Possessive, so that a text made of quotes takes linear time; a text that never ends runs to the end.
_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*")

_Trail = tuple[str | int, ...]  # the keys and indexes that lead to a value


class ResultError(ValueError):
    """What a handler returned is not a JSON object that can be stored."""


class _Doubled(dict[str, Any]):
    """An object read from a text that has `key` more than once."""

    __slots__ = ("key",)
    key: str


def parse_payload(text: str | bytes, limit: int, where: str = "payload") -> str:
    """The compact JSON to store for a payload given as text.

    `limit` is in bytes, for the text as for what is stored; `where` begins the message of the PayloadError that is
    raised for anything else than one JSON object as described above.
    """
    text = _decoded(text, limit, where)
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(text, where)
    try:
        value = _read(text)
    except json.JSONDecodeError as error:
        place = _place(text, error.pos)
        what = error.msg.removesuffix(" at").removesuffix(" starting")
        message = f"{where} is not valid JSON at {place} ({what[:1].lower()}{what[1:]}): {_cure(text)}"
        raise PayloadError(message) from error
    return _encoded(value, limit, where, PayloadError).decode()


def dump_payload(value: object, limit: int, where: str = "payload") -> str:
    """The compact JSON to store for a payload given as a mapping; raises PayloadError, naming the path."""
    if not isinstance(value, dict) and isinstance(value, Mapping):
        value = dict(value)
    return _encoded(value, limit, where, PayloadError).decode()


def dump_result(value: object, limit: int) -> bytes:
    """The compact JSON to store for what a handler returned; raises ResultError, naming the path."""
    try:
        return _encoded(value, limit, "result", ResultError)
    except ResultError:
        raise
    except BaseException as error:  # a dict that a thread changes meanwhile, one of the user's that raises when read
        raise ResultError(f"result cannot be read ({type(error).__name__}): return a plain dict") from error


def repeated_name(text: str | bytes) -> str | None:
    """The first name that stands twice in the outermost object of a valid text, as an error message shows it."""
    value = _DECODER.decode(text.decode() if isinstance(text, bytes) else text)
    return _quoted(value.key) if isinstance(value, _Doubled) else None


def canonical(text: str) -> bytes:
    """The SHA-256 of a stored payload with its keys sorted: equal for payloads that mean the same (1 is not 1.0)."""
    import hashlib  # 20 ms that only a task with an idempotency key needs to spend

    return hashlib.sha256(msgspec.json.encode(msgspec.json.decode(text), order="deterministic")).digest()


# -- From text


def _decoded(text: str | bytes, limit: int, where: str) -> str:
    """The text as a str that UTF-8 can carry, within the limit and without a byte order mark."""
    if len(text) > limit:
        raise PayloadError(_too_large(where, limit))
    try:
        if isinstance(text, bytes):
            text = text.decode()
        else:
            text.encode()
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        place = _place(before, len(before))
        raise PayloadError(f"{where} is not valid UTF-8 at {place} (byte {error.start}): save it as UTF-8") from error
    except UnicodeEncodeError as error:
        place = _place(error.object, error.start)
        raise PayloadError(f"{where} has half of a surrogate pair at {place}: pass it as valid UTF-8") from error
    if text.startswith(_BOM):
        raise PayloadError(f"{where} begins with a byte order mark: save it as UTF-8 without one")
    return text


def _check_depth(text: str, where: str) -> None:
    """Refuse, before anything recurses, brackets that are open more than MAX_DEPTH deep."""
    depth = 0
    for match in _BRACKET.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise PayloadError(f"{where} at {_place(text, match.start())} {_TOO_DEEP}: flatten it")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    doubled = _Doubled(made)
    doubled.key = _first_repeated([key for key, _ in pairs])
    return doubled


def _first_repeated(keys: Sequence[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            break
        seen.add(key)
    return key


def _read(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of more digits than Python converts: read it as one that is refused with its path
        return _LONG_NUMBERS.decode(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_LONG_NUMBERS = json.JSONDecoder(object_pairs_hook=_object, parse_int=lambda digits: int(digits[:40]))


def _place(text: str, position: int) -> str:
    column = f"column {position - text.rfind(chr(10), 0, position)}"
    return f"line {text.count(chr(10), 0, position) + 1}, {column}" if "\n" in text else column


def _cure(text: str) -> str:
    if not text.strip():
        return "pass a JSON object, {} for nothing"
    if text.lstrip().startswith("{") and '"' not in text:
        return "names and text stand in double quotes; in a shell, put all of it in single quotes: '{\"value\": 42}'"
    return "names and text stand in double quotes, and there are no comments and no trailing commas"


# -- From a value


def _encoded(value: object, limit: int, where: str, refusal: Callable[[str], Exception]) -> bytes:
    if _is_plain(value):
        try:
            data = msgspec.json.encode(value)
        except UnicodeEncodeError:
            return _dump(value, limit, where, refusal)  # the long way names the path
        if len(data) <= limit:
            return data
    return _dump(value, limit, where, refusal)


def _is_plain(value: object) -> bool:
    """Whether this is a small, flat dict that any encoder writes alike: 0.2 µs, where the long way takes 2 µs."""
    if type(value) is not dict or len(value) > _SMALL:
        return False
    for key, item in value.items():
        if type(key) is not str:
            return False
        kind = type(item)
        if kind in _HARMLESS or (kind is int and _LEAST <= item <= _MOST) or (kind is float and item - item == 0.0):
            continue
        return False
    return True


def _dump(value: object, limit: int, where: str, refusal: Callable[[str], Exception]) -> bytes:
    if not isinstance(value, dict):
        raise refusal(_not_an_object(value, where))
    flaw = _flaw(value, limit)
    if flaw is not None:
        trail, reason = flaw
        raise refusal(f"{where}{_path(trail)} {reason}")
    data = msgspec.json.encode(value, enc_hook=_base)
    if len(data) > limit:
        raise refusal(_too_large(where, limit))
    return data


def _flaw(value: dict[Any, Any], limit: int) -> tuple[_Trail, str] | None:
    """The first thing in a value that may not be stored: where it is, and why not. It never recurses.

    It counts what it visits: a value that holds the same list many times over can be vast without taking memory.
    """
    boxes: list[tuple[Any, _Trail]] = [(value, ())]
    room = limit
    while boxes and room >= 0:
        box, trail = boxes.pop()
        room -= 2 * len(box)  # no item is shorter than a digit and a comma
        if isinstance(box, dict) and (reason := _flaw_of_keys(box)):
            return trail, reason
        pairs: Iterable[tuple[Any, Any]] = box.items() if isinstance(box, dict) else enumerate(box)
        for key, item in pairs:
            kind = type(item)
            if kind is str and item.isascii():
                room -= len(item)
            elif kind is int and _LEAST <= item <= _MOST:
                pass
            elif isinstance(item, _BOXES):
                if len(trail) + 1 >= MAX_DEPTH:
                    return (*trail, key), f"{_TOO_DEEP}, or holds itself: flatten it"
                boxes.append((item, (*trail, key)))
            elif reason := _flaw_of_scalar(item):
                return (*trail, key), reason
            elif isinstance(item, str):
                room -= len(item)
            if room < 0:
                break
    return None if room >= 0 else ((), _too_large("", limit).strip())


def _flaw_of_keys(box: dict[Any, Any]) -> str:
    if type(box) is _Doubled:
        return f"has the key {_quoted(box.key)} more than once: keep one of them"
    for key in box:
        if not isinstance(key, str):
            return f"has a key of type {type(key).__name__}: JSON has text alone as keys, so make it a str"
        if not key.isascii() and _is_broken(key):
            return f"has the key {_quoted(key)} with half of a surrogate pair in it: use whole characters"
    return ""


def _flaw_of_scalar(item: object) -> str:
    """Why a value that holds no others may not be stored, or nothing."""
    if item is None or isinstance(item, bool):
        return ""
    if isinstance(item, str):
        return "has half of a surrogate pair in it: use whole characters" if _is_broken(item) else ""
    if isinstance(item, int):
        return "" if _LEAST <= item <= _MOST else "is a whole number beyond 64 bits: pass it as text"
    if isinstance(item, float):
        return "" if item - item == 0.0 else "is not a finite number, as JSON demands: use null or text"
    return f"is of type {type(item).__name__}, which JSON lacks: turn it into text, a number, a list or a dict"


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _base(item: object) -> object:
    """A subclass of str, int or float as what msgspec encodes."""
    if isinstance(item, str):
        return str.__str__(item)
    if isinstance(item, int):
        return int.__int__(item)
    if isinstance(item, float):
        return float.__float__(item)
    raise TypeError(f"{type(item).__name__} changed between the look at it and its encoding")


# -- Sentences

_KINDS = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}
_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"


def _too_large(where: str, limit: int) -> str:
    return f"{where} is larger than the {limit:,} bytes allowed: keep the data elsewhere and pass its path or address"


def _not_an_object(value: object, where: str) -> str:
    if where == "result" and value is None:
        return "result is None, but a handler returns a dict: return {} when there is nothing to say"
    kind = _KINDS.get(type(value), f"of type {type(value).__name__}")
    return f'{where} is {kind}, but must be a JSON object (a dict): wrap it, as in {{"value": …}}'


def _path(trail: _Trail) -> str:
    path = "".join(_step(key) for key in trail)
    return path if len(path) <= 120 else f"{path[:80]}…{path[-39:]}"


def _step(key: str | int) -> str:
    if isinstance(key, str):
        return f".{key}" if _NAME.fullmatch(key) else f"[{_quoted(key)}]"
    return f"[{key}]"


def _quoted(key: str) -> str:
    """A key as JSON writes it, at a length that fits a sentence; escapes keep it printable."""
    return json.dumps(key if len(key) <= 60 else key[:59] + "…")
