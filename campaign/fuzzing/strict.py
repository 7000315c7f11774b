"""What JSON may be stored, told a second time: the judge of the fuzzed payloads shares no line with `agent.payload`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

DEEPEST = 64  # levels of lists and objects
WHOLE_NUMBERS = range(-(2**63), 2**63)
LONGEST_WHOLE = 25  # digits that are looked at: what has more is beyond 64 bits


class _NotStorable(ValueError):
    """A text that stands for nothing that may be stored."""


def storable(text: str | bytes, deepest: int = DEEPEST) -> dict[str, Any] | None:
    """The object that a text stands for; None: it stands for none that may be stored. Its size is not judged."""
    try:
        decoded = text.decode("utf-8", "strict") if isinstance(text, bytes) else text
        decoded.encode("utf-8", "strict")
        if decoded[:1] == "\N{ZERO WIDTH NO-BREAK SPACE}":
            return None
        value = json.loads(
            decoded, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_shallow(value, deepest) else None


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the type and the bit: 1 is neither 1.0 nor true, -0.0 not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _NotStorable
    _check_texts(made)
    return made


def _check_texts(pairs: dict[str, Any]) -> None:
    boxes: list[Iterable[Any]] = [pairs, pairs.values()]
    while boxes:
        for item in boxes.pop():
            if isinstance(item, str):
                item.encode("utf-8", "strict")  # half of a surrogate pair: UnicodeEncodeError is a ValueError
            elif isinstance(item, list):
                boxes.append(item)


def _no_number(word: str) -> NoReturn:
    raise _NotStorable(word)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotStorable
    return number


def _whole(digits: str) -> int:
    number = int(digits[:LONGEST_WHOLE])
    if number not in WHOLE_NUMBERS:
        raise _NotStorable
    return number


def _is_shallow(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest + 1):
        boxes = [box for box in level if isinstance(box, dict | list)]
        if not boxes:
            return True
        level = [item for box in boxes for item in (box.values() if isinstance(box, dict) else box)]
    return False
