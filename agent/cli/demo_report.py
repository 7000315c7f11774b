"""What the demo tells: numbers from the tasks' records, and the page a person reads. Pure: no file, no process."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.cli.output import counted, seconds
from agent.clock import SECOND, from_iso

SAMPLED_FROM = 200  # so many files are enough for every eighth of them to give a fair rate
SAMPLE_STEP = 8
WIDTH = 12  # of the names

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OneCore:
    """A measurement in one process: every `step`th file, `files` of them with so many bytes, in so many seconds."""

    step: int
    files: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the demo ran: what it was made on and what it left."""

    python: str
    workers: int
    directory: str
    program: Sequence[str]
    """The command line up to the options of the group."""


def chosen(paths: Sequence[str], number: int | None) -> list[str]:
    """So many of the files, taken evenly from the whole (None: all of them)."""
    if number is None or number >= len(paths):
        return list(paths)
    return [paths[i * len(paths) // number] for i in range(number)]


def sample_step(files: int) -> int:
    """Every how many-th file is measured on one core."""
    return SAMPLE_STEP if files >= SAMPLED_FROM else 1


def summary(records: Sequence[Record], one_core: OneCore, killed: Record | None, scene: Scene) -> dict[str, Any]:
    """The demo's `--json`.

    Rates are tasks a second. The agent's time runs from the first start of a handler to the end of the last; that of
    one core for all files is its time for the sample, scaled by bytes.
    """
    totals = {name: sum(record["result"][name] for record in records) for name in ("definitions", "lines", "bytes")}
    compressed = sum(record["result"]["compressed"] for record in records)
    spent = _span(records)
    alone = one_core.seconds * totals["bytes"] / max(one_core.bytes, 1)
    return {
        "python": scene.python,
        "files": len(records),
        **totals,
        "bytes_saved": totals["bytes"] - compressed,
        "workers": scene.workers,
        "seconds": round(spent, 3),
        "tasks_per_s": round(len(records) / spent, 1),
        "one_core": {
            "every": one_core.step,
            "files": one_core.files,
            "seconds": round(one_core.seconds, 3),
            "seconds_for_all": round(alone, 3),
            "tasks_per_s": round(len(records) / alone, 1),
        },
        "speed_up": round(alone / spent, 2),
        "killed": None if killed is None else {name: killed[name] for name in ("worker", "pid", "task")},
        "run_again": [_run_again(record) for record in records if len(record["attempts"]) > 1],
        "largest": _largest(records),
        "directory": scene.directory,
        "next": _next(records, scene),
    }


def page(summary: Mapping[str, Any]) -> Iterator[str]:
    """The same for a person."""
    lines, definitions = counted(summary["lines"], "line"), counted(summary["definitions"], "definition")
    files = counted(summary["files"], "file")
    yield f"Python {summary['python']}'s standard library: {files}, {lines}, {definitions}."
    yield ""
    yield from _rows(summary)
    yield ""
    yield "Where to look next:"
    yield from (f"  {command}" for command in summary["next"])


def _rows(summary: Mapping[str, Any]) -> Iterator[str]:
    alone = summary["one_core"]
    how = "measured on all files" if alone["every"] == 1 else f"measured on every {alone['every']}th file"
    yield _row("the agent", f"{seconds(summary['seconds'])}, {summary['tasks_per_s']:,} tasks/s", summary["workers"])
    yield _row("one core", f"{seconds(alone['seconds_for_all'])}, {alone['tasks_per_s']:,} tasks/s ({how})")
    yield _row("speed-up", f"{summary['speed_up']} times")
    yield _row("compressed", f"{_size(summary['bytes'])}, of which {_size(summary['bytes_saved'])} were saved")
    yield _row("largest", f"{summary['largest']['path']}, {_size(summary['largest']['bytes'])}")
    yield _row("killed", _fate(summary["killed"]))
    for again in summary["run_again"]:
        yield _row("run again", f"task {again['id']}, {again['path']}: {' → '.join(again['outcomes'])}")
    if not summary["run_again"]:
        yield _row("run again", "nothing: no handler was cut short")
    yield _row("lost", "nothing: every task succeeded; the sample has the results of one core")


def _row(name: str, text: str, workers: int | None = None) -> str:
    suffix = "" if workers is None else f" with {counted(workers, 'worker')}"
    return f"  {name:{WIDTH}}{text}{suffix}"


def _fate(killed: Mapping[str, Any] | None) -> str:
    if killed is None:
        return "nobody: it was over before a busy worker was found half-way"
    return f"worker {killed['worker']} (process {killed['pid']}), by SIGKILL half-way"


def _span(records: Sequence[Record]) -> float:
    """Seconds from the first start to the last end."""
    attempts = [attempt for record in records for attempt in record["attempts"]]
    starts = [from_iso(attempt["started_at"]) for attempt in attempts if attempt["started_at"]]
    ends = [from_iso(record["finished_at"]) for record in records]
    return max(max(ends) - min(starts), 1) / SECOND


def _run_again(record: Record) -> dict[str, Any]:
    outcomes = [attempt["outcome"] for attempt in record["attempts"]]
    return {"id": record["id"], "path": record["result"]["path"], "outcomes": outcomes}


def _largest(records: Sequence[Record]) -> dict[str, Any]:
    largest = max(records, key=lambda record: int(record["result"]["bytes"]))
    return {"id": largest["id"], "path": largest["result"]["path"], "bytes": largest["result"]["bytes"]}


def _next(records: Sequence[Record], scene: Scene) -> list[str]:
    """Commands that show what the demo left, ready to be typed."""
    again = [record["id"] for record in records if len(record["attempts"]) > 1]
    task = again[0] if again else _largest(records)["id"]
    commands = (["stats"], ["tasks", "--limit", "5"], ["inspect", str(task), "--attempts"])
    shown = [shlex.join([*scene.program, "--config", f"{scene.directory}/config.yml", *words]) for words in commands]
    log = shlex.join(["less", f"{scene.directory}/logs/agent.jsonl"])
    return [*shown, log, shlex.join(["rm", "-r", scene.directory])]


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{number / 1e3:,.1f} kB"
