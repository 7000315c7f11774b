"""A file's mark is its inode and device, whether it is asked for by number, by name or in the old way."""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct

import pytest

from agent.store import marks
from agent.store.marks import Mark, identify


@pytest.fixture(params=["statx", "os.stat"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "os.stat":
        monkeypatch.setattr(marks, "_statx", None)


@pytest.mark.parametrize("name", ["plain", "with a space", "é", "odd\udcff", "x" * 255])
def test_a_mark_is_what_stat_tells(tmp_path: Path, name: str) -> None:
    path = os.fsencode(tmp_path / name)
    with open(path, "wb") as file:
        assert identify(path) == identify(file.fileno()) == told_by_stat(path)
    assert identify(path) != identify(bytes(tmp_path))


@pytest.mark.parametrize("path", [b"/proc/self/stat", b"/dev/null", b"/"])
def test_files_of_other_devices_have_marks_as_well(path: bytes) -> None:
    assert identify(path) == told_by_stat(path)


def told_by_stat(path: bytes) -> Mark:
    """The inode, and the device's two numbers as they stand in struct statx."""
    stat = os.stat(path)
    (device,) = Struct("=Q").unpack(Struct("=II").pack(os.major(stat.st_dev), os.minor(stat.st_dev)))
    return stat.st_ino, device


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert identify(bytes(tmp_path / "link")) == identify(b"/dev/null")


def test_what_is_not_there_is_told_as_stat_tells_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        identify(bytes(tmp_path / "missing"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        identify(999_999)
