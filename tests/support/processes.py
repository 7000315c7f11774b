"""The command line and the processes of an agent, as tests start, watch and end them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import pytest

from tests.support.waiting import until

CHECKOUT = Path(__file__).resolve().parents[2]
MAIN = CHECKOUT / "enhanced_automation_agent.py"


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it has to be."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"expected one JSON document, got {self.out!r}; stderr: {self.err}") from None


def run_cli(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 30,
    stdin: str = "",
) -> Completed:
    """The command line `args`, run to its end; `env` is added to the environment. Fails after `timeout` seconds."""
    # Files instead of pipes: a process that it leaves behind cannot hold up the reading.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        process = _popen(args, cwd, env, given, out, err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_all(lambda: family(process.pid) | {process.pid})
            process.wait()
            pytest.fail(f"{args} did not end within {timeout:g} s; stderr: {_text(err)}")
        return Completed(code, _text(out), _text(err))


class Agent:
    """A running agent in a session of its own; leaving its `with` block kills what is left of it."""

    def __init__(self, process: subprocess.Popen[bytes], cwd: Path, out_path: Path, err_path: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.cwd = cwd
        self.out_path = out_path
        self.err_path = err_path
        self._since = _started(process.pid)

    @property
    def out(self) -> str:
        """What it has written to standard output so far."""
        return self.out_path.read_text("utf-8", errors="replace")

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        return self.err_path.read_text("utf-8", errors="replace")

    def wait(self, timeout: float = 30) -> int:
        """Its exit code, once it ends by itself; the test fails after `timeout` seconds."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            pytest.fail(f"the agent did not end within {timeout:g} s; stderr: {self.err}")

    def stop(self, timeout: float = 30) -> int:
        """Asks it to end by SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill_everything(self) -> None:
        """SIGKILL to it and to everything it started; returns once all of them are gone."""
        kill_all(lambda: family(self.pid) | self._orphans() | {self.pid})
        self.process.wait()

    def _orphans(self) -> set[int]:
        """What lost its parent, and is nobody else's: the families of other agents here are ours still."""
        return processes_in(self.cwd, since=self._since) - family(os.getpid())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_everything()


def start_agent(cwd: Path, *args: str, env: Mapping[str, str] | None = None) -> Agent:
    """The whole command line `args` (none: `resume`) in the background; `env` is added to the environment.

    What it writes is kept in `agent-<n>.out` and `agent-<n>.err` in `cwd`.
    """
    number = 1 + len(list(cwd.glob("agent-*.err")))
    out_path, err_path = cwd / f"agent-{number}.out", cwd / f"agent-{number}.err"
    with out_path.open("wb") as out, err_path.open("wb") as err:
        process = _popen(args or ("resume",), cwd, env, subprocess.DEVNULL, out, err)
    return Agent(process, cwd, out_path, err_path)


def is_alive(pid: int) -> bool:
    """Whether the process exists and has not ended; a zombie has."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def is_stopped(pid: int) -> bool:
    """Whether the process stands still after SIGSTOP."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "T"


def family(pid: int) -> set[int]:
    """Every living descendant of the process, itself not included."""
    parents = {child: int(stat[1]) for child in _pids() if (stat := _stat(child))}
    found: set[int] = set()
    generation = {pid}
    while generation := {child for child, parent in parents.items() if parent in generation} - found:
        found |= generation
    return {child for child in found if is_alive(child)}


def ancestors(pid: int) -> set[int]:
    """The parent of the process, its parent, and so on."""
    found: set[int] = set()
    while (stat := _stat(pid)) and (pid := int(stat[1])):
        found.add(pid)
    return found


def processes_in(directory: Path, since: int = 0) -> set[int]:
    """Every living process that works in `directory` or below and was not started before `since` (kernel ticks)."""
    top = str(directory.resolve())
    there = {pid for pid in _pids() if _is_below(_working_directory(pid), top)}
    return {pid for pid in there if is_alive(pid) and _started(pid) >= since}


def processes_with(variable: str, value: str) -> set[int]:
    """Every living process that was started with this variable in its environment."""
    wanted = f"{variable}={value}".encode()
    return {pid for pid in _pids() if wanted in _read(pid, "environ").split(b"\0") and is_alive(pid)}


def command_of(pid: int) -> str:
    """The command line of a process, for people."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip() or "(a command unknown)"


def kill_all(find: Callable[[], set[int]]) -> None:
    """SIGKILL to whatever `find` finds, again and again until it finds nothing that lives."""

    def nobody_is_left() -> bool:
        living = {pid for pid in find() if is_alive(pid)}
        for pid in living:
            _kill(pid)
        return not living

    until(nobody_is_left, what="killed processes to be gone")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was quicker


def _popen(
    args: tuple[str, ...],
    cwd: Path,
    env: Mapping[str, str] | None,
    stdin: int | IO[bytes],
    out: IO[bytes],
    err: IO[bytes],
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(MAIN), *args],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=stdin,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _read(pid: int, name: str) -> bytes:
    """A file of the process in /proc; empty when it has ended or belongs to somebody else."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _stat(pid: int) -> list[str] | None:
    """proc(5) stat from its third field on: state, parent, group, session, …; None when there is no such process."""
    fields = _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()
    return fields or None


def _started(pid: int) -> int:
    """Kernel ticks from boot to the start of the process; 0 when there is none."""
    stat = _stat(pid)
    return int(stat[19]) if stat else 0


def _working_directory(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    except OSError:
        return ""


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")
