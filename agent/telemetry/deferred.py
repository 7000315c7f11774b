"""Packages that another one imports at once, yet needs late or never: they are loaded when it first uses them.

importlib.util.LazyLoader cannot do it: it loads a package as soon as anybody imports a name from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """What is imported inside gets stand-ins for these modules; a package and its modules are named together.

    A package that is loaded already is left as it is. Afterwards everybody else imports the real ones.
    """
    stand_ins = {name: _StandIn(name) for name in names if name.partition(".")[0] not in sys.modules}
    sys.modules.update(stand_ins)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


class _StandIn:
    """Stands for a module, or for what is imported from it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system looks for some
        path = f"{self._path}.{name}"
        is_importing = isinstance(sys.modules.get(path.partition(".")[0]), _StandIn)
        return _StandIn(path) if is_importing else _real(path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _real(self._path)(*args, **kwargs)


def _real(path: str) -> Any:
    from pkgutil import resolve_name  # seldom needed

    return resolve_name(path)
