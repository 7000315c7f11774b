"""The shipped file says what holds without it, and explains every setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import Config, flat, load, readers

CHECKOUT = Path(__file__).resolve().parents[4]
SHIPPED = CHECKOUT / "config.yml"
LINES = SHIPPED.read_text("utf-8").splitlines()
SPECIFICATION = {
    "bulk.max_concurrent": 8,
    "bulk.retry_attempts": 3,
    "bulk.retry_delay_seconds": 15,
    "governance.cpu_high_pct": 85,
    "governance.mem_high_pct": 85,
    "governance.window_s": 30,
    "governance.pause_after_error_burst.threshold": 10,
    "governance.pause_after_error_burst.duration_s": 60,
    "governance.human_review_after_pause_bursts": 3,
    "telemetry.sample_interval_s": 2,
    "telemetry.log_interval_s": 10,
    "persistence.gc_completed_after_days": 7,
    "escalation.enabled": True,
    "escalation.webhook_url": "http://localhost:8080/hook",
    "escalation.email_to": "ops@example.local",
}


def test_the_shipped_file_loads_without_a_warning() -> None:
    loaded = load(SHIPPED, environ={})

    assert loaded.path == SHIPPED
    assert loaded.warnings == ()


def test_the_shipped_values_are_those_of_the_specification() -> None:
    values = flat(load(SHIPPED, environ={}).config)

    assert {key: values[key] for key in SPECIFICATION} == SPECIFICATION


def test_only_escalation_and_handlers_differ_from_the_built_in_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped, built_in = flat(load(SHIPPED, environ={}).config), flat(load(environ={}).config)

    different = {key for key in shipped if shipped[key] != built_in[key]}

    assert different == {"escalation.enabled", "escalation.webhook_url", "escalation.email_to", "handlers"}
    assert shipped["handlers"] == (str(CHECKOUT / "examples" / "handlers.py"),)


def test_the_built_in_defaults_are_valid_where_no_file_is_read() -> None:
    for key, default in flat(Config()).items():
        assert readers()[key].read(default, is_text=False) == default


@pytest.mark.parametrize("key", sorted(readers()))
def test_every_setting_stands_in_the_shipped_file_with_a_comment(key: str) -> None:
    (line,) = (line for line, path in zip(LINES, paths(LINES), strict=True) if path == key)

    assert "  # " in line


def test_the_shipped_file_is_written_for_lines_of_120() -> None:
    assert [line for line in LINES if len(line) > 120] == []


def paths(lines: list[str]) -> list[str]:
    """The dotted key that each line sets, or an empty text."""
    found, open_sections = [], [""] * 3
    for line in lines:
        name, depth = line.partition(":")[0], (len(line) - len(line.lstrip())) // 2
        if not name.strip() or line.lstrip().startswith("#"):
            found.append("")
            continue
        open_sections[depth] = name.strip()
        found.append(".".join(open_sections[: depth + 1]))
    return found
