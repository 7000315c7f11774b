"""The work of the `demo` command: a survey of the Python standard library, one task for each of its files.

`plain` computes in one process what the tasks compute in many, so that both the results and the times can be compared.
"""

from __future__ import annotations

import ast
import os
import sysconfig
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from enhanced_automation_agent import EnhancedAutomationAgent

NOT_THE_LIBRARY = frozenset({"site-packages", "dist-packages", "__pycache__"})
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `ast.parse` raises for the broken files that the standard library keeps to test itself with."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What all surveys add up to; equal for the same files, in whatever order they were surveyed."""

    files: int
    lines: int
    definitions: int
    bytes: int
    compressed: int
    unparsed: int
    sha256: str


def survey(payload: dict[str, str]) -> dict[str, Any]:
    """Measure one Python file: {"path": …} in, its lines, definitions, sizes in bytes and digest out."""
    source = Path(payload["path"]).read_bytes()
    definitions = _definitions(source)
    result: dict[str, Any] = {
        "path": payload["path"],
        "lines": len(source.splitlines()),
        "definitions": definitions or 0,
        "bytes": len(source),
        "compressed": len(zlib.compress(source, level=9)),
        "sha256": sha256(source).hexdigest(),
    }
    return result if definitions is not None else {**result, "unparsed": True}


def files(root: str | None = None) -> list[str]:
    """The standard library's own .py files, sorted; or those of another directory."""
    found: list[str] = []
    for folder, folders, names in os.walk(root or sysconfig.get_path("stdlib")):
        folders[:] = [name for name in folders if name not in NOT_THE_LIBRARY]
        found += [path for name in names if name.endswith(".py") and os.path.isfile(path := os.path.join(folder, name))]
    return sorted(found)


def total(results: Iterable[Mapping[str, Any]]) -> Summary:
    """What the results of many surveys add up to."""
    ordered = sorted(results, key=lambda result: str(result["path"]))
    sums = {name: sum(result[name] for result in ordered) for name in ("lines", "definitions", "bytes", "compressed")}
    digest = sha256("".join(f"{result['sha256']}  {result['path']}\n" for result in ordered).encode()).hexdigest()
    return Summary(len(ordered), **sums, unparsed=sum("unparsed" in result for result in ordered), sha256=digest)


def plain(paths: Iterable[str]) -> Summary:
    """The same survey in this process alone, one file after the other."""
    return total(survey({"path": path}) for path in paths)


def _definitions(source: bytes) -> int | None:
    """How many functions and classes a source defines; None if it cannot be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except UNPARSABLE:
            return None
    return sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in ast.walk(tree))


agent = EnhancedAutomationAgent()
agent.register_handler("survey", survey)
