"""Line files: appending, following, rotating, full disks."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.errors import ConfigError
from agent.telemetry.files import LOOK_NS, LogFile, open_log


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.passed = 0

    def monotonic(self) -> int:
        return self.passed


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def log(tmp_path: Path, clock: Hands) -> Iterator[LogFile]:
    file = open_log(tmp_path / "logs", clock=clock)
    yield file
    file.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_directory_and_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_log(tmp_path / "logs").close()
    finally:
        os.umask(before)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "agent.jsonl").stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "agent.jsonl").symlink_to(victim)
    with pytest.raises(ConfigError, match=r"agent\.jsonl cannot be opened .*: Too many levels of symbolic links"):
        open_log(tmp_path)
    assert victim.read_text() == "precious\n"


def test_a_link_that_takes_the_place_of_an_old_log_is_replaced(log: LogFile) -> None:
    victim = log.path.with_name("victim")
    victim.write_text("precious\n")
    log.path.with_name("agent.jsonl.1").symlink_to(victim)
    log.write(b"one")
    assert log.rotate_if_larger(max_bytes=1, keep=2)
    assert victim.read_text() == "precious\n"
    assert lines(log.path.with_name("agent.jsonl.1")) == ["one"]


def test_a_pipe_in_the_place_of_the_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "agent.jsonl")
    with pytest.raises(ConfigError, match=r"agent\.jsonl cannot be opened"):
        open_log(tmp_path)
    reader = os.open(tmp_path / "agent.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(ConfigError, match=r"agent\.jsonl is no regular file"):
        open_log(tmp_path)
    os.close(reader)


def test_root_writes_no_log_where_anybody_may_put_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    directory = tmp_path / "logs"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(ConfigError, match=rf"telemetry\.log_dir: root does not write there, .* {directory}"):
        open_log(directory)
    directory.chmod(0o1777)
    open_log(directory).close()
    (directory / "agent.jsonl").chmod(0o666)
    with pytest.raises(ConfigError, match=rf"nothing is logged there, for anybody may write {directory}/agent\.jsonl"):
        open_log(directory)


def test_what_stands_in_the_file_stays_there(tmp_path: Path) -> None:
    for line in (b"one", b"two"):
        file = open_log(tmp_path)
        assert file.write(line)
        file.close()
    assert lines(tmp_path / "agent.jsonl") == ["one", "two"]


def test_a_directory_that_cannot_be_made_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=rf"{tmp_path}/file/logs: Not a directory; make .* telemetry\.log_dir"):
        open_log(tmp_path / "file" / "logs")


def test_a_file_that_cannot_be_opened_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "agent.jsonl").mkdir()
    with pytest.raises(ConfigError, match=rf"agent\.jsonl cannot be opened in {tmp_path}: Is a directory"):
        open_log(tmp_path)


def test_a_renamed_file_is_followed_within_a_second(log: LogFile, clock: Hands) -> None:
    log.write(b"one")
    os.rename(log.path, log.path.with_name("away"))
    log.write(b"two")
    clock.passed += LOOK_NS
    log.write(b"three")
    assert lines(log.path.with_name("away")) == ["one", "two"]
    assert lines(log.path) == ["three"]


def test_a_removed_directory_does_not_stop_the_writer(log: LogFile, clock: Hands) -> None:
    log.path.unlink()
    log.path.parent.rmdir()
    clock.passed += LOOK_NS
    assert log.write(b"into the old file")


def test_rotation_keeps_as_many_files_as_it_is_told(log: LogFile, clock: Hands) -> None:
    for number in range(5):
        log.write(f"line {number}".encode())
        assert log.rotate_if_larger(max_bytes=3, keep=2)
        clock.passed += 2 * LOOK_NS
    names = sorted(path.name for path in log.path.parent.iterdir())
    assert names == ["agent.jsonl", "agent.jsonl.1", "agent.jsonl.2"]
    assert lines(log.path) == []
    assert lines(log.path.with_name("agent.jsonl.1")) == ["line 4"]
    assert lines(log.path.with_name("agent.jsonl.2")) == ["line 3"]


def test_a_file_of_just_the_size_is_not_rotated(log: LogFile) -> None:
    log.write(b"123")
    assert not log.rotate_if_larger(max_bytes=4, keep=2)
    assert log.rotate_if_larger(max_bytes=3, keep=2)


def test_rotation_waits_until_every_writer_has_looked_again(log: LogFile, clock: Hands) -> None:
    log.write(b"one")
    assert log.rotate_if_larger(max_bytes=1, keep=1)
    log.write(b"two")
    assert not log.rotate_if_larger(max_bytes=1, keep=1)
    clock.passed += 2 * LOOK_NS
    assert log.rotate_if_larger(max_bytes=1, keep=1)


def test_a_rotation_that_is_forbidden_is_an_error_and_the_file_stays(log: LogFile) -> None:
    log.write(b"one")
    (log.path.with_name("agent.jsonl.1") / "full").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"agent\.jsonl cannot be rotated in "):
        log.rotate_if_larger(max_bytes=1, keep=1)
    assert lines(log.path) == ["one"]


def test_the_descriptor_is_not_inherited_by_programs(log: LogFile, clock: Hands) -> None:
    log.write(b"x" * 10)
    log.rotate_if_larger(max_bytes=1, keep=1)
    inherited = [number for number in os.listdir("/proc/self/fd") if is_inherited(int(number), log.path)]
    assert inherited == []


def is_inherited(number: int, path: Path) -> bool:
    try:
        return os.get_inheritable(number) and os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False


WRITER = """
import json, os, sys
from pathlib import Path
from agent.telemetry.files import open_log

directory, writer, enough = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
file, number, last = open_log(directory), 0, False
while not last:
    last = enough.exists()
    text = "x" * (20_000 if number % 2 else 10)
    file.write(json.dumps({"writer": writer, "number": number, "last": last, "text": text}).encode())
    file.reopen_if_moved()
    number += 1
"""


def test_lines_of_many_processes_are_never_torn_nor_lost_while_one_rotates(tmp_path: Path, clock: Hands) -> None:
    directory, enough = tmp_path / "logs", tmp_path / "enough"
    rotating, rotations = open_log(directory, clock=clock), 0
    command = [sys.executable, "-c", WRITER, str(directory)]
    writers = [subprocess.Popen([*command, name, str(enough)]) for name in "abc"]
    try:
        while rotations < 10 and all(process.poll() is None for process in writers):
            clock.passed += 2 * LOOK_NS
            rotations += rotating.rotate_if_larger(max_bytes=100_000, keep=100)
    finally:
        enough.touch()
        assert [process.wait() for process in writers] == [0, 0, 0]
    rotating.close()
    written = [json.loads(line) for path in directory.iterdir() for line in lines(path)]
    for name in "abc":
        of_writer = sorted((each["number"], each["last"]) for each in written if each["writer"] == name)
        assert [number for number, _ in of_writer] == list(range(len(of_writer)))
        assert of_writer[-1][1]


def test_a_full_disk_damages_one_line_only_and_counts_what_is_lost(log: LogFile) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        assert log.write(b"before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[0][1]))
        assert not log.write(b"cut in the middle")
        assert not log.write(b"refused")
        assert log.lost == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    assert log.write(b"after")
    assert log.lost == 0
    assert lines(log.path) == ["before", "cut", "after"]
