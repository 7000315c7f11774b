"""What the kernel tells of processes that it has killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.burial import out_of_memory_kills


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("nr_free_pages 9\noom_kill 12\nnuma_hit 5\n", 12),
        ("nr_free_pages 9\noom_kill 3", 3),
        ("nr_free_pages 9\nother_oom_kill 7\noom_kill_not 8\n", 0),
    ],
)
def test_kills_for_want_of_memory_are_those_of_the_kernels_own_count(tmp_path: Path, text: str, kills: int) -> None:
    (tmp_path / "vmstat").write_text(text, "ascii")
    assert out_of_memory_kills(str(tmp_path / "vmstat")) == kills


def test_this_kernels_count_can_be_read() -> None:
    assert out_of_memory_kills() >= 0
