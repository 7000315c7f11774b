"""Named SQL: `sql/<name>.sql` holds queries under `-- name: word` lines, and this reads them.

Why it is so: a query in a file can be read, prepared and explained by itself; a test does that with every one.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

SQL = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """The queries of a file's text by name; a name used twice is a ValueError."""
    parts = _NAME.split(text)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) < len(names):
        raise ValueError(f"a query's name stands twice: {sorted(name for name in names if names.count(name) > 1)[0]}")
    return {name: _without_comments(body) for name, body in zip(names, bodies, strict=True)}


def _without_comments(body: str) -> str:
    """In one line, as a prepared statement is found again by the hash of its text, at each execution."""
    return " ".join(" ".join(line for line in body.splitlines() if not line.startswith("--")).split())


@cache
def load(name: str) -> SimpleNamespace:
    """The queries of `sql/<name>.sql` as attributes."""
    return SimpleNamespace(**parse((SQL / f"{name}.sql").read_text(encoding="utf-8")))
