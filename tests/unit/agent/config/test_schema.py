"""Settings come from four places, the nearest wins, and what is loaded can be compared and shown."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import Bulk, Config, Escalation, dump, flat, load, readers, reloadable_changes
from agent.config.sources import variable

CHECKOUT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_file_the_defaults_hold(here: Path) -> None:
    loaded = load(environ={})

    assert loaded.path is None
    assert loaded.config.bulk == Bulk()
    assert loaded.config.escalation == Escalation()
    assert not loaded.config.escalation.enabled
    assert loaded.config.handlers == ()


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "bulk:\n", "\ufeffbulk: {}\n"])
def test_an_empty_file_or_section_means_the_defaults(here: Path, text: str) -> None:
    Path("config.yml").write_text(text, "utf-8")

    assert load(environ={}).config.bulk == Bulk()


def test_the_file_in_the_working_directory_is_found(here: Path) -> None:
    Path("config.yml").write_text("bulk: {max_concurrent: 3}\n")

    loaded = load(environ={})

    assert loaded.config.bulk.max_concurrent == 3
    assert loaded.path == here / "config.yml"


def test_the_variable_names_the_file_and_the_argument_wins_over_it(here: Path) -> None:
    Path("config.yml").write_text("bulk: {max_concurrent: 1}\n")
    Path("second.yml").write_text("bulk: {max_concurrent: 2}\n")
    Path("third.yml").write_text("bulk: {max_concurrent: 3}\n")

    assert load(environ={"SANAAGENT_CONFIG": ""}).config.bulk.max_concurrent == 1
    assert load(environ={"SANAAGENT_CONFIG": "second.yml"}).config.bulk.max_concurrent == 2
    assert load("third.yml", environ={"SANAAGENT_CONFIG": "second.yml"}).config.bulk.max_concurrent == 3


def test_command_line_beats_environment_beats_file_beats_default(here: Path) -> None:
    Path("config.yml").write_text("bulk: {max_concurrent: 2, retry_attempts: 2, max_queued: 2}\n")
    environ = {"SANAAGENT_BULK_MAX_CONCURRENT": "4", "SANAAGENT_BULK_RETRY_ATTEMPTS": "4"}

    bulk = load(None, {"bulk.max_concurrent": 6}, environ).config.bulk

    assert (bulk.max_concurrent, bulk.retry_attempts, bulk.max_queued) == (6, 4, 2)
    assert bulk.drain_grace_s == 30.0


def test_an_override_of_none_was_not_given() -> None:
    assert load(None, {"bulk.max_concurrent": None}, {}).config.bulk.max_concurrent == 8


def test_every_setting_has_a_variable_of_its_own() -> None:
    assert len({variable(key) for key in readers()}) == len(readers()) == len(flat(Config()))
    assert variable("governance.pause_after_error_burst.threshold") == (
        "SANAAGENT_GOVERNANCE_PAUSE_AFTER_ERROR_BURST_THRESHOLD"
    )


@pytest.mark.parametrize("key", sorted(readers()))
def test_every_default_can_be_given_as_a_variable(key: str) -> None:
    default = flat(Config())[key]
    text = ",".join(default) if isinstance(default, tuple) else str(default)

    loaded = flat(load(environ={variable(key): text}).config)[key]

    assert loaded == (str(Path(default).absolute()) if key in ("persistence.db_path", "telemetry.log_dir") else default)


def test_switches_of_the_fault_tests_are_no_settings() -> None:
    assert load(environ={"SANAAGENT_FAILPOINT_CLAIM": "kill", "HOME": "/"}).config.bulk == Bulk()


def test_durations_and_sizes_may_be_texts(here: Path) -> None:
    Path("config.yml").write_text(
        "bulk: {retry_delay_seconds: 500ms}\n"
        "telemetry: {log_max_bytes: 2MiB, metrics_keep_days: 12h}\n"
        "persistence: {gc_completed_after_days: 15d}\n"
    )

    config = load(None, {"governance.window_s": timedelta(minutes=1)}, {"SANAAGENT_GOVERNANCE_SETTLE_S": "2m"}).config

    assert config.bulk.retry_delay_seconds == 0.5
    assert config.telemetry.log_max_bytes == 2 << 20
    assert config.telemetry.metrics_keep_days == 0.5
    assert config.persistence.gc_completed_after_days == 15
    assert (config.governance.window_s, config.governance.settle_s) == (60, 120)


def test_a_number_of_days_is_a_number_of_days() -> None:
    assert load(environ={"SANAAGENT_PERSISTENCE_KEEP_KEYS_DAYS": "30"}).config.persistence.keep_keys_days == 30


def test_short_times_are_valid(here: Path) -> None:
    Path("config.yml").write_text(
        "bulk: {retry_delay_seconds: 0.1}\n"
        "governance: {window_s: 0.6, pause_after_error_burst: {threshold: 1, duration_s: 1}}\n"
        "telemetry: {sample_interval_s: 0.2, log_interval_s: 0.2}\n"
    )

    assert load(environ={}).config.governance.window_s == 0.6


@pytest.mark.parametrize(("high", "band"), [("85", 10), ("20.5", 10), ("20", 10), ("5", 2.5), ("1", 0.5)])
def test_a_dead_band_that_is_left_out_fits_a_low_threshold(high: str, band: float) -> None:
    assert load(environ={"SANAAGENT_GOVERNANCE_CPU_HIGH_PCT": high}).config.governance.hysteresis_pct == band


def test_relative_paths_start_at_the_working_directory(here: Path) -> None:
    config = load(environ={}).config

    assert config.persistence.db_path == str(here / "state.db")
    assert config.telemetry.log_dir == str(here / "logs")


def test_relative_paths_start_at_the_first_directory_that_systemd_names() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/agent:/var/lib/other", "LOGS_DIRECTORY": "/var/log/agent"}

    config = load(environ=environ).config

    assert config.persistence.db_path == "/var/lib/agent/state.db"
    assert config.telemetry.log_dir == "/var/log/agent/logs"


def test_absolute_paths_stay() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/agent", "SANAAGENT_PERSISTENCE_DB_PATH": "/data/tasks.db"}

    assert load(environ=environ).config.persistence.db_path == "/data/tasks.db"


def test_handler_files_start_at_the_file_that_names_them(here: Path) -> None:
    Path("etc").mkdir()
    Path("etc/agent.yml").write_text("handlers: [mine.py, sub/b.py:app, ./c.py, /srv/a.py, pkg.mod, pkg.mod:f]\n")

    assert load("etc/agent.yml", environ={}).config.handlers == (
        f"{here}/etc/mine.py", f"{here}/etc/sub/b.py:app", f"{here}/etc/c.py",
        "/srv/a.py", "pkg.mod", "pkg.mod:f",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("", ()),
        ("pkg.mod", ("pkg.mod",)),
        ("pkg.mod:app", ("pkg.mod:app",)),
        ("pkg.mod:app,pkg.other", ("pkg.mod:app", "pkg.other")),
        ("pkg.mod:app:pkg.other:app", ("pkg.mod:app", "pkg.other:app")),
        ("pkg.mod : pkg.other", ("pkg.mod", "pkg.other")),
        ("/a/one.py:/b/two.py", ("/a/one.py", "/b/two.py")),
        ("/a/one.py:app:/b/two.py", ("/a/one.py:app", "/b/two.py")),
        ("/a/one.py,", ("/a/one.py",)),
    ],
)
def test_a_list_of_handlers_in_a_variable_is_parted(text: str, specs: tuple[str, ...]) -> None:
    assert load(environ={"SANAAGENT_HANDLERS": text}).config.handlers == specs


def test_handlers_elsewhere_replace_those_of_the_file_and_start_at_the_working_directory(here: Path) -> None:
    Path("etc").mkdir()
    Path("etc/agent.yml").write_text("handlers: [mine.py]\n")

    from_variable = load("etc/agent.yml", environ={"SANAAGENT_HANDLERS": "yours.py"}).config.handlers
    from_command_line = load("etc/agent.yml", {"handlers": ["theirs.py"]}, {"SANAAGENT_HANDLERS": "yours.py"})

    assert from_variable == (f"{here}/yours.py",)
    assert from_command_line.config.handlers == (f"{here}/theirs.py",)


def test_yaml_anchors_and_merges_work(here: Path) -> None:
    Path("config.yml").write_text(
        "bulk: {<<: {max_queued: 7, retry_attempts: &tries 1}, retry_attempts: 2}\ntelemetry: {log_keep: *tries}\n"
    )

    config = load(environ={}).config

    assert (config.bulk.max_queued, config.bulk.retry_attempts, config.telemetry.log_keep) == (7, 2, 1)


def test_a_review_that_can_never_be_asked_for_is_warned_of() -> None:
    environ = {"SANAAGENT_GOVERNANCE_PAUSE_AFTER_ERROR_BURST_DURATION_S": "10m"}

    (warning,) = load(environ=environ).warnings

    assert "governance.human_review_window_s (540) is shorter than 3 pauses take (1890 s)" in warning
    assert load(environ={}).warnings == ()


def test_what_only_a_restart_can_change_is_told_apart() -> None:
    old = load(environ={}).config
    new = load(environ={
        "SANAAGENT_BULK_MAX_CONCURRENT": "4", "SANAAGENT_PERSISTENCE_DB_PATH": "other.db",
        "SANAAGENT_TELEMETRY_LOG_DIR": "elsewhere", "SANAAGENT_HANDLERS": "pkg.mod",
    }).config  # fmt: skip

    changed, refused = reloadable_changes(old, new)

    assert set(refused) == {"persistence.db_path", "telemetry.log_dir", "handlers"}
    assert set(changed) == {"bulk.max_concurrent", *refused}
    assert reloadable_changes(old, old) == ((), ())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host", "https://host"),
        ("https://host:8443/", "https://host:8443/"),
        ("https://host/services/secret", "https://host/***"),
        ("https://host?token=secret", "https://host?***"),
        ("https://user:secret@host/hook", "https://***@host/***"),
        ("https://user:sec/ret@host/hook", "https://***@host/***"),
        ("user:secret@host", "***@host"),
        ("https://user:secret@host/?next=http://other", "https://***@host/***"),
    ],
)
def test_a_dump_shows_no_password_and_no_path_that_may_be_one(url: str, shown: str) -> None:
    escalation = Escalation(
        webhook_url=url,
        smtp_url="smtp://me:secret@mail:25",
        webhook_secret="whsec_secret",  # noqa: S106
    )

    plain = dump(Config(escalation=escalation))["escalation"]

    assert plain["webhook_url"] == shown
    assert plain["smtp_url"] == "smtp://***@mail:25"
    assert plain.pop("webhook_secret") == "***"
    assert "secret" not in str(plain)


def test_a_dump_is_made_of_plain_values_and_shows_what_is_not_set() -> None:
    plain = dump(Config())

    assert plain["governance"]["pause_after_error_burst"] == {"threshold": 10, "duration_s": 60.0}
    assert plain["escalation"]["webhook_secret"] == ""


def test_loading_imports_no_more_than_it_needs() -> None:
    program = (
        "import sys, agent.config; agent.config.load(environ={}); assert 'yaml' not in sys.modules\n"
        "open('config.yml', 'w').write('bulk: {max_queued: 1}'); agent.config.load(environ={})\n"
        "print([n for n in ('structlog', 'psutil', 'tenacity', 'rich', 'click', 'difflib', 'hashlib')"
        " if n in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
