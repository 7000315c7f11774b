"""Kills at system calls, a few that chance picks, where strace may do it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from campaign import Broken, syscalls
from campaign.run import Report
from campaign.strace import Call, calls, has_killed
from tests.campaign.scenario import play


def played(directory: Path) -> Report | str:
    """A short round, or why there is none."""
    try:
        return play(syscalls.run, directory)
    except Broken as error:
        return str(error)


def test_a_kill_at_a_system_call_breaks_no_promise(data_dir: Path) -> None:
    found = played(data_dir)

    if isinstance(found, str):  # a machine without strace, or one that forbids it
        assert re.search("no strace on this machine|may not trace processes here", found)
    else:
        assert sum(found.faults.values()) + sum(late.value for late in found.figures) == syscalls.SHORT**2


def test_a_machine_without_strace_is_told_so(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(data_dir))

    with pytest.raises(Broken, match="no strace on this machine"):
        play(syscalls.run, data_dir)


def test_each_call_is_numbered_by_its_name(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(
        'openat(AT_FDCWD, "a", O_RDONLY) = 3\nread(3, "", 1) = 0\n--- SIGCONT {si_signo=SIGCONT} ---\n'
        "read(3 <unfinished ...>) = ?\n<... read resumed>) = 0\n+++ killed by SIGKILL +++\n"
    )

    assert calls(trace) == [Call("openat", 1), Call("read", 1), Call("read", 2)]
    assert has_killed(trace)


def test_a_parent_that_is_traced_has_to_hear_of_its_childs_death(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("7 read(3) = 0\n8 +++ killed by SIGKILL +++\n")
    assert not has_killed(trace, parent=7)

    trace.write_text(trace.read_text() + "7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=8} ---\n")
    assert has_killed(trace, parent=7)
    assert has_killed(trace, parent=8), "nobody is left who could be told"


def test_what_a_call_says_is_no_call(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text('7 fstat(0, {st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}) = 0\n')

    assert calls(trace) == [Call("fstat", 1)]


def test_threads_count_for_themselves(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("7 read(3) = 0\n8  read(3) = 0\n7 read(3) = 0\n")

    assert calls(trace) == [Call("read", 1), Call("read", 2)]
    assert not has_killed(trace)
