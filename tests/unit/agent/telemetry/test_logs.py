"""Logging as a process sets it up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from agent.telemetry import logs
from agent.telemetry.files import LogFile, open_log
from agent.telemetry.logs import bind, configure, log


@pytest.fixture
def logfile(tmp_path: Path) -> Iterator[LogFile]:
    file = open_log(tmp_path)
    configure(file)
    yield file
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logs._loggers.clear()
    file.close()


def entries(file: LogFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.path.read_bytes().splitlines()]


def test_an_event_is_one_json_line(logfile: LogFile) -> None:
    log("worker.ready", worker="a1", pid=7)
    (entry,) = entries(logfile)
    assert list(entry) == ["at", "level", "event", "worker", "pid"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("at"))
    assert entry == {"level": "info", "event": "worker.ready", "worker": "a1", "pid": 7}


def test_who_may_not_import_this_module_logs_through_structlog(logfile: LogFile) -> None:
    structlog.get_logger().warning("task.failed", task=3)
    (entry,) = entries(logfile)
    assert (entry["event"], entry["level"], entry["task"]) == ("task.failed", "warning", 3)


def test_an_event_has_the_level_of_the_catalogue_unless_told_otherwise(logfile: LogFile) -> None:
    log("task.poisoned")
    log("worker.exited", level="error")
    log("worker.exited", level="debug")
    assert [(entry["event"], entry["level"]) for entry in entries(logfile)] == [
        ("task.poisoned", "error"),
        ("worker.exited", "error"),
    ]


def test_what_is_bound_is_on_every_line(logfile: LogFile) -> None:
    bind(worker="a1")
    log("worker.ready")
    structlog.get_logger().info("worker.exited")
    assert [entry["worker"] for entry in entries(logfile)] == ["a1", "a1"]


def test_an_exception_is_text_without_the_values_of_its_variables(logfile: LogFile) -> None:
    def fail(password: str) -> None:
        raise ValueError("no")

    try:
        fail("geheim")
    except ValueError:
        log("task.failed", exc_info=True)
    (entry,) = entries(logfile)
    assert entry["exception"].startswith("Traceback (most recent call last):")
    assert entry["exception"].endswith("ValueError: no")
    assert "geheim" not in logfile.path.read_text().replace('fail("geheim")', "").replace('fail(\\"geheim\\")', "")


def test_secrets_are_hidden_and_odd_values_are_shown_somehow(logfile: LogFile) -> None:
    log("config.loaded", settings={"smtp": {"password": "geheim"}}, odd=object(), broken="\ud800", big=1 << 70)
    (entry,) = entries(logfile)
    assert entry["settings"] == {"smtp": {"password": "***"}}
    assert entry["odd"].startswith("<object object")
    assert entry["broken"] == "\\ud800"
    assert entry["big"] == hex(1 << 70)


def test_a_field_cannot_take_the_place_of_a_part_of_every_line(logfile: LogFile) -> None:
    log("clock.stepped", at="yesterday", event="party")
    (entry,) = entries(logfile)
    assert (entry["at_"], entry["event_"]) == ("yesterday", "party")
    assert entry["at"] != "yesterday"
    assert entry["event"] == "clock.stepped"


def test_a_text_with_line_breaks_stays_on_its_line(logfile: LogFile) -> None:
    log("task.failed", error='a\n{"event": "fake"}\r\u2028')
    assert logfile.path.read_bytes().count(b"\n") == 1
    assert len(entries(logfile)) == 1


def test_a_reload_may_change_the_level(logfile: LogFile) -> None:
    early = structlog.get_logger()
    early.info("worker.ready")
    configure(logfile, level="error")
    early.info("worker.ready")
    log("task.failed")
    log("task.poisoned")
    assert [entry["event"] for entry in entries(logfile)] == ["worker.ready", "task.poisoned"]


def test_a_program_that_configures_structlog_anew_does_not_take_our_lines(logfile: LogFile) -> None:
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    log("worker.ready")
    assert [entry["event"] for entry in entries(logfile)] == ["worker.ready"]


def test_nothing_is_written_until_something_is_configured(capfd: pytest.CaptureFixture[str]) -> None:
    log("task.failed")
    assert capfd.readouterr() == ("", "")


def test_importing_leaves_the_structlog_of_a_host_program_alone() -> None:
    program = "import agent.telemetry.logs, structlog; raise SystemExit(structlog.is_configured())"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_console_is_told_what_matters_and_stdout_nothing(
    logfile: LogFile, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(logfile, console=True)
    log("worker.ready")
    log("governance.pause", scope="mail")
    out, err = capfd.readouterr()
    assert out == ""
    assert err[8:] == " warning governance.pause scope=mail\n"
    assert len(entries(logfile)) == 2


def test_without_a_file_the_console_speaks_alone(logfile: LogFile, capfd: pytest.CaptureFixture[str]) -> None:
    configure(None, console=True)
    log("store.degraded")
    assert "store.degraded" in capfd.readouterr().err
    assert entries(logfile) == []


def test_a_disk_that_refuses_lines_is_told_of_once_and_counted_afterwards(
    logfile: LogFile, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(logfile, console=True)
    good = os.dup(logfile._fd)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, logfile._fd)
    for _ in range(3):
        log("worker.ready")
    assert capfd.readouterr().err.count("output.dropped") == 1
    os.dup2(good, logfile._fd)
    log("worker.ready")
    assert [(entry["event"], entry.get("lines")) for entry in entries(logfile)] == [
        ("worker.ready", None),
        ("output.dropped", 3),
    ]
    os.close(good)
    os.close(full)


def test_a_forked_child_that_configures_anew_writes_to_its_own_file(logfile: LogFile, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        bind(worker="child")
        configure(open_log(tmp_path / "child"))
        log("worker.ready")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log("worker.started")
    assert [entry["event"] for entry in entries(logfile)] == ["worker.started"]
    assert "child" in (tmp_path / "child" / "agent.jsonl").read_text()
