"""Files of /proc that stay open tell what they say now, and never something of another process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.telemetry.kept_files import MOST_BYTES, KeptFiles
from tests.support.waiting import until

LOOKS = 20


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("path", ["/proc/self/mountinfo", "/proc/meminfo", "/proc/self/cgroup", "/proc/self/status"])
def test_a_file_is_read_whole(path: str) -> None:
    files = KeptFiles()
    texts = (files.text(path) or "", Path(path).read_text())
    names = [[line.split()[0] for line in text.splitlines()] for text in texts]
    assert names[0] == names[1] != []


def test_a_long_file_is_read_whole(tmp_path: Path) -> None:
    text = "é" * MOST_BYTES  # in a place where a character may be cut
    (tmp_path / "long").write_text(f"x{text}", "utf-8")
    assert KeptFiles(str(tmp_path)).text("/long") == f"x{text}"


def test_each_look_tells_what_the_file_says_by_then() -> None:
    files = KeptFiles()
    before = files.text("/proc/self/stat")
    until(lambda: files.text("/proc/self/stat") != before)  # the time that this takes is in it


def test_a_file_is_opened_once(sleeper: subprocess.Popen[bytes]) -> None:
    files, before = KeptFiles(), descriptors()
    for _ in range(LOOKS):
        files.text(f"/proc/{sleeper.pid}/stat")
    assert len(descriptors() - before) == 1


def test_what_is_not_read_any_more_is_closed(sleeper: subprocess.Popen[bytes]) -> None:
    files, before = KeptFiles(), descriptors()
    files.text(f"/proc/{sleeper.pid}/stat")
    files.text("/proc/meminfo")
    files.let_go_of_others()
    kept = descriptors()
    files.text("/proc/meminfo")
    files.let_go_of_others()
    assert len(kept - before) == 2
    assert len(descriptors() - before) == 1


def test_a_process_that_has_gone_says_nothing_more(sleeper: subprocess.Popen[bytes]) -> None:
    files, before = KeptFiles(), descriptors()
    assert files.text(f"/proc/{sleeper.pid}/stat")
    sleeper.kill()
    sleeper.wait()
    assert files.text(f"/proc/{sleeper.pid}/stat") is None
    assert descriptors() == before


def test_what_comes_back_is_read_again(tmp_path: Path) -> None:
    files = KeptFiles(str(tmp_path))
    assert files.text("/later") is None
    (tmp_path / "later").write_text("here")
    assert files.text("/later") == "here"


def test_a_directory_says_nothing_and_does_not_stay_open() -> None:
    files, before = KeptFiles(), descriptors()
    assert files.text("/proc") is None
    files.let_go_of_others()
    files.let_go_of_others()
    assert descriptors() == before


def test_nothing_stays_open_when_all_is_closed(sleeper: subprocess.Popen[bytes]) -> None:
    files, before = KeptFiles(), descriptors()
    for path in ("/proc/meminfo", f"/proc/{sleeper.pid}/stat"):
        files.text(path)
    files.close()
    assert descriptors() == before
