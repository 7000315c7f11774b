"""How one setting is read: each reader turns a raw value into the value to keep.

A raw value comes from YAML (typed) or from the environment or the command line (text). What a reader cannot take it
refuses with a ValueError whose message begins with "must", so that the name of the setting can stand before it.
"""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from agent.duration import LONGEST_S, parse_duration
from agent.secrecy import HIDDEN

_A_DURATION = "a duration such as 30, 500ms, 30s, 10m, 2h or 7d (ten years at most)"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(?:([KMGT])(i?)B?|B)?", re.ASCII | re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_SHOWN_CHARACTERS = 60
_N = TypeVar("_N", int, float)


def shown(raw: object) -> str:
    """A raw value as an error message shows it: short, on one line, texts in quotes."""
    match raw:
        case bool():
            return f"{str(raw).lower()} (in YAML yes, no, on and off mean that too: quote it if a text is meant)"
        case None:
            return "nothing"
        case int() | float():
            return repr(raw) if isinstance(raw, float) else _short_digits(raw)
        case str():
            return repr(raw if len(raw) <= _SHOWN_CHARACTERS else raw[:_SHOWN_CHARACTERS] + "…")
        case timedelta():
            return f"{raw.total_seconds():.15g} s"
        case date():
            return f"the date {raw.isoformat()}"
        case dict():
            return "a mapping"
        case list() | tuple() | set():
            return "a list"
    return f"a {type(raw).__name__}"


def kind_of(raw: object) -> str:
    """A raw value that is shown only if it is no text: one in a wrong place may be a secret."""
    return "a text" if isinstance(raw, str) else shown(raw)


def address_shown(url: str) -> str:
    """An address without what may be secret in it: user and password, path and query. Rather too much is hidden."""
    without_login = re.sub(r"^([^:/@]*://)?.*@", lambda match: f"{match[1] or ''}{HIDDEN}@", url, flags=re.DOTALL)
    place = re.match(r"(?:[^:/?#]*:)?/{0,2}[^/?#]*[/?#]?", without_login)
    end = place.end() if place else 0
    return without_login[:end] + (HIDDEN if without_login[end:] else "")


def named(key: str) -> str:
    """A key as an error message names it: as it stands, or in quotes where it would be mistaken for something else."""
    return key if 0 < len(key) <= _SHOWN_CHARACTERS and key.isprintable() else shown(key)


def _short_digits(number: int) -> str:
    return str(number) if abs(number) < 10**30 else "a number of more than 30 digits"


def _seconds(raw: Any, unit: float = 1.0) -> float:
    """Seconds; a number without a unit counts `unit` seconds."""
    if isinstance(raw, timedelta):
        return raw.total_seconds()
    if not isinstance(raw, str) or _NUMBER.fullmatch(raw.strip()):
        return _finite(raw, raw, _A_DURATION) * unit
    try:
        return parse_duration(raw)
    except ValueError as error:
        raise ValueError(f"must be {_A_DURATION}, not {shown(raw)}") from error


def parse_size(value: int | str) -> int:
    """Bytes, from a number of bytes or a text such as "64MB" (10^6) or "512MiB" (2^20). Raises ValueError."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        number, letter, binary = match.groups()
        base: int = 1024 if binary else 1000
        return round(float(number) * float(base ** _POWERS.get((letter or "").upper(), 0)))
    if type(value) is not int:
        raise ValueError(f"must be a number of bytes or a size such as 64MB or 512MiB, not {shown(value)}")
    return value


def _finite(raw: object, original: object, wanted: str) -> float:
    if isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
        raw = float(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError(f"must be {wanted}, not {shown(original)}")
    try:
        value = float(raw)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {shown(original)}")
    return value


def _within(value: _N, raw: object, low: float, high: float, above: bool = False) -> _N:
    if value < low or (above and value == low):
        raise ValueError(f"must be {'more than' if above else 'at least'} {low:.15g}, not {shown(raw)}")
    if value > high:
        raise ValueError(f"must be at most {high:.15g}, not {shown(raw)}")
    return value


class Reader(Protocol):
    """Reads one setting; `is_text` says that the raw value comes from where everything is text."""

    def read(self, raw: Any, is_text: bool) -> Any:
        """The value to keep. Raises ValueError, whose message begins with "must"."""


class Whole(msgspec.Struct, frozen=True):
    """A whole number."""

    low: int = 0
    high: int = 1_000_000_000

    def read(self, raw: Any, is_text: bool) -> int:
        value = int(raw) if is_text and isinstance(raw, str) and _is_short_whole(raw) else raw
        if type(value) is not int:
            raise ValueError(f"must be a whole number, not {shown(raw)}")
        return _within(value, raw, self.low, self.high)


def _is_short_whole(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9]{1,40}\s*", text) is not None


class Number(msgspec.Struct, frozen=True):
    """A number; `above` excludes the lower bound."""

    low: float = 0.0
    high: float = 1.0
    above: bool = False

    def read(self, raw: Any, is_text: bool) -> float:
        if isinstance(raw, str) and not is_text:
            raise ValueError(f"must be a number, not the text {shown(raw)}")
        return _within(_finite(raw, raw, "a number"), raw, self.low, self.high, self.above)


class Seconds(msgspec.Struct, frozen=True):
    """A duration in seconds, or in `unit` seconds: then a number without a unit counts those."""

    low: float = 0.0
    high: float = LONGEST_S
    above: bool = False
    unit: float = 1.0

    def read(self, raw: Any, is_text: bool) -> float:
        return _within(_seconds(raw, self.unit) / self.unit, raw, self.low, self.high, self.above)


class Size(msgspec.Struct, frozen=True):
    """A number of bytes."""

    low: int = 0
    high: int = 2**50

    def read(self, raw: Any, is_text: bool) -> int:
        return _within(parse_size(raw), raw, self.low, self.high)


class Switch(msgspec.Struct, frozen=True):
    """True or false."""

    def read(self, raw: Any, is_text: bool) -> bool:
        value = _SWITCH.get(raw.strip().lower(), raw) if is_text and isinstance(raw, str) else raw
        if type(value) is not bool:
            raise ValueError(f"must be true or false, not {shown(raw)}")
        return value


class Choice(msgspec.Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, raw: Any, is_text: bool) -> str:
        if not isinstance(raw, str) or raw not in self.words:
            raise ValueError(f"must be {' or '.join(self.words)}, not {shown(raw)}")
        return raw


class Text(msgspec.Struct, frozen=True):
    """A text on one line; `secret` ones are never shown."""

    secret: bool = False
    may_be_empty: bool = True

    def read(self, raw: Any, is_text: bool) -> str:
        value = "" if raw is None else raw
        if not isinstance(value, str):
            raise ValueError(f"must be a text (quote it), not {HIDDEN if self.secret else shown(raw)}")
        if not value.strip() and not self.may_be_empty:
            raise ValueError("must not be empty")
        if any(character in value for character in "\0\r\n"):
            raise ValueError("must be one line without NUL characters")
        return value


class Handlers(msgspec.Struct, frozen=True):
    """A list of handler SPECs, or, from the environment, one text that `split_specs` takes apart."""

    def read(self, raw: Any, is_text: bool) -> tuple[str, ...]:
        specs = split_specs(raw) if is_text and isinstance(raw, str) else () if raw is None else raw
        if not isinstance(specs, list | tuple):
            raise ValueError(f"must be a list such as [examples/handlers.py, package.module], not {shown(raw)}")
        for number, spec in enumerate(specs, 1):
            if not isinstance(spec, str) or not spec.strip() or "\0" in spec:
                raise ValueError(f"must name a module or a .py file in each entry, but entry {number} is {shown(spec)}")
        return tuple(specs)


def split_specs(text: str) -> tuple[str, ...]:
    """The SPECs of a text, parted by commas, and by colons but for one before a bare name: `package.module:name`."""
    specs: list[str] = []
    for listed in text.split(","):
        first, *others = (part.strip() for part in listed.split(":"))
        specs.append(first)
        for part in others:
            if part.isidentifier() and specs[-1] and ":" not in specs[-1]:
                specs[-1] += f":{part}"
            else:
                specs.append(part)
    return tuple(spec for spec in specs if spec)
