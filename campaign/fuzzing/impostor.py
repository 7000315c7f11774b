"""A fork server and its workers, played from this very process, so that a real supervisor can be told anything."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.config import load
from agent.errors import StoreError, TryLater
from agent.telemetry import logs
from campaign import PromiseBroken
from supervisor import Plan, Supervisor
from workers.assembly import assemble
from workers.channel import LARGEST_PACKET, Channel, PeerGone
from workers.fork_client import ForkServer
from workers.process import Phase, WorkerProcess
from workers.signals import SignalInbox

BORN_WITHIN_S = 5.0  # births are put off for a while after one that went wrong
TURNS = 20  # of the supervisor's loop: what has not come about by then does not
TYPES = {"op": "types", "types": {"demo": {"max_attempts": None}}, "threads": []}


class _Played(ForkServer):
    """One behind which nobody is who could leave in time."""

    def stop(self, timeout: float) -> int | None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return super().stop(timeout)


class Turning(Supervisor):
    """A supervisor whose loop is turned by hand."""

    def turn(self) -> None:
        """Once around, waiting for nothing."""
        try:
            self._hear(0)
            self._do_what_needs_no_database()
            self._look_after_workers(self._clock.monotonic())
            self._do_what_is_due()
        except (StoreError, TryLater) as error:
            self._bear_with(error)

    def sample(self) -> None:
        """Take stock of what workers have told."""
        self._sample()


@dataclass(slots=True)
class Body:
    """One worker that is played: its ends of the pipes. `is_ended`: the supervisor had it killed, or hung up."""

    worker: int
    control: socket.socket
    output: int
    heard: int = 0  # messages of the supervisor's
    conts: int = 0  # how often it was let go on
    is_ended: bool = False

    def hear(self) -> bool:
        """Read what there is; False at the end, at which a worker leaves."""
        with suppress(BlockingIOError):
            while self.control.recv(LARGEST_PACKET, socket.MSG_DONTWAIT):
                self.heard += 1
            return False
        return True

    def say(self, packet: bytes) -> None:
        """Say something, whether or not anybody is left to hear it."""
        with suppress(OSError):
            self.control.send(packet)

    def say_idle(self) -> None:
        """Say that there is nothing to do."""
        self.say(b'{"op":"idle","heard":%d}' % self.heard)

    def close(self) -> None:
        """Let go of its ends."""
        self.control.close()
        os.close(self.output)


class Impostor:
    """Plays the fork server of `supervisor`, and every worker that it asks for."""

    def __init__(self, config: Path) -> None:
        self._room = ExitStack()
        self._bodies: dict[int, Body] = {}
        self._channel: Channel | None = None
        self._pid = 0
        self.starts = 0
        loaded = load(config, environ={})
        plan = Plan(loaded, lambda: loaded, self._start, True, False)
        signals = self._room.enter_context(SignalInbox(signal.SIGUSR2))
        selector = self._room.enter_context(selectors.DefaultSelector())
        fork_server = self._start()
        self.parts = assemble(loaded, fork_server, selector, Clock())
        logs.configure(self.parts.logfile)  # nothing on our stderr
        self.supervisor = Turning(plan, self.parts, fork_server, selector, signals)
        self.tell(TYPES)

    def _start(self) -> ForkServer:
        if self._channel is not None:
            self._forget()
        self.starts += 1
        ours, self._channel = Channel.pair()
        self._pid = os.posix_spawn("/bin/sleep", ["sleep", "3600"], {})
        if self.starts > 1:
            self.tell(TYPES)
        return _Played(self._pid, ours)

    def tell(self, report: dict[str, Any], *descriptors: int) -> None:
        """Say something as the fork server."""
        if self._channel is not None:
            self._channel.send(report, descriptors)

    def raw(self) -> socket.socket:
        """The fork server's bare end."""
        if self._channel is None:
            raise PromiseBroken("the supervisor has no fork server any more")
        return socket.socket(fileno=os.dup(self._channel.fileno()))

    def turn(self) -> None:
        """Once around: the supervisor's loop, then what it asked of us."""
        self.supervisor.turn()
        for _ in range(TURNS):
            try:
                received = self._channel.receive() if self._channel else None
            except PeerGone:
                return
            if received is None:
                break
            self._obey(*received)
        for body in list(self._bodies.values()):
            if not body.is_ended and not body.hear():
                self._end(body.worker, 0)

    def worker(self) -> tuple[Body, WorkerProcess]:
        """A worker that is ready, and how the supervisor sees it."""
        deadline = time.monotonic() + BORN_WITHIN_S
        while time.monotonic() < deadline:
            for worker in self.parts.pool.workers.values():
                body = self._bodies.get(worker.id)
                if body and not body.is_ended and worker.phase is Phase.READY and not worker.is_draining:
                    return body, worker
            self.turn()
        raise PromiseBroken("the supervisor asks for no worker any more")

    def retire(self, body: Body) -> None:
        """Let a worker die."""
        if not body.is_ended:
            self._end(body.worker, -9)
        for _ in range(TURNS):
            self.turn()
            if body.worker not in self.parts.pool.workers:
                break
        body.close()
        self._bodies.pop(body.worker, None)

    def close(self) -> None:
        """End the supervisor and all that was played."""
        self.supervisor.shut_down()
        self._forget()
        logs.configure(None)
        self._room.close()

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
        for body in self._bodies.values():
            body.close()
        self._bodies.clear()

    def _obey(self, request: dict[str, Any], descriptors: list[int]) -> None:
        worker = request["worker"]
        if request["op"] == "fork":
            self._bear(worker, *descriptors)
        elif worker not in self._bodies:
            self.tell({"op": "gone", "worker": worker})
        elif request["signal"] == signal.SIGKILL:
            self._end(worker, -9)
        elif request["signal"] == signal.SIGSTOP:
            self.tell({"op": "stopped", "worker": worker, "conts": self._bodies[worker].conts})
        elif request["signal"] == signal.SIGCONT:
            self._bodies[worker].conts += 1
            self.tell({"op": "continued", "worker": worker})

    def _bear(self, worker: int, control: int, output: int) -> None:
        self._bodies[worker] = Body(worker, socket.socket(fileno=control), output)
        pidfd = os.pidfd_open(self._pid)
        self.tell({"op": "forked", "worker": worker, "pid": self._pid}, pidfd)
        os.close(pidfd)
        self._bodies[worker].say(b'{"op":"ready"}')

    def _end(self, worker: int, status: int) -> None:
        self._bodies[worker].is_ended = True
        self.tell({"op": "exited", "worker": worker, "status": status})
