"""Handlers that end their process, or somebody else's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from campaign.handlers import Payload
from campaign.pack import crashes, killed

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
    """Each level is a frame of C, and nothing bounds them."""
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    two = (ctypes.c_int * 2)(2, 1)
    sys.setrecursionlimit(10**9)

    def deeper(*__: int) -> int:
        ctypes.PyDLL(None).qsort(two, 2, 4, in_c)
        return 0

    in_c = function(deeper)
    deeper()
    ctypes.string_at(0)  # where Python bounds them after all


@crashes("takes all memory there is", "memory", kind="apart")
def hoard(_: Payload) -> None:
    """Until somebody ends it."""
    while True:
        _kept.append(bytearray(os.urandom(1) * (8 << 20)))
