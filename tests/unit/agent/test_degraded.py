"""What `stats` says of an agent that cannot work: by its supervisor's title, or by its silence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent import degraded as module
from agent.clock import SECOND
from agent.degraded import degraded, title
from agent.host import age_s

NOON = 1_800_000_000 * SECOND


@pytest.fixture
def supervisor(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process with a title; its pid."""
    script = "import sys, setproctitle; setproctitle.setproctitle(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, getattr(request, "param", "sanaagent: supervisor"), " " * 500]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        process.communicate()


def test_nobody_who_supervises_is_not_degraded() -> None:
    assert degraded(None, 0, NOON, 2) is None


def test_a_supervisor_that_stores_samples_is_well(supervisor: int) -> None:
    assert degraded(supervisor, NOON - SECOND, NOON, 2) is None


@pytest.mark.parametrize("supervisor", [title(NOON, "/srv/state.db: disk I/O error: check it")], indirect=True)
def test_what_the_title_says_is_told(supervisor: int) -> None:
    told = {"since": "2027-01-15T08:00:00.000000Z", "why": "/srv/state.db: disk I/O error: check it"}

    assert degraded(supervisor, NOON, NOON, 2) == told


def test_one_that_is_silent_for_long_hangs(supervisor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "age_s", lambda pid: 1000.0)

    told = degraded(supervisor, NOON - 60 * SECOND, NOON, 2)

    why = "the supervisor has stored nothing for 60 s: it, its disk or a lock hangs"
    assert told == {"since": "2027-01-15T07:59:00.000000Z", "why": why}
    assert degraded(supervisor, NOON - 60 * SECOND, NOON, 30) is None, "it samples seldom"


def test_one_that_is_stopped_is_told_with_the_cure_at_once(supervisor: int) -> None:
    os.kill(supervisor, signal.SIGSTOP)
    os.waitid(os.P_PID, supervisor, os.WSTOPPED | os.WNOWAIT)

    told = degraded(supervisor, NOON - SECOND, NOON, 2)

    os.kill(supervisor, signal.SIGCONT)
    why = f"the supervisor is stopped (SIGSTOP): continue it with kill -CONT {supervisor}"
    assert told == {"since": "2027-01-15T07:59:59.000000Z", "why": why}


def test_one_that_has_just_begun_has_not_had_the_time(supervisor: int) -> None:
    assert degraded(supervisor, 0, NOON, 60) is None


def test_nobody_has_no_age() -> None:
    assert age_s(2**22 + 1) == 0
