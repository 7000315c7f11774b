"""Killing a process at its n-th system call, and having system calls fail, by strace(1)."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from campaign import Broken

_CALL = re.compile(r"^(?:(\d+) +)?(\w+)\(", re.MULTILINE)
_KILLED = re.compile(r"^(?:(\d+) +)?\+\+\+ killed by SIGKILL", re.MULTILINE)


class Call(NamedTuple):
    """The `number`-th call of that name, from 1: strace counts each name for itself, and each thread."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


@contextmanager
def traced(pid: int, file: Path, kill_at: Call | None = None, follow: bool = False) -> Iterator[None]:
    """Within the block a process, or its thread of that pid, is traced into `file`, and killed at a call.

    `follow`: whoever it forks is traced, and killed, too. Raises Broken where that cannot be done.
    """
    words = ["strace", "-o", str(file), "-p", str(pid), *(["-f"] if follow else [])]
    if kill_at:
        words += ["-e", f"trace={kill_at.name}", "-e", f"inject={kill_at.name}:signal=KILL:when={kill_at.number}"]
    with _attached(words, 1):
        yield


@contextmanager
def refused(pids: Collection[int], file: Path, names: str, error: str) -> Iterator[None]:
    """Within the block the named system calls of these processes, and of whoever they fork, fail with an error.

    Raises Broken where that cannot be done.
    """
    words = ["strace", "-f", "-o", str(file), "-e", f"trace={names}", "-e", f"inject={names}:error={error}"]
    with _attached([*words, *(f"-p{pid}" for pid in pids)], len(pids)):
        yield


@contextmanager
def _attached(words: Sequence[str], processes: int) -> Iterator[None]:
    if not shutil.which("strace"):
        raise Broken("there is no strace on this machine: install it to meddle with system calls")
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(processes):
            said = tracer.stderr.readline() if tracer.stderr else ""
            if "attached" not in said:
                raise Broken(f"strace may not trace processes here: {said.strip() or 'it says nothing'}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)


def calls(file: Path) -> list[Call]:
    """What was traced, in order; of several threads, what any of them did."""
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[Call, None] = {}
    for thread, name in _CALL.findall(_text(file)):
        counts[thread, name] += 1
        found[Call(name, counts[thread, name])] = None
    return list(found)


def has_killed(file: Path, parent: int = 0) -> bool:
    """Whether somebody who was traced was killed; where the `parent` is traced too: and the parent was told of it.

    Let go of at the moment at which a signal reaches it, a process would lose that signal.
    """
    said = _text(file)
    killed = _KILLED.search(said)
    if killed is None or not parent:
        return killed is not None
    return killed[1] in (None, str(parent)) or f"si_pid={killed[1]}" in said


def _text(file: Path) -> str:
    return file.read_text("utf-8", errors="replace") if file.exists() else ""
