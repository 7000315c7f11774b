"""Who writes next and who supervises: locks that end with their process, and that name who holds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agent.errors import AlreadySupervised, StoreError, StoreLocked
from agent.store.locks import SupervisorLock, WriteLock, run_directory
from tests.support.processes import CHECKOUT
from tests.support.waiting import until

HOLD = """
import subprocess, sys
from pathlib import Path
from agent.store.locks import SupervisorLock, WriteLock
kind, directory = sys.argv[1], Path(sys.argv[2])
if kind == "supervisor":
    SupervisorLock(directory).acquire()
else:
    WriteLock.of(directory).__enter__()
if kind == "write, with a child":
    subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, close_fds=False)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(kind: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a lock."""
    command = [sys.executable, "-c", HOLD, kind, str(directory)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # some tests kill it themselves
                os.killpg(process.pid, signal.SIGKILL)


ASK = """
import signal, sys
from pathlib import Path
from agent.errors import StoreLocked
from agent.store.locks import WriteLock
lock = WriteLock.of(Path(sys.argv[1]))
lock.patience_s = float(sys.argv[2])
try:
    with lock:
        print("had", end=" ")
except StoreLocked as error:
    print(error, end=" ")
print(signal.getsignal(signal.SIGALRM).name, *signal.getitimer(signal.ITIMER_REAL))
"""


def ask(directory: Path, patience_s: float) -> str:
    """What a process says that asks for the write lock; pytest's own alarm forbids to ask from here."""
    command = [sys.executable, "-c", ASK, str(directory), str(patience_s)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=20).stdout


def probe(directory: Path) -> int:
    """Who supervises, as another process sees it."""
    script = "import sys, pathlib, agent.store.locks as m; print(m.SupervisorLock(pathlib.Path(sys.argv[1])).holder())"
    command = [sys.executable, "-c", script, str(directory)]
    return int(subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def lock(tmp_path: Path) -> WriteLock:
    return WriteLock.of(tmp_path)


def test_a_process_has_one_write_lock_for_a_database(tmp_path: Path, lock: WriteLock) -> None:
    assert WriteLock.of(tmp_path) is lock
    assert not (tmp_path / "write.lock").exists(), "who only reads needs none"
    with lock:
        pass
    assert (tmp_path / "write.lock").stat().st_mode & 0o777 == 0o600


def test_the_write_lock_keeps_other_processes_out(tmp_path: Path, lock: WriteLock) -> None:
    assert lock.holder() is None
    with holder("write", tmp_path) as process:
        assert lock.holder() == process.pid
        said = ask(tmp_path, 0.05)
    assert said.startswith(f"process {process.pid} has held {tmp_path}/write.lock for 0.05 s: continue it or end it")
    with lock:
        assert lock.holder() is None


FOREIGN = """
import sys, apsw
handle = apsw.Connection(sys.argv[1])
handle.pragma("journal_mode", "wal")
handle.execute("CREATE TABLE t (x); BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_who_waits_for_the_write_lock_is_told_whom_its_holder_waits_for(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    directory = run_directory(database)
    command = [sys.executable, "-c", FOREIGN, str(database)]
    with (
        holder("write", directory) as process,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer,
    ):
        assert writer.stdout
        assert writer.stdout.readline() == b"held\n"
        said = ask(directory, 0.05)
        writer.communicate()

    assert said.startswith(f"process {writer.pid} (python")
    assert f") holds {database}, and process {process.pid} waits for it: continue it or end it" in said


@pytest.mark.parametrize("patience_s", [0, 0.02])
def test_whoever_has_waited_by_an_alarm_leaves_none_behind(tmp_path: Path, patience_s: float) -> None:
    assert ask(tmp_path, patience_s) == "had SIG_DFL 0.0 0.0\n"
    with holder("write", tmp_path):
        assert ask(tmp_path, patience_s).endswith("continue it or end it SIG_DFL 0.0 0.0\n")


def test_the_write_lock_ends_with_its_process(tmp_path: Path, lock: WriteLock) -> None:
    with holder("write", tmp_path) as process:
        process.kill()
        process.wait()
        with lock:
            assert lock.holder() is None


def test_the_write_lock_does_not_live_on_in_a_child_of_its_holder(tmp_path: Path, lock: WriteLock) -> None:
    with holder("write, with a child", tmp_path) as process:
        process.kill()
        process.wait()

        assert lock.holder() is None


def test_the_write_lock_keeps_other_threads_out(lock: WriteLock) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(200):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(most), max(most)) == (800, 1)


def test_a_thread_that_holds_the_write_lock_for_long_is_told(lock: WriteLock) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    lock.patience_s = 0.05
    with pytest.raises(StoreLocked, match="another thread of this process"), lock:
        pytest.fail("two threads write")
    done.set()
    thread.join()
    with lock:
        pass


def test_the_write_lock_is_given_back_when_its_block_raises(lock: WriteLock) -> None:
    with pytest.raises(ValueError, match="no"), lock:
        raise ValueError("no")
    with lock:
        pass


def test_a_forked_child_has_a_lock_of_its_own_that_nobody_holds(tmp_path: Path, lock: WriteLock) -> None:
    with lock:
        pid = os.fork()
        if pid == 0:
            own = WriteLock.of(tmp_path)
            os._exit(0 if own is not lock and own.holder() == os.getppid() and own._threads.take(0) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_there_is_one_supervisor_and_it_is_named(tmp_path: Path) -> None:
    lock = SupervisorLock(tmp_path)
    assert lock.holder() is None
    with holder("supervisor", tmp_path) as process:
        assert lock.holder() == process.pid
        with pytest.raises(AlreadySupervised, match=f"process {process.pid} supervises this database already"):
            lock.acquire()
    until(lambda: lock.holder() is None, what="the lock of a dead supervisor to be free")
    lock.acquire()
    lock.close()


def test_asking_who_supervises_does_not_end_it(tmp_path: Path) -> None:
    """Closing any descriptor of the file drops a process's record locks, so a second object must not be made to ask."""
    lock = SupervisorLock(tmp_path)
    lock.acquire()
    assert lock.holder() is None
    assert [probe(tmp_path), probe(tmp_path)] == [os.getpid()] * 2
    lock.close()


def test_the_run_directory_is_private_and_beside_the_database(tmp_path: Path) -> None:
    directory = run_directory(tmp_path / "state.db")

    assert directory == tmp_path / "state.db.run"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert run_directory(tmp_path / "state.db") == directory


def test_a_run_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db.run").write_text("in the way")

    with pytest.raises(StoreError, match=r"cannot make .*state\.db\.run"):
        run_directory(tmp_path / "state.db")


def test_a_lock_is_not_opened_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "write.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreError, match=r"cannot open .*write\.lock"), WriteLock(tmp_path):
        pass
