"""Handlers that leak, close and replace descriptors."""

from __future__ import annotations

import os
import resource

from campaign import handlers as plain
from campaign.handlers import Payload
from campaign.pack import forget_files, lower, poison
from enhanced_automation_agent import current_attempt

PRECIOUS = b"precious" * 125_000  # what a handler writes into a file of its own, which nobody else may change


def own_file() -> int:
    """An open file of the handler's own."""
    file = os.open(plain.HERE / f"precious-{current_attempt().task_id}", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(file, PRECIOUS)
    return file


def _leads_to(number: int, end: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").endswith(end)
    except OSError:
        return False


@poison("leaks 500 descriptors")
def leak(_: Payload) -> None:
    """They stay open."""
    for _number in range(500):
        os.open(os.devnull, os.O_RDONLY)


@poison("leaks every descriptor it may have")
def leak_all(_: Payload) -> None:
    """Who opens something next cannot."""
    lower(resource.RLIMIT_NOFILE, 1024)
    try:
        while True:
            last = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        os.close(last)  # for the effects


@poison("closes every descriptor")
def close_all(_: Payload) -> None:
    """The standard ones too."""
    os.closerange(0, 65536)
    forget_files()


@poison("closes low descriptors and opens files")
def close_and_open(_: Payload) -> None:
    """As recipes for daemons do."""
    os.closerange(3, 256)
    forget_files()
    for _number in range(40):
        own_file()


@poison("lays a file over every descriptor")
def lay_over_all(_: Payload) -> None:
    """Low and high ones."""
    file = own_file()
    for number in map(int, os.listdir("/proc/self/fd")):
        if number != file:
            os.dup2(file, number)
    forget_files()


@poison("lays a file over the database's log")
def lay_over_log(_: Payload) -> None:
    """Once in a while, a descriptor that is closed twice comes to that."""
    file = own_file()
    for number in range(3, 64):
        if _leads_to(number, "-wal"):
            os.dup2(file, number)


@poison("closes its standard descriptors")
def close_standard(_: Payload) -> None:
    """What is opened next takes their places."""
    os.closerange(0, 3)


@poison("speaks nonsense to every socket")
def speak(_: Payload) -> None:
    """Ours is among them."""
    for number in map(int, os.listdir("/proc/self/fd")):
        if _leads_to(number, "]") and os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
            os.write(number, b"\xff{]")
