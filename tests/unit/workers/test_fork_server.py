"""The fork server: what becomes of its workers is told, and nobody outlives anybody."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fork_servers import Harness, obey, open_files
from tests.support.processes import CHECKOUT, is_alive, is_stopped
from tests.support.waiting import until
from workers.channel import PeerGone

# Born and buried


@pytest.mark.parametrize("code", [0, 3, 255])
def test_an_exit_code_is_reported(start: Callable[..., Harness], code: int) -> None:
    harness = start(obey)
    worker = harness.fork(code=code)
    report = harness.report("exited")
    assert (report["worker"], report["status"]) == (worker.number, code)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
def test_a_deadly_signal_is_reported(start: Callable[..., Harness], number: signal.Signals) -> None:
    import resource

    core_limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, core_limit[1]))
    harness = start(obey)
    resource.setrlimit(resource.RLIMIT_CORE, core_limit)
    harness.fork(signal=number)
    assert harness.report("exited")["status"] == -number


def test_an_exception_leaves_its_traceback_in_the_output(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    worker = harness.fork(**{"raise": "what went wrong"})
    assert harness.report("exited")["status"] == 70
    assert worker.read().endswith("KeyError: 'what went wrong'\n")


def test_the_pidfd_stands_for_the_worker(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    worker = harness.fork()
    assert not select.select([worker.pidfd], [], [], 0)[0]
    signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    assert select.select([worker.pidfd], [], [], 10)[0]
    assert harness.report("exited")["status"] == -signal.SIGKILL


def test_many_workers_are_born_and_buried_without_a_descriptor_left(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    harness.fork(code=0)
    harness.report("exited")
    until(lambda: children_of(harness.server.pid) == "")
    before = open_files(harness.server.pid)
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
    until(lambda: open_files(harness.server.pid) == before, what="its descriptors to be those of before")
    assert children_of(harness.server.pid) == "", "all are reaped"


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


@pytest.mark.parametrize("ends", ["the worker", "the channel"])
def test_and_with_those_in_groups_of_their_own_and_their_children(start: Callable[..., Harness], ends: str) -> None:
    script = "import os, subprocess, time; print(os.getpid(), subprocess.Popen(['sleep', '1000'], process_group=0).pid)"

    def main(*_: object) -> int:
        command = [sys.executable, "-uc", script + "; time.sleep(1000)"]
        with subprocess.Popen(command, process_group=0, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            print(child.stdout.readline(), end="", flush=True)
            signal.pause()
        return 0

    harness = start(main)
    worker = harness.fork()
    family = [int(pid) for pid in worker.read_line().split()]
    assert [os.getsid(pid) for pid in family] == [worker.pid] * 2
    if ends == "the worker":
        signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
        harness.report("exited")
    else:
        harness.server.stop(5)

    until(lambda: not any(is_alive(pid) for pid in family))
    if ends == "the worker":
        until(lambda: children_of(harness.server.pid) == "", what="all to be reaped")


def test_who_has_left_the_workers_session_goes_on_and_is_reaped(start: Callable[..., Harness]) -> None:
    def main(boot: dict[str, bool], *_: object) -> int:
        if not boot["leaves"]:
            signal.pause()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                signal.pause()
            os._exit(0)
        os.wait()
        return 0

    harness = start(main)
    worker = harness.fork(leaves=True)
    daemon = int(worker.read_line())
    harness.report("exited")
    other = harness.fork(leaves=False)
    signal.pidfd_send_signal(other.pidfd, signal.SIGKILL)
    harness.report("exited")
    assert is_alive(daemon)

    os.kill(daemon, signal.SIGKILL)

    until(lambda: children_of(harness.server.pid) == "", what="it to be reaped")


def children_of(pid: int) -> str:
    """The children of a process, zombies too, as the kernel lists them."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")


# Signalled


def test_stopping_and_continuing_are_reported_each_time(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    worker, other = harness.fork(), harness.fork()
    for conts in range(3):
        harness.server.signal(worker.number, signal.SIGSTOP)
        stopped = harness.report("stopped")
        assert (stopped["worker"], stopped["conts"]) == (worker.number, conts)
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
    harness = start(obey)
    for _ in range(30):
        worker = harness.ask_for()
        harness.server.signal(worker.number, signal.SIGKILL)
        harness.report("forked")
        assert harness.report("exited")["status"] == -signal.SIGKILL


def test_a_signal_to_a_worker_that_is_gone_is_answered(start: Callable[..., Harness]) -> None:
    harness = start(obey)
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
    harness = start(obey)
    worker = harness.fork()
    os.kill(harness.server.pid, signal.SIGSTOP)
    until(lambda: is_stopped(harness.server.pid))
    assert harness.server.stop(0) == -signal.SIGKILL
    until(lambda: not is_alive(worker.pid))


def test_it_is_deaf_to_what_is_meant_for_the_supervisor(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(harness.server.pid, number)
    harness.fork(code=5)
    assert harness.report("exited")["status"] == 5


def test_its_death_is_the_death_of_its_workers_and_the_end_of_the_channel(start: Callable[..., Harness]) -> None:
    harness = start(obey)
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
def test_the_supervisors_death_ends_all_at_once(fork_server: str) -> None:
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
        assert time.monotonic() - killed_at < 2


def test_workers_stopped_at_their_very_beginning_die_with_it_too(start: Callable[..., Harness]) -> None:
    harness = start(obey)
    for _ in range(20):
        worker = harness.ask_for()
        harness.server.signal(worker.number, signal.SIGSTOP)
        harness.report("forked")
        assert harness.report("stopped")["worker"] == worker.number
    os.kill(harness.server.pid, signal.SIGKILL)
    for worker in harness.workers:
        assert select.select([worker.pidfd], [], [], 10)[0], "it outlived the fork server"
