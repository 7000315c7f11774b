"""What handlers print and what is logged: lines stay lines, each with whom it is from, and none steers a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from agent.secrecy import HIDDEN
from agent.telemetry import logs
from agent.telemetry.console import human_line, journal_line
from campaign.fuzzing.door import Door, check
from campaign.fuzzing.hostile import TEXTS
from campaign.fuzzing.returned import RECIPES, made
from workers.output import LONGEST_LINE, LineRelay

_PREFIX = re.compile(rb"\[(task \d+|worker [0-9a-f]{16})\] ")
_TAG = re.compile(rb"\x1e\d{1,19}\x1f")
_TAGS = (
    b"\x1e7\x1f",
    b"\x1e0\x1f",
    b"\x1e\x1f",
    b"\x1e" + b"9" * 19 + b"\x1f",
    b"\x1e" + b"9" * 5000 + b"\x1f",
    b"\x1e-1\x1f",
    b"\x1f\x1e",
)
CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=40), st.sampled_from(_TAGS), st.just(b"\n"), st.sampled_from((b"\x1e9", b"8\x1f", b"\r")),
        st.integers(LONGEST_LINE - 9, LONGEST_LINE + 9).map(lambda length: b"x" * length),
    ),
    max_size=8,
)  # fmt: skip
HIDES = "api_key"  # what stands under it is not shown
LONGEST_LOGGED = 40_000_000  # bytes: a field holds a thousand items of sixteen thousand characters


def output(directory: Path) -> Door:
    """What comes through a worker's pipe."""
    file = (directory / "relayed").open("w+b", buffering=0)

    def attack(case: tuple[list[bytes], int]) -> None:
        chunks, task = case
        file.seek(0)
        file.truncate()
        relay = LineRelay(file.fileno())
        for chunk in chunks:
            relay.feed(5, task, chunk)
        relay.finish(5, task)
        file.seek(0)
        written, given = file.read(), b"".join(chunks)
        check(relay.dropped == 0, "lines were dropped though there was room")
        lines = written.split(b"\n")
        check(lines.pop() == b"", "the last line has no end")
        check(all(_PREFIX.match(line) for line in lines), "a line does not say whom it is from")
        if len(given) < LONGEST_LINE:
            kept = b"".join(_PREFIX.sub(b"", line, count=1) for line in lines)
            check(kept == _TAG.sub(b"", given).replace(b"\n", b""), f"it was written as {written[:200]!r}")

    return Door("output of workers", 300, st.tuples(CHUNKS, st.sampled_from((0, 3))), attack, file.close)


def logged(directory: Path) -> Door:
    """What is logged with a payload's or a user's words in it."""
    file = logs.open_log(directory, "fuzzed.jsonl")
    seen: list[dict[str, Any]] = []

    def attack(fields: dict[str, Any]) -> None:
        size = file.path.stat().st_size
        logs.configure(file)
        logs.log("task.failed", **{name: made(recipe) for name, recipe in fields.items()})
        with file.path.open("rb") as reader:
            reader.seek(size)
            written = reader.read()
        check(len(written) < LONGEST_LOGGED, f"a line of {len(written)} bytes")
        check(written.count(b"\n") == 1 and written.endswith(b"\n"), "it is not one line")
        entry = json.loads(written)
        check(entry["event"] == "task.failed" and entry["level"] == "warning", f"it says {entry}")
        check(fields.get(HIDES) is None or entry[HIDES] == HIDDEN, "a secret is shown")
        for line in (human_line(entry), journal_line(entry)):
            check(line.isprintable(), f"it steers the terminal: {line[:200]!r}")
        seen[:] = [entry]

    names = st.sampled_from(("task", "error", "at", "event", HIDES, "message"))
    cases = st.dictionaries(names | TEXTS, RECIPES, max_size=3)

    def ends() -> None:
        logs.configure(None)
        file.close()

    return Door("log lines", 300, cases, attack, ends)
