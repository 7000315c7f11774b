"""What a person or the journal is told on stderr."""

from __future__ import annotations

import fcntl
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.telemetry.console import LINE_MAX, Console, is_journal


def entry(event: str = "governance.throttle", level: str = "warning", **fields: Any) -> dict[str, Any]:
    return {"at": "2026-11-22T16:47:03.000001Z", "level": level, "event": event, **fields}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def said(pipe: tuple[int, int], *entries: dict[str, Any]) -> str:
    os.set_blocking(pipe[0], False)
    console = Console(pipe[1], {})
    for each in entries:
        console.tell(each)
    try:
        return os.read(pipe[0], 1 << 20).decode()
    except BlockingIOError:
        return ""


def test_a_warning_is_one_short_line(pipe: tuple[int, int]) -> None:
    line = said(pipe, entry(limit=6, cpu_pct=91.23456, why="the CPU is busy"))
    assert line == "16:47:03 warning governance.throttle limit=6 cpu_pct=91.2346 why='the CPU is busy'\n"


def test_quiet_events_are_not_said_but_those_of_the_life_of_the_agent(pipe: tuple[int, int]) -> None:
    started, ready = entry("supervisor.started", "info", pid=7), entry("worker.ready", "info")
    assert said(pipe, ready, started) == "16:47:03 info supervisor.started pid=7\n"


def test_of_an_exception_its_last_line_is_said(pipe: tuple[int, int]) -> None:
    trace = "Traceback (most recent call last):\n  File x\nValueError: no"
    assert (
        said(pipe, entry("task.failed", task=3, exception=trace))
        == "16:47:03 warning task.failed task=3 ValueError: no\n"
    )


def test_control_characters_neither_begin_a_line_nor_steer_the_terminal(pipe: tuple[int, int]) -> None:
    line = said(pipe, entry(error="a\n16:00:00 error \x1b[2J\u2028", **{"\x1b[2J\n": 1}))
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_the_journal_gets_priorities_and_no_times(tmp_path: Path) -> None:
    with open(tmp_path / "stderr", "w+b") as stderr:
        status = os.fstat(stderr.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stderr.fileno(), environ)
        console = Console(stderr.fileno(), environ)
        for level in ("warning", "error", "critical"):
            console.tell(entry(level=level))
        console.tell(entry("supervisor.started", "info"))
        stderr.seek(0)
        assert stderr.read().decode().splitlines() == [
            "<4>governance.throttle",
            "<3>governance.throttle",
            "<2>governance.throttle",
            "<6>supervisor.started",
        ]


def test_a_stderr_that_was_redirected_is_not_the_journal(tmp_path: Path) -> None:
    with open(tmp_path / "stderr", "wb") as stderr:
        assert not is_journal(stderr.fileno(), {"JOURNAL_STREAM": "8:1234"})
        assert not is_journal(stderr.fileno(), {})


def test_a_reader_who_has_stopped_reading_is_not_waited_for(pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    lines = said(pipe, *[entry(number=number) for number in range(1000)]).splitlines()
    assert 0 < len(lines) < 1000
    assert all(line.startswith("16:47:03 warning") for line in lines)


def test_a_long_line_is_cut_to_what_a_pipe_takes_at_once(pipe: tuple[int, int]) -> None:
    line = said(pipe, entry(text="ö" * 10_000))
    assert len(line.encode()) <= LINE_MAX
    assert line.endswith("…\n")


def test_a_terminal_is_written_to() -> None:
    master, terminal = pty.openpty()
    Console(terminal, {}).tell(entry())
    assert os.read(master, 1000).startswith(b"16:47:03 warning governance.throttle")
    os.close(terminal)
    os.close(master)


def test_a_stderr_that_is_gone_harms_nobody() -> None:
    read, write = os.pipe()
    os.close(read)
    Console(write, {}).tell(entry())
    os.close(write)
    Console(write, {}).tell(entry())
