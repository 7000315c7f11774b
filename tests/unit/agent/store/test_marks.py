"""A file's mark is its inode and device, whether it is asked for by number, by name or in the old way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.store import marks
from agent.store.marks import identify


@pytest.fixture(params=["statx", "os.stat"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "os.stat":
        monkeypatch.setattr(marks, "_statx", None)


@pytest.mark.parametrize("name", ["plain", "with a space", "é", "odd\udcff", "x" * 255])
def test_a_mark_is_what_stat_tells(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with open(path, "wb") as file:
        stat = os.stat(path)
        assert identify(path) == identify(file.fileno()) == (stat.st_ino, stat.st_dev)
    assert identify(path) != identify(str(tmp_path))


@pytest.mark.parametrize("path", ["/proc/self/stat", "/dev/null", "/"])
def test_files_of_other_devices_have_marks_as_well(path: str) -> None:
    stat = os.stat(path)
    assert identify(path) == (stat.st_ino, stat.st_dev)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert identify(str(tmp_path / "link")) == identify("/dev/null")


def test_what_is_not_there_is_told_as_stat_tells_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        identify(str(tmp_path / "missing"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        identify(999_999)
