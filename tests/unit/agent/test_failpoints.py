"""Failpoints: off they do nothing; named by the environment, they let happen what it says, where and when it says."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import CHECKOUT, run_cli

PROGRAM = """
import sys
from agent import failpoints
from agent.failpoints import ARMED, reach
if len(sys.argv) > 2: failpoints.play(sys.argv[2])
for n in range(int(sys.argv[1])):
    if ARMED:
        reach("before_commit")
    print(n, flush=True)
"""


def passes(spec: str | None, times: int = 5, role: str = "") -> tuple[int, int, str]:
    """A program that passes `before_commit`: its exit code, how many passes went by, what it complained of."""
    env = {} if spec is None else {"SANAAGENT_FAILPOINTS": spec}
    words = [sys.executable, "-c", PROGRAM, str(times), *([role] if role else [])]
    done = subprocess.run(words, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=20)
    return done.returncode, len(done.stdout.splitlines()), done.stderr


def test_without_the_variable_nothing_happens() -> None:
    assert passes(None) == (0, 5, "")


def test_another_point_does_nothing_here() -> None:
    assert passes("after_commit:kill") == (0, 5, "")


def test_kill_ends_the_process_at_the_pass_that_is_named() -> None:
    assert passes("before_commit:kill:n=3")[:2] == (-signal.SIGKILL, 2)


def test_raise_raises_an_error_that_nobody_expects() -> None:
    code, went_by, complaint = passes("before_commit:raise")

    assert (code, went_by) == (1, 0)
    assert "Failpoint: before_commit" in complaint


def test_full_is_the_store_s_own_error_of_a_full_disk() -> None:
    assert "StoreError: no space is left" in passes("before_commit:full")[2]


def test_only_the_role_that_is_named_is_hit() -> None:
    assert passes("before_commit:kill:by=worker", role="supervisor")[0] == 0
    assert passes("before_commit:kill:by=worker", role="worker")[0] == -signal.SIGKILL


def test_once_hits_one_process_and_tells_which(tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    spec = f"before_commit:kill:once={fired}"

    assert passes(spec)[0] == -signal.SIGKILL
    assert passes(spec)[0] == 0
    assert fired.read_text().isdigit()


def test_a_probability_hits_sometimes() -> None:
    code, went_by, _ = passes("before_commit:kill:p=0.05", times=2000)

    assert code == -signal.SIGKILL
    assert passes("before_commit:kill:p=0", times=2000)[:2] == (0, 2000)
    assert went_by < 2000


@pytest.mark.parametrize("spec", ["nowhere:kill", "before_commit:explode", "before_commit:kill:x=1", "before_commit"])
def test_what_makes_no_sense_is_refused_before_anything_runs(spec: str, data_dir: Path) -> None:
    done = run_cli("stats", cwd=data_dir, env={"SANAAGENT_FAILPOINTS": spec})

    assert done.code == 78
    assert "SANAAGENT_FAILPOINTS" in done.err
    assert "Traceback" not in done.err
