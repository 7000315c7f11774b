"""A configuration file: read, parsed and, where something is wrong with it, pointed at.

The nodes that PyYAML makes on the way carry their positions; they are kept, and looked up only to report a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.config.values import named, shown
from agent.trust import distrust

if TYPE_CHECKING:
    from yaml.nodes import Node

LARGEST_FILE = 1 << 20
_NAMED = re.compile(r"(alias|anchor|handle|tag) '[^']*'")  # to YAML, a secret that begins with *, & or !
MOST_MERGED = 10_000  # keys: mappings that merge one another multiply
_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_CROWDED = 1000  # libyaml's composer recurses without a limit and takes the process with it; PyYAML's own raises


class Place(NamedTuple):
    """Where a mistake was made, in the order in which mistakes are told."""

    source: int
    line: int
    column: int
    label: str


class Mistake(NamedTuple):
    """What is wrong, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place.label}: {self.message}"


class MalformedFile(Exception):
    """The file cannot be read, or is no YAML: nothing in it can be judged."""

    def __init__(self, label: str, message: str, line: int = 0, column: int = 0) -> None:
        place = Place(0, line, column, f"{label}:{line}:{column}" if line else label)
        self.mistake = Mistake(place, message)
        super().__init__(str(self.mistake))


class Document:
    """One parsed file: its `tree` of plain values, the `mistakes` of its form, and the place of each key."""

    def __init__(self, label: str, root: Node | None, tree: object) -> None:
        self.label = label
        self.tree = {} if tree is None else tree
        self.mistakes: list[Mistake] = []
        self._root = root

    def place(self, keys: Sequence[str], of_key: bool = False) -> Place:
        """The place of the value below `keys`, or of the last key itself."""
        node, spot = self._root, self._root
        for key in keys:
            for key_node, value_node in getattr(node, "value", ()):
                if key_node.value == key:
                    node, spot = value_node, key_node if of_key or not _has_text(value_node) else value_node
        return self._at(spot)

    def _at(self, node: Node | None) -> Place:
        line, column = (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)
        return Place(0, line, column, f"{self.label}:{line}:{column}")

    def add_duplicate(self, keys: Sequence[str], again: Node, first: Node) -> None:
        """Note that a key stands twice."""
        line, key = first.start_mark.line + 1, named(".".join(keys))
        self.mistakes.append(Mistake(self._at(again), f"{key} is set already in line {line}: remove one"))


def _has_text(node: Node) -> bool:
    return bool(node.start_mark.index != node.end_mark.index)


def read_document(path: Path) -> Document:
    """Parse a file. Raises MalformedFile when it cannot be read or is no YAML at all."""
    return _parse(str(path), _read_text(path))


def _read_text(path: Path) -> str:
    if flaw := distrust(path):
        raise MalformedFile(str(path), f"root does not obey it, for {flaw}")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise MalformedFile(str(path), "there is no such file: name another by --config or SANAAGENT_CONFIG") from error
    except IsADirectoryError as error:
        raise MalformedFile(str(path), "is a directory: name a file in it") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MalformedFile(str(path), f"cannot be read ({reason}): check its path and permissions") from error
    if len(content) > LARGEST_FILE:
        raise MalformedFile(str(path), f"is larger than {LARGEST_FILE} bytes: that is no configuration file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        raise MalformedFile(str(path), "is not UTF-8 here: save the file as UTF-8", *_end_of(before)) from error


def _end_of(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _parse(label: str, text: str) -> Document:
    import yaml  # here, so that a start without a configuration file does not pay for it

    try:
        loader = _loader_for(text)
        root = loader.get_single_node()
        walk = _Walk()
        if root:
            walk.visit(root)
        document = Document(label, root, loader.construct_document(root) if root else None)
    except yaml.reader.ReaderError as error:
        odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
        where = _end_of(text[: odd.start()]) if odd else (1, 1)
        raise MalformedFile(label, "a control character cannot stand here: remove it", *where) from error
    except yaml.MarkedYAMLError as error:
        raise _malformed(label, error) from error
    except RecursionError as error:
        raise MalformedFile(label, "is nested too deeply: settings have three levels at most") from error
    for duplicate in walk.duplicates:
        document.add_duplicate(*duplicate)
    return document


def _malformed(label: str, error: Any) -> MalformedFile:
    mark = error.problem_mark or error.context_mark
    what = ", ".join(_NAMED.sub(r"\1", part) for part in (error.context, error.problem) if part)
    where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return MalformedFile(label, f"this is no valid YAML ({what}): check quotes, colons and indentation", *where)


def _loader_for(text: str) -> Any:
    import yaml

    crowded = sum(text.count(opening) for opening in ("[", "{", "- ", "? ", ":\t", "-\t", "?\t")) > _CROWDED
    base: Any = yaml.SafeLoader if crowded or not yaml.__with_libyaml__ else yaml.CSafeLoader

    class Loader(base):  # type: ignore[misc]
        """A safe loader that says where a number or a date is none."""

        def construct_object(self, node: Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep=deep)
            except ValueError as error:
                raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
            except (LookupError, AttributeError) as error:  # what PyYAML makes of `!!int ""` or `!!bool maybe`
                problem = f"{shown(node.value)} is no {node.tag.rpartition(':')[2]}"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    return Loader(text)


class _Walk:
    """One look at every node: keys become texts, those that stand twice are noted, what merges bring in is counted."""

    def __init__(self) -> None:
        self.duplicates: list[tuple[tuple[str, ...], Node, Node]] = []  # with both their nodes
        self._keys: dict[int, int] = {}  # node → how many it comes to once its merges are done
        self._merged = 0

    def visit(self, node: Any, path: tuple[str, ...] = ()) -> int:
        """Look at a node and all below it; how many keys it comes to. Raises yaml's ConstructorError."""
        if node.id == "scalar":
            return 0
        if id(node) not in self._keys:
            self._keys[id(node)] = 0  # it may hold itself
            is_mapping = node.id == "mapping"
            self._keys[id(node)] = (self._mapping if is_mapping else self._sequence)(node, path)
        return self._keys[id(node)]

    def _sequence(self, node: Any, path: tuple[str, ...]) -> int:
        return sum(self.visit(item, path) for item in node.value)

    def _mapping(self, node: Any, path: tuple[str, ...]) -> int:
        first: dict[str, Node] = {}
        keys = 0
        for key, value in node.value:
            inner = (*path, key.value) if key.id == "scalar" else path
            below = self.visit(key, path) + self.visit(value, inner)
            if key.tag == _MERGE:
                keys += below
                self._check_merged(key, below)
                continue
            keys += 1
            if key.id == "scalar":
                key.tag = _TEXT  # else `on:` would be the key True
                if key.value in first:
                    self.duplicates.append((inner, key, first[key.value]))
                first.setdefault(key.value, key)
        return keys

    def _check_merged(self, key: Node, brought: int) -> None:
        self._merged += brought
        if self._merged > MOST_MERGED:
            import yaml

            problem = f"merges bring in more than {MOST_MERGED} keys"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
