"""What reaches the reader: lines and JSON on stdout, warnings and errors on stderr, nothing that steers a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from agent.errors import AgentError

CELL_MAX = 60  # characters of a table's cell


def tell(text: str) -> None:
    """A result for people."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # there may be no stdout at all
    _write(visible(text).encode(encoding, "backslashreplace"))


def document(value: Any) -> None:
    """A result for programs: one JSON document on a line of its own, UTF-8 whatever the locale."""
    _write(as_json(value).encode())


def warn(sentence: str) -> None:
    """What the caller should know, but need not act on."""
    click.echo(visible(f"warning: {sentence}"), err=True)


def complain(sentence: str) -> None:
    """Why it could not be done."""
    click.echo(visible(f"error: {sentence}"), err=True)


def note(line: str) -> None:
    """What accompanies a result without being one."""
    click.echo(visible(line), err=True)


def as_json(value: Any) -> str:
    """Compact JSON whose text is readable; what could steer a terminal is escaped as JSON escapes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def visible(text: str) -> str:
    """Text whose lines stay lines and whose other control characters are spelt out: `\\x1b` instead of an escape."""
    return "\n".join(_spelt_out(line) for line in text.split("\n"))


def one_line(text: str, longest: int = CELL_MAX) -> str:
    """Text cut to fit a cell, without line breaks."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as what they hold: numbers to the right, all else to the left; None is a dash."""
    rows = [list(row) for row in rows]
    cells = [[visible("–" if cell is None else one_line(str(cell))) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    to_the_right = [bool(rows) and all(isinstance(row[i], int | None) for row in rows) for i in range(len(headings))]
    lines = [_aligned(line, widths, to_the_right) for line in (headings, *cells)]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """A span as people say it: `0.8 s`, `42 s`, `3 m 5 s`, `2 h 10 m`, `5 d 3 h`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def counted(number: int, noun: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _write(line: bytes) -> None:
    try:
        click.echo(line)
    except BrokenPipeError:
        raise  # the reader has had enough
    except OSError as error:
        # What is buffered still would fail once more at the interpreter's end, with a traceback and another exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise AgentError(f"stdout cannot be written ({error.strerror}): the command itself was carried out") from error


def _spelt_out(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _aligned(cells: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]) -> str:
    columns = zip(cells, widths, to_the_right, strict=True)
    return "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns).rstrip()
