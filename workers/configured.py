"""What the configuration means for the pool."""

from __future__ import annotations

from agent.config import Config
from workers.messages import Settings


def worker_settings(config: Config) -> Settings:
    """What a worker needs of the configuration."""
    return Settings(
        retry_attempts=config.bulk.retry_attempts,
        retry_delay_s=config.bulk.retry_delay_seconds,
        retry_max_delay_s=config.bulk.retry_max_delay_seconds,
        max_result_bytes=config.persistence.max_result_bytes,
        max_tasks=config.bulk.max_tasks_per_worker,
        tells_all=config.telemetry.log_tasks == "all",
    )
