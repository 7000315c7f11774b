"""Missing readings are known as such, and equal errors are one."""

from __future__ import annotations

from math import inf, nan

import pytest

from agent.governance.observation import ErrorSignature, finite, merge_signatures


@pytest.mark.parametrize(
    ("value", "reading"), [(None, None), (nan, None), (inf, None), (-inf, None), (0.0, 0.0), (99.5, 99.5)]
)
def test_only_a_finite_number_is_a_reading(value: float | None, reading: float | None) -> None:
    assert finite(value) == reading


def test_equal_errors_are_counted_together_and_keep_the_first_task() -> None:
    groups = [[ErrorSignature("mail", 2, 7, "refused")], [ErrorSignature("mail", 3, 9, "refused")]]

    assert merge_signatures(groups) == (ErrorSignature("mail", 5, 7, "refused"),)


def test_errors_of_other_types_or_messages_stay_apart_and_the_most_frequent_come_first() -> None:
    rare, equal, often = ("a", 1, 1, "x"), ("b", 1, 2, "x"), ("a", 2, 3, "y")

    assert merge_signatures([[ErrorSignature(*each) for each in (equal, rare, often)]]) == (often, rare, equal)


def test_plain_tuples_serve_as_signatures() -> None:
    assert merge_signatures([[("mail", 2, 7, "refused")]])[0].sample_task_id == 7  # type: ignore[list-item]


def test_five_signatures_are_kept_each_with_at_most_200_characters() -> None:
    merged = merge_signatures([[ErrorSignature("a", 9 - n, n, f"{n}" + "x" * 300) for n in range(9)]])

    assert [(signature.times, len(signature.message)) for signature in merged] == [(9 - n, 200) for n in range(5)]


def test_messages_that_differ_beyond_what_is_kept_are_one() -> None:
    same = "x" * 200
    merged = merge_signatures([[ErrorSignature("a", 1, 1, same + "1"), ErrorSignature("a", 1, 2, same + "2")]])

    assert merged == (ErrorSignature("a", 2, 1, same),)
