"""Which function handles which type, and how: the registry, its options, and what a running handler may ask.

A handlers module registers on an agent it makes, or with the `handler` decorator; `agent.loader` collects both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec

from agent.duration import Duration, parse_duration
from agent.errors import UsageError

Handler = Callable[[Any], Any]
"""A user's function: the payload in, a dict out."""

F = TypeVar("F", bound=Callable[..., Any])

MOST_ATTEMPTS = 1_000_000
MOST_CONCURRENT = 1_000_000
LONGEST_TYPE = 200


class Options(TypedDict, total=False):
    """What may be said about a handler as it is registered; what is left out follows the configuration."""

    max_attempts: int | None
    timeout: Duration | None
    max_concurrent: int | None
    retry_on: type[BaseException] | Iterable[type[BaseException]] | None


class HandlerOptions(msgspec.Struct, frozen=True):
    """How the tasks of one type run; None means: as configured. Raises UsageError, naming the option and the cure."""

    max_attempts: int | None = None
    """Handler starts, the first included."""
    timeout: float | None = None
    """Seconds an attempt may take."""
    max_concurrent: int | None = None
    """Tasks of the type that run at the same time, over all workers."""
    retry_on: tuple[type[BaseException], ...] | None = None
    """The exceptions that are worth another attempt; any other fails the task at once."""

    def __post_init__(self) -> None:
        _check_count("max_attempts", self.max_attempts, MOST_ATTEMPTS)
        _check_count("max_concurrent", self.max_concurrent, MOST_CONCURRENT)
        msgspec.structs.force_setattr(self, "timeout", _timeout(self.timeout))
        msgspec.structs.force_setattr(self, "retry_on", _exceptions(self.retry_on))

    @classmethod
    def of(cls, **options: Unpack[Options]) -> HandlerOptions:
        """The options as a user gives them; raises UsageError."""
        for name in options:
            if name not in Options.__annotations__:
                raise UsageError(f"a handler has no option {name!r}{did_you_mean(name, Options.__annotations__)}")
        return cls(**options)  # type: ignore[arg-type]  # the looser types are what __post_init__ narrows


class Registered(msgspec.Struct, frozen=True):
    """A type and what handles it."""

    type: str
    fn: Handler
    options: HandlerOptions
    place: str
    """Where the function stands, as file:line."""

    def is_same(self, other: Registered) -> bool:
        """Whether both mean one function of one source, be its module imported under two names."""
        from agent.handler_functions import source_of

        same_function = self.fn is other.fn or source_of(self.fn) == source_of(other.fn) is not None
        return same_function and self.options == other.options


class Registry:
    """The handlers by type, and the hooks that run in each worker before its first claim."""

    def __init__(self) -> None:
        self._by_type: dict[str, Registered] = {}
        self.worker_start: list[Callable[[], object]] = []

    def register(self, type: str, fn: Handler, **options: Unpack[Options]) -> None:
        """Let `fn` handle the tasks of a type; raises UsageError for a type that already has a handler."""
        entry = registered(type, fn, **options)
        if entry.type in self._by_type:
            raise UsageError(_twice(self._by_type[entry.type], entry))
        self._by_type[entry.type] = entry

    def absorb(self, entries: Iterable[Registered]) -> None:
        """Add what was registered elsewhere; the same function once more is no mistake, another one is (UsageError)."""
        for entry in entries:
            present = self._by_type.setdefault(entry.type, entry)
            if not present.is_same(entry):
                raise UsageError(_twice(present, entry))

    def absorb_registry(self, other: Registry) -> None:
        """Add all handlers and hooks of another registry, each once."""
        self.absorb(other.entries())
        self.worker_start += [hook for hook in other.worker_start if hook not in self.worker_start]

    def get(self, type: str) -> Registered | None:
        """What handles a type, or None."""
        return self._by_type.get(type)

    def types(self) -> list[str]:
        """The types, in alphabetical order."""
        return sorted(self._by_type)

    def entries(self) -> list[Registered]:
        """All that is registered, in the order it was."""
        return list(self._by_type.values())


DECORATED: list[Registered] = []
"""The default registry: what `handler` has decorated in this process, in that order; see `Registry.absorb`."""


def handler(type: str, **options: Unpack[Options]) -> Callable[[F], F]:
    """Mark a function of a handlers module as what handles a type; raises UsageError."""
    if callable(type):
        raise UsageError('handler takes the type first: write @handler("demo") above the function')

    def mark(fn: F) -> F:
        DECORATED.append(registered(type, fn, **options))
        return fn

    return mark


def registered(type: str, fn: Handler, **options: Unpack[Options]) -> Registered:
    """A type with its handler, both checked; raises UsageError."""
    from agent.handler_functions import check_function, place_of  # 20 ms that a process without handlers need not spend

    check_type(type)
    check_function(type, fn)
    try:
        return Registered(type, fn, HandlerOptions.of(**options), place_of(fn))
    except UsageError as error:
        raise UsageError(f"handler of type {type!r} at {place_of(fn)}: {error}") from error


def check_type(type: object) -> None:
    """Raise UsageError unless this may be the name of a type."""
    if not isinstance(type, str):
        raise UsageError(f"a type is named by text, not by a value of type {type.__class__.__name__}")
    if not 1 <= len(type) <= LONGEST_TYPE or not type.isprintable() or type != type.strip():
        shown = ascii(type if len(type) <= 60 else type[:59] + "…")
        raise UsageError(
            f"{shown} cannot name a type: use 1 to {LONGEST_TYPE} printable characters, no blank at either end"
        )


NEAR = 0.7  # of 1, by difflib: `great` is not meant for `retry`


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'demo'?` for the known word that is closest, or nothing if none is close."""
    import difflib  # 15 ms that only a mistake needs to spend

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=NEAR)
    return f"; did you mean {close[0]!r}?" if close else ""


# -- Inside a handler


class AttemptInfo(msgspec.Struct, frozen=True, gc=False):
    """What a handler may know about the attempt it is."""

    task_id: int
    type: str
    attempt: int
    """1 for the first start of the handler for this task."""
    key: str | None = None
    """The idempotency key."""
    deadline: float | None = None
    """When the attempt is ended, in seconds on `time.monotonic()`."""


def _nobody() -> None:
    """Outside a worker nothing runs."""


_ask: Callable[[], AttemptInfo | None] = _nobody


def let_ask(ask: Callable[[], AttemptInfo | None]) -> None:
    """Whom to ask which attempt this process runs: one at a time, so that threads started by the handler see it too."""
    global _ask
    _ask = ask


def current_attempt() -> AttemptInfo:
    """The attempt that runs in this process; raises UsageError outside a handler."""
    info = _ask()
    if info is None:
        raise UsageError("current_attempt() works only inside a handler that a worker runs")
    return info


# -- Checks


def _check_count(name: str, value: object, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UsageError(f"{name} takes a whole number from 1 to {most:,}, or None for what is configured")


def _timeout(value: Duration | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise UsageError(f"timeout: {error}") from error
    if not seconds:
        raise UsageError("timeout must be longer than 0 s; leave it out for what is configured")
    return seconds


def _exceptions(value: object) -> tuple[type[BaseException], ...] | None:
    if value is None:
        return None
    kinds = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | type) else (value,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise UsageError("retry_on takes classes of exceptions, such as retry_on=(ConnectionError, TimeoutError)")
    return kinds


def _twice(first: Registered, second: Registered) -> str:
    return f"type {first.type!r} is registered twice, at {first.place} and at {second.place}: rename or drop one"
