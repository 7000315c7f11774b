"""What a function must be to handle a type, and where it stands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from agent.errors import UsageError


def check_function(name: str, fn: object) -> None:
    """Raise UsageError unless `fn` can handle the tasks of the type `name`."""
    if not callable(fn):
        raise UsageError(f"the handler of type {name!r} is of type {type(fn).__name__}: pass a function")
    where = f"the handler of type {name!r} at {place_of(fn)}"
    if isinstance(fn, type):
        raise UsageError(f"{where} is a class: pass a function, or a method of an instance")
    for each in (fn, getattr(fn, "__call__", None)):  # noqa: B004 - an instance may have an async __call__
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            raise UsageError(f"{where} is asynchronous: pass a plain function that calls asyncio.run() itself")
        if inspect.isgeneratorfunction(each):
            raise UsageError(f"{where} is a generator: return a dict instead of yielding")
    if not _takes_one_argument(fn):
        raise UsageError(f"{where} cannot be called with the payload alone: let it take one argument, a dict")


def _takes_one_argument(fn: Callable[..., Any]) -> bool:
    try:
        inspect.signature(fn).bind({})
    except TypeError:
        return False
    except ValueError:  # some built-in functions do not tell
        return True
    return True


def _function(fn: Any) -> Any:
    """The plain function inside what decorators, partial and methods have made of it."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif inspect.ismethod(fn):
            fn = fn.__func__
        else:
            break
    return fn if hasattr(fn, "__code__") or isinstance(fn, type) else getattr(type(fn), "__call__", fn)  # noqa: B004


def source_of(fn: Callable[..., Any]) -> tuple[str, int, str] | None:
    """File, line and qualified name of a function's source; None for what has none, or differs by what it holds."""
    fn = inspect.unwrap(fn)
    if not inspect.isfunction(fn) or fn.__closure__:
        return None
    code = fn.__code__
    return code.co_filename, code.co_firstlineno, code.co_qualname


def place_of(fn: Callable[..., Any]) -> str:
    """Where a function stands, as file:line."""
    code = getattr(_function(fn), "__code__", None)
    if code is None:
        return f"{getattr(fn, '__module__', None) or type(fn).__module__} (no source)"
    return f"{_short(code.co_filename)}:{code.co_firstlineno}"


def _short(filename: str) -> str:
    """A path as seen from the working directory, if it lies inside."""
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename
