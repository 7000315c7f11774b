"""Processes told apart, killed and waited for: with real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from agent import host
from tests.support.processes import CHECKOUT, is_stopped
from tests.support.waiting import until


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def _session_members(sid: int) -> list[host.Identity]:
    """Every living process of the session, its leader included."""
    return [member for _, member in host._members({sid})]


def _identity(pid: int) -> host.Identity:
    found = host.identity(pid)
    assert found is not None
    return found


def _wait_without_reaping(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_process_is_the_same_whoever_asks(sleeper: subprocess.Popen[bytes]) -> None:
    assert host.identity(sleeper.pid) == host.identity(sleeper.pid)
    assert host.identity(sleeper.pid) != _identity(os.getpid())
    assert host.is_alive(_identity(sleeper.pid)) is True


def test_nobody_lives_under_a_pid_that_is_not_in_use() -> None:
    largest = int(Path("/proc/sys/kernel/pid_max").read_text())
    assert host.identity(largest) is None
    assert host.identity(0) is None
    assert host.identity(-1) is None
    assert host.is_alive(replace(_identity(os.getpid()), pid=largest)) is False


def test_a_zombie_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    who = _identity(sleeper.pid)
    sleeper.kill()
    _wait_without_reaping(sleeper.pid)
    assert host.identity(sleeper.pid) is None
    assert host.is_alive(who) is False


def test_a_process_whose_main_thread_alone_has_ended_lives() -> None:
    code = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(1000,)).start();"
    code += "ctypes.CDLL(None).pthread_exit(None)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        who = _identity(process.pid)
        assert host.is_alive(who) is True
        assert host.kill_and_wait([who], 10) == []
        assert host.is_alive(who) is False


def test_a_stopped_process_lives_and_is_known_to_stand_still(sleeper: subprocess.Popen[bytes]) -> None:
    who = _identity(sleeper.pid)
    assert not host.is_stopped(who)
    sleeper.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(sleeper.pid))
    assert host.is_alive(who) is True
    assert host.is_stopped(who)
    assert not host.is_stopped(replace(who, start_ticks=1))


def test_a_name_full_of_blanks_and_parentheses_misleads_nobody(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "1000"]) as process:
        assert host.is_alive(_identity(process.pid)) is True
        process.kill()


def test_another_process_under_the_same_pid_is_another(sleeper: subprocess.Popen[bytes]) -> None:
    earlier = replace(_identity(sleeper.pid), start_ticks=1)
    assert host.is_alive(earlier) is False
    assert host.kill_and_wait([earlier], 0) == []
    assert sleeper.poll() is None


def test_a_process_of_another_boot_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    before_the_reboot = replace(_identity(sleeper.pid), boot_id="another")
    assert host.is_alive(before_the_reboot) is False
    assert host.kill_and_wait([before_the_reboot], 0) == []
    assert sleeper.poll() is None


def test_a_process_of_another_pid_namespace_is_unknowable_and_never_killed(sleeper: subprocess.Popen[bytes]) -> None:
    elsewhere = replace(_identity(sleeper.pid), pid_ns=1)
    assert host.is_alive(elsewhere) is None
    assert host.kill_and_wait([elsewhere], 0) == [elsewhere]
    assert sleeper.poll() is None


def test_a_session_is_its_leader_and_all_that_did_not_leave_it() -> None:
    script = "sleep 1000 & sleep 1000 & setsid sleep 1000 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        left = int(shell.stdout.readline())
        until(lambda: os.getsid(left) == left)
        until(lambda: len(_session_members(shell.pid)) == 3)
        members = _session_members(shell.pid)
        assert _identity(shell.pid) in members
        assert host.kill_and_wait(members, 10) == []
        assert _session_members(shell.pid) == []
        assert host.kill_and_wait(_session_members(left), 10) == []
        shell.stdout.close()


def test_what_many_leaders_left_behind_is_found_at_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        script = "sleep 1000 & sleep 1000 & wait"
        shells = [
            stack.enter_context(subprocess.Popen(["sh", "-c", script], start_new_session=True)) for _ in range(5)
        ]
        until(lambda: all(len(_session_members(shell.pid)) == 3 for shell in shells))
        leaders = [_identity(shell.pid) for shell in shells]
        for shell in shells:
            shell.kill()
            shell.wait()
        looks = []
        pids = host._pids
        monkeypatch.setattr(host, "_pids", lambda: looks.append(1) or pids())

        left = host.left_behind([*leaders, *leaders])

        assert len(left) == 10
        assert len(looks) == 1
        assert host.kill_and_wait(left, 10) == []
        assert host.left_behind(leaders) == []


def test_a_session_that_is_somebody_elses_by_now_is_let_alone() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True) as shell:
        until(lambda: len(_session_members(shell.pid)) == 2)
        who = _identity(shell.pid)
        others = [replace(who, start_ticks=who.start_ticks - 1), replace(who, boot_id="another")]

        assert host.left_behind(others) == []
        assert len(left := host.left_behind([*others, who, *others])) == 1
        assert host.kill_and_wait([who, *left], 10) == []


def test_killing_waits_for_the_death_even_of_the_stopped(sleeper: subprocess.Popen[bytes]) -> None:
    who = _identity(sleeper.pid)
    sleeper.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(sleeper.pid))
    assert host.kill_and_wait([who, who], 10) == []
    assert host.is_alive(who) is False
    assert sleeper.wait() == -signal.SIGKILL


def test_killing_many_needs_few_descriptors() -> None:
    count = 2 * host.KILLED_AT_ONCE + 1
    script = f"i=0; while [ $i -lt {count} ]; do sleep 1000 & i=$((i+1)); done; wait"
    before = len(os.listdir("/proc/self/fd"))
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as shell:
        until(lambda: len(_session_members(shell.pid)) == count + 1, timeout=30)
        assert host.kill_and_wait(_session_members(shell.pid), 30) == []
        assert _session_members(shell.pid) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_whoever_cannot_be_killed_is_a_survivor() -> None:
    """As user nobody: whoever runs the tests is out of its reach."""
    if os.geteuid() != 0:
        init = _identity(1)
        assert host.kill_and_wait([init], 0) == [init]
        return
    us = _identity(os.getpid())
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(0 if host.kill_and_wait([us], 0) == [us] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _run_orphan(code: str) -> tuple[int, subprocess.Popen[str]]:
    """A parent that prints its child's pid and sleeps; the child runs `code` and then sleeps."""
    program = f"""
import os, signal, sys, time
from agent import host
parent = os.getpid()
host._libc()
read_end, write_end = os.pipe()
pid = os.fork()
if pid == 0:
    {code}
    os.write(write_end, b".")
    while True: time.sleep(1000)
os.close(write_end)
os.read(read_end, 1)
print(pid, flush=True)
time.sleep(1000)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert process.stdout is not None
    return int(process.stdout.readline()), process


def test_a_process_dies_with_its_parent_even_when_it_is_stopped() -> None:
    child, parent = _run_orphan("host.set_parent_death_signal(signal.SIGKILL, parent)")
    with parent:
        who = _identity(child)
        os.kill(child, signal.SIGSTOP)
        until(lambda: is_stopped(child))
        parent.kill()
    until(lambda: host.is_alive(who) is False)


def test_a_process_whose_parent_was_quicker_to_die_exits_at_once() -> None:
    child, parent = _run_orphan("signal.signal(signal.SIGUSR1, lambda *_: host.set_parent_death_signal(9, parent))")
    with parent:
        who = _identity(child)
        parent.kill()
    assert Path(f"/proc/{child}/stat").read_text().split()[3] != str(parent.pid), "it is an orphan"
    os.kill(child, signal.SIGUSR1)
    until(lambda: host.is_alive(who) is False)


def test_a_parent_death_signal_that_is_none_is_refused() -> None:
    with pytest.raises(OSError, match="999"):
        host.set_parent_death_signal(999, os.getppid())


def test_an_oom_victim_is_preferred_to_its_parent() -> None:
    ours = int(Path("/proc/self/oom_score_adj").read_text())
    child = os.fork()
    if child == 0:
        host.make_oom_victim()
        theirs = int(Path("/proc/self/oom_score_adj").read_text())
        os._exit(0 if theirs == min(1000, ours + 500) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_resident_memory_is_given_in_bytes() -> None:
    measured = host.rss_bytes(os.getpid())
    assert measured is not None
    assert 5_000_000 < measured < 5_000_000_000
    assert host.rss_bytes(int(Path("/proc/sys/kernel/pid_max").read_text())) is None


def test_a_descriptor_moved_out_of_the_way_is_the_same_pipe_under_a_high_number() -> None:
    read_end, write_end = os.pipe()
    high = host.move_out_of_the_way(write_end)
    assert high >= 256
    assert not os.get_inheritable(high)
    os.write(high, b"x")
    os.close(high)
    assert os.read(read_end, 2) == b"x"
    assert os.read(read_end, 2) == b"", "the low number holds the pipe open"
    os.close(read_end)
