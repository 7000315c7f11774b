"""Every mistake in a configuration is told at once, each with its place and its cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from agent.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistakes(text: str | bytes = "", overrides: dict[str, object] | None = None, **environ: str) -> list[str]:
    """The lines that a file, command line and environment are refused with."""
    Path("config.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(None, overrides or {}, {f"SANAAGENT_{name}": value for name, value in environ.items()})
    assert caught.value.exit_code == 78
    return str(caught.value).splitlines()


def test_all_mistakes_of_all_sources_are_told_at_once_in_their_order() -> None:
    text = (
        "bulk:\n  max_concurrent: 0\n  max_concurent: 4\n"
        "telemetry:\n  log_tasks: some\n  log_tasks: many\n"
        "governance: {window_s: 1}\n"
    )

    found = mistakes(text, {"bulk.max_queued": -1}, BULK_RETRY_ATTEMPTS="x", BULK_MAX_QUEUE="1")

    assert found == [
        "config.yml:2:19: bulk.max_concurrent must be at least 1, not 0",
        "config.yml:3:3: unknown key bulk.max_concurent; did you mean bulk.max_concurrent?",
        "config.yml:6:3: telemetry.log_tasks is set already in line 5: remove one",
        "config.yml:6:14: telemetry.log_tasks must be failures or all, not 'many'",
        "config.yml:7:24: governance.window_s (1) must be at least 3 times telemetry.sample_interval_s (2 by default): "
        "raise the one or lower the other",
        "SANAAGENT_BULK_MAX_QUEUE: unknown variable; did you mean SANAAGENT_BULK_MAX_QUEUED?",
        "SANAAGENT_BULK_RETRY_ATTEMPTS: bulk.retry_attempts must be a whole number, not 'x'",
        "command line: bulk.max_queued must be at least 0, not -1",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bulk: {max_concurrent: 513}", "1:24: bulk.max_concurrent must be at most 512, not 513"),
        ("bulk: {max_concurrent: '8'}", "1:24: bulk.max_concurrent must be a whole number, not '8'"),
        ("bulk: {max_concurrent: 8.0}", "1:24: bulk.max_concurrent must be a whole number, not 8.0"),
        ("bulk: {max_concurrent: true}", "1:24: bulk.max_concurrent must be a whole number, not true (in YAML "),
        ("bulk: {max_concurrent: [8]}", "1:24: bulk.max_concurrent must be a whole number, not a list"),
        ("bulk:\n  max_concurrent:\n", "2:3: bulk.max_concurrent must be a whole number, not nothing"),
        ("bulk: {max_concurrent: 2024-01-31}", "1:24: bulk.max_concurrent must be a whole number, not the date 2024"),
        ("bulk: {retry_delay_seconds: -1}", "1:29: bulk.retry_delay_seconds must be at least 0, not -1"),
        ("bulk: {retry_delay_seconds: .nan}", "1:29: bulk.retry_delay_seconds must be a finite number, not nan"),
        ("bulk: {retry_delay_seconds: .inf}", "1:29: bulk.retry_delay_seconds must be a finite number, not inf"),
        ("bulk: {retry_delay_seconds: no}", "1:29: bulk.retry_delay_seconds must be a duration such as 30, 500ms, "),
        ("bulk: {retry_delay_seconds: 5 parsecs}", "1:29: bulk.retry_delay_seconds must be a duration such as 30, "),
        ("bulk: {retry_delay_seconds: 9000d}", "1:29: bulk.retry_delay_seconds must be a duration such as 30, "),
        ("bulk: {retry_delay_seconds: 400000000}", "1:29: bulk.retry_delay_seconds must be at most 315360000, not"),
        ("governance: {cpu_high_pct: 0}", "1:28: governance.cpu_high_pct must be at least 1, not 0"),
        ("governance: {cpu_high_pct: 100.5}", "1:28: governance.cpu_high_pct must be at most 100, not 100.5"),
        ("governance: {cpu_high_pct: 85%}", "1:28: governance.cpu_high_pct must be a number, not the text '85%'"),
        ("governance: {cpu_high_pct: off}", "1:28: governance.cpu_high_pct must be a number, not false (in YAML "),
        ("governance: {window_quorum: 0}", "1:29: governance.window_quorum must be more than 0, not 0"),
        ("governance: {pause_mode: no}", "1:26: governance.pause_mode must be finish or freeze, not false (in YAML "),
        (
            "governance:\n  pause_after_error_burst:\n    duration_s: 0",
            "3:17: governance.pause_after_error_burst.duration_s must be more than 0, not 0",
        ),
        ("governance: {pause_after_error_burst: 10}", "1:39: governance.pause_after_error_burst must be a section of"),
        ("telemetry: {log_dir: no}", "1:22: telemetry.log_dir must be a text (quote it), not false (in YAML "),
        ("telemetry: {log_max_bytes: 64 parsecs}", "1:28: telemetry.log_max_bytes must be a number of bytes or a size"),
        ("persistence: {db_path: ''}", "1:24: persistence.db_path must not be empty"),
        ('persistence: {db_path: "a\\0b"}', "1:24: persistence.db_path must be one line without NUL characters"),
        ("escalation: {enabled: 1}", "1:23: escalation.enabled must be true or false, not 1"),
        ("escalation: {enabled: 'yes'}", "1:23: escalation.enabled must be true or false, not 'yes'"),
        ("handlers: m.py", "1:11: handlers must be a list such as [examples/handlers.py, package.module], not 'm.py'"),
        ("handlers: {a: b}", "1:11: handlers must be a list such as [examples/handlers.py, package.module], not a"),
        ("handlers: [a.py, 5]", "1:11: handlers must name a module or a .py file in each entry, but entry 2 is 5"),
        ("bulk: 8", "1:7: bulk must be a section of settings, not 8"),
        ("[bulk]", "1:1: must hold sections such as bulk:, not a list"),
        ("bulk", "1:1: must hold sections such as bulk:, not a text"),
    ],
)
def test_a_value_that_cannot_be_is_reported_with_its_place(text: str, expected: str) -> None:
    (found,) = mistakes(text)

    assert found.startswith(f"config.yml:{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bulk:\n  max-concurrent: 4\n", "2:3: unknown key bulk.max-concurrent; did you mean bulk.max_concurrent?"),
        ("max_concurrent: 4\n", "1:1: unknown key max_concurrent; did you mean bulk.max_concurrent?"),
        ("bulk: {window_s: 9}\n", "1:8: unknown key bulk.window_s; did you mean governance.window_s?"),
        ("governence:\n  window_s: 9\n", "1:1: unknown key governence; did you mean governance?"),
        ("bulk: {zzz: 4}\n", "1:8: unknown key bulk.zzz: remove it"),
        ("on: 4\n", "1:1: unknown key on: remove it"),
        ("1: 4\n", "1:1: unknown key 1: remove it"),
        ('"a\\nb": 1', r"1:1: unknown key 'a\nb': remove it"),
        ("'': 1", "1:1: unknown key '': remove it"),
    ],
)
def test_an_unknown_key_is_reported_with_what_was_probably_meant(text: str, expected: str) -> None:
    assert mistakes(text) == [f"config.yml:{expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bulk: {}\ntelemetry: {}\nbulk: {}\n", "3:1: bulk is set already in line 1: remove one"),
        ("bulk:\n  max_queued: 1\n  max_queued: 2\n", "3:3: bulk.max_queued is set already in line 2: remove one"),
    ],
)
def test_a_key_that_stands_twice_is_reported(text: str, expected: str) -> None:
    assert mistakes(text) == [f"config.yml:{expected}"]


MERGE_BOMB = "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1},' * 9}]}}" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("bulk: [1", "2:1", "no valid YAML"),
        ("bulk: max: 3", "1:10", "mapping values are not allowed"),
        ("\tbulk: 3", "1:1", "cannot start any token"),
        ("bulk: *other", "1:7", "undefined alias"),
        ("bulk: 1\n---\nbulk: 2", "2:1", "another document"),
        ("bulk: !!python/object:os.system {}", "1:7", "could not determine a constructor"),
        ("telemetry: {log_dir: 2024-13-45}", "1:22", "month must be in 1..12"),
        ("? [bulk]\n: 3", "1:3", "unhashable key"),
        ("a: 1\nbulk: é\x07", "2:8", "control character"),
        (b"a: 1\nbulk: \xff", "2:7", "not UTF-8"),
        ("[" * 50_000, "1:", "nested too deeply"),
        ("- " * 50_000, "1:", "nested too deeply"),
        ("bulk: {max_concurrent: !!int ''}", "1:24", "'' is no int"),
        ("a: 1\nb: !!float ''", "2:4", "'' is no float"),
        ("escalation: {enabled: !!bool maybe}", "1:23", "'maybe' is no bool"),
        ("a: !!timestamp soon", "1:4", "'soon' is no timestamp"),
        (MERGE_BOMB, "6:10", "merges bring in more than 10000 keys"),
    ],
)
def test_what_is_no_yaml_is_reported_with_its_place(text: str | bytes, place: str, reason: str) -> None:
    (found,) = mistakes(text)

    if reason == "nested too deeply":
        assert found == "config.yml: is nested too deeply: settings have three levels at most"
    else:
        assert found.startswith(f"config.yml:{place}: ")
        assert reason in found


def test_a_broken_file_hides_no_mistake_in_the_environment_and_brings_no_false_one() -> None:
    found = mistakes("telemetry: {sample_interval_s: 0.2", GOVERNANCE_WINDOW_S="1", BULK_MAX_CONCURRENT="0")

    assert len(found) == 2
    assert found[1] == "SANAAGENT_BULK_MAX_CONCURRENT: bulk.max_concurrent must be at least 1, not '0'"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("governance: {window_s: 5}", ("governance.window_s (5)", "telemetry.sample_interval_s (2 by default)")),
        ("telemetry: {sample_interval_s: 11}", ("governance.window_s (30 by", "telemetry.sample_interval_s (11)")),
        ("governance: {min_concurrent: 9}", ("bulk.max_concurrent (8 by", "governance.min_concurrent (9)")),
        ("bulk: {retry_delay_seconds: 2h}", ("retry_max_delay_seconds (3600 by", "bulk.retry_delay_seconds (7200)")),
        ("governance: {ceiling_hold_s: 1h}", ("governance.ceiling_cap_s", "governance.ceiling_hold_s (3600)")),
        ("governance: {hysteresis_pct: 90, mem_high_pct: 95}", ("governance.hysteresis_pct (90)", "cpu_high_pct (85")),
        ("governance: {hysteresis_pct: 20, mem_high_pct: 20}", ("governance.hysteresis_pct (20)", "mem_high_pct (20)")),
    ],
)
def test_settings_that_contradict_each_other_are_both_named(text: str, named: tuple[str, str]) -> None:
    (found,) = mistakes(text)

    assert found.startswith("config.yml:1:")
    assert all(name in found for name in named)


def test_a_rule_is_not_applied_to_a_value_that_is_wrong_by_itself() -> None:
    (found,) = mistakes("telemetry: {sample_interval_s: x}\ngovernance: {window_s: 1}")

    assert found.startswith("config.yml:1:32: telemetry.sample_interval_s must be a duration such as 30, 500ms, 30s, ")
    assert found.endswith("7d (ten years at most), not 'x'")


def test_a_rule_broken_in_the_environment_is_reported_there() -> None:
    (found,) = mistakes("telemetry: {sample_interval_s: 2}", GOVERNANCE_WINDOW_S="1")

    assert found.startswith("SANAAGENT_GOVERNANCE_WINDOW_S: governance.window_s (1) must be at least 3 times ")


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("webhook_url: ftp://host/", "such as https://host/path, not 'ftp://host/'"),
        ("webhook_url: 'http://'", "such as https://host/path"),
        ("webhook_url: 'http://:80/x'", "such as https://host/path"),
        ("webhook_url: 'http://host:99999/'", "such as https://host/path"),
        ("webhook_url: 'http://host/a b'", "such as https://host/path"),
        ("webhook_url: hook", "such as https://host/path"),
        ("email_to: ops", "such as ops@example.org, not 'ops'"),
        ("email_to: a@b, email_from: me", "escalation.email_from must be an e-mail address"),
        ("email_to: a@b, smtp_url: 'localhost:25'", "such as smtp://host:25"),
        ("email_to: a@b, smtp_url: 'smtp://'", "such as smtp://host:25"),
    ],
)
def test_an_escalation_that_could_not_be_delivered_is_reported_also_while_it_is_off(setting: str, reason: str) -> None:
    (found,) = mistakes(f"escalation: {{enabled: true, {setting}}}")

    assert found.startswith("config.yml:1:")
    assert reason in found
    (found,) = mistakes(f"escalation: {{enabled: false, {setting}}}")
    assert reason in found


@pytest.mark.parametrize("scheme", ["smtp", "smtps", "smtp+starttls"])
def test_mail_servers_are_reached_in_three_ways(scheme: str) -> None:
    environ = {
        "SANAAGENT_ESCALATION_ENABLED": "yes",
        "SANAAGENT_ESCALATION_EMAIL_TO": "ops@example.org",
        "SANAAGENT_ESCALATION_SMTP_URL": f"{scheme}://me:word@mail.example.org:587",
    }

    assert load(environ=environ).config.escalation.enabled


def test_a_long_value_is_shown_in_short() -> None:
    (found,) = mistakes(f"bulk: {{max_concurrent: {'x' * 5000}}}")
    (huge,) = mistakes(f"bulk: {{max_concurrent: {'9' * 4000}}}")

    assert len(found) < 200
    assert huge.endswith("must be at most 512, not a number of more than 30 digits")


def test_aliases_that_multiply_are_not_written_out() -> None:
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"] + [f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]"
                                                   for a, b in zip("abcdefgh", "bcdefghi", strict=True)]  # fmt: skip

    assert len(mistakes("\n".join(rows))) == 9


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_a_named_file_that_does_not_exist_is_a_mistake(given: str) -> None:
    path, environ = ("no.yml", {}) if given == "argument" else (None, {"SANAAGENT_CONFIG": "no.yml"})

    with pytest.raises(ConfigError, match=r"^no\.yml: there is no such file: name another by --config or SANAAGENT_CO"):
        load(path, environ=environ)


def test_a_directory_is_no_file() -> None:
    Path("config.yml").mkdir()

    with pytest.raises(ConfigError, match=r"^config\.yml: is a directory: name a file in it$"):
        load(environ={})


def test_a_link_to_nothing_is_not_taken_for_the_absence_of_a_file() -> None:
    Path("config.yml").symlink_to("nowhere")

    with pytest.raises(ConfigError, match="there is no such file"):
        load(environ={})


def test_what_cannot_be_read_is_reported() -> None:
    Path("loop.yml").symlink_to("loop.yml")

    with pytest.raises(ConfigError, match=r"^loop\.yml: cannot be read \(Too many levels of symbolic links\): check"):
        load("loop.yml", environ={})


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="is larger than 1048576 bytes"):
        load("/dev/zero", environ={})


def test_an_override_that_nobody_knows_is_a_mistake() -> None:
    assert mistakes("", {"bulk.max_concurent": 3}) == [
        "command line: unknown key bulk.max_concurent; did you mean bulk.max_concurrent?"
    ]


def test_a_variable_of_a_whole_section_is_a_mistake() -> None:
    assert mistakes("", HANDLER="x.py") == [
        "SANAAGENT_HANDLER: unknown variable; did you mean SANAAGENT_HANDLERS?"
    ]
