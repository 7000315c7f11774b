"""Small files of /proc and /sys that are read again and again: each is opened once, and stays open.

Why it is so: opening and closing are a third to a half of what reading such a file costs, and an idle agent does little
else. What a kept descriptor of /proc/PID tells is that process's for ever: one that follows it under its number is
another file.
"""

from __future__ import annotations

import os
from contextlib import suppress

MOST_BYTES = 65536  # read at a time


class KeptFiles:
    """Files by their paths below `root`."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self._open: dict[str, int] = {}
        self._read: set[str] = set()  # since the last `let_go_of_others`

    def text(self, path: str) -> str | None:
        """What the file says now; None: it is not there, or cannot be read."""
        self._read.add(path)
        descriptor = self._open.get(path)
        if descriptor is not None:
            try:
                return _text(descriptor)
            except OSError:  # its process is gone, or its group: another may have the name by now
                self._close(path)
        with suppress(OSError):
            self._open[path] = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC)
            return _text(self._open[path])
        return None

    def let_go_of_others(self) -> None:
        """Close what was not read since this was last asked for."""
        for path in self._open.keys() - self._read:
            self._close(path)
        self._read.clear()

    def close(self) -> None:
        """Close all."""
        for path in list(self._open):
            self._close(path)

    def _close(self, path: str) -> None:
        os.close(self._open.pop(path))


def _text(descriptor: int) -> str:
    data = b""
    while chunk := os.pread(descriptor, MOST_BYTES, len(data)):
        data += chunk
    return data.decode("utf-8", "replace")
