"""The suite can fail: it finds the fault in each of the stores that were broken for it, and none in a sound one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.backends import BACKENDS
from tests.conformance.broken import BROKEN, CHECKS, Broken, broken_by, complaint

SQLITE = BACKENDS["sqlite"]


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN.keys())
def test_the_suite_finds_the_fault_of_a_broken_store(fault: Broken, tmp_path: Path) -> None:
    with broken_by(fault):
        assert complaint(SQLITE, tmp_path, CHECKS[fault.found_by]) is not None


@pytest.mark.parametrize("name", CHECKS)
def test_the_suite_finds_no_fault_in_a_sound_store(name: str, tmp_path: Path) -> None:
    assert complaint(SQLITE, tmp_path, CHECKS[name]) is None
