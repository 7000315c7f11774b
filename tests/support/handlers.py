"""The handlers of the integration tests: copied beside a test's database, loaded there as `handlers.py`.

What a handler did stands in the file `effects`, a line each: `word task attempt pid monotonic`, where the word is start
or end, and for `child` the pid is that of the process it started.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from enhanced_automation_agent import Fail, RetryAfter, current_attempt, handler

HERE = Path(__file__).resolve().parent
Payload = dict[str, Any]


def effect(word: str, pid: int | None = None) -> None:
    """Appends a line in one write: so it is there, whole, whatever happens to the process next."""
    info = current_attempt()
    line = f"{word} {info.task_id} {info.attempt} {pid or os.getpid()} {time.monotonic():.6f}\n"
    descriptor = os.open(HERE / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


@handler("noop")
def noop(payload: Payload) -> Payload:
    """Nothing, at once."""
    return payload


@handler("mark")
def mark(payload: Payload) -> Payload:
    """As short as can be, but leaves its effects; with `kilobytes`, in a result too large for a slot."""
    effect("start")
    effect("end")
    return {"filler": "x" * payload["kilobytes"] * 1000} if "kilobytes" in payload else {}


@handler("nap")
def nap(payload: Payload) -> Payload:
    """Takes `s` seconds."""
    effect("start")
    time.sleep(payload["s"])
    effect("end")
    return {"attempt": current_attempt().attempt}


handler("limited", max_concurrent=2)(nap)
handler("alone", max_concurrent=1)(nap)
handler("hasty", timeout="300ms", max_attempts=2)(nap)


@handler("gate")
def gate(payload: Payload) -> Payload:
    """Waits until the file `gate` is there; with `first`, only in the first attempt."""
    effect("start")
    while not (HERE / payload["gate"]).exists() and not (payload.get("first") and current_attempt().attempt > 1):
        time.sleep(0.002)
    effect("end")
    return {"attempt": current_attempt().attempt}


@handler("spin")
def spin(payload: Payload) -> Payload:
    """Burns a processor for `s` seconds, or until the file `gate` is there."""
    effect("start")
    until, gate = time.monotonic() + payload["s"], HERE / payload.get("gate", "none")
    while time.monotonic() < until and not gate.exists():
        pass
    effect("end")
    return {}


@handler("parent")
def parent(payload: Payload) -> Payload:
    """Starts a process, in a process group of its own if asked to, and waits for it."""
    effect("start")
    child = subprocess.Popen(["sleep", "600"], process_group=0 if payload.get("own_group") else None)
    effect("child", child.pid)
    child.wait()
    effect("end")
    return {}


@handler("stubborn")
def stubborn(payload: Payload) -> Payload:
    """Cannot be asked to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    effect("start")
    while True:
        time.sleep(0.05)


@handler("gil")
def gil(payload: Payload) -> Payload:
    """Holds the interpreter's lock for `s` seconds, in C."""
    effect("start")
    ctypes.PyDLL(None).usleep(int(payload["s"] * 1e6))
    effect("end")
    return {}


@handler("crash")
def crash(payload: Payload) -> Payload:
    """Ends its process, in every attempt but those after the `times`th."""
    effect("start")
    if current_attempt().attempt <= payload.get("times", 1000):
        match payload["how"]:
            case "exit":
                os._exit(3)
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
    effect("end")
    return {"attempt": current_attempt().attempt}


@handler("copy")
def copy(payload: Payload) -> Payload:
    """Forks a child that leaves the handler as its parent does, or by an exception; by Python, or behind its back."""
    effect("start")
    fork = ctypes.PyDLL(None).fork if payload["by"] == "C" else os.fork
    if fork() == 0 and payload["how"] == "raise":
        raise ValueError("a copy of the worker")
    return {}


@handler("babble")
def babble(payload: Payload) -> Payload:
    """Writes nonsense into every socket of its process."""
    effect("start")
    for number in map(int, os.listdir("/proc/self/fd")):
        path = Path(f"/proc/self/fd/{number}")
        if path.is_symlink() and os.readlink(path).startswith("socket:"):
            os.write(number, payload["says"].encode())
    effect("end")
    return {}


@handler("lay over")
def lay_over(payload: Payload) -> Payload:
    """Opens the file `precious` under the number of the database's log, as who closes a number twice may do."""
    effect("start")
    file = os.open(HERE / "precious", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, b"precious" * 100_000)
    for number in range(3, 64):
        path = Path(f"/proc/self/fd/{number}")
        if path.is_symlink() and os.readlink(path).endswith("-wal"):
            os.dup2(file, number)
    effect("end")
    return {}


@handler("cut off")
def cut_off(payload: Payload) -> Payload:
    """From now on its process can write to no file, and nobody can change that."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit = lambda *_: None
    return {}


@handler("unsettle")
def unsettle(payload: Payload) -> Payload:
    """Changes what all code of its process stands on."""
    effect("start")
    match payload["what"]:
        case "surroundings":
            os.chdir("/")
            os.umask(0)
            signal.signal(signal.SIGALRM, _shout)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            sys.stdout = io.StringIO()
        case "streams":
            sys.stdout.close()
        case "descriptors":
            os.closerange(0, 3)
        case "threads":
            threading.Thread(target=_work, daemon=True).start()
        case "greedy thread":
            threading.Thread(target=_hold_as_it_writes, daemon=True).start()
        case "thread that holds on":
            threading.Timer(0.1, _hold).start()
    effect("end")
    return {"filler": "x" * payload.get("kilobytes", 0) * 1000}


def _shout(*_: object) -> None:
    raise TimeoutError("somebody forgot an alarm")


def _work() -> None:
    while True:
        sum(range(1000))


def _hold_as_it_writes() -> None:
    while True:  # what it has seen may have been given back before it holds on
        if f"WRITE {os.getpid()} " in Path("/proc/locks").read_text("ascii"):
            _hold(seconds=8)
        time.sleep(0.001)  # one that works on would be found out


def _hold(seconds: int = 20) -> None:
    ctypes.PyDLL(None).usleep(seconds * 1_000_000)


@handler("settled")
def settled(payload: Payload) -> Payload:
    """Tells what it stands on."""
    effect("start")
    print("all is well")
    mask = os.umask(0o77)
    os.umask(mask)
    return {
        "directory": os.getcwd(),
        "umask": mask,
        "alarm": str(signal.getsignal(signal.SIGALRM)) + str(signal.getitimer(signal.ITIMER_REAL)),
        "children": str(signal.getsignal(signal.SIGCHLD)),
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


@handler("fails")
def fails(payload: Payload) -> Payload:
    """Raises in the first `times` attempts (left out: in all), once the file `gate` is there, if one is named."""
    effect("start")
    while not (HERE / payload.get("gate", "")).exists():
        time.sleep(0.002)
    if current_attempt().attempt <= payload.get("times", 1000):
        raise ValueError(payload.get("text", "no luck"))
    return {"attempt": current_attempt().attempt}


@handler("hopeless")
def hopeless(payload: Payload) -> Payload:
    """Says that there is no use in trying again."""
    effect("start")
    raise Fail("the account is closed")


@handler("later")
def later(payload: Payload) -> Payload:
    """Asks for another attempt in `s` seconds, once."""
    effect("start")
    if current_attempt().attempt == 1:
        raise RetryAfter(payload["s"])
    return {}


@handler("picky", retry_on=ConnectionError)
def picky(payload: Payload) -> Payload:
    """Raises what is worth another attempt, or what is not."""
    effect("start")
    raise ConnectionResetError("hung up") if payload["worth_it"] else KeyError("missing")


@handler("talk")
def talk(payload: Payload) -> Payload:
    """Prints, and lets a shell print."""
    print("said by python")
    os.system("echo said by a shell; echo complained by a shell >&2")  # noqa: S605 (that it goes through a shell is the point)
    return {}


@handler("flood")
def flood(payload: Payload) -> Payload:
    """Prints `megabytes` of lines."""
    line = "x" * 999
    for _ in range(payload["megabytes"] * 1000):
        print(line)
    return {}


_kept: list[bytearray] = []


@handler("hoard")
def hoard(payload: Payload) -> Payload:
    """Never gives back `megabytes` of memory."""
    effect("start")
    _kept.append(bytearray(os.urandom(1) * (payload["megabytes"] * 1_000_000)))
    return {}


@handler("hook")
def hook(payload: Payload) -> Payload:
    """Says in which process it ran."""
    effect("start")
    return {"pid": os.getpid()}
