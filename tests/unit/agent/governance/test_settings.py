"""The governor's settings come from the configuration, whole, and fit each other."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from types import SimpleNamespace

import pytest

from agent.config import Bulk, Governance, Telemetry
from agent.governance import Settings


def test_the_defaults_are_those_of_the_configuration() -> None:
    assert Settings.from_config(Governance(), Telemetry(), Bulk()) == Settings()


def test_every_setting_is_taken_from_its_own_key() -> None:
    names = [field.name for field in fields(Settings)]
    values = {name: 1000.0 - number for number, name in enumerate(names)}
    renamed = {"pause_threshold", "pause_duration_s"}
    elsewhere = {"max_concurrent", "sample_interval_s"}
    governance = SimpleNamespace(
        **{name: value for name, value in values.items() if name not in renamed | elsewhere},
        pause_after_error_burst=SimpleNamespace(
            threshold=values["pause_threshold"], duration_s=values["pause_duration_s"]
        ),
    )
    governance.settle_s, governance.redown_s = values["settle_s"], values["redown_s"] = 7.0, 11.0
    telemetry = SimpleNamespace(sample_interval_s=values["sample_interval_s"])
    bulk = SimpleNamespace(max_concurrent=values["max_concurrent"])

    settings = Settings.from_config(governance, telemetry, bulk)

    assert {name: getattr(settings, name) for name in names} == values


@pytest.mark.parametrize(
    ("window", "settle", "redown"), [(30.0, 5.0, 15.0), (10.0, 5.0, 10.0), (9.0, 4.5, 9.0), (1.0, 0.5, 1.0)]
)
def test_settling_and_redown_shrink_with_the_window(window: float, settle: float, redown: float) -> None:
    settings = replace(Settings(), window_s=window)

    assert (settings.settle_s, settings.redown_s) == (settle, redown)


def test_scaling_changes_the_maximum_alone() -> None:
    assert Settings().scaled(3) == Settings(max_concurrent=3)


@pytest.mark.parametrize(("maximum", "lowest"), [(8, 2), (2, 2), (1, 1), (0, 0)])
def test_an_operator_may_scale_below_the_minimum(maximum: int, lowest: int) -> None:
    assert Settings(min_concurrent=2).scaled(maximum).lowest_limit == lowest


def test_the_dead_band_lies_below_each_threshold() -> None:
    settings = Settings(cpu_high_pct=90, mem_high_pct=70, hysteresis_pct=15)

    assert (settings.high("cpu"), settings.low("cpu")) == (90, 75)
    assert (settings.high("memory"), settings.low("memory")) == (70, 55)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().window_s = 1  # type: ignore[misc]
