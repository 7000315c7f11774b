"""What follows an attempt: the end of its task, or another one after a delay that grows."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.lifecycle import State
from agent.retry import Failed, NextMove, Succeeded, backoff, decide

NOW = 1_790_000_000_000_000


def following(verdict: Succeeded | Failed, failures_before: int = 0, max_attempts: int = 4) -> NextMove:
    return decide(verdict, failures_before, max_attempts, 15, 3600, random.Random(1), NOW)


@pytest.mark.parametrize(("failures", "nominal"), [(1, 15), (2, 30), (3, 60), (8, 1920), (9, 3600), (5000, 3600)])
def test_the_delay_doubles_with_every_failure_up_to_the_cap(failures: int, nominal: float) -> None:
    delays = [backoff(failures, 15, 3600, random.Random(seed)) for seed in range(200)]
    assert nominal <= min(delays) < nominal * 1.02
    assert nominal * 1.23 < max(delays) <= nominal * 1.25


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.integers(1, 10**9), st.floats(0.001, 86400), st.floats(0.001, 10**7), st.integers(min_value=0, max_value=2**32)
)
def test_the_delay_is_never_below_its_nominal_value_nor_beyond_the_cap_and_a_quarter(
    failures: int, base: float, cap: float, seed: int
) -> None:
    delay = backoff(failures, base, cap, random.Random(seed))
    nominal = min(cap, base * 2.0 ** min(failures - 1, 60))
    assert nominal * (1 - 1e-9) <= delay <= cap * 1.25 * (1 + 1e-9)


def test_without_a_base_there_is_no_delay_however_many_failures() -> None:
    assert backoff(5000, 0, 3600, random.Random(1)) == 0.0


def test_the_same_random_numbers_give_the_same_delay() -> None:
    assert backoff(3, 1, 60, random.Random(7)) == backoff(3, 1, 60, random.Random(7))


def test_success_ends_a_task() -> None:
    assert following(Succeeded(b"{}"), failures_before=3) == NextMove(State.SUCCEEDED, None)


def test_a_failure_with_attempts_left_is_due_again_after_the_delay() -> None:
    move = following(Failed("boom"), failures_before=1)
    assert move.state is State.RETRY_SCHEDULED
    assert move.due_at is not None
    assert NOW + 30_000_000 <= move.due_at <= NOW + 37_500_000


def test_the_last_attempt_that_fails_fails_the_task() -> None:
    assert following(Failed("boom"), failures_before=2).state is State.RETRY_SCHEDULED
    assert following(Failed("boom"), failures_before=3) == NextMove(State.FAILED, None)
    assert following(Failed("boom"), max_attempts=1) == NextMove(State.FAILED, None)


def test_a_final_failure_leaves_no_other_attempt() -> None:
    assert following(Failed("boom", final=True)) == NextMove(State.FAILED, None)
    assert following(Failed("boom", final=True, retry_after=5)) == NextMove(State.FAILED, None)


def test_a_handler_may_set_the_delay_but_not_the_number_of_attempts() -> None:
    assert following(Failed("busy", retry_after=0.5)) == NextMove(State.RETRY_SCHEDULED, NOW + 500_000)
    assert following(Failed("busy", retry_after=0)) == NextMove(State.RETRY_SCHEDULED, NOW)
    assert following(Failed("busy", retry_after=5), failures_before=3) == NextMove(State.FAILED, None)


def test_tenacity_is_not_imported_before_the_first_failure() -> None:
    program = (
        "import sys, random; from agent.retry import *; before = 'tenacity' in sys.modules\n"
        "decide(Succeeded(b'{}'), 0, 4, 15, 3600, random.Random(), 0); between = 'tenacity' in sys.modules\n"
        "decide(Failed('x'), 0, 4, 15, 3600, random.Random(), 0); print(before, between, 'tenacity' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False True\n"
