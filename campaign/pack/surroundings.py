"""Handlers that change what all code of their process stands on."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import io
import locale
import os
import random
import resource
import signal
import socket
import sys
import tempfile
from types import FrameType

from campaign.handlers import Payload
from campaign.pack import lower, poison

SOON_S = 0.03


@poison("changes directory")
def change_directory(_: Payload) -> None:
    """To where nobody expects it."""
    os.chdir("/")


@poison("removes the directory it works in")
def remove_directory(_: Payload) -> None:
    """A new one, of course."""
    directory = tempfile.mkdtemp()
    os.chdir(directory)
    os.rmdir(directory)


@poison("sets umask 0")
def set_umask(_: Payload) -> None:
    """Every file is everybody's."""
    os.umask(0)


@poison("clears its environment")
def clear_environment(_: Payload) -> None:
    """PATH and all."""
    os.environ.clear()


@poison("changes locale, path, seeds and defaults")
def change_defaults(_: Payload) -> None:
    """Whatever is global in Python."""
    locale.setlocale(locale.LC_ALL, "C")
    sys.path.clear()
    random.seed(0)
    socket.setdefaulttimeout(0.001)
    sys.setswitchinterval(100)
    sys.setrecursionlimit(300)
    gc.disable()


@poison("ignores and handles every signal")
def change_signals(_: Payload) -> None:
    """Those that cannot be changed excepted."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number < 32:
            signal.signal(number, signal.SIG_IGN if number % 2 else _shout)


@poison("blocks every signal")
def block_signals(_: Payload) -> None:
    """As far as the kernel lets it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@poison("leaves an alarm that raises")
def leave_alarm(_: Payload) -> None:
    """A timeout that somebody forgot to cancel."""
    signal.signal(signal.SIGALRM, _shout)
    signal.setitimer(signal.ITIMER_REAL, SOON_S, SOON_S)


@poison("leaves an alarm that kills")
def leave_deadly_alarm(_: Payload) -> None:
    """The kernel's default."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, SOON_S)
    signal.setitimer(signal.ITIMER_PROF, SOON_S)


@poison("leaves a watchdog that exits")
def leave_watchdog(_: Payload) -> None:
    """Of faulthandler, which is a thread in C."""
    faulthandler.dump_traceback_later(SOON_S, exit=True)


@poison("lowers its limits")
def lower_limits(_: Payload) -> None:
    """Next to nothing may be written, opened or used any more."""
    lower(resource.RLIMIT_FSIZE, 1 << 20)
    lower(resource.RLIMIT_NOFILE, 32)
    lower(resource.RLIMIT_AS, 1 << 28)
    lower(resource.RLIMIT_CPU, int(sum(os.times()[:2])) + 1)


@poison("lowers its limits for ever")
def lower_hard_limits(_: Payload) -> None:
    """Nobody but root can raise them again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


@poison("replaces sys.stdout")
def replace_stdout(_: Payload) -> None:
    """By what nobody reads."""
    sys.stdout = sys.stderr = io.StringIO()


@poison("closes sys.stdout")
def close_stdout(_: Payload) -> None:
    """Who prints after it gets an error."""
    sys.stdout.close()
    sys.stderr.close()


@poison("leaves hooks for the end")
def leave_hooks(_: Payload) -> None:
    """They would hang."""
    atexit.register(signal.pause)
    sys.unraisablehook = lambda _: signal.pause()


@poison("renames itself and lets nobody dump it")
def hide(_: Payload) -> None:
    """Its files in /proc belong to root from now on: prctl(2), PR_SET_NAME and PR_SET_DUMPABLE."""
    libc = ctypes.CDLL(None)
    libc.prctl(15, b") S 1 1 1", 0, 0, 0)
    libc.prctl(4, 0, 0, 0, 0)


def _shout(number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"signal {number}")
