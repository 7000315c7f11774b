"""Where settings come from: the file, the environment, the command line; each becomes a flat `Source`.

Names that nobody knows are collected as mistakes, with the known name that was probably meant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agent import failpoints
from agent.config.file import Document, Mistake, Place
from agent.config.values import kind_of, named
from agent.errors import ConfigError

PREFIX = "SANAAGENT_"
_NOT_SETTINGS = ("SANAAGENT_CONFIG",)
_OTHER_PREFIXES = ("SANAAGENT_FAILPOINT",)  # switches of the fault tests


class Source(NamedTuple):
    """Raw values by dotted key, the place of each, and the directory where their relative paths start."""

    given: dict[str, Any]
    place: Callable[[str], Place]
    start: Path
    is_text: bool

    def rooted(self, specs: tuple[str, ...]) -> tuple[str, ...]:
        """Handler SPECs with each path absolute: what has a slash or ends in .py, before any `:name`."""
        return tuple(rooted(self.start, spec) if _is_path(spec) else spec for spec in specs)


def _is_path(spec: str) -> bool:
    return "/" in spec or spec.endswith(".py") or ".py:" in spec


def rooted(start: Path, path: str) -> str:
    """A path made absolute from a start, which itself may start at the working directory. Raises ConfigError."""
    try:
        return str((start / os.path.expanduser(path)).absolute())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} starts at the working directory, which is gone: change to another") from error


def from_file(document: Document, file: Path, known: Collection[str], mistakes: list[Mistake]) -> Source:
    """The settings of a configuration file."""
    mistakes.extend(document.mistakes)
    tree = document.tree
    if not isinstance(tree, dict):
        mistakes.append(Mistake(document.place(()), f"must hold sections such as bulk:, not {kind_of(tree)}"))
        tree = {}
    given = dict(_leaves(document, tree, (), known, mistakes))
    return Source(given, lambda key: document.place(key.split(".")), file.parent, is_text=False)


def _leaves(
    document: Document, tree: dict[str, Any], path: tuple[str, ...], known: Collection[str], mistakes: list[Mistake]
) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        keys = (*path, name)
        key = ".".join(keys)
        if key in known:
            yield key, value
        elif not any(other.startswith(f"{key}.") for other in known):
            message = f"unknown key {named(key)}{_meant(key, known)}"
            mistakes.append(Mistake(document.place(keys, of_key=True), message))
        elif isinstance(value, dict):
            yield from _leaves(document, value, keys, known, mistakes)
        elif value is not None:
            mistakes.append(Mistake(document.place(keys), f"{key} must be a section of settings, not {kind_of(value)}"))


def from_environment(environ: Mapping[str, str], known: Collection[str], mistakes: list[Mistake]) -> Source:
    """The settings of `SANAAGENT_*` variables."""
    keys = {variable(key): key for key in known}
    given = {}
    for name, value in environ.items():
        if name in keys:
            given[keys[name]] = value
        elif name.startswith(PREFIX) and name not in _NOT_SETTINGS and not name.startswith(_OTHER_PREFIXES):
            place = Place(1, 0, 0, named(name))
            mistakes.append(Mistake(place, f"unknown variable{_meant(name, (*keys, *_NOT_SETTINGS))}"))
    try:
        failpoints.faults()
    except ConfigError as error:
        mistakes.append(Mistake(Place(1, 0, 0, failpoints.VARIABLE), str(error)))
    return Source(given, lambda key: Place(1, 0, 0, variable(key)), Path(), is_text=True)


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return PREFIX + key.replace(".", "_").upper()


def from_overrides(overrides: Mapping[str, object], known: Collection[str], mistakes: list[Mistake]) -> Source:
    """The settings of the command line; None is one that was not given."""
    place = Place(2, 0, 0, "command line")
    given = {key: value for key, value in overrides.items() if value is not None}
    for key in given.keys() - set(known):
        mistakes.append(Mistake(place, f"unknown key {named(key)}{_meant(key, known)}"))
        del given[key]
    return Source(given, lambda key: place, Path(), is_text=True)


def _meant(name: str, known: Collection[str]) -> str:
    """A "did you mean": the same last word in another section, else the most alike."""
    from difflib import get_close_matches  # here: only a mistake pays for it

    last = name.rpartition(".")[2]
    sections = {key.rpartition(".")[0] for key in known} - {""}
    namesakes = [key for key in known if "." in key and key.rpartition(".")[2] == last]
    alike = namesakes or get_close_matches(name, [*known, *sections], 1, 0.7)
    return f"; did you mean {alike[0]}?" if alike else ": remove it"
