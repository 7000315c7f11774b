"""The benchmarks run: what a quick one prints is a table of ratios, whatever they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.processes import CHECKOUT


def test_a_quick_benchmark_measures_an_agent_at_work_beside_raw_sqlite(tmp_path: Path) -> None:
    bench = subprocess.run(
        [sys.executable, "-m", "benchmarks", "enqueue", "--quick", "--dir", tmp_path],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert bench.returncode == 0, bench.stdout + bench.stderr
    for figure in ("one by one, an idle agent runs each", "enqueue TYPE --many FILE, the whole process"):
        (row,) = (line for line in bench.stdout.splitlines() if line.startswith(figure))
        assert " tasks/s " in row
        assert "raw SQLite" in row
