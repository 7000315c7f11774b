"""One sample of what the agent does: the same values go to `metrics.jsonl` and to the database's `metrics` table."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.clock import Clock, to_iso
from agent.telemetry.files import LogFile, open_log

_encode = msgspec.json.Encoder().encode


class Sample(msgspec.Struct, frozen=True):
    """One sample. `at` is wall time (µs); counts of attempts are those since the last sample; None means unknown.

    `operations` ended (`ok` + `errors`), `inflight` run now, `limit` is how many may, `queued` are ready to run,
    `paused` names the paused scopes, `rss_bytes` is the whole tree's, `load` the one-minute load average.
    """

    at: int
    cpu_pct: float | None = None
    mem_pct: float | None = None
    ok: int = 0
    errors: int = 0
    operations: int = 0
    inflight: int = 0
    limit: int = 0
    workers: int = 0
    frozen: int = 0
    queued: int = 0
    paused: tuple[str, ...] = ()
    rss_bytes: int | None = None
    own_cpu_pct: float | None = None
    load: float | None = None

    def to_json(self) -> bytes:
        """One JSON object on one line; `at` is UTC ISO 8601 there, other floats have two decimals."""
        fields = msgspec.structs.asdict(self)
        rounded = {name: round(value, 2) if isinstance(value, float) else value for name, value in fields.items()}
        return _encode(rounded | {"at": to_iso(self.at)})


class MetricsFile:
    """`metrics.jsonl` in a directory; `file` is there for who rotates it."""

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        """Opens the file. Raises ConfigError."""
        self.file: LogFile = open_log(directory, "metrics.jsonl", clock)

    def write(self, sample: bytes) -> bool:
        """Append one sample, as `Sample.to_json` gives it; False if the disk refused it."""
        return self.file.write(sample)
