"""For how long the supervisor did not run."""

from __future__ import annotations

from workers.vigil import LATE_S, Vigil

SECOND = 10**9


def test_looks_in_time_are_no_gap() -> None:
    vigil = Vigil(0)
    assert [vigil.look(n * SECOND // 100, n * SECOND // 100, 0.001) for n in range(1, 5)] == [0] * 4


def test_a_look_that_is_late_is_a_gap() -> None:
    vigil = Vigil(0)
    assert vigil.look(SECOND, SECOND, LATE_S / 2) == 0
    assert vigil.look(5 * SECOND, 5 * SECOND, 3.5) == 3.5


def test_after_a_sigcont_all_since_the_last_look_is_a_gap_once() -> None:
    vigil = Vigil(0)
    vigil.look(SECOND, SECOND, 0)
    vigil.go_on()
    assert vigil.look(4 * SECOND, 4 * SECOND, 0) == 3
    assert vigil.look(5 * SECOND, 5 * SECOND, 0) == 0
    vigil.go_on()
    assert vigil.look(9 * SECOND, 9 * SECOND, 3.5) == 4


def test_a_stop_just_before_the_signals_are_asked_for_is_counted_whole() -> None:
    vigil = Vigil(SECOND)
    vigil.go_on()
    assert vigil.look(2 * SECOND, 5 * SECOND, 0) == 4
    assert vigil.look(5 * SECOND, 5 * SECOND, 0) == 0


def test_one_just_after_that_is_counted_with_the_next_look() -> None:
    vigil = Vigil(SECOND)
    assert vigil.look(2 * SECOND, 5 * SECOND, 0) == 0
    vigil.go_on()
    assert vigil.look(5 * SECOND, 5 * SECOND, 0) == 3
