"""Line files that many processes append to, and that one of them rotates.

A line is one `write(2)` to a descriptor in append mode, so lines never mix. Who rotates renames; who writes looks once
a second whether the path still leads to its file, and opens it anew if not. A line that still goes to the renamed file
is in place there. The descriptor keeps its number for life (`dup2` swaps what lies behind it), so no lock is needed,
and none can be left held by a fork.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from agent.clock import Clock
from agent.errors import ConfigError
from agent.trust import distrust

LOOK_NS = 1_000_000_000
"""How often a writer looks whether its file was renamed."""


class LogFile:
    """One line file, created with mode 0600. `lost` counts the lines that the disk refused since the last good one."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Opens the file. Raises ConfigError."""
        self.path = path
        self.lost = 0
        self._clock = clock or Clock()
        self._torn = False
        self._rotated_at: int | None = None
        self._fd = _open(path)
        self._looked_at = self._clock.monotonic()

    def write(self, line: bytes) -> bool:
        """Append `line`, which has no newline yet, in one write; False if the disk refused it."""
        if self._clock.monotonic() - self._looked_at >= LOOK_NS:
            self.reopen_if_moved()
        # What a full disk cut short is ended first, so that only that one line is damaged.
        data = (b"\n" if self._torn else b"") + line + b"\n"
        try:
            written = os.write(self._fd, data)
        except OSError:
            self.lost += 1
            return False
        self._torn = written < len(data)
        self.lost = self.lost + 1 if self._torn else 0
        return not self._torn

    def reopen_if_moved(self) -> None:
        """Follow the path to a new file if the old one was renamed or removed; without one, stay with the old."""
        self._looked_at = self._clock.monotonic()
        try:
            if os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                return
        except FileNotFoundError:
            pass
        except OSError:
            return  # the path cannot be looked at: the old file is better than none
        with suppress(ConfigError):  # the directory is gone: the old file is better than none
            self._follow()

    def rotate_if_larger(self, max_bytes: int, keep: int) -> bool:
        """Rename `x` to `x.1`, `x.1` to `x.2` … (at least one is kept) once `x` is larger; for one process only.

        Not twice within the time in which every writer looks again: what is to be removed may still be written to.
        Raises ConfigError when the directory forbids it.
        """
        now = self._clock.monotonic()
        if self._rotated_at is not None and now - self._rotated_at < 2 * LOOK_NS:
            return False
        try:
            if os.stat(self.path).st_size <= max_bytes:
                return False
            for number in range(max(keep, 1) - 1, 0, -1):
                self._shift(number)
            os.replace(self.path, self._numbered(1))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(_refusal(self.path, "rotated", error)) from error
        self._rotated_at = now
        self._follow()
        return True

    def close(self) -> None:
        """Give the descriptor back; the file must not be written to after that."""
        os.close(self._fd)

    def _follow(self) -> None:
        fresh = _open(self.path)
        os.dup2(fresh, self._fd, inheritable=False)
        os.close(fresh)
        self._torn = False

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _shift(self, number: int) -> None:
        if self._numbered(number).exists():
            os.replace(self._numbered(number), self._numbered(number + 1))


def open_log(directory: Path, name: str = "agent.jsonl", clock: Clock | None = None) -> LogFile:
    """The line file `name` in `directory`, which is created with mode 0700. Raises ConfigError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(_refusal(directory / name, "opened", error)) from error
    if reason := distrust(directory):
        raise ConfigError(f"telemetry.log_dir: root does not write there, for {reason}")
    return LogFile(directory / name, clock)


def _open(path: Path) -> int:
    """A regular file of that very name: what a link leads to stays as it is, and no pipe holds anybody up."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise ConfigError(_refusal(path, "opened", error)) from error
    reason = distrust(path) if stat.S_ISREG(os.fstat(descriptor).st_mode) else f"{path} is no regular file: remove it"
    if reason:
        os.close(descriptor)
        raise ConfigError(f"telemetry.log_dir: nothing is logged there, for {reason}")
    return descriptor


def _refusal(path: Path, deed: str, error: OSError) -> str:
    return (
        f"{path.name} cannot be {deed} in {path.parent}: {error.strerror}; "
        "make that directory writable for the agent's user, or name another in telemetry.log_dir"
    )
