"""Processes in a world: who they are, how they are hit, and how long one waits for them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from campaign import Broken

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parents[1]
MAIN = CHECKOUT / "enhanced_automation_agent.py"
LOOK_S = 0.002
ROLES = {  # by what stands in the command line
    "sanaagent: worker": "worker",
    "fork_server": "fork server",
    "sanaagent: fork server": "fork server",
    "resume": "supervisor",
    "sanaagent: supervisor": "supervisor",
}


def until(condition: Callable[[], T], what: str, timeout: float = 30.0) -> T:
    """The first true value of `condition`. Raises Broken after `timeout` seconds; `what` completes "waited for …"."""
    deadline = time.monotonic() + timeout
    while True:
        is_last = time.monotonic() >= deadline
        if value := condition():
            return value
        if is_last:
            raise Broken(f"waited {timeout:g} s in vain for {what}")
        time.sleep(LOOK_S)


def came_true(condition: Callable[[], object], timeout: float) -> bool:
    """Whether `condition` comes true within `timeout` seconds."""
    try:
        return bool(until(condition, "", timeout))
    except Broken:
        return False


def family(directory: Path) -> dict[int, str]:
    """The living processes that work in `directory`, with their roles; what handlers started is a `child`."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and (role := _role(name, directory)):
            found[int(name)] = role
    return found


def is_alive(pid: int) -> bool:
    """Whether the process has not ended; a zombie has."""
    return state_of(pid) not in ("", "Z", "X")


def is_stopped(pid: int) -> bool:
    """Whether it stands still after a SIGSTOP."""
    return state_of(pid) == "T"


def state_of(pid: int) -> str:
    """The letter of proc_pid_stat(5); empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def hit(pid: int, number: signal.Signals = signal.SIGKILL) -> float:
    """Send a signal; the monotonic time just before it, 0 when there was nobody."""
    at = time.monotonic()
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return 0.0
    return at


def kill_all(pids: Iterable[int], timeout: float = 10.0) -> None:
    """SIGKILL to all, and wait until they are gone."""
    left = set(pids)
    for pid in left:
        hit(pid)
    until(lambda: not any(is_alive(pid) for pid in left), f"processes {sorted(left)} to end", timeout)


def _role(name: str, directory: Path) -> str:
    try:
        if os.readlink(f"/proc/{name}/cwd") != str(directory) or state_of(int(name)) in ("Z", "X", ""):
            return ""
        command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return next((role for word, role in ROLES.items() if word in command), "child")
