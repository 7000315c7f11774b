"""Samples as they are written."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from agent.telemetry.metrics import MetricsFile, Sample

AT = 1_800_000_000_000_001


def test_a_sample_is_one_json_line_with_a_time_that_people_read(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path)
    first_sample = Sample(at=AT, cpu_pct=12.3456, ok=3, errors=1, operations=4, limit=8, paused=("mail",))
    metrics.write(first_sample.to_json())
    metrics.write(Sample(at=AT + 1).to_json())
    metrics.file.close()
    first, second = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert first["at"] == "2027-01-15T08:00:00.000001Z"
    assert (first["cpu_pct"], first["ok"], first["errors"], first["operations"]) == (12.35, 3, 1, 4)
    assert (first["limit"], first["paused"]) == (8, ["mail"])
    assert (second["cpu_pct"], second["mem_pct"], second["rss_bytes"]) == (None, None, None)


def test_every_field_of_a_sample_is_written() -> None:
    written = json.loads(Sample(at=AT).to_json())
    assert list(written) == [field.name for field in msgspec.structs.fields(Sample)]


def test_a_sample_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Sample(at=AT).ok = 2  # type: ignore[misc]
