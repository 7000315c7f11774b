"""The handlers under attack: copied into a world as `handlers.py`. What they do stands in files of their own.

`effects` has a line for each step, written by one append: `word task attempt pid monotonic wall key`. While a
handler runs, it holds a record lock on byte `task` of the file `running`: the kernel lets go of it when the process is
dead, and not before. So a second handler of the same task that finds it taken proves an overlap, whatever any clock
says.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enhanced_automation_agent import EnhancedAutomationAgent, Fail, current_attempt, handler

HERE = Path(__file__).resolve().parent
Payload = dict[str, Any]
STEP_S = 0.01

_files: dict[str, int] = {}


def effect(word: str) -> None:
    """Append a line."""
    info = current_attempt()
    times = f"{time.monotonic():.6f} {time.time():.6f}"
    line = f"{word} {info.task_id} {info.attempt} {os.getpid()} {times} {info.key or '-'}\n"
    os.write(_file("effects", os.O_WRONLY | os.O_APPEND), line.encode())


@contextmanager
def seen() -> Iterator[None]:
    """What happens in the block leaves its effects; nobody else may run the same task meanwhile."""
    task, running = current_attempt().task_id, _file("running", os.O_RDWR)
    effect("start")
    try:
        fcntl.lockf(running, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, task)
    except OSError:
        effect("overlap")
    try:
        yield
    finally:
        fcntl.lockf(running, fcntl.LOCK_UN, 1, task)
    effect("end")


def told(payload: Payload) -> Payload:
    """A result by which the task and its attempt are known again."""
    return {"n": payload["n"], "attempt": current_attempt().attempt}


def _file(name: str, flags: int) -> int:
    if name not in _files:
        _files[name] = os.open(HERE / name, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return _files[name]


@handler("nap")
def nap(payload: Payload) -> Payload:
    """Takes `s` seconds."""
    with seen():
        if payload["s"]:
            time.sleep(payload["s"])
    return told(payload)


@handler("stroll")
def stroll(payload: Payload) -> Payload:
    """Takes `s` seconds in short steps: whoever is stopped on the way has the rest of it still before him."""
    with seen():
        for _ in range(round(payload["s"] / STEP_S)):
            time.sleep(STEP_S)
    return told(payload)


@handler("spin")
def spin(payload: Payload) -> Payload:
    """Burns a processor for `s` seconds."""
    with seen():
        until = time.monotonic() + payload["s"]
        while time.monotonic() < until:
            pass
    return told(payload)


@handler("parent")
def parent(payload: Payload) -> Payload:
    """In its first attempt it waits for a process of its own, which does not end."""
    with seen():
        if current_attempt().attempt == 1:
            subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], check=True)
    return told(payload)


@handler("gate")
def gate(payload: Payload) -> Payload:
    """Waits until the file `gate` is there."""
    with seen():
        while not (HERE / payload["gate"]).exists():
            time.sleep(0.002)
    return told(payload)


@handler("asks")
def asks(payload: Payload) -> Payload:
    """Asks for another task, once and for all: its key is the payload's `key`."""
    with seen():
        _agent().enqueue("nap", payload["task"], idempotency_key=payload["key"])
    return told(payload)


@functools.cache
def _agent() -> EnhancedAutomationAgent:
    return EnhancedAutomationAgent(HERE / "config.yml")


@handler("fails", max_attempts=3)
def fails(payload: Payload) -> Payload:
    """Raises in its first `times` attempts."""
    with seen():
        if current_attempt().attempt <= payload["times"]:
            raise ValueError("no luck")
    return told(payload)


@handler("stumbles", max_attempts=3)
def stumbles(payload: Payload) -> Payload:
    """Raises in its first `times` attempts, after `s` seconds."""
    with seen():
        time.sleep(payload["s"])
        if current_attempt().attempt <= payload["times"]:
            raise ValueError("no luck")
    return told(payload)


@handler("hopeless")
def hopeless(payload: Payload) -> Payload:
    """Says that there is no use in trying again."""
    with seen():
        raise Fail("the account is closed")


@handler("large")
def large(payload: Payload) -> Payload:
    """A result of `bytes` bytes."""
    with seen():
        text = random.Random(payload["n"]).randbytes(payload["bytes"] // 2).hex()
    return told(payload) | {"text": text}
