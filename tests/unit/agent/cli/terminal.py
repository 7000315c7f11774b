"""A Python program, one of whose streams is a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[4]


class Shown(NamedTuple):
    """How a program ended, what the terminal got, and what the other stream got."""

    code: int
    terminal: str
    other: str


def on_a_terminal(program: str, stream: str) -> Shown:
    """Run the program with `stream`, "stdout" or "stderr", on a terminal."""
    ours, theirs = pty.openpty()
    other = "stderr" if stream == "stdout" else "stdout"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        **{stream: theirs, other: subprocess.PIPE},
    )
    os.close(theirs)
    terminal = b"".join(_read_all(ours)).decode()
    out, err = process.communicate()
    return Shown(process.returncode, terminal, (out or err or b"").decode())


def _read_all(terminal: int) -> Iterator[bytes]:
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:
        return  # how a terminal says that nobody is left
    finally:
        os.close(terminal)
