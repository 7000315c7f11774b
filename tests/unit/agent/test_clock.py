"""The clock: what a moved wall clock moves, and what it leaves alone."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.clock import SECOND, Clock
from tests.support.processes import CHECKOUT

YEAR = 365 * 86400
PROGRAM = """
import sys
from agent.clock import Clock
clock = Clock()
for _ in sys.stdin:
    print(clock.now(), clock.booted_at(), clock.monotonic(), flush=True)
"""


def start(path: Path) -> subprocess.Popen[str]:
    """A program that tells its clock's times, a line for each it is sent."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=CHECKOUT, env={"SANAAGENT_FAILPOINT_CLOCK": str(path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def tell(program: subprocess.Popen[str]) -> list[int]:
    """Wall time, the time of the boot, monotonic time."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    return [int(word) for word in program.stdout.readline().split()]


def test_the_wall_clock_of_a_running_process_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_bytes(bytes(8))
    with start(path) as program, path.open("r+b", buffering=0) as file:
        true = tell(program)
        assert abs(true[0] - time.time_ns() // 1000) < 5 * SECOND
        for seconds in (10 * YEAR, -10 * YEAR, 1):
            file.seek(0)
            file.write(struct.pack("q", seconds * 10**9))
            moved = tell(program)
            for before, after in zip(true[:2], moved[:2], strict=True):
                assert -SECOND < after - before - seconds * SECOND < 20 * SECOND
            assert true[2] <= moved[2] < true[2] + 20 * 10**9
        program.communicate(timeout=10)


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"", "8 bytes"), (b"1234", "8 bytes")])
def test_a_clock_that_cannot_be_moved_is_an_error_of_one_sentence(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "clock"
    if content is not None:
        path.write_bytes(content)
    with start(path) as program:
        out, err = program.communicate(timeout=10)
    assert (program.returncode, out) == (1, "")
    assert err.startswith(f"error: SANAAGENT_FAILPOINT_CLOCK={path}: ")
    assert err.count("\n") == 1
    assert why in err


def test_the_time_of_the_boot_stays_what_it_is() -> None:
    clock = Clock()
    first = clock.booted_at()
    assert first < clock.now()
    assert abs(clock.booted_at() - first) < SECOND
