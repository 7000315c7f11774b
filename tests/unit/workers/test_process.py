"""A worker that cannot be made leaves nothing behind."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workers.process import WorkerProcess


@contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """So many more can be opened, and no others."""
    taken = [os.dup(0) for _ in range(64)]  # from here on none is free between those that are open
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1 + descriptors, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for each in taken:
            os.close(each)


@pytest.mark.parametrize("descriptors", [2, 3, 4])
def test_its_slot_is_removed_when_there_is_no_room_for_its_pipes(tmp_path: Path, descriptors: int) -> None:
    slots = tmp_path / "slots"
    with room_for(descriptors), pytest.raises(OSError, match="Too many open files"):
        WorkerProcess.unborn(slots, 1)

    assert list(slots.iterdir()) == []
