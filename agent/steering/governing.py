"""One sample: read the sensors, step the governor, commit sample, state and decisions together, say what follows."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.clock import SECOND, Clock
from agent.governance.decision import Decision, Escalate, Probing, Resumed
from agent.governance.governor import step
from agent.governance.observation import ErrorSignature, Observation
from agent.governance.settings import Settings
from agent.governance.state import GovernorState
from agent.store.oversight import Oversight
from agent.store.values import Note
from agent.telemetry.logs import log
from agent.telemetry.metrics import MetricsFile, Sample
from agent.telemetry.redaction import plain
from agent.telemetry.sensors import Reading, Sensing


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts that ended since the last sample. `late`: errors of attempts begun before admission last reopened."""

    ok: int = 0
    errors: int = 0
    late: int = 0
    signatures: tuple[ErrorSignature, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolView:
    """What a sample says of the pool. `workers`: id → pid; `queued`: tasks ready to run."""

    workers: Mapping[int, int]
    inflight: int
    frozen: int
    queued: int
    paused: tuple[str, ...]


class Governing:
    """The governor's keeper: its state is loaded once and stored with every sample."""

    def __init__(
        self, oversight: Oversight, sensors: Sensing, metrics: MetricsFile, clock: Clock, settings: Settings,
        channels: Sequence[str],
    ) -> None:  # fmt: skip
        self.settings = settings
        self.channels = channels
        self._oversight = oversight
        self._sensors = sensors
        self._metrics = metrics
        self._clock = clock
        stored = oversight.governor()
        self.state = GovernorState.from_json(stored) if stored else GovernorState.initial(settings)
        self._observed_ns: int | None = None

    @property
    def limit(self) -> int:
        """How many attempts may run now: none while the governor pauses."""
        return self.state.effective_limit(self.settings)

    def sample(self, pool: PoolView, attempts: Attempts) -> tuple[tuple[Decision, ...], Reading]:
        """Take a sample and let the governor decide; everything is committed when this returns."""
        reading = self._sensors.read(list(pool.workers.values()))
        now, now_ns = self._clock.now(), self._clock.monotonic()
        elapsed = None if self._observed_ns is None else (now_ns - self._observed_ns) / 1e9
        observation = Observation(
            at=now / SECOND, elapsed=elapsed, cpu_pct=reading.cpu_pct, mem_pct=reading.mem_pct,
            inflight=pool.inflight, ok=attempts.ok, errors=attempts.errors, late_errors=attempts.late,
            error_signatures=attempts.signatures,
        )  # fmt: skip
        state, decisions = step(self.settings, self.state, observation)
        sample = _sample(now, reading, pool, attempts, state.effective_limit(self.settings)).to_json()
        beats = {worker: reading.worker_rss.get(pid, 0) for worker, pid in pool.workers.items()}
        notes = [Note(each.deed, each.why, msgspec.json.encode(each).decode()) for each in decisions]
        self._oversight.observe(now, sample.decode(), state.to_json(), notes, self._letters(decisions), beats)
        self.state, self._observed_ns = state, now_ns
        self._metrics.write(sample)
        for decision in decisions:
            log(f"governance.{decision.deed}", why=decision.why, limit=self.limit)
        return decisions, reading

    def close(self) -> None:
        """Close what the sensors keep open."""
        self._sensors.close()

    def _letters(self, decisions: Sequence[Decision]) -> list[tuple[str, str, str]]:
        return [
            (decision.episode, channel, msgspec.json.encode(_payload(decision.payload)).decode())
            for decision in decisions
            if isinstance(decision, Escalate)
            for channel in self.channels
        ]


def reopens(decisions: Sequence[Decision]) -> bool:
    """Whether admission opens again: errors of attempts begun before do not count any more."""
    return any(isinstance(decision, Probing | Resumed) for decision in decisions)


def _sample(now: int, reading: Reading, pool: PoolView, attempts: Attempts, limit: int) -> Sample:
    errors = attempts.errors + attempts.late
    return Sample(
        at=now, cpu_pct=reading.cpu_pct, mem_pct=reading.mem_pct, ok=attempts.ok, errors=errors,
        operations=attempts.ok + errors, inflight=pool.inflight, limit=limit, workers=len(pool.workers),
        frozen=pool.frozen, queued=pool.queued, paused=pool.paused, rss_bytes=reading.rss_bytes,
        own_cpu_pct=reading.own_cpu_pct, load=reading.load,
    )  # fmt: skip


def _payload(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What leaves this host, so without secrets, whatever the facts were made from."""
    shown: dict[str, Any] = plain(facts)
    return {**shown, "host": socket.gethostname(), "pid": os.getpid(), "version": agent_version()}


def agent_version() -> str:
    """The installed version, or "source" when it runs from a checkout."""
    from importlib import metadata  # seldom needed, and slow to import

    try:
        return metadata.version("sanaagent")
    except metadata.PackageNotFoundError:
        return "source"
