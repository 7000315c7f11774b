"""Handlers that take time, the interpreter's lock, memory, or everybody's patience with what they print."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

from campaign.handlers import Payload
from campaign.pack import fails, poison

LINE = b"x" * 1023 + b"\n"
_kept: list[bytearray] = []


@fails("ignores SIGTERM and hangs", "timed out", kind="timed", timeout="300ms")
def hang(_: Payload) -> None:
    """Cannot be asked to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


@fails("hangs with all signals blocked", "timed out", kind="timed", timeout="300ms")
def hang_deaf(_: Payload) -> None:
    """Not even asked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@fails("holds the GIL beyond its time", "timed out", kind="timed", timeout="300ms")
def hold_gil_too_long(_: Payload) -> None:
    """No code of Python runs in its process."""
    ctypes.PyDLL(None).usleep(20_000_000)


@poison("holds the GIL", kind="slow")
def hold_gil(payload: Payload) -> None:
    """For `s` seconds."""
    ctypes.PyDLL(None).usleep(int(payload["s"] * 1e6))


@poison("stops itself", kind="slow")
def stop(_: Payload) -> None:
    """Somebody has to wake it."""
    os.kill(os.getpid(), signal.SIGSTOP)


@poison("prints without end", kind="slow")
def flood(payload: Payload) -> None:
    """`mb` megabytes of lines."""
    text = LINE.decode()
    for _number in range(payload["mb"] * 1024):
        print(text, end="")


@poison("writes to stdout without end", kind="slow")
def flood_descriptor(payload: Payload) -> None:
    """`mb` megabytes, past Python: who writes waits for who reads."""
    for _number in range(payload["mb"] * 16):
        os.write(1, LINE * 64)


@poison("prints a line without end", kind="slow")
def flood_line(payload: Payload) -> None:
    """`mb` megabytes in one line."""
    for _number in range(payload["mb"] * 16):
        print("x" * 65536, end="")


@poison("prints bytes that are no text")
def print_bytes(_: Payload) -> None:
    """All 256 of them, and what looks like our own marks."""
    os.write(1, bytes(range(256)) * 40 + b"\n")
    for mark in (b"\x1e\x1f", b"\x1e-1\x1f", b"\x1e" + b"9" * 6000 + b"\x1f", b"\x1e1\x1f" * 2000):
        os.write(1, mark + b"forged\n")
    print("\x1e" + "9" * 6000 + "\x1fforged")


@poison("prints from threads")
def print_from_threads(_: Payload) -> None:
    """Eight at once."""
    threads = [threading.Thread(target=_print_some) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@poison("keeps 300 MB", kind="slow")
def keep(_: Payload) -> None:
    """They are never given back."""
    _kept.append(bytearray(os.urandom(1) * 300_000_000))


def _print_some() -> None:
    for number in range(50):
        print(number, "x" * 200)
