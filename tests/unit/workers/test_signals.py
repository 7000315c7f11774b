"""Signals taken when asked for, and what a forked child keeps of them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

from tests.support.processes import CHECKOUT
from workers.signals import SignalInbox, fork_with_signals_blocked, set_dispositions


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def _exit_code(main: Callable[[], bool]) -> int:
    """Of a forked child: 0 when `main` is true."""
    child = fork_with_signals_blocked()
    if child == 0:
        code = 2
        try:
            code = 0 if main() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_signals_wait_until_they_are_taken_in_their_order() -> None:
    with SignalInbox(signal.SIGTERM, signal.SIGHUP) as inbox:
        assert inbox.take() == []
        _send(signal.SIGHUP)
        _send(signal.SIGTERM)
        _send(signal.SIGHUP)
        assert inbox.take() == [signal.SIGHUP, signal.SIGTERM, signal.SIGHUP]
        assert inbox.take() == []


def test_the_inbox_is_readable_while_a_signal_waits() -> None:
    with SignalInbox(signal.SIGTERM) as inbox:
        assert not select.select([inbox], [], [], 0)[0]
        _send(signal.SIGTERM)
        assert select.select([inbox], [], [], 10)[0]
        inbox.take()
        assert not select.select([inbox], [], [], 0)[0]


def test_the_end_of_a_child_wakes_the_inbox() -> None:
    with SignalInbox(signal.SIGCHLD) as inbox:
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert select.select([inbox], [], [], 10)[0]
        assert signal.SIGCHLD in inbox.take()
        os.waitpid(child, 0)


def test_more_signals_than_the_wake_up_holds_are_all_taken() -> None:
    with SignalInbox(signal.SIGUSR1) as inbox:
        for _ in range(70_000):
            _send(signal.SIGUSR1)
        assert len(inbox.take()) == 70_000
        assert not select.select([inbox], [], [], 0)[0]


def test_everything_is_put_back() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    default, descriptors = signal.getsignal(signal.SIGUSR2), set(os.listdir("/proc/self/fd"))
    with SignalInbox(signal.SIGUSR1, signal.SIGUSR2), SignalInbox(signal.SIGUSR1) as inner:
        _send(signal.SIGUSR1)
        assert inner.take() == [signal.SIGUSR1]
    _send(signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR2) == default
    assert signal.set_wakeup_fd(-1) == -1
    assert set(os.listdir("/proc/self/fd")) == descriptors
    signal.signal(signal.SIGUSR1, before)


def test_a_forked_child_keeps_no_handler_and_disturbs_no_inbox() -> None:
    def main() -> bool:
        inbox.abandon()
        set_dispositions(ignored=[signal.SIGHUP])
        _send(signal.SIGHUP)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL and not blocked

    with SignalInbox(signal.SIGUSR1, signal.SIGHUP) as inbox:
        assert _exit_code(main) == 0
        assert inbox.take() == []


def test_what_was_ignored_before_is_not_ignored_by_a_child() -> None:
    """A shell's `trap '' CHLD` or nohup would reach into every worker."""

    def main() -> bool:
        set_dispositions(ignored=[signal.SIGINT])
        numbers = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE)
        wanted = (signal.SIG_DFL, signal.SIG_DFL, signal.SIG_IGN, signal.SIG_IGN)
        return tuple(map(signal.getsignal, numbers)) == wanted

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert _exit_code(main) == 0
    signal.signal(signal.SIGTERM, before)


def test_a_signal_to_the_child_is_held_until_the_child_is_ready() -> None:
    """Even one that is there from the first moment on."""
    program = """
import os, signal
from workers.signals import fork_with_signals_blocked, set_dispositions
signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
child = fork_with_signals_blocked()
if child == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    set_dispositions(ignored=[])
    os._exit(2)
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
"""
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=True)
