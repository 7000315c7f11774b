"""A fork server, its workers, and a supervisor's part towards them."""

from __future__ import annotations

import faulthandler
import os
import socket
from contextlib import suppress
from typing import Any

from agent.handlers import Registry
from workers.channel import Channel
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


def obey(boot: Report, _registry: Registry, control: socket.socket) -> int:
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


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # it was open only to list the others
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)
