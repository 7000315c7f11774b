"""A wrong configuration: all mistakes at once, each with its place and a cure; exit code 78, and nothing done."""

from __future__ import annotations

import pytest

from tests.acceptance.home import Home


def complaints(home: Home, text: str, *words: str, **env: str) -> list[str]:
    """What is said of a configuration; whatever the command is, it says so before it does anything."""
    (home.directory / "wrong.yml").write_text(text)
    done = home.call("--config", "wrong.yml", *(words or ("stats",)), env=env)
    assert (done.code, done.out) == (78, ""), done
    assert "Traceback" not in done.err
    return done.err.removeprefix("error: ").splitlines()


def test_all_mistakes_are_told_at_once_with_their_places(home: Home) -> None:
    text = """\
bulk:
  max_concurrent: many
  retry_atempts: 3
  retry_attempts: -1
governance: {window_s: 1}
persistence: 7
telemetry:
  log_interval_s: yes
"""

    told = complaints(
        home, text, "enqueue", "echo", "{}", SANAAGENT_BULK_MAX_QUEUED="-5", SANAAGENT_BULK_MAX_CONCURENT="4"
    )

    assert [line.partition(": ")[0] for line in told] == [
        "wrong.yml:2:19", "wrong.yml:3:3", "wrong.yml:4:19", "wrong.yml:5:24", "wrong.yml:6:14", "wrong.yml:8:19",
        "SANAAGENT_BULK_MAX_CONCURENT", "SANAAGENT_BULK_MAX_QUEUED",
    ]  # fmt: skip
    assert told[0].endswith("bulk.max_concurrent must be a whole number, not 'many'")
    assert told[1].endswith("unknown key bulk.retry_atempts; did you mean bulk.retry_attempts?")
    assert told[6].endswith("unknown variable; did you mean SANAAGENT_BULK_MAX_CONCURRENT?")
    assert home.total() == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("governance: {window_s: 2, pause_mode: stop}", "governance.pause_mode must be finish or freeze, not 'stop'"),
        ("governance: {window_s: 5}", "governance.window_s (5) must be at least 3 times telemetry.sample_interval_s"),
        (
            "governance: {min_concurrent: 9}",
            "max_concurrent (8 by default) must be at least governance.min_concurrent (9)",
        ),
        ("governance: {hysteresis_pct: 90}", "governance.hysteresis_pct (90) must be less than"),
        ("escalation: {enabled: true, webhook_url: nowhere}", "escalation.webhook_url must be an address"),
        ("bulk: {max_concurrent: 0}", "bulk.max_concurrent must be at least 1, not 0"),
        ("bulk: {max_concurrent: 2, max_concurrent: 3}", "bulk.max_concurrent"),
        ("bulk: {retry_delay_seconds: .nan}", "bulk.retry_delay_seconds must be a finite number"),
        ("bulk: {retry_delay_seconds: 3 fortnights}", "bulk.retry_delay_seconds must be a duration such as"),
        ("handlers: {a: b}", "handlers must be a list"),
        ("- a list", "wrong.yml:1:1: "),
        ("bulk: [", "no valid YAML"),
        ("bulk: !!python/object:os.system {}", "wrong.yml:1:"),
    ],
)
def test_each_mistake_names_the_setting(home: Home, text: str, why: str) -> None:
    assert any(why in line for line in complaints(home, text))


def test_a_file_that_is_not_there_is_named(home: Home) -> None:
    by_option = home.refused(78, "--config", "missing.yml", "stats")
    by_variable = home.refused(78, "stats", env={"SANAAGENT_CONFIG": "missing.yml"})

    assert by_option == "missing.yml: there is no such file: name another by --config or SANAAGENT_CONFIG"
    assert by_variable == by_option


def test_a_secret_is_never_shown(home: Home) -> None:
    told = complaints(home, "escalation: {enabled: true, smtp_url: 'ftp://me:s3cret@host', webhook_secret: [s3cret]}")

    assert len(told) >= 1
    assert "s3cret" not in "\n".join(told)


def test_an_agent_does_not_start_with_it(home: Home) -> None:
    assert complaints(home, "bulk: {max_concurrent: many}", "resume") == [
        "wrong.yml:1:24: bulk.max_concurrent must be a whole number, not 'many'"
    ]
    assert not (home.directory / "logs").exists()
