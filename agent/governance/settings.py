"""What the governor is told to keep to: the parameters of its regions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Resource = Literal["cpu", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The governor's parameters; the defaults are those of the shipped configuration.

    Times are seconds, `*_pct` are percent from 0 to 100, quorum, coverage, ratio, factor and fraction are shares from
    0 to 1. However it is made, `settle_s` is at most half of `window_s` and `redown_s` at most `window_s`: with a short
    window the pauses between two steps shrink with it, otherwise no window could ever be filled after a change.
    """

    max_concurrent: int = 8
    sample_interval_s: float = 2.0
    cpu_high_pct: float = 85.0
    mem_high_pct: float = 85.0
    window_s: float = 30.0
    min_concurrent: int = 1
    hysteresis_pct: float = 10.0
    window_quorum: float = 0.8
    window_coverage: float = 0.9
    settle_s: float = 5.0
    redown_s: float = 15.0
    throttle_factor: float = 0.75
    recover_fraction: float = 0.125
    ceiling_hold_s: float = 120.0
    ceiling_cap_s: float = 960.0
    pause_threshold: int = 10
    pause_duration_s: float = 60.0
    pause_mode: str = "finish"  # how the pool treats what runs; carried along for it, of no concern to a decision
    error_min_ratio: float = 0.0
    half_open_probes: int = 3
    probe_max_s: float = 30.0
    human_review_after_pause_bursts: int = 3
    human_review_window_s: float = 540.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "settle_s", min(self.settle_s, self.window_s / 2))
        object.__setattr__(self, "redown_s", min(self.redown_s, self.window_s))

    @classmethod
    def from_config(cls, governance: Any, telemetry: Any, bulk: Any) -> Settings:
        """The settings that three validated sections of the configuration ask for."""
        burst = governance.pause_after_error_burst
        return cls(
            max_concurrent=bulk.max_concurrent,
            sample_interval_s=telemetry.sample_interval_s,
            cpu_high_pct=governance.cpu_high_pct,
            mem_high_pct=governance.mem_high_pct,
            window_s=governance.window_s,
            min_concurrent=governance.min_concurrent,
            hysteresis_pct=governance.hysteresis_pct,
            window_quorum=governance.window_quorum,
            window_coverage=governance.window_coverage,
            settle_s=governance.settle_s,
            redown_s=governance.redown_s,
            throttle_factor=governance.throttle_factor,
            recover_fraction=governance.recover_fraction,
            ceiling_hold_s=governance.ceiling_hold_s,
            ceiling_cap_s=governance.ceiling_cap_s,
            pause_threshold=burst.threshold,
            pause_duration_s=burst.duration_s,
            pause_mode=governance.pause_mode,
            error_min_ratio=governance.error_min_ratio,
            half_open_probes=governance.half_open_probes,
            probe_max_s=governance.probe_max_s,
            human_review_after_pause_bursts=governance.human_review_after_pause_bursts,
            human_review_window_s=governance.human_review_window_s,
        )

    def scaled(self, max_concurrent: int) -> Settings:
        """The same settings with another `max_concurrent`, as an operator's `scale` asks for."""
        return replace(self, max_concurrent=max_concurrent)

    @property
    def lowest_limit(self) -> int:
        """What no throttling goes below: `min_concurrent`, unless an operator scaled to less."""
        return min(self.min_concurrent, self.max_concurrent)

    def high(self, resource: Resource) -> float:
        """Percent above which a reading is hot."""
        return self.cpu_high_pct if resource == "cpu" else self.mem_high_pct

    def low(self, resource: Resource) -> float:
        """Percent below which a reading is healthy; between low and high lies the dead band."""
        return self.high(resource) - self.hysteresis_pct
