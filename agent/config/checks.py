"""What settings must be to each other; each alone is right already.

`values` are all settings by dotted key. A rule yields the keys it looked at, that which is told first, and a message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from agent.config.values import address_shown, shown

Broken = tuple[tuple[str, ...], str]

_AT_LEAST = (
    ("governance.window_s", 3.0, "telemetry.sample_interval_s"),
    ("bulk.max_concurrent", 1.0, "governance.min_concurrent"),
    ("bulk.retry_max_delay_seconds", 1.0, "bulk.retry_delay_seconds"),
    ("governance.ceiling_cap_s", 1.0, "governance.ceiling_hold_s"),
)


def rule_mistakes(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Broken]:
    """Every broken rule; defaults break none, so at least one key of each is in `given`."""
    yield from _too_small(values, given)
    yield from _dead_band_mistakes(values, given)
    yield from _escalation_mistakes(values)


def _named(key: str, values: Mapping[str, Any], given: Collection[str]) -> str:
    return f"{key} ({values[key]:.15g}{'' if key in given else ' by default'})"


def _too_small(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Broken]:
    for larger, times, smaller in _AT_LEAST:
        if values[larger] < times * values[smaller] * (1 - 1e-9):  # 0.6 is 3 × 0.2, whatever floats make of it
            factor = f"{times:g} times " if times != 1 else ""
            large, small = _named(larger, values, given), _named(smaller, values, given)
            yield (larger, smaller), f"{large} must be at least {factor}{small}: raise the one or lower the other"


def _dead_band_mistakes(values: Mapping[str, Any], given: Collection[str]) -> Iterator[Broken]:
    band = "governance.hysteresis_pct"
    for high in ("governance.cpu_high_pct", "governance.mem_high_pct"):
        if values[band] >= values[high]:
            low, top = _named(band, values, given), _named(high, values, given)
            yield (band, high), f"{low} must be less than {top}: lower the one or raise the other"


def _escalation_mistakes(values: Mapping[str, Any]) -> Iterator[Broken]:
    webhook, smtp = values["escalation.webhook_url"], values["escalation.smtp_url"]
    wanted = "an address such as smtp://host:25, smtps:// or smtp+starttls://"
    if webhook and not is_address(webhook, ("http", "https")):
        yield from _wrong("webhook_url", "an address such as https://host/path", address_shown(webhook))
    if values["escalation.email_to"] and not is_address(smtp, ("smtp", "smtps", "smtp+starttls")):
        yield from _wrong("smtp_url", wanted, address_shown(smtp))
    for name in ("email_to", "email_from"):
        address = values[f"escalation.{name}"]
        if "@" not in address and values["escalation.email_to"]:
            yield from _wrong(name, "an e-mail address such as ops@example.org", address)


def _wrong(name: str, wanted: str, instead: str) -> Iterator[Broken]:
    yield (f"escalation.{name}", "escalation.enabled"), f"escalation.{name} must be {wanted}, not {shown(instead)}"


def is_address(url: str, schemes: Collection[str]) -> bool:
    """Whether a URL has one of the schemes, a host, and a port that can be one."""
    from urllib.parse import urlsplit  # here: who names no address pays for none

    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and has_port and not any(map(str.isspace, url))


def review_warnings(values: Mapping[str, Any]) -> Iterator[str]:
    """What can be meant, but hardly is."""
    bursts, window = values["governance.human_review_after_pause_bursts"], values["governance.human_review_window_s"]
    needed = bursts * (values["governance.pause_after_error_burst.duration_s"] + values["governance.window_s"])
    if window < needed:
        yield (
            f"governance.human_review_window_s ({window:g}) is shorter than {bursts} pauses take ({needed:g} s):"
            " no human may ever be asked"
        )
