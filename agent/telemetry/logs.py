"""Logging, set up once per process: one JSON line per event to the file, a short one to the person who watches.

Everybody logs with `log("task.failed", task=7)`, or, where imports may not reach this module, with
`structlog.get_logger().warning("task.failed", task=7)`. The names stand in `events.EVENTS`. A forked child calls
`configure` anew. Until that was called, `log` writes nothing; `structlog.get_logger()` is then the host program's.

In our own processes structlog's global configuration is ours: what a handler logs through structlog goes to the same
file. A handler that configures structlog anew changes where its own lines go, never where `log` writes.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

from agent.clock import Clock, to_iso
from agent.telemetry.console import Console
from agent.telemetry.deferred import deferred
from agent.telemetry.events import EVENTS, LEVELS, SPOKEN
from agent.telemetry.files import LogFile, open_log
from agent.telemetry.redaction import plain

# They are most of what importing structlog costs, in time and memory, and no line of ours needs them.
with deferred("asyncio", "rich", "rich.console", "rich.pretty", "rich.traceback"):
    import structlog

__all__ = ["EVENTS", "LEVELS", "SPOKEN", "LogFile", "bind", "configure", "log", "open_log"]

_encode = msgspec.json.Encoder().encode
_clock = Clock()
_loggers: list[Any] = []  # the one of this process, once configured


def log(event: str, /, *, level: str | None = None, **fields: Any) -> None:
    """Log one event of the catalogue, at its own level or the one given."""
    if "event" in fields:
        fields["event_"] = fields.pop("event")
    for logger in _loggers:
        getattr(logger, level or LEVELS.get(event, "info"))(event, **fields)


def bind(**fields: Any) -> None:
    """Add `fields` to everything that this thread logs from now on."""
    structlog.contextvars.bind_contextvars(**fields)


def configure(logfile: LogFile | None, console: bool = False, level: str = "info") -> None:
    """Send what is logged from now on to `logfile`, and, if `console`, what matters to a person to stderr.

    `level` is the quietest that counts: debug, info, warning, error. Without either destination nothing is written.
    """
    destinations = _Destinations(logfile, Console() if console else None)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        _arrange,
    ]
    wrapper = structlog.make_filtering_bound_logger(level)
    _loggers[:] = [structlog.wrap_logger(destinations, processors, wrapper_class=wrapper)]
    # Not cached: a reload may change the level, and a forked child the file.
    structlog.configure(processors, wrapper, logger_factory=lambda *_: destinations, cache_logger_on_first_use=False)


class _Destinations:
    """The end of the pipe: the log file and the console."""

    def __init__(self, logfile: LogFile | None, console: Console | None) -> None:
        self._logfile = logfile
        self._console = console

    def msg(self, entry: dict[str, Any]) -> None:
        if self._logfile is not None:
            self._append(self._logfile, entry)
        if self._console is not None:
            self._console.tell(entry)

    debug = info = warning = error = critical = exception = msg

    def _append(self, logfile: LogFile, entry: dict[str, Any]) -> None:
        lost = logfile.lost
        if not logfile.write(_encode(entry)):
            if lost == 0 and self._console is not None:
                self._console.tell(_dropped(logfile, 1))
        elif lost:
            logfile.write(_encode(_dropped(logfile, lost)))


def _arrange(_logger: Any, method: str, entry: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The last processor: what every line begins with, then the fields, plain and without secrets."""
    level = entry.pop("level", method)
    event = entry.pop("event", "")
    return (_entry(level, event, entry),), {}


def _entry(level: str, event: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    entry = {"at": to_iso(_clock.now()), "level": level, "event": str(event)}
    # A field may bear the name of a part of every line: it gets an underscore, and the line keeps its meaning.
    return entry | {f"{key}_" if key in entry else key: value for key, value in plain(dict(fields)).items()}


def _dropped(logfile: LogFile, lines: int) -> dict[str, Any]:
    return _entry("warning", "output.dropped", {"lines": lines, "file": str(logfile.path)})
