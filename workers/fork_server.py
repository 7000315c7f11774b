"""The fork server: one thread, no database; imports the handlers once, then forks, signals and buries workers.

It runs in a fresh interpreter (`main`), or in a child forked from the user's own process (`serve`); from then on both
speak the same over one channel with the supervisor, in JSON objects:

    down  load          handlers, cwd, worker_main?      the fresh form's first message
          fork          worker, boot, [control, output]  worker: its id; boot: opaque
          signal        worker, signal                   to the worker's process group
    up    types         types, threads                   ready; threads: the names of those that the handlers started
          import_error  text                             and it exits
          forked        worker, pid, [pidfd]             before any other report of that worker
          fork_failed   worker, error
          gone          worker                           there is no such worker to signal
          stopped       worker, conts, at_ns             conts: how often it had been let go on our order by then;
                                                         at_ns: on the monotonic clock
          continued     worker
          exited        worker, status                   exit code, or -signal

When the channel ends, it kills its workers' groups and exits. It gets SIGKILL when the supervisor dies, and so do the
workers when it dies itself.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from setproctitle import setproctitle

from agent import failpoints
from agent.errors import HandlersError
from agent.failpoints import ARMED, reach
from agent.handlers import Registry
from agent.host import identity, kill_and_wait, set_parent_death_signal
from agent.loader import load_handlers, options_as_json
from workers.births import Birth, WorkerMain, bear, leave_by, open_streams
from workers.channel import Channel, Nonsense, PeerGone, understood
from workers.messages import Load, Request
from workers.orphans import Orphans
from workers.signals import SignalInbox, set_dispositions

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the supervisor decides; the end of the channel is the end
WORKER_MAIN = "workers.worker:main"
ANY_CHANGE = os.WEXITED | os.WSTOPPED | os.WCONTINUED
ENDS = (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
WORKERS_END_WITHIN = 1.0  # seconds between the last SIGKILL and our own end, at most


def main() -> NoReturn:
    """The fresh interpreter's whole life; argv: the channel's descriptor and the supervisor's pid. Never returns."""
    descriptor, parent_pid = int(sys.argv[1]), int(sys.argv[2])
    sys.argv[1:] = []  # the handlers' modules need not know
    leave_by(lambda: _serve_fresh(descriptor, parent_pid))


def serve(channel: Channel, registry: Registry, worker_main: WorkerMain, parent_pid: int) -> int:
    """Serves until the channel ends; the exit code. Only ever in a process of its own, on its main thread."""
    _settle(parent_pid)
    failpoints.play("fork_server")
    with SignalInbox(signal.SIGCHLD) as inbox:
        server = _ForkServer(channel, inbox, registry, worker_main)
        try:
            server.run()
        except PeerGone:
            return 0
        finally:
            server.kill_workers()


def _serve_fresh(descriptor: int, parent_pid: int) -> int:
    _settle(parent_pid)
    channel = Channel(socket.socket(fileno=descriptor))
    try:
        first = channel.receive_wait()
        load = understood(first[0] if first else {}, Load)
    except PeerGone:
        return 0
    try:
        registry = load_handlers(load.handlers, Path(load.cwd))
        worker_main = _find(load.worker_main or WORKER_MAIN)
    except HandlersError as error:
        return _report_import_error(channel, str(error))
    except Exception:
        return _report_import_error(channel, traceback.format_exc())
    return serve(channel, registry, worker_main, parent_pid)


def _settle(parent_pid: int) -> None:
    """Its own session, deaf to what a terminal or systemd sends, bound to its parent, its output on stderr."""
    set_parent_death_signal(signal.SIGKILL, parent_pid)
    if os.getsid(0) != os.getpid():
        os.setsid()
    set_dispositions(ignored=IGNORED)
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # the standard descriptors are never left for others to fall into
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)  # the supervisor's stdout is for results
    open_streams()
    setproctitle("sanaagent: fork server")


def _find(dotted: str) -> WorkerMain:
    module, _, name = dotted.partition(":")
    found: WorkerMain = getattr(importlib.import_module(module), name)
    return found


def _report_import_error(channel: Channel, text: str) -> int:
    channel.send({"op": "import_error", "text": text})
    return HandlersError.exit_code


class _ForkServer:
    """The loop: what the supervisor asks for, and what becomes of the workers."""

    def __init__(self, channel: Channel, inbox: SignalInbox, registry: Registry, worker_main: WorkerMain) -> None:
        self._channel = channel
        self._inbox = inbox
        self._registry = registry
        self._worker_main = worker_main
        self._pids: dict[int, int] = {}
        self._conts: Counter[int] = Counter()
        self._orphans = Orphans()

    def run(self) -> NoReturn:
        """Until the channel ends: raises PeerGone."""
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        self._report({"op": "types", "types": options_as_json(self._registry), "threads": threads})
        # What exists now is for ever: kept out of every worker's collections, its pages stay shared.
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._inbox, select.POLLIN)
        while True:
            poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._channel.wants_write else 0))
            poll.poll()
            if self._inbox.take():
                self._look_after_workers()
                self._orphans.look(self._pids.values())
            self._channel.flush()
            while received := self._channel.receive():
                self._obey(understood(received[0], Request), received[1])

    def kill_workers(self) -> None:
        """SIGKILL to their groups and sessions; returns when they are dead, or the kernel cannot let go of one."""
        until = time.monotonic() + WORKERS_END_WITHIN
        for pid in self._pids.values():
            _signal_group(pid, signal.SIGKILL)
            self._orphans.end_session(pid)
        kill_and_wait([who for pid in self._pids.values() if (who := identity(pid))], WORKERS_END_WITHIN)
        while self._orphans.look(()) and time.monotonic() < until:
            time.sleep(0.001)

    def _obey(self, request: Request, descriptors: list[int]) -> None:
        if len(descriptors) != (2 if request.op == "fork" else 0):
            raise Nonsense
        if request.op == "fork":
            self._fork(request.worker, request.boot, descriptors)
        else:
            self._signal(request.worker, request.signal)

    def _fork(self, worker: int, boot: dict[str, Any], descriptors: list[int]) -> None:
        control, output = descriptors
        if ARMED:
            reach("before_fork")
        try:
            # It is told of while it settles; what is asked for next, we hear when it has.
            with bear(Birth(boot, control, output), self._registry, self._worker_main, self._let_go) as pid:
                self._pids[worker] = pid
                self._report_birth(worker, pid)
        except (OSError, MemoryError) as error:
            self._abort_birth(worker, error)
            return
        finally:
            os.close(control)
            os.close(output)

    def _report_birth(self, worker: int, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            self._report({"op": "forked", "worker": worker, "pid": pid}, pidfd)
        finally:
            os.close(pidfd)

    def _abort_birth(self, worker: int, error: Exception) -> None:
        """No room for a process, or for the descriptor that stands for it: then there is to be no worker either."""
        pid = self._pids.pop(worker, None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._report({"op": "fork_failed", "worker": worker, "error": str(error)})

    def _let_go(self) -> None:
        self._channel.close()
        self._inbox.abandon()

    def _signal(self, worker: int, number: int) -> None:
        pid = self._pids.get(worker)
        if pid is None:
            self._report({"op": "gone", "worker": worker})
        else:
            _signal_group(pid, number)
            self._conts[worker] += number == signal.SIGCONT

    def _look_after_workers(self) -> None:
        """Reports what has become of each worker; asked one by one, for other children are the handlers' business."""
        for worker, pid in list(self._pids.items()):
            while seen := os.waitid(os.P_PID, pid, ANY_CHANGE | os.WNOHANG | os.WNOWAIT):
                if seen.si_code in ENDS:
                    self._bury(worker, pid)
                    break
                self._report_stop(worker, pid)

    def _report_stop(self, worker: int, pid: int) -> None:
        try:
            seen = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
        except ChildProcessError:
            return  # it died since, which is all that counts now
        if seen and seen.si_code == os.CLD_STOPPED:
            at_ns = time.monotonic_ns()
            self._report({"op": "stopped", "worker": worker, "conts": self._conts[worker], "at_ns": at_ns})
        elif seen:
            self._report({"op": "continued", "worker": worker})

    def _bury(self, worker: int, pid: int) -> None:
        if ARMED:
            reach("before_reap")
        # Until it is reaped, its process group cannot be anybody else's.
        _signal_group(pid, signal.SIGKILL)
        self._orphans.end_session(pid)
        _, status = os.waitpid(pid, 0)
        del self._pids[worker], self._conts[worker]
        self._report({"op": "exited", "worker": worker, "status": os.waitstatus_to_exitcode(status)})

    def _report(self, message: dict[str, Any], *descriptors: int) -> None:
        if not self._channel.send(message, descriptors):
            raise PeerGone


def _signal_group(pid: int, number: int) -> None:
    """To the worker's process group, or to the worker alone while it has none yet. It must not be reaped.

    Who has become another user (`sudo`) is out of our reach.
    """
    with suppress(PermissionError):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            os.kill(pid, number)
