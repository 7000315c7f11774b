"""What processes of ours say to each other: a supervisor that is told anything, a fork server and a worker as well."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agent.errors import AgentError
from agent.handlers import Registry
from campaign.fuzzing.door import Door, check
from campaign.fuzzing.hostile import CLEAN_VALUES, JSON_BYTES, TEXTS, damaged
from campaign.fuzzing.impostor import TURNS, Body, Impostor
from campaign.processes import came_true
from workers import worker as workers_own
from workers.channel import IN_MEMORY_FILE, LARGEST_PACKET
from workers.fork_client import ForkServer

ITSELF = "@itself"  # in a message: the worker that it is about
NUMBERS: SearchStrategy[Any] = st.sampled_from((0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 1.5, True, None, "7", []))
ANYTHING = CLEAN_VALUES | NUMBERS | TEXTS.map(lambda text: text.encode("utf-8", "replace").decode())


def messages(ops: tuple[str, ...], **fields: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """A message with a known `op`, or another, and with the fields that it has, lacks, or should not have."""
    op = st.sampled_from(ops) | ANYTHING
    return st.fixed_dictionaries({}, optional={"op": op, **{name: each | ANYTHING for name, each in fields.items()}})


def _packed(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


_COUNTS = st.lists(
    st.tuples(st.just("demo") | ANYTHING, NUMBERS, NUMBERS, NUMBERS, st.floats(0, 9) | NUMBERS).map(list), max_size=2
)
_ENDED = st.lists(
    st.tuples(NUMBERS, st.just("demo"), NUMBERS, st.integers(0, 9), ANYTHING, NUMBERS, NUMBERS).map(list), max_size=2
)
SAID = messages(
    ("ready", "idle", "counts", "stale", "gave back", "trouble", "bye"),
    counts=_COUNTS, ended=_ENDED, tasks=st.lists(NUMBERS, max_size=2), error=ANYTHING, worker=NUMBERS,
)  # fmt: skip
"""What a worker may say."""

# No process id that could be somebody's: whatever a supervisor believes of its workers, it may kill them.
_PIDS = st.sampled_from((0, -1, 2**22 + 1, 2**40, None, "1", 1.5))
_WORKERS = st.just(ITSELF) | st.just(ITSELF) | NUMBERS
REPORTED = st.one_of(
    messages(
        ("types", "import_error"),
        types=st.just({"demo": {"max_attempts": 3}}),
        text=TEXTS.map(ascii),
        threads=ANYTHING,
    ),
    messages(("forked",), worker=_WORKERS).flatmap(lambda told: _PIDS.map(lambda pid: {**told, "pid": pid})),
    messages(
        ("fork_failed", "gone", "stopped", "continued", "exited"), worker=_WORKERS, status=NUMBERS, error=ANYTHING
    ),
)
"""What a fork server may report."""

ASKED = messages(
    ("fork", "signal", "load"), worker=NUMBERS, boot=ANYTHING, signal=st.sampled_from((0, -1, 65, 10**9, "9", None)),
    handlers=ANYTHING, cwd=ANYTHING, worker_main=ANYTHING,
)  # fmt: skip
"""What a supervisor may ask of a fork server."""

TOLD = messages(
    ("target", "wake", "cancel"), version=NUMBERS, share=NUMBERS, mode=st.sampled_from(("run", "park", "stroll")),
    settings=ANYTHING, paused=ANYTHING,
)  # fmt: skip
"""What a supervisor may tell a worker."""


def packets(told: SearchStrategy[dict[str, Any]]) -> SearchStrategy[bytes]:
    """Packets with such messages, with damaged ones, and with anything."""
    odd = st.sampled_from((IN_MEMORY_FILE, b"{}", b"[]", b"\xff", b"{" * LARGEST_PACKET, b" " * (LARGEST_PACKET + 1)))
    noise = st.binary(min_size=1, max_size=64) | JSON_BYTES.map(lambda raw: raw[:200_000])
    return st.one_of(told.map(_packed), told.map(_packed), damaged(told.map(_packed)), odd, noise).filter(len)


_FILES = ("/dev/null", "/dev/zero", "/proc/self/cmdline", "/proc/self/fd", "/proc/self/exe")
DESCRIPTORS = st.lists(st.sampled_from(_FILES), max_size=2)
"""What is passed along with a packet."""


def send(end: socket.socket, packet: bytes, files: list[str]) -> None:
    """Through a socket, whether or not anybody is left to hear it."""
    descriptors = [os.open(file, os.O_RDONLY) for file in files]
    with suppress(ConnectionError):
        socket.send_fds(end, [packet], descriptors) if descriptors else end.send(packet)
    for descriptor in descriptors:
        os.close(descriptor)


# -- To the supervisor


def from_a_worker(impostor: Impostor) -> Door:
    """A worker says something: it is heard on, or ended; the supervisor goes on, and keeps no descriptor."""

    def attack(case: list[tuple[bytes, list[str]]]) -> None:
        body, _ = impostor.worker()
        impostor.supervisor.sample()  # its files of /proc stay open
        before = _open_descriptors()
        for packet, files in case:
            send(body.control, packet, files)
            impostor.turn()
        impostor.supervisor.sample()
        check(_is_heard(impostor, body), "the worker is neither heard nor ended")
        check(body.is_ended or _open_descriptors() <= before, "descriptors that came with a message stay open")
        impostor.retire(body)

    cases = st.lists(st.tuples(packets(SAID), st.just([]) | DESCRIPTORS), min_size=1, max_size=2)
    return Door("messages of workers", 500, cases, attack)


def _is_heard(impostor: Impostor, body: Body) -> bool:
    for _ in range(TURNS):
        worker = impostor.parts.pool.workers.get(body.worker)
        if body.is_ended or worker is None or worker.is_idle:
            return True
        body.say_idle()
        impostor.turn()
    return False


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class ForkReports:
    """A fork server reports something: the supervisor goes on, with it or another, or ends with a clear error."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._impostor = Impostor(config)
        self._n = 0

    def door(self) -> Door:
        """The door."""
        cases = st.tuples(packets_of_reports(), DESCRIPTORS)
        return Door("reports of fork servers", 300, cases, self._attack, lambda: self._impostor.close())

    def _attack(self, case: tuple[bytes, list[str]]) -> None:
        packet, files = case
        body, _ = self._impostor.worker()
        try:
            with self._impostor.raw() as end:
                send(end, packet.replace(f'"{ITSELF}"'.encode(), str(body.worker).encode()), files)
            for _ in range(3):
                self._impostor.turn()
            check(self._is_heard(), "the fork server is neither heard nor replaced")
        except AgentError:  # it ends, with a sentence
            self._impostor.close()
            self._impostor = Impostor(self._config)
            return
        if body.worker in self._impostor.parts.pool.workers:
            self._impostor.retire(body)

    def _is_heard(self) -> bool:
        self._n += 1
        name = f"type {self._n}"
        self._impostor.tell(
            {"op": "types", "types": {name: {"max_attempts": None}, "demo": {"max_attempts": 1}}, "threads": []}
        )
        for _ in range(TURNS):
            if self._impostor.parts.store.tasks.types().get(name):
                return True
            self._impostor.turn()
        return self._impostor.starts > 1


def packets_of_reports() -> SearchStrategy[bytes]:
    """Reports, whole: a process id with another digit could be somebody's."""
    noise = st.sampled_from((IN_MEMORY_FILE, b"{}", b"[]", b"\xff", b"{" * LARGEST_PACKET, b" " * (LARGEST_PACKET + 1)))
    return st.one_of(REPORTED.map(_packed), REPORTED.map(_packed), noise, st.binary(min_size=1, max_size=9))


# -- To a fork server and to a worker


class ForkServers:
    """A real fork server is asked for something: it goes on, or it ends with all its workers, without a word."""

    def __init__(self, directory: Path) -> None:
        self._errors = directory / "fork_server_errors"
        self._server: ForkServer | None = None

    def door(self) -> Door:
        """The door."""
        return Door("requests to fork servers", 100, st.tuples(packets(ASKED), DESCRIPTORS), self._attack, self._stop)

    def _attack(self, case: tuple[bytes, list[str]]) -> None:
        server = self._server or self._start()
        with socket.socket(fileno=os.dup(server.fileno())) as end:
            send(end, *case)
        server.signal(404, 0)  # there is no such worker, and it says so
        goes_on_or_ends = came_true(lambda: _has_answered(server) or not server.is_alive(), 10)
        check(goes_on_or_ends, "it neither answers nor ends")
        if not server.is_alive():
            self._stop()
        check(not self._errors.read_bytes(), f"it wrote {self._errors.read_text(errors='replace')[-300:]}")

    def _start(self) -> ForkServer:
        stderr = os.dup(2)
        with self._errors.open("wb") as errors:
            os.dup2(errors.fileno(), 2)
        try:
            self._server = ForkServer.start_forked(Registry(), workers_own.main)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        return self._server

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop(1)
            self._server = None


def _has_answered(server: ForkServer) -> bool:
    with suppress(AgentError):
        while (received := server.receive()) is not None:
            for descriptor in received[1]:
                os.close(descriptor)
            if (received[0].op, received[0].worker) == ("gone", 404):
                return True
    return False
