"""Every key of the configuration, and how a `Config` is put together from file, environment and command line.

Each field below is declared once: its type, how it is read (a reader of `config.values`) and its built-in default.
`load` reports all mistakes at once, each with file:line:column or the name of the variable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec

from agent.config.checks import review_warnings, rule_mistakes
from agent.config.file import Document, MalformedFile, Mistake, Place, read_document
from agent.config.sources import Source, from_environment, from_file, from_overrides, rooted
from agent.config.values import (
    Choice,
    Handlers,
    Number,
    Reader,
    Seconds,
    Size,
    Switch,
    Text,
    Whole,
    address_shown,
    parse_size,
)
from agent.duration import parse_duration
from agent.errors import ConfigError
from agent.secrecy import HIDDEN

__all__ = [
    "Bulk", "Config", "ErrorBurst", "Escalation", "Governance", "Loaded", "Persistence", "Telemetry",
    "dump", "load", "parse_duration", "parse_size", "reloadable_changes",
]  # fmt: skip

DEFAULT_FILE = "config.yml"
RESTART_ONLY = ("persistence.db_path", "telemetry.log_dir", "handlers")
"""What processes hold open or have imported: a reload cannot change it."""

_Section = TypeVar("_Section", bound=msgspec.Struct)
Count = Annotated[int, Whole(0)]
Percent = Annotated[float, Number(1, 100)]
Share = Annotated[float, Number(0, 1, above=True)]
Span = Annotated[float, Seconds(0)]
SomeTime = Annotated[float, Seconds(0, above=True)]
Days = Annotated[float, Seconds(0, 3650, unit=86_400)]
FilePath = Annotated[str, Text(may_be_empty=False)]
Line = Annotated[str, Text()]


class Bulk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many tasks run at once, and how often one is tried."""

    max_concurrent: Annotated[int, Whole(1, 512)] = 8
    retry_attempts: Count = 3
    retry_delay_seconds: Span = 15.0
    retry_max_delay_seconds: Span = 3600.0
    drain_grace_s: Span = 30.0
    max_tasks_per_worker: Count = 0
    max_worker_rss_mb: Count = 0
    max_queued: Count = 0


class ErrorBurst(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many errors within `governance.window_s` pause claiming, and for how long."""

    threshold: Annotated[int, Whole(1)] = 10
    duration_s: SomeTime = 60.0


class Governance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the governor throttles, pauses, freezes, escalates and recovers."""

    cpu_high_pct: Percent = 85.0
    mem_high_pct: Percent = 85.0
    window_s: SomeTime = 30.0
    pause_after_error_burst: ErrorBurst = ErrorBurst()
    human_review_after_pause_bursts: Annotated[int, Whole(1)] = 3
    human_review_window_s: SomeTime = 540.0
    pause_mode: Annotated[Literal["finish", "freeze"], Choice(("finish", "freeze"))] = "finish"
    min_concurrent: Annotated[int, Whole(1, 512)] = 1
    hysteresis_pct: Annotated[float, Number(0, 99)] = 10.0
    window_quorum: Share = 0.8
    window_coverage: Share = 0.9
    settle_s: Span = 5.0
    redown_s: Span = 15.0
    throttle_factor: Annotated[float, Number(0.01, 0.99)] = 0.75
    recover_fraction: Share = 0.125
    ceiling_hold_s: Span = 120.0
    ceiling_cap_s: Span = 960.0
    error_min_ratio: Annotated[float, Number(0, 1)] = 0.0
    half_open_probes: Count = 3
    probe_max_s: SomeTime = 30.0
    freeze_max_s: SomeTime = 30.0
    mem_limit_bytes: Annotated[int, Size()] = 0


class Telemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often is measured, and what the logs keep."""

    sample_interval_s: Annotated[float, Seconds(0.01, 3600)] = 2.0
    log_interval_s: SomeTime = 10.0
    log_dir: FilePath = "logs"
    log_tasks: Annotated[Literal["failures", "all"], Choice(("failures", "all"))] = "failures"
    log_max_bytes: Annotated[int, Size(4096)] = 64 << 20
    log_keep: Annotated[int, Whole(0, 1000)] = 5
    metrics_keep_days: Days = 7.0


class Persistence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where tasks are kept, how long, and how large they may be."""

    db_path: FilePath = "state.db"
    gc_completed_after_days: Days = 7.0
    keep_keys_days: Days = 0.0
    max_payload_bytes: Annotated[int, Size(2, 2**29)] = 1 << 20
    max_result_bytes: Annotated[int, Size(2, 2**29)] = 1 << 20


class Escalation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom the governor tells when a human should look."""

    enabled: Annotated[bool, Switch()] = False
    webhook_url: Annotated[str, Text(secret=True)] = ""
    webhook_secret: Annotated[str, Text(secret=True)] = ""
    email_to: Line = ""
    email_from: Line = "sanaagent@localhost"
    smtp_url: Annotated[str, Text(secret=True)] = "smtp://localhost:25"
    timeout_s: Annotated[float, Seconds(0, 3600, above=True)] = 10.0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting; the defaults are the built-in ones, with escalation off."""

    bulk: Bulk = Bulk()
    governance: Governance = Governance()
    telemetry: Telemetry = Telemetry()
    persistence: Persistence = Persistence()
    escalation: Escalation = Escalation()
    handlers: Annotated[tuple[str, ...], Handlers()] = ()


class Loaded(NamedTuple):
    """A configuration with the file it came from, if any, and what is odd about it without being wrong."""

    config: Config
    path: Path | None
    warnings: tuple[str, ...] = ()


@cache
def readers() -> dict[str, Reader]:
    """The reader of every setting, by dotted key, in the order of declaration."""
    return dict(_readers_of(Config, ""))


def _readers_of(section: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, Reader]]:
    for name, hint in get_type_hints(section, include_extras=True).items():
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _readers_of(hint, f"{prefix}{name}.")
        else:
            yield prefix + name, get_args(hint)[1]


def flat(section: msgspec.Struct, prefix: str = "") -> dict[str, Any]:
    """All settings of a section by dotted key."""
    values: dict[str, Any] = {}
    for name in section.__struct_fields__:
        value = getattr(section, name)
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, msgspec.Struct) else {prefix + name: value}
    return values


def load(
    path: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Read the configuration: overrides > SANAAGENT_* > file > built-in defaults; paths become absolute.

    `path` None stands for SANAAGENT_CONFIG, else `./config.yml` if there is one, else the defaults alone.
    `overrides` are dotted keys from the command line (None: not given). Raises ConfigError with every mistake found.
    """
    file = _chosen_file(path, environ)
    loading = _Loading()
    if file:
        loading.take_file(file)
    loading.take(from_environment(environ, readers(), loading.mistakes))
    loading.take(from_overrides(overrides, readers(), loading.mistakes))
    config = loading.finish(environ)
    return Loaded(config, Path(rooted(Path(), str(file))) if file else None, tuple(review_warnings(flat(config))))


def _chosen_file(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    named = path or environ.get("SANAAGENT_CONFIG")
    if named:
        return Path(os.path.expanduser(named))
    return Path(DEFAULT_FILE) if os.path.lexists(DEFAULT_FILE) else None


class _Loading:
    """What has been read so far, what was wrong with it, and where each value came from."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._values: dict[str, Any] = {}
        self._sources: dict[str, Source] = {}
        self._broken: set[str] = set()
        self._unreadable = False

    def take_file(self, file: Path) -> None:
        try:
            document: Document = read_document(file)
        except MalformedFile as error:
            self.mistakes.append(error.mistake)
            self._unreadable = True
        else:
            self.take(from_file(document, file, readers(), self.mistakes))

    def take(self, source: Source) -> None:
        for key, raw in source.given.items():
            try:
                value = readers()[key].read(raw, source.is_text)
                self._values[key] = source.rooted(value) if key == "handlers" else value
            except ValueError as error:
                self._broken.add(key)
                self.mistakes.append(Mistake(source.place(key), f"{key} {error}"))
            self._sources[key] = source

    def finish(self, environ: Mapping[str, str]) -> Config:
        values = flat(Config()) | self._fitting_defaults() | self._values
        for keys, message in rule_mistakes(values, frozenset(self._sources)):
            if not self._unreadable and not self._broken.intersection(keys):
                self.mistakes.append(Mistake(self._place_of(keys), message))
        if self.mistakes:
            raise ConfigError("\n".join(str(mistake) for mistake in sorted(set(self.mistakes))))
        return _filled(Config(), "", values | _absolute_paths(values, environ))

    def _fitting_defaults(self) -> dict[str, float]:
        """A dead band that nobody asked for never makes a low threshold a mistake."""
        defaults = Governance()
        high = (self._values.get(f"governance.{name}_high_pct", 85.0) for name in ("cpu", "mem"))
        return {"governance.hysteresis_pct": min(defaults.hysteresis_pct, *(pct / 2 for pct in high))}

    def _place_of(self, keys: tuple[str, ...]) -> Place:
        given = next(key for key in keys if key in self._sources)
        return self._sources[given].place(given)


def _absolute_paths(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The two paths, from systemd's directories where it gives some, else from the working directory."""
    systemd = {"persistence.db_path": "STATE_DIRECTORY", "telemetry.log_dir": "LOGS_DIRECTORY"}
    starts = {key: Path(environ.get(name, "").partition(":")[0]) for key, name in systemd.items()}
    return {key: rooted(start, values[key]) for key, start in starts.items()}


def _filled(defaults: _Section, prefix: str, values: Mapping[str, Any]) -> _Section:
    """A section like `defaults` with its values from dotted keys."""
    parts = {name: getattr(defaults, name) for name in defaults.__struct_fields__}
    for name, part in parts.items():
        key = prefix + name
        parts[name] = _filled(part, f"{key}.", values) if isinstance(part, msgspec.Struct) else values[key]
    return type(defaults)(**parts)


def reloadable_changes(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The dotted keys that differ, and those among them that only a restart can change."""
    before, after = flat(old), flat(new)
    changed = tuple(key for key in after if after[key] != before[key])
    return changed, tuple(key for key in changed if key in RESTART_ONLY)


def dump(config: Config) -> dict[str, Any]:
    """The configuration as plain values for a log, without its secrets."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    escalation = plain["escalation"]
    if escalation["webhook_secret"]:
        escalation["webhook_secret"] = HIDDEN
    for name in ("webhook_url", "smtp_url"):
        escalation[name] = address_shown(escalation[name])
    return plain
