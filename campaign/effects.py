"""What handlers say they did: the effects file, and what follows from it alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Effect(NamedTuple):
    """One step of a handler; `at` monotonic and `wall` in seconds."""

    word: str
    task: int
    attempt: int
    pid: int
    at: float
    wall: float
    key: str


def read(path: Path) -> list[Effect]:
    """All effects, in the order in which they were appended."""
    lines = path.read_text("ascii").splitlines() if path.exists() else []
    found = (line.split(" ", 6) for line in lines)
    return [
        Effect(word, int(task), int(attempt), int(pid), float(at), float(wall), key)
        for word, task, attempt, pid, at, wall, key in found
    ]


def starts_by_task(effects: Iterable[Effect]) -> dict[int, list[Effect]]:
    """The handler's starts of each task, in order."""
    found: dict[int, list[Effect]] = defaultdict(list)
    for effect in effects:
        if effect.word == "start":
            found[effect.task].append(effect)
    return found


def cut_short(effects: Iterable[Effect]) -> dict[int, Effect]:
    """By process: the start of the handler that it was running when it ended."""
    running: dict[int, Effect] = {}
    for effect in effects:
        if effect.word == "start":
            running[effect.pid] = effect
        elif effect.word == "end":
            running.pop(effect.pid, None)
    return running


def delays(effects: list[Effect], deaths: Iterable[tuple[int, float]]) -> list[float]:
    """For deaths (pid, monotonic time) in mid-handler: seconds until the task's handler started again."""
    running, starts = cut_short(effects), starts_by_task(effects)
    found = []
    for pid, died_at in deaths:
        lost = running.get(pid)
        if lost is not None and lost.at <= died_at:
            found += [again.at - died_at for again in starts[lost.task] if again.attempt == lost.attempt + 1]
    return found


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie: nearest rank. NaN when there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
