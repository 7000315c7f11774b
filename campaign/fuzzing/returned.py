"""What handlers should not return or raise, as hypothesis strategies of recipes; `made` makes the value of one.

A recipe can be shown and compared whatever its value is like.
"""

from __future__ import annotations

from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from hypothesis import strategies as st

from agent.errors import Fail, RetryAfter
from campaign.fuzzing.hostile import CLEAN_OBJECTS, CLEAN_TEXTS, CLEAN_VALUES, MIB, TEXTS


class Odd(NamedTuple):
    """Something that JSON lacks, by its name in `ODD`."""

    name: str


class Raised(NamedTuple):
    """An error, by its name in `ERRORS`; `how` it hurts: by being raised, by being told, by reading a result."""

    name: str
    how: str


class _Colour(Enum):
    RED = "red"


class _Unready(RetryAfter):
    """A user's own, which forgets what it is made of."""

    def __init__(self, seconds: Any = None) -> None:
        if seconds is not None:
            self.seconds = seconds


class _Mute(Exception):
    """One that raises when it is to say what it is."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def __str__(self) -> NoReturn:
        raise self._error

    __repr__ = __str__


class _Lying(dict[str, Any]):
    """A dict that raises when it is read."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self._error = error

    def items(self) -> NoReturn:
        raise self._error

    __iter__ = keys = values = __len__ = items


ERRORS: dict[str, Callable[[], BaseException]] = {
    "an error": ValueError,
    "a mute error with a cause": lambda: _caused(ValueError("x"), _Mute(SystemExit())),
    "an exit": SystemExit,
    "an interrupt": KeyboardInterrupt,
    "the end of a generator": GeneratorExit,
    "the end of an iterator": StopIteration,
    "no memory": MemoryError,
    "no stack": RecursionError,
    "a system error": lambda: OSError(2, "no such thing", "\ud800"),
    "a long and broken text": lambda: ValueError("\ud800\0\n\x1b" + "x" * 99_999),
    "several": lambda: BaseExceptionGroup("several", [ValueError(1), KeyboardInterrupt()]),
    "a ladder of several": lambda: _stacked(3000),
    "a decoding error": lambda: UnicodeDecodeError("x", b"", 0, 1, ""),
    "a failure": lambda: Fail("\ud800"),
    "later": lambda: RetryAfter(5),
    "later, by nothing": _Unready,
    "later, by a text": lambda: _Unready("soon"),
    "later, by no number": lambda: _Unready(float("nan")),
    "long ago": lambda: _Unready(-1e300),
    "at the end of time": lambda: _Unready(10**400),
    "later, but yes or no": lambda: _Unready(True),
}
ODD: dict[str, Callable[[], Any]] = {
    "a set": lambda: {1, 2}, "bytes": lambda: b"x", "an object": object,
    "a time": lambda: datetime(2026, 1, 1, tzinfo=UTC), "a decimal": lambda: Decimal("1.5"),
    "a complex number": lambda: 1j, "a fraction": lambda: Fraction(1, 3), "a uuid": lambda: UUID(int=1),
    "a colour": lambda: _Colour.RED, "tuples": lambda: (1, (2,)), "a deque": lambda: deque([1]),
    "a range": lambda: range(3), "an iterator": lambda: iter([1]), "a view": lambda: memoryview(b"x"),
    "no number": lambda: float("nan"), "infinity": lambda: float("inf"), "beyond 64 bits": lambda: 2**63,
    "5000 digits": lambda: -(10**5000), "half a pair": lambda: "\ud800", "a number as a key": lambda: {1: 2},
    "nothing as a key": lambda: {None: 1}, "half a pair as a key": lambda: {"\ud800": 1},
    "a tuple as a key": lambda: {(): 1}, "1 and '1'": lambda: {1: 1, "1": 2}, "ordered": lambda: OrderedDict(a=1),
    "a default": lambda: defaultdict(list), "a user's dict": lambda: UserDict(a=1), "itself": lambda: _loop(),
    "a fan": lambda: _fan(50), "63 levels": lambda: _ladder(63), "64 levels": lambda: _ladder(64),
    "5000 levels": lambda: _ladder(5000), "a mebibyte": lambda: "x" * MIB, "many": lambda: ["é" * 9] * 5_000,
    "a class": lambda: type, "an error": lambda: ValueError("x"),
}  # fmt: skip

_RAISED = st.sampled_from(sorted(ERRORS))
_ODD = st.sampled_from(sorted(ODD)).map(Odd) | st.builds(Raised, _RAISED, st.just("read"))
RECIPES = st.one_of(
    CLEAN_OBJECTS,
    st.dictionaries(TEXTS, CLEAN_VALUES | _ODD, max_size=3),
    st.dictionaries(CLEAN_TEXTS, st.lists(_ODD | CLEAN_VALUES, max_size=2), max_size=2),
    _ODD,
    CLEAN_VALUES,
    st.builds(Raised, _RAISED, st.sampled_from(("raised", "told"))),
)
"""What a handler may return, or raise."""


def made(recipe: Any) -> Any:
    """The value of a recipe, new each time."""
    if isinstance(recipe, Odd):
        return ODD[recipe.name]()
    if isinstance(recipe, Raised):
        error = ERRORS[recipe.name]()
        return error if recipe.how == "raised" else _Mute(error) if recipe.how == "told" else _Lying(error)
    if isinstance(recipe, dict):
        return {key: made(value) for key, value in recipe.items()}
    return [made(item) for item in recipe] if isinstance(recipe, list) else recipe


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _stacked(levels: int) -> BaseException:
    error: BaseException = ValueError("x")
    for _ in range(levels):
        error = BaseExceptionGroup("more", [error])
    return error


def _loop() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["me"] = [loop]
    return loop


def _fan(levels: int) -> dict[str, Any]:
    fan: list[Any] = [1]
    for _ in range(levels):
        fan = [fan] * 10
    return {"fan": fan}


def _ladder(levels: int) -> dict[str, Any]:
    ladder: dict[str, Any] = {}
    for _ in range(levels):
        ladder = {"a": ladder}
    return ladder
