"""How a worker comes into the world: forked from the fork server, on its own from then on.

Nothing of the fork server stays with it but the modules: not its session, its signals, its descriptors, nor the
variables that are meant for the supervisor alone. It ends with the fork server, and only ever leaves by os._exit.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from setproctitle import setproctitle

from agent import secrecy
from agent.handlers import Registry
from agent.host import make_oom_victim, move_out_of_the_way, set_parent_death_signal
from workers.signals import fork_with_signals_blocked, set_dispositions

WorkerMain = Callable[[dict[str, Any], Registry, socket.socket], int]
"""What runs in a worker: the boot message, the handlers, the control end; returns the exit code."""

IGNORED_BY_WORKERS = (signal.SIGINT, signal.SIGHUP)  # meant for the supervisor; TERM ends a worker as anybody expects
NOT_FOR_HANDLERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", *secrecy.OURS)
COULD_NOT_WORK = 70  # EX_SOFTWARE of sysexits.h


@dataclass(frozen=True, slots=True)
class Birth:
    """What a worker is given: its boot message, its end of the control pipe and the write end of its output."""

    boot: dict[str, Any]
    control: int
    output: int


@contextmanager
def bear(birth: Birth, registry: Registry, worker_main: WorkerMain, let_go: Callable[[], None]) -> Iterator[int]:
    """Forks a worker; its pid. `let_go` closes, in the worker, what belongs to the fork server.

    The worker leads its session and is bound to the fork server when the block is left: one that was stopped before
    would outlive us. The descriptors in `birth` stay open here. Raises OSError when there is no room for another
    process.
    """
    fork_server = os.getpid()
    hears, tells = os.pipe2(os.O_CLOEXEC)
    flush_streams()  # else the child would say the same again
    try:
        pid = fork_with_signals_blocked()
        if pid == 0:
            leave_by(lambda: _live(birth, fork_server, (hears, tells), let_go, registry, worker_main))
        yield pid
    finally:
        os.close(tells)
        with open(hears, "rb", buffering=0) as settled:
            settled.read(1)  # the end of file: the newborn has closed its end, or is dead, or there is none


def leave_by(main: Callable[[], int]) -> NoReturn:
    """Runs `main` and exits with what it returns; with 70, and a traceback on stderr, if it raises. Never returns."""
    code = COULD_NOT_WORK
    try:
        code = main()
    except BaseException:  # nothing may escape into the code of whoever was forked
        with suppress(Exception):
            traceback.print_exc()
    finally:
        flush_streams()
        os._exit(code)


def flush_streams() -> None:
    """Empties the buffers of stdout and stderr, if they are still to be had."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, replaced, or nobody reads: not worth anything here
            stream.flush()


def open_streams() -> None:
    """Lets sys.stdout and sys.stderr be what descriptors 1 and 2 are, whatever the user's process had made of them."""
    sys.stdout, sys.stderr = (
        open(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        for descriptor in (1, 2)
    )


def _live(
    birth: Birth,
    fork_server: int,
    settling: tuple[int, int],
    let_go: Callable[[], None],
    registry: Registry,
    worker_main: WorkerMain,
) -> int:
    os.setsid()
    set_parent_death_signal(signal.SIGKILL, fork_server)
    for descriptor in settling:
        os.close(descriptor)
    set_dispositions(ignored=IGNORED_BY_WORKERS)
    let_go()
    _set_standard_descriptors(birth.output)
    make_oom_victim()
    for name in NOT_FOR_HANDLERS:
        os.environ.pop(name, None)
    setproctitle("sanaagent: worker")
    # os.fork has seeded `random` anew, so that workers do not draw the same numbers.
    return worker_main(birth.boot, registry, socket.socket(fileno=move_out_of_the_way(birth.control)))


def _set_standard_descriptors(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    open_streams()
