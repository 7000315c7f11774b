"""What a worker finds as it comes into the world, and what it does not."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.handlers import Registry
from tests.support.fork_servers import Harness, Report, obey, open_files
from tests.support.processes import is_alive, is_stopped
from tests.support.waiting import until
from workers.channel import PeerGone


def _registry() -> Registry:
    registry = Registry()
    registry.register("demo", lambda payload: payload)
    return registry


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


# What a worker finds


def test_a_worker_leads_a_session_of_its_own_under_its_own_title(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    worker = harness.fork()
    assert worker.read_line() == "ready"
    assert os.getsid(worker.pid) == os.getpgid(worker.pid) == worker.pid
    assert os.getsid(harness.server.pid) == harness.server.pid
    titles = [Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0") for pid in (worker.pid, harness.server.pid)]
    assert titles == ["sanaagent: worker", "sanaagent: fork server"]


def test_a_worker_is_the_first_to_go_when_memory_runs_out(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    worker = harness.fork()
    assert worker.read_line() == "ready"
    theirs, servers = (int(Path(f"/proc/{p}/oom_score_adj").read_text()) for p in (worker.pid, harness.server.pid))
    assert theirs == min(1000, servers + 500)


def test_a_worker_is_deaf_to_the_terminal_and_ends_by_term(start: Callable[..., Harness]) -> None:
    harness = start(obey)
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


SUPERVISORS = (
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "SANAAGENT_ESCALATION_WEBHOOK_SECRET",
    "SANAAGENT_ESCALATION_SMTP_URL",
)  # fmt: skip


def test_a_worker_does_not_see_what_systemd_said_to_the_main_process_nor_its_secrets(
    start: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(*_: object) -> int:
        print(sorted({*SUPERVISORS, "KEPT"} & set(os.environ)))
        return 0

    for name in (*SUPERVISORS, "KEPT"):
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
        return {link for link in open_files(pid) if link.startswith(("socket:", "pipe:"))}

    of_the_user = sockets_and_pipes(os.getpid())
    harness = start(main)
    first, second = harness.fork(), harness.fork()
    assert (first.read_line(), second.read_line()) == ("True", "True")
    theirs = [sockets_and_pipes(pid) - of_the_user for pid in (first.pid, second.pid)]
    assert [len(each) for each in theirs] == [2, 2], "its control end and its output"
    assert not theirs[0] & theirs[1]
    until(lambda: not (theirs[0] | theirs[1]) & sockets_and_pipes(harness.server.pid))  # it closes its own after a fork


def test_the_end_of_a_worker_is_the_end_of_its_pipes_while_its_siblings_live(start: Callable[..., Harness]) -> None:
    harness = start(obey)
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
    harness = start(obey)
    first, second = harness.fork(), harness.fork()
    second.control.close()
    assert harness.report("exited")["worker"] == second.number
    assert is_alive(first.pid)
