"""Handlers that leave children and threads behind, or become two."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import threading
import time

from campaign import handlers as plain
from campaign.handlers import Payload
from campaign.pack import forget_files, poison

FOREVER = "3600"


@poison("leaves a child in its group")
def leave_child(_: Payload) -> None:
    """It ends with its worker."""
    subprocess.Popen(["/bin/sleep", FOREVER])


@poison("leaves a child in a group of its own")
def leave_group(_: Payload) -> None:
    """So that a signal to ours does not meet it."""
    subprocess.Popen(["/bin/sleep", FOREVER], process_group=0)


@poison("leaves 50 children")
def leave_children(_: Payload) -> None:
    """Each deaf to SIGTERM."""
    for _number in range(50):
        subprocess.Popen(["/bin/sh", "-c", f"trap '' TERM; exec sleep {FOREVER}"])


@poison("leaves a daemon")
def leave_daemon(_: Payload) -> None:
    """It has left the worker's session: what is left of it is the business of whoever runs the agent."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(plain.HERE / "daemons", "a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(3600)
        os._exit(0)
    os.wait()


@poison("forks, and both return")
def fork(_: Payload) -> None:
    """Two come out where one went in."""
    if os.fork() == 0:
        forget_files()


@poison("forks, and the child raises")
def fork_and_raise(_: Payload) -> None:
    """By another way."""
    if os.fork() == 0:
        raise ValueError("a copy of the worker")


@poison("forks in C, and both return")
def fork_in_c(_: Payload) -> None:
    """Python does not hear of it."""
    ctypes.PyDLL(None).fork()


@poison("forks in C, and the child raises")
def fork_in_c_and_raise(_: Payload) -> None:
    """By another way."""
    if ctypes.PyDLL(None).fork() == 0:
        raise ValueError("a copy of the worker")


@poison("leaves a child of multiprocessing")
def leave_process(_: Payload) -> None:
    """One that is joined, and one that is not."""
    context = multiprocessing.get_context("fork")
    joined = context.Process(target=time.sleep, args=(0.001,))
    joined.start()
    joined.join()
    context.Process(target=time.sleep, args=(3600,)).start()


@poison("leaves threads that sleep")
def leave_threads(_: Payload) -> None:
    """Fifty of them."""
    for _number in range(50):
        threading.Thread(target=time.sleep, args=(3600,)).start()


@poison("leaves a thread that works for ever")
def leave_worker(_: Payload) -> None:
    """It takes the interpreter's lock wherever it can."""
    threading.Thread(target=_work, daemon=True).start()


@poison("leaves threads that print for ever")
def leave_printers(_: Payload) -> None:
    """Three of them."""
    for _number in range(3):
        threading.Thread(target=_print, daemon=True).start()


def _work() -> None:
    while True:
        sum(range(1000))


def _print() -> None:
    while True:
        print("and another thing")
