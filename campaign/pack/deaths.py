"""Handlers that end their process, or somebody else's."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Any

from campaign.handlers import Payload
from campaign.pack import crashes, killed, lower

_kept: list[bytearray] = []

crashes("exits", "code 3")(lambda _: os._exit(3))
crashes("exits as if all were well", "code 0")(lambda _: os._exit(0))
crashes("reads address 0", "SIGSEGV")(lambda _: ctypes.string_at(0))
crashes("aborts", "SIGABRT")(lambda _: os.abort())
crashes("becomes another program", "code 0")(lambda _: os.execv("/bin/true", ["true"]))  # noqa: S606
killed("kills itself", "SIGKILL")(lambda _: os.kill(os.getpid(), signal.SIGKILL))
killed("kills its group", "SIGKILL")(lambda _: os.killpg(0, signal.SIGKILL))
killed("terminates itself", "SIGTERM")(lambda _: os.kill(os.getpid(), signal.SIGTERM))
killed("kills its parent", "fork server", kind="apart")(lambda _: os.kill(os.getppid(), signal.SIGKILL))


@crashes("recurses to death in C", "SIGSEGV")
def recurse_in_c(_: Payload) -> None:
    """Each level is a frame of C, and nothing bounds them but a stack of 1 MB: it is to die, not to compute."""
    lower(resource.RLIMIT_STACK, 1 << 20)
    sys.setrecursionlimit(10**9)
    nested: tuple[Any, ...] = ()
    for _level in range(20_000):
        nested = (nested,)
    hash(nested)
    ctypes.string_at(0)  # where Python bounds them after all


@crashes("takes all memory there is", "memory", kind="apart")
def hoard(_: Payload) -> None:
    """Until somebody ends it."""
    while True:
        _kept.append(bytearray(os.urandom(1) * (8 << 20)))
