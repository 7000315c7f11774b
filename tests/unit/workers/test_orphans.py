"""What handlers leave may have become another user (`sudo`): it cannot be killed, and brings nobody down."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from workers.fork_server import _signal_group
from workers.orphans import Orphans

NOBODY = 65534


def ends_well_as_another_user(deed: Callable[[], object]) -> bool:
    """Whether a child that is no longer root, if it was, gets through with it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            deed()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def leave_somebody_of_root_behind() -> int:
    """A session's leader, to be reaped, that has left a process; its id."""
    hears, tells = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(hears)
            os.close(tells)
            signal.alarm(20)  # should the test fail
            signal.pause()
        os._exit(0)
    os.close(tells)
    os.read(hears, 1)
    os.waitpid(leader, 0)
    return leader


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_an_orphan_that_cannot_be_killed_is_left_to_end_by_itself() -> None:
    def look() -> None:
        orphans = Orphans()
        leader = leave_somebody_of_root_behind()
        (left,) = orphans._children()
        os.setresuid(NOBODY, NOBODY, 0)
        orphans.end_session(leader)
        assert orphans.look(()), "somebody may come after it"
        os.setresuid(0, 0, 0)
        os.kill(left, signal.SIGKILL)
        os.waitid(os.P_PID, left, os.WEXITED | os.WNOWAIT)
        assert not orphans.look(())
        assert orphans._children() == set()

    assert ends_well_as_another_user(look)


def test_a_signal_to_a_worker_that_has_become_another_user_is_lost() -> None:
    def signal_it() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        _signal_group(1, 0)

    assert ends_well_as_another_user(signal_it)
