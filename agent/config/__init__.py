"""The configuration: `config.yml`, `SANAAGENT_*` and the command line become one frozen `Config`.

Reading order: `schema` (every key, `load`), `sources` (where values come from), `file` (YAML and positions), `values`
(how a value is read), `checks` (rules across keys).

Why it is so: positions are computed only after validation failed, so a command that only enqueues starts fast.
"""

from __future__ import annotations

from agent.config.schema import (
    Bulk,
    Config,
    ErrorBurst,
    Escalation,
    Governance,
    Loaded,
    Persistence,
    Telemetry,
    dump,
    flat,
    load,
    parse_duration,
    parse_size,
    readers,
    reloadable_changes,
)

__all__ = [
    "Bulk",
    "Config",
    "ErrorBurst",
    "Escalation",
    "Governance",
    "Loaded",
    "Persistence",
    "Telemetry",
    "dump",
    "flat",
    "load",
    "parse_duration",
    "parse_size",
    "readers",
    "reloadable_changes",
]
