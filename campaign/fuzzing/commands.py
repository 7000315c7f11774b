"""Command lines: whatever arguments, files and variables hold, a command ends with its exit code and a sentence."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from campaign.fuzzing.door import Door, Watcher, check
from campaign.fuzzing.hostile import CLEAN_LINES, JSON_BYTES, LINES, TEXTS, YAML_SCALARS
from campaign.processes import MAIN
from enhanced_automation_agent import main

CODES = frozenset({0, 1, 2, 3, 4, 5, 6, 65, 69, 75, 78})
SECONDS = 30.0
LONGEST_WORD = 99_999  # bytes; the kernel takes no argument of more than 128 KiB


class Call(NamedTuple):
    """A command: its words, what stands in `given.json` and on its standard input, a variable."""

    words: list[str]
    given: bytes
    setting: tuple[str, str]


class Ended(NamedTuple):
    """How it ended."""

    code: int
    out: str
    err: str


def _word(text: str) -> str:
    """What the kernel passes on as a word or a variable."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _raw_word(raw: bytes) -> str:
    """The same of bytes, whatever they are to be."""
    return os.fsdecode(raw.replace(b"\0", b"")[:LONGEST_WORD])


_WORDS = TEXTS.map(_word) | JSON_BYTES.map(_raw_word)
_FILES = st.sampled_from(("given.json", "nowhere.json", ".", "/dev/null", "config.yml")) | _WORDS
_NAMES = ("--key", "--priority", "--delay", "--at", "--max-attempts", "--timeout", "--limit", "--state", "--x")
_DIGIT = "\N{ARABIC-INDIC DIGIT ONE}"
_VALUES = ("0", "-1", "1e99", "nan", "inf", "10m", "2026-01-01", "9" * 400, "1h30m", _DIGIT)
_OPTION = st.tuples(st.sampled_from(_NAMES), _WORDS | st.sampled_from(_VALUES)).map(list)


def _flat(parts: Iterable[list[str]]) -> list[str]:
    return [word for part in parts for word in part]


_OPTIONS = st.lists(_OPTION, max_size=2).map(_flat)
_ONE, _FILE = _WORDS.map(lambda word: [word]), _FILES.map(lambda name: [name])
_ASKING = [[word] for word in ("inspect", "cancel", "retry", "stats", "pause", "unpause", "scale", "freeze", "thaw")]
_COMMANDS = st.one_of(
    st.tuples(st.just(["enqueue"]), _ONE, _ONE, _OPTIONS),
    st.tuples(st.just(["enqueue", "demo"]), _FILES.map(lambda name: ["@" + name]), _OPTIONS),
    st.tuples(st.just(["enqueue", "demo", "-"]), _OPTIONS),
    st.tuples(st.just(["enqueue", "demo", "--many"]), _FILE),
    st.tuples(st.sampled_from([*_ASKING, ["tasks", "--type"]]), _ONE),
    st.tuples(st.sampled_from([["--config"], ["--handlers"]]), _FILE, st.just(["stats"])),
    st.tuples(st.lists(_WORDS, max_size=3)),
).map(_flat)
_GIVEN = st.one_of(JSON_BYTES, st.lists(CLEAN_LINES | LINES, max_size=3).map(b"\n".join))
_VARIABLES = (
    "SANAAGENT_CONFIG", "SANAAGENT_BULK_MAX_CONCURRENT", "SANAAGENT_HANDLERS", "LANG", "COLUMNS", "STATE_DIRECTORY",
)  # fmt: skip
_USUAL = st.just(("COLUMNS", "80"))
_SETTINGS = st.tuples(st.sampled_from(_VARIABLES), (_WORDS | YAML_SCALARS.map(_word)).map(lambda word: word[:999]))
CALLS = st.builds(Call, _COMMANDS, _GIVEN, st.one_of(_USUAL, _USUAL, _SETTINGS))
_STARTS = ("resume", "demo")  # what would run on: not the words of this door


class CommandLines:
    """Commands in a directory that has a database."""

    def __init__(self, directory: Path, watcher: Watcher) -> None:
        self._directory = directory
        self._watcher = watcher

    def called(self) -> Door:
        """Without processes of their own, which takes a twentieth of the time."""
        return Door("command lines", 400, self._cases(), lambda call: self._attack(call, self._call))

    def run(self) -> Door:
        """As they are typed."""
        return Door("commands", 40, self._cases(), lambda call: self._attack(call, self._run))

    def _cases(self) -> Any:
        return CALLS.filter(lambda call: not set(_STARTS).intersection(call.words))

    def _attack(self, call: Call, play: Callable[[Call], Ended]) -> None:
        (self._directory / "given.json").write_bytes(call.given)
        before = self._watcher.one("SELECT count(*) FROM task")
        done = play(call)
        stored = self._watcher.one("SELECT count(*) FROM task") - before
        told = f"{done.err[-300:]}"
        check(done.code in CODES, f"exit code {done.code}: {told}")
        check("Traceback" not in done.err and "a bug in the agent" not in done.err, f"it says {told}")
        check(
            done.code == 0 or "error: " in done.err or "Usage: " in done.err, f"exit code {done.code} without a reason"
        )
        check(done.code == 0 or stored == 0, f"{stored} tasks were stored though it was refused: {told}")
        check(all(c.isprintable() or c == "\n" for c in done.err), f"it steers the terminal: {told!r}")

    def _call(self, call: Call) -> Ended:
        streams = [io.TextIOWrapper(io.BytesIO(raw), "utf-8", "backslashreplace") for raw in (call.given, b"", b"")]
        name, value = call.setting
        around = (chdir(self._directory), patch.dict("os.environ", {name: value}), patch("sys.stdin", streams[0]))
        with around[0], around[1], around[2], redirect_stdout(streams[1]), redirect_stderr(streams[2]):
            code = main(call.words)
        for stream in streams:
            stream.seek(0)
        return Ended(code, streams[1].read(), streams[2].read())

    def _run(self, call: Call) -> Ended:
        done = subprocess.run(
            [sys.executable, str(MAIN), *call.words],
            cwd=self._directory,
            env={**os.environ, call.setting[0]: call.setting[1]},
            input=call.given,
            capture_output=True,
            timeout=SECONDS,
        )
        return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
