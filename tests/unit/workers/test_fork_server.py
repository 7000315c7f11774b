"""The fork server and its workers: real processes, real signals, both forms of it."""

from __future__ import annotations

import faulthandler
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent import host
from agent.handlers import Registry
from tests.support.processes import CHECKOUT, is_alive, is_stopped
from tests.support.waiting import until
from workers.channel import Channel, PeerGone
from workers.fork_client import ForkServer

Report = dict[str, Any]

FRESH_MAIN = """
import os, signal
def main(boot, registry, control):
    print(boot, registry.types(), flush=True)
    control.setblocking(True)
    control.recv(100)
    return boot["code"]
"""


class Worker:
    """One worker and the supervisor's ends of its pipes."""

    def __init__(self, number: int, control: Channel, output: int) -> None:
        self.number = number
        self.control = control
        self.output = output
        self.pid = self.pidfd = 0

    def read_line(self) -> str:
        """The next line that it prints; empty at the end."""
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self.output, 1)):
            line += byte
        return line.decode().rstrip("\n")

    def read(self) -> str:
        """All that it prints until it ends."""
        text = b""
        while data := os.read(self.output, 65536):
            text += data
        return text.decode()

    def close(self) -> None:
        self.control.close()
        os.close(self.output)
        if self.pidfd:
            os.close(self.pidfd)


class Harness:
    """A fork server, and a supervisor's part towards it."""

    def __init__(self, server: ForkServer) -> None:
        self.server = server
        self.workers: list[Worker] = []

    def report(self, op: str) -> Report:
        """The next report, which has to be of this kind."""
        received = self.server.channel.receive_wait(20)
        assert received is not None, f"waited for {op}"
        message, descriptors = received
        assert message["op"] == op, message
        if op == "forked":
            worker = next(worker for worker in self.workers if worker.number == message["worker"])
            worker.pid, (worker.pidfd,) = message["pid"], descriptors
        return message

    def ask_for(self, **boot: object) -> Worker:
        """Requests a worker, and does not wait for it."""
        ours, theirs = Channel.pair()
        read_end, write_end = os.pipe()
        worker = Worker(len(self.workers) + 2**62, ours, read_end)
        self.workers.append(worker)
        assert self.server.fork(worker.number, boot, [theirs.fileno(), write_end])
        theirs.close()
        os.close(write_end)
        return worker

    def fork(self, **boot: object) -> Worker:
        """A worker that lives, or has lived."""
        worker = self.ask_for(**boot)
        self.report("forked")
        return worker

    def close(self) -> None:
        self.server.stop(5)
        for worker in self.workers:
            worker.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Harness]]:
    """Starts fork servers of the forked form, whose workers run the given function."""
    harnesses: list[Harness] = []

    def start(main: Callable[[Report, Registry, socket.socket], int], registry: Registry | None = None) -> Harness:
        harness = Harness(ForkServer.start_forked(registry or Registry(), main))
        harnesses.append(harness)
        assert harness.report("types")["types"] == dict.fromkeys((registry or Registry()).types(), OPTIONS)
        return harness

    yield start
    for harness in harnesses:
        harness.close()


@pytest.fixture
def start_fresh(tmp_path: Path) -> Iterator[Callable[[], Harness]]:
    """Starts fork servers of the fresh form in `tmp_path`, with `handlers.py` and `mains.py` from there."""
    harnesses: list[Harness] = []
    (tmp_path / "mains.py").write_text(FRESH_MAIN)

    def start_fresh() -> Harness:
        harness = Harness(ForkServer.start_fresh([], tmp_path, "mains:main"))
        harnesses.append(harness)
        return harness

    yield start_fresh
    for harness in harnesses:
        harness.close()


OPTIONS = {"max_attempts": None, "timeout": None, "max_concurrent": None}


def _registry() -> Registry:
    registry = Registry()
    registry.register("demo", lambda payload: payload)
    return registry


def _obey(boot: Report, _registry: Registry, control: socket.socket) -> int:
    """Does what the boot message says, after it has said that it is ready."""
    print("ready", flush=True)
    control.setblocking(True)
    if "signal" in boot:
        faulthandler.disable()  # pytest's would report the death that is wanted
        os.kill(os.getpid(), boot["signal"])
    if "raise" in boot:
        raise KeyError(boot["raise"])
    if "code" not in boot:
        control.recv(100)
    return int(boot.get("code", 0))


def _open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # it was open only to list the others
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)


# Born and buried


def test_a_worker_gets_what_it_is_to_do_and_the_handlers(start: Callable[..., Harness]) -> None:
    def main(boot: Report, registry: Registry, control: socket.socket) -> int:
        print(boot, registry.types())
        control.send(b'{"op":"ready"}')
        return 0

    harness = start(main, _registry())
    worker = harness.fork(a=[1, "ä"])
    assert worker.control.receive_wait(10) == ({"op": "ready"}, [])
    assert worker.read() == "{'a': [1, 'ä']} ['demo']\n"
    assert harness.report("exited")["worker"] == worker.number


@pytest.mark.parametrize("code", [0, 3, 255])
def test_an_exit_code_is_reported(start: Callable[..., Harness], code: int) -> None:
    harness = start(_obey)
    worker = harness.fork(code=code)
    report = harness.report("exited")
    assert (report["worker"], report["status"], report["core"]) == (worker.number, code, False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_deadly_signal_is_reported(start: Callable[..., Harness], number: signal.Signals) -> None:
    import resource

    core_limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, core_limit[1]))
    harness = start(_obey)
    resource.setrlimit(resource.RLIMIT_CORE, core_limit)
    harness.fork(signal=number)
    assert harness.report("exited")["status"] == -number


def test_an_exception_leaves_its_traceback_in_the_output(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork(**{"raise": "what went wrong"})
    assert harness.report("exited")["status"] == 70
    assert worker.read().endswith("KeyError: 'what went wrong'\n")


def test_what_a_worker_used_is_reported(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        until_used = time.process_time() + 0.05
        while time.process_time() < until_used:
            bytearray(50_000_000)
        return 0

    harness = start(main)
    harness.fork()
    usage = harness.report("exited")["rusage"]
    assert 0.05 <= usage["cpu_s"] < 5
    assert 50_000 < usage["max_rss_kb"] < 5_000_000


def test_the_pidfd_stands_for_the_worker(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork()
    assert not select.select([worker.pidfd], [], [], 0)[0]
    signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    assert select.select([worker.pidfd], [], [], 10)[0]
    assert harness.report("exited")["status"] == -signal.SIGKILL


def test_many_workers_are_born_and_buried_without_a_descriptor_left(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    harness.fork(code=0)
    harness.report("exited")
    before = _open_files(harness.server.pid)
    for _ in range(20):
        asked = [harness.ask_for(code=n) for n in range(10)]
        ends: dict[int, int] = {}
        while len(ends) < len(asked):
            received = harness.server.channel.receive_wait(20)
            assert received is not None
            message, passed = received
            for descriptor in passed:
                os.close(descriptor)
            if message["op"] == "exited":
                ends[message["worker"]] = message["status"]
        assert ends == {worker.number: n for n, worker in enumerate(asked)}
    assert _open_files(harness.server.pid) == before
    children = Path(f"/proc/{harness.server.pid}/task/{harness.server.pid}/children").read_text()
    assert children == "", "all are reaped"


def test_a_worker_dies_with_the_processes_that_its_handler_started(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        children = [subprocess.Popen(["sleep", "1000"]).pid for _ in range(3)]
        os.kill(children[0], signal.SIGSTOP)
        print(*children, flush=True)
        signal.pause()
        return 0

    harness = start(main)
    worker = harness.fork()
    children = [int(pid) for pid in worker.read_line().split()]
    assert all(is_alive(pid) for pid in children)
    signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    harness.report("exited")
    until(lambda: not any(is_alive(pid) for pid in children))
    assert worker.read() == "", "nobody holds its output"


def test_no_room_for_another_process_is_reported_and_survived(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "mains.py").write_text(
        "import os, resource\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"  # no such limit binds root
        f"{FRESH_MAIN}"
    )
    harness = start_fresh()
    harness.report("types")
    for _ in range(2):
        worker = harness.ask_for(code=0)
        report = harness.report("fork_failed")
        assert report["worker"] == worker.number
        assert "Resource temporarily unavailable" in report["error"]
        assert worker.read() == ""
    assert harness.server.is_alive()


# What a worker finds


def test_a_worker_leads_a_session_of_its_own_under_its_own_title(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork()
    assert worker.read_line() == "ready"
    assert os.getsid(worker.pid) == os.getpgid(worker.pid) == worker.pid
    assert os.getsid(harness.server.pid) == harness.server.pid
    titles = [Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0") for pid in (worker.pid, harness.server.pid)]
    assert titles == ["sanaagent: worker", "sanaagent: fork server"]


def test_a_worker_is_the_first_to_go_when_memory_runs_out(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork()
    assert worker.read_line() == "ready"
    theirs, servers = (int(Path(f"/proc/{p}/oom_score_adj").read_text()) for p in (worker.pid, harness.server.pid))
    assert theirs == min(1000, servers + 500)


def test_a_worker_is_deaf_to_the_terminal_and_ends_by_term(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork()
    assert worker.read_line() == "ready"
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        assert harness.server.signal(worker.number, number)
    assert harness.report("exited")["status"] == -signal.SIGTERM


def test_a_worker_keeps_nothing_of_the_users_signal_handlers(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        print(signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL, blocked, signal.set_wakeup_fd(-1))
        return 0

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    harness = start(main)
    signal.signal(signal.SIGUSR1, before)
    assert harness.fork().read() == "True set() -1\n"


def test_a_worker_reads_nothing_and_both_outputs_are_the_pipe(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        print(os.read(0, 1))
        os.write(1, b"out\n")
        os.write(2, b"err\n")
        return 0

    assert sorted(start(main).fork().read().split()) == ["b''", "err", "out"]


def test_a_worker_does_not_see_what_systemd_said_to_the_main_process(
    start: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(*_: object) -> int:
        print(sorted({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "KEPT"} & set(os.environ)))
        return 0

    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "KEPT"):
        monkeypatch.setenv(name, "1")
    assert start(main).fork().read() == "['KEPT']\n"


def test_workers_draw_different_random_numbers(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        print(random.random())
        return 0

    random.seed(1)
    harness = start(main)
    numbers = {harness.ask_for().read() for _ in range(3)}
    assert len(numbers) == 3


def test_a_worker_holds_no_descriptor_of_the_fork_server(start: Callable[..., Harness]) -> None:
    def main(_boot: Report, _registry: Registry, control: socket.socket) -> int:
        control.setblocking(True)
        print(control.fileno() >= 256, flush=True)
        control.recv(100)
        return 0

    def sockets_and_pipes(pid: int) -> set[str]:
        return {link for link in _open_files(pid) if link.startswith(("socket:", "pipe:"))}

    of_the_user = sockets_and_pipes(os.getpid())
    harness = start(main)
    first, second = harness.fork(), harness.fork()
    assert (first.read_line(), second.read_line()) == ("True", "True")
    theirs = [sockets_and_pipes(pid) - of_the_user for pid in (first.pid, second.pid, harness.server.pid)]
    assert [len(each) for each in theirs[:2]] == [2, 2], "its control end and its output"
    assert not theirs[0] & theirs[1]
    assert not (theirs[0] | theirs[1]) & theirs[2]


def test_the_end_of_a_worker_is_the_end_of_its_pipes_while_its_siblings_live(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    first, second, third = harness.fork(), harness.fork(), harness.fork()
    harness.server.signal(third.number, signal.SIGSTOP)
    harness.report("stopped")
    harness.server.signal(second.number, signal.SIGKILL)
    harness.report("exited")
    assert second.read() in ("", "ready\n")
    with pytest.raises(PeerGone):
        second.control.receive_wait(10)
    assert is_alive(first.pid)
    assert is_stopped(third.pid)


def test_a_worker_hears_the_end_of_its_control_pipe_while_its_siblings_live(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    first, second = harness.fork(), harness.fork()
    second.control.close()
    assert harness.report("exited")["worker"] == second.number
    assert is_alive(first.pid)


# Signalled


def test_stopping_and_continuing_are_reported_each_time(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker, other = harness.fork(), harness.fork()
    for _ in range(3):
        harness.server.signal(worker.number, signal.SIGSTOP)
        assert harness.report("stopped")["worker"] == worker.number
        assert is_stopped(worker.pid)
        harness.server.signal(worker.number, signal.SIGCONT)
        assert harness.report("continued")["worker"] == worker.number
        assert not is_stopped(worker.pid)
    harness.server.signal(other.number, signal.SIGSTOP)
    assert harness.report("stopped")["worker"] == other.number
    harness.server.signal(other.number, signal.SIGKILL)
    assert harness.report("exited")["status"] == -signal.SIGKILL


def test_a_signal_reaches_the_whole_group(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
        signal.pause()
        return 0

    harness = start(main)
    worker = harness.fork()
    child = int(worker.read_line())
    harness.server.signal(worker.number, signal.SIGSTOP)
    harness.report("stopped")
    until(lambda: is_stopped(child))
    harness.server.signal(worker.number, signal.SIGCONT)
    harness.report("continued")
    until(lambda: not is_stopped(child))


def test_a_signal_sent_before_the_worker_is_ready_is_not_lost(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    for _ in range(30):
        worker = harness.ask_for()
        harness.server.signal(worker.number, signal.SIGKILL)
        harness.report("forked")
        assert harness.report("exited")["status"] == -signal.SIGKILL


def test_a_signal_to_a_worker_that_is_gone_is_answered(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork(code=0)
    harness.report("exited")
    harness.server.signal(worker.number, signal.SIGSTOP)
    assert harness.report("gone") == {"op": "gone", "worker": worker.number}


# The end of the fork server


def test_stopping_it_ends_the_workers_and_their_children_stopped_ones_included(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
        signal.pause()
        return 0

    harness = start(main)
    workers = [harness.fork(), harness.fork()]
    children = [int(worker.read_line()) for worker in workers]
    harness.server.signal(workers[0].number, signal.SIGSTOP)
    harness.report("stopped")
    assert harness.server.is_alive()
    assert harness.server.stop(10) == 0
    assert not any(is_alive(worker.pid) for worker in workers)
    until(lambda: not any(is_alive(pid) for pid in children))
    assert harness.server.stop(10) == 0, "it may be asked again"
    assert not harness.server.is_alive()


def test_one_that_does_not_end_is_killed_and_its_workers_die_with_it(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork()
    os.kill(harness.server.pid, signal.SIGSTOP)
    until(lambda: is_stopped(harness.server.pid))
    assert harness.server.stop(0) == -signal.SIGKILL
    until(lambda: not is_alive(worker.pid))


def test_it_is_deaf_to_what_is_meant_for_the_supervisor(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(harness.server.pid, number)
    harness.fork(code=5)
    assert harness.report("exited")["status"] == 5


def test_its_death_is_the_death_of_its_workers_and_the_end_of_the_channel(start: Callable[..., Harness]) -> None:
    harness = start(_obey)
    worker = harness.fork()
    harness.server.signal(worker.number, signal.SIGSTOP)
    harness.report("stopped")
    os.kill(harness.server.pid, signal.SIGKILL)
    with pytest.raises(PeerGone):
        harness.server.channel.receive_wait(10)
    assert select.select([worker.pidfd], [], [], 10)[0]
    until(lambda: not harness.server.is_alive())
    assert harness.server.exited == -signal.SIGKILL
    assert not harness.server.fork(1, {}, [])


SUPERVISOR = """
import os, signal, sys
from agent.handlers import Registry
from workers.channel import Channel
from workers.fork_client import ForkServer

def main(boot, registry, control):
    signal.pause()
    return 0

server = ForkServer.start_forked(Registry(), main)
pids = [server.pid]
for number in range(3):
    ours, theirs = Channel.pair()
    server.fork(number, {}, [theirs.fileno(), 2])
while len(pids) < 4:
    report, _ = server.channel.receive_wait()
    if report["op"] == "forked":
        pids.append(report["pid"])
os.kill(pids[1], signal.SIGSTOP)
if sys.argv[1] == "stopped":
    os.kill(server.pid, signal.SIGSTOP)
print(*pids, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("fork_server", ["running", "stopped"])
def test_the_supervisors_death_ends_all_within_100_ms(fork_server: str) -> None:
    command = [sys.executable, "-c", SUPERVISOR, fork_server]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        until(lambda: is_stopped(pids[1]) and (fork_server == "running" or is_stopped(pids[0])))
        pidfds = [os.pidfd_open(pid) for pid in pids]
        killed_at = time.monotonic()
        supervisor.kill()
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], 10)[0], "it outlived its supervisor"
            os.close(pidfd)
        assert time.monotonic() - killed_at < 0.1


# The fresh form


def test_a_fresh_one_loads_the_handlers_and_forks_workers_that_have_them(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text(
        "from agent.handlers import handler\n@handler('demo', max_attempts=2, timeout='10s')\ndef demo(payload): ...\n"
    )
    harness = start_fresh()
    options = {"max_attempts": 2, "timeout": 10.0, "max_concurrent": None}
    assert harness.report("types") == {"op": "types", "types": {"demo": options}, "threads": []}
    worker = harness.fork(code=4)
    assert worker.read_line() == "{'code': 4} ['demo']"
    worker.control.close()
    assert harness.report("exited")["status"] == 4
    assert harness.server.stop(10) == 0


def test_threads_that_the_handlers_started_are_named(start_fresh: Callable[[], Harness], tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), name='ticker', daemon=True).start()"
    )
    assert start_fresh().report("types")["threads"] == ["ticker"]


def test_an_error_in_the_handlers_comes_back_whole(start_fresh: Callable[[], Harness], tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("import a_module_that_is_missing")
    harness = start_fresh()
    text = harness.report("import_error")["text"]
    assert "No module named 'a_module_that_is_missing'" in text
    assert "handlers.py:1" in text
    with pytest.raises(PeerGone):
        harness.server.channel.receive_wait(10)
    until(lambda: not harness.server.is_alive())
    assert harness.server.exited == 78


def test_handlers_that_exit_are_an_error_of_theirs(start_fresh: Callable[[], Harness], tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("import sys; sys.exit(0)")
    assert "SystemExit" in start_fresh().report("import_error")["text"]


def test_handlers_that_crash_the_interpreter_leave_their_signal(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    harness = start_fresh()
    with pytest.raises(PeerGone):
        harness.server.channel.receive_wait(10)
    until(lambda: not harness.server.is_alive())
    assert harness.server.exited == -signal.SIGKILL


def test_a_main_that_is_missing_is_an_import_error(tmp_path: Path) -> None:
    harness = Harness(ForkServer.start_fresh([], tmp_path, "nowhere:main"))
    assert "No module named 'nowhere'" in harness.report("import_error")["text"]
    harness.close()


def test_our_modules_win_over_the_users_of_the_same_name(
    start_fresh: Callable[[], Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("workers", "agent", "supervisor"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    (tmp_path / "mine.py").write_text("X = 1")
    (tmp_path / "handlers.py").write_text("import mine, agent.errors, workers.channel")
    start_fresh().report("types")


def test_children_that_the_handlers_started_are_left_to_them(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text(
        "import os, subprocess\nchild = subprocess.Popen(['sh', '-c', 'exit 0'])\n"
        "os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)\n"
    )
    harness = start_fresh()
    harness.report("types")
    for code in (1, 2):
        worker = harness.fork(code=code)
        worker.control.close()
        assert harness.report("exited")["status"] == code
    children = Path(f"/proc/{harness.server.pid}/task/{harness.server.pid}/children").read_text().split()
    assert len(children) == 1, "nobody but the handlers reaps it"


def test_what_handlers_print_as_they_are_imported_goes_to_stderr_once(tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("print('imported')")
    (tmp_path / "mains.py").write_text(FRESH_MAIN)
    program = f"""
import os
from pathlib import Path
from workers.channel import Channel
from workers.fork_client import ForkServer
server = ForkServer.start_fresh([], Path({str(tmp_path)!r}), "mains:main")
server.channel.receive_wait()
ours, theirs = Channel.pair()
server.fork(1, {{"code": 0}}, [theirs.fileno(), 2])
theirs.close()
server.channel.receive_wait()
ours.close()
print(server.channel.receive_wait()[0]["status"], server.stop(10))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "0 0\n"
    assert done.stderr == "imported\n{'code': 0} []\n"


def test_what_the_user_printed_before_is_not_printed_again(tmp_path: Path) -> None:
    program = """
from agent.handlers import Registry
from workers.channel import Channel
from workers.fork_client import ForkServer
print("said once")
server = ForkServer.start_forked(Registry(), lambda *_: 0)
server.channel.receive_wait()
ours, theirs = Channel.pair()
server.fork(1, {}, [theirs.fileno(), 2])
server.channel.receive_wait()
server.channel.receive_wait()
server.stop(10)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "said once\n", "")


def test_it_keeps_none_of_the_users_inheritable_descriptors(start_fresh: Callable[[], Harness]) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    harness = start_fresh()
    harness.report("types")
    os.close(write_end)
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_identities_agree_across_processes(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        print(host.own_identity(), flush=True)
        signal.pause()
        return 0

    worker = start(main).fork()
    assert worker.read_line() == str(host.identity(worker.pid))
