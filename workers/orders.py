"""What the pool is to keep to, and what follows for each worker. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.config import Config
from workers.messages import Mode, Settings


@dataclass(frozen=True, slots=True)
class Orders:
    """`size`: workers alive; `limit`: how many of them may run; `paused`: types, "*" for all."""

    size: int
    limit: int
    paused: frozenset[str]
    settings: Settings

    def takes_away_from(self, before: Orders) -> bool:
        """Whether something that was allowed no longer is."""
        return self.limit < before.limit or self.size < before.size or not self.paused <= before.paused


class Member(Protocol):
    """What the choice among workers looks at."""

    id: int
    is_idle: bool
    born_ns: int

    @property
    def is_staying(self) -> bool:
        """Whether it is one of those that the pool is to have."""


def assign(workers: Iterable[Member], orders: Orders, running: frozenset[int]) -> dict[int, Mode]:
    """The mode of each worker. Those that run and are busy are kept running first, the oldest before the others.

    `running`: the workers that may run now. Who is about to leave takes nobody's place, and gets none.
    """
    staying = [worker for worker in workers if worker.is_staying]
    staying.sort(key=lambda worker: (worker.id not in running, worker.is_idle, worker.born_ns, worker.id))
    modes: dict[int, Mode] = {}
    for place, worker in enumerate(staying):
        modes[worker.id] = (
            "run" if place < min(orders.limit, orders.size) else "park" if place < orders.size else "drain"
        )
    return modes


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
