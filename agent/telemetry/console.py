"""Short lines on stderr for the person or the journal that reads it; everything else is in the log file.

A reader who has stopped reading (a terminal held by Ctrl-S, a full pipe) gets nothing: the supervisor never waits.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agent.telemetry.events import SPOKEN

LINE_MAX = 4096
"""PIPE_BUF of Linux: a pipe that is ready for writing takes this much without blocking."""

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # those of syslog(3)
_OWN = frozenset({"at", "level", "event", "exception"})


class Console:
    """Says what is worth a person's attention on the file descriptor `fd`."""

    def __init__(self, fd: int = 2, environ: Mapping[str, str] = os.environ) -> None:
        self._fd = fd
        self._journal = is_journal(fd, environ)

    def tell(self, entry: Mapping[str, Any]) -> None:
        """Write the line of `entry` if it is a warning or worse, or one of the spoken events."""
        if _priority(entry) <= 4 or entry["event"] in SPOKEN:
            self._write(journal_line(entry) if self._journal else human_line(entry))

    def _write(self, line: str) -> None:
        data = line.encode()
        if len(data) >= LINE_MAX:
            data = data[: LINE_MAX - 8].decode(errors="ignore").encode() + "…".encode()
        with suppress(OSError):  # stderr is gone; the log file has the line
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            if poll.poll(0):
                os.write(self._fd, data + b"\n")


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether `fd` leads to systemd's journal, as JOURNAL_STREAM ("device:inode") tells: systemd.exec(5)."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def human_line(entry: Mapping[str, Any]) -> str:
    """`16:47:03 warning governance.throttle limit=6`, times UTC."""
    return f"{entry['at'][11:19]} {entry['level']} {_words(entry)}"


def journal_line(entry: Mapping[str, Any]) -> str:
    """`<4>governance.throttle limit=6`: the journal keeps time and level itself."""
    return f"<{_priority(entry)}>{_words(entry)}"


def _priority(entry: Mapping[str, Any]) -> int:
    return _PRIORITIES.get(entry["level"], 6)


def _words(entry: Mapping[str, Any]) -> str:
    words = [_visible(str(entry["event"]))]
    words += [f"{_visible(key)}={_shown(value)}" for key, value in entry.items() if key not in _OWN]
    if error := str(entry.get("exception", "")).strip():
        words.append(_visible(error.splitlines()[-1]))
    return " ".join(words)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_shown(each) for each in value) or "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _visible(repr(text) if " " in text or not text else text)


def _visible(text: str) -> str:
    """Without control characters: a payload must not steer a terminal, nor begin a line of its own."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
