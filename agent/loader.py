"""Finding and importing the user's handlers, and telling his mistakes from ours.

It runs in the process that forks the workers: only there is user code imported. A SPEC names a module (`pkg.mod`), one
agent or function of a module (`pkg.mod:attr`), or a file (`path/to/handlers.py`, `handlers.py:attr`). A module brings
the agents among its attributes, and what was decorated with `handler` while it was imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar
from zlib import crc32

from agent.errors import AgentError, HandlersError, UsageError
from agent.handlers import DECORATED, Registered, Registry, did_you_mean, registered
from agent.secrecy import without_secrets
from agent.trust import distrust, takes_new_files

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
TAKEN = ("agent", "workers", "supervisor")
OURS = (*TAKEN, "enhanced_automation_agent")
BESIDES = "handlers.py"
LONGEST_TRACEBACK = 16_384  # characters; the end of it tells most

_SPEC = re.compile(r"(?P<source>.+?)(?::(?P<attr>[^\W\d][\w.]*))?")


def load_handlers(specs: Sequence[str], cwd: Path) -> Registry:
    """The handlers of all specs and of ./handlers.py, if there is one; a relative path starts at `cwd`.

    Raises HandlersError: what was looked for and where, or the traceback of the user's module. That nothing is
    registered is no error here.
    """
    umask = os.umask(0o022)  # the bytecode that importing leaves behind is for nobody else to write
    os.umask(umask | 0o022)
    try:
        _make_importable(cwd)
        registry = Registry()
        for spec in specs:
            _absorb(registry, spec, cwd)
        if (cwd / BESIDES).is_file():
            _absorb(registry, str(cwd / BESIDES), cwd)
        return registry
    finally:
        os.umask(umask)


def options_as_json(registry: Registry) -> dict[str, dict[str, int | float | None]]:
    """What the supervisor needs to know of each type; `retry_on` stays with the workers."""
    return {
        entry.type: {
            "max_attempts": entry.options.max_attempts,
            "timeout": entry.options.timeout,
            "max_concurrent": entry.options.max_concurrent,
        }
        for entry in registry.entries()
    }


def _absorb(registry: Registry, spec: str, cwd: Path) -> None:
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise HandlersError("a handlers SPEC is empty: name a module, an agent in it (pkg.mod:agent), or a file")
    source, attr = match["source"], match["attr"]
    known = len(DECORATED)
    module = _load_file(source, cwd) if _is_path(source) else _load_module(source)
    try:
        if attr:
            _absorb_attribute(registry, module, attr, spec)
        else:
            _absorb_module(registry, module, DECORATED[known:])
    except UsageError as error:
        raise HandlersError(f"handlers {spec}: {error}") from error


def _absorb_module(registry: Registry, module: ModuleType, decorated: list[Registered]) -> None:
    values = list(vars(module).values())
    registry.absorb(decorated)
    registry.absorb(entry for entry in DECORATED if any(value is entry.fn for value in values))
    for value in values:
        if found := _registry_of(value):
            registry.absorb_registry(found)


def _absorb_attribute(registry: Registry, module: ModuleType, attr: str, spec: str) -> None:
    value: object = module
    for name in attr.split("."):
        if not hasattr(value, name):
            raise HandlersError(f"handlers {spec}: there is no {name!r} in it{did_you_mean(name, vars(module))}")
        value = getattr(value, name)
    if found := _registry_of(value):
        registry.absorb_registry(found)
    elif decorated := [entry for entry in DECORATED if entry.fn is value]:
        registry.absorb(decorated)
    elif callable(value) and not isinstance(value, type):
        registry.absorb([registered(attr.rpartition(".")[2], value)])
    else:
        raise UsageError(f"{attr!r} is of type {type(value).__name__}, and neither an agent nor a function")


def _registry_of(value: object) -> Registry | None:
    """The registry of an agent; looked up without running code of whatever else a module may hold."""
    found = inspect.getattr_static(value, "registry", None)
    return found if isinstance(found, Registry) and not isinstance(value, type | ModuleType) else None


# -- Modules and files


def _is_path(source: str) -> bool:
    return source.endswith(".py") or "/" in source


def _load_module(name: str) -> ModuleType:
    _check_not_ours(name)
    origin = _guarded(lambda: _origin(name), name)
    loaded = _loaded_from(origin) if origin else None
    return loaded or _guarded(lambda: importlib.import_module(name), name)


def _origin(name: str) -> Path | None:
    """The file a module will be imported from, None if it has none; raises HandlersError if there is no such module.

    Finding a module imports the packages it lies in, which is user code too.
    """
    places: Sequence[str] = sys.path
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        prefix = ".".join(parts[:depth])
        found = importlib.util.find_spec(prefix) if all(parts) else None
        if found is None:
            raise HandlersError(_not_found(name, prefix, places))
        places = found.submodule_search_locations or ()
        if depth < len(parts) and not places:
            raise HandlersError(f"handlers {name}: {prefix} is a module, not a package, so it has no {parts[depth]!r}")
        if found.origin and found.has_location:
            _check_trusted(Path(found.origin), name)
    return Path(found.origin).resolve() if found and found.origin and found.has_location else None


def _not_found(name: str, missing: str, places: Sequence[str]) -> str:
    tried = ", ".join(place or "." for place in dict.fromkeys(places)) or "nowhere"
    return f"handlers {name}: there is no module {missing!r}; tried {tried}: correct the name, or give a path to a file"


def _load_file(source: str, cwd: Path) -> ModuleType:
    named = cwd / Path(source).expanduser()
    path = named.resolve()
    if not path.is_file():
        raise HandlersError(f"handlers {source}: there is no file {path}: correct the path")
    _check_trusted(named, source)
    if loaded := _loaded_from(path):
        return loaded
    if str(path.parent) not in sys.path and _may_be_imported_from(path.parent):
        sys.path.append(str(path.parent))
    return _guarded(lambda: _execute(path), source)


def _execute(path: Path) -> ModuleType:
    """Run a file as a module of its own name, which stays importable for whatever looks its classes up by name."""
    name = re.sub(r"\W", "_", path.stem) + f"_{crc32(str(path).encode('utf-8', 'surrogateescape')):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HandlersError(f"handlers {path}: Python cannot import such a file: let its name end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _loaded_from(path: Path) -> ModuleType | None:
    """The module that is already loaded from a file, under whatever name."""
    wanted = path.stat()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.exists(file) and os.path.samestat(os.stat(file), wanted):
            return module
    return None


def _make_importable(cwd: Path) -> None:
    """Put the working directory on the import path, behind our own root: our `agent`, `workers`, `supervisor` win."""
    importlib.invalidate_caches()
    root, here = str(ROOT), str(cwd.resolve())
    if root not in sys.path:
        sys.path.insert(0, root)
    if here != root:
        sys.path[:] = [place for place in sys.path if place not in ("", ".", here)]
        if _may_be_imported_from(cwd):
            sys.path.insert(sys.path.index(root) + 1, here)


# -- Whom root trusts


def _check_trusted(path: Path, source: str) -> None:
    """Raise HandlersError if root must not run the file, or the bytecode that Python would run in its place."""
    reason = distrust(path)
    if not reason and path.suffix == ".py":
        compiled = Path(importlib.util.cache_from_source(path.resolve()))
        reason = distrust(compiled) if compiled.exists() else None
    if reason:
        raise HandlersError(f"handlers {source}: root does not run them, for {reason}")


@cache
def _may_be_imported_from(directory: Path) -> bool:
    """Whether nobody can put a module of his there that root would import in the place of another."""
    if not takes_new_files(directory):
        return True
    print(f"warning: root imports no other modules from {directory}, where others may put theirs", file=sys.stderr)
    return False


# -- Whose mistake it is


def _guarded(load: Callable[[], T], source: str) -> T:
    """Load something of the user's; whatever it raises, an exit included, becomes a HandlersError."""
    known = len(DECORATED)
    try:
        return load()
    except HandlersError:
        raise
    except BaseException as error:
        del DECORATED[known:]
        raise HandlersError(_told(error, source)) from error


def _told(error: BaseException, source: str) -> str:
    place = _place(error)
    if _asks_for_ours(error):
        return without_secrets(f"handlers {source}{place}: {error}; {_CURE}")
    if isinstance(error, AgentError):
        return without_secrets(f"handlers {source}{place}: {error}")
    kind = type(error).__name__
    return f"handlers {source} could not be imported: it raised {kind}{place}; mend it there.\n\n{_traceback(error)}"


_CURE = (
    "the names agent, workers and supervisor are taken by the automation agent itself: rename your module or package"
)


def _check_not_ours(name: str) -> None:
    if name.partition(".")[0] in TAKEN:
        raise HandlersError(f"handlers {name}: {_CURE}, or give the path of a file")


def _asks_for_ours(error: BaseException) -> bool:
    """Whether user code wanted something of `agent`, `workers` or `supervisor` that only his own could have."""
    if isinstance(error, ImportError):
        name = error.name
    elif isinstance(error, AttributeError):
        name = error.obj.__name__ if isinstance(error.obj, ModuleType) else None
    else:
        return False
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    asking = [file for file in files if not _is_machinery(file)][-1:]
    return name is not None and name.partition(".")[0] in TAKEN and not any(map(_is_ours, asking))


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _traceback(error: BaseException) -> str:
    """The user's own part of a traceback, and of those it came from."""
    whole = traceback.TracebackException.from_exception(error, compact=True)
    for part in _chain(whole):
        part.stack = traceback.StackSummary.from_list([frame for frame in part.stack if _is_users(frame.filename)])
    text = "".join(whole.format()).rstrip().replace("Traceback (most recent call last):", "Your traceback:")
    return without_secrets(text if len(text) <= LONGEST_TRACEBACK else "…" + text[-LONGEST_TRACEBACK:])


def _chain(whole: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    parts: list[traceback.TracebackException | None] = [whole]
    while parts:
        part = parts.pop()
        if part is not None:
            yield part
            parts += [part.__cause__, part.__context__, *(part.exceptions or ())]


def _is_users(filename: str) -> bool:
    return not _is_machinery(filename) and not _is_ours(filename)


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename == importlib.__file__


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    inside = path.parts[len(ROOT.parts) :] if path.is_relative_to(ROOT) else ()
    return bool(inside) and inside[0].removesuffix(".py") in OURS
