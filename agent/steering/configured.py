"""What the configuration means for governor, chores and channels."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clock import Clock
from agent.config import Config
from agent.escalation.channel import Channel
from agent.governance.settings import Settings
from agent.maintenance.chores import Retention

DAY_S = 86400


def governor_settings(config: Config, most: int | None) -> Settings:
    """The governor's parameters; `most`: what an operator scaled to, if anything."""
    settings = Settings.from_config(config.governance, config.telemetry, config.bulk)
    return settings if most is None else settings.scaled(most)


def retention(config: Config) -> Retention:
    """How long things are kept."""
    return Retention(
        finished_s=config.persistence.gc_completed_after_days * DAY_S,
        keys_s=config.persistence.keep_keys_days * DAY_S,
        metrics_s=config.telemetry.metrics_keep_days * DAY_S,
    )


def channels(config: Config, clock: Clock) -> Mapping[str, Channel]:
    """The ways to tell a human, by name; none while escalation is off."""
    escalation = config.escalation
    found: dict[str, Channel] = {}
    if not escalation.enabled:
        return found
    from agent.escalation.channels import Email, Webhook

    if escalation.webhook_url:
        found["webhook"] = Webhook(escalation.webhook_url, escalation.webhook_secret, escalation.timeout_s, clock)
    if escalation.email_to:
        sender = escalation.email_from
        found["email"] = Email(escalation.smtp_url, sender, escalation.email_to, escalation.timeout_s)
    return found
