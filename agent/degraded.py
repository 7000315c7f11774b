"""Whether the agent can work, as anybody sees it: `stats` says so when the database takes no writes.

Why it is so: what the database refuses cannot be told through the database, nor through any file beside it, for their
disk is the one that is full, read-only or broken. So a supervisor says it in its process's title, which needs no disk
and which `ps` and `systemctl status` show too. One that hangs with its disk says nothing; then the age of the last
sample tells, for it stores one every `telemetry.sample_interval_s`.
"""

from __future__ import annotations

from pathlib import Path

from agent.clock import SECOND, to_iso
from agent.host import age_s, identity, is_stopped

TITLE = "sanaagent: supervisor, degraded since "
SILENT_S = 5.0  # without a sample: as long as SQLite waits for a lock, and longer than any sample takes


def title(since: int, why: str) -> str:
    """What a supervisor calls itself whose database has refused writes since that time (wall µs)."""
    return f"{TITLE}{to_iso(since)} {why}"


def degraded(supervisor: int | None, sampled_at: int, now: int, interval_s: float) -> dict[str, str] | None:
    """{"since", "why"}: why the agent does not work now; None when it does, or when nobody supervises.

    `sampled_at`: when the last sample was stored; `interval_s`: how often a supervisor stores one.
    """
    if supervisor is None:
        return None
    if (who := identity(supervisor)) is not None and is_stopped(who):
        why = f"the supervisor is stopped (SIGSTOP): continue it with kill -CONT {supervisor}"
        return {"since": str(to_iso(sampled_at or now)), "why": why}
    shown = _title(supervisor)
    if shown.startswith(TITLE):
        since, _, why = shown.removeprefix(TITLE).partition(" ")
        return {"since": since, "why": why}
    silent_s = min((now - sampled_at) / SECOND, age_s(supervisor))  # one that has just begun has not had the time
    if silent_s <= max(SILENT_S, 3 * interval_s):
        return None
    why = f"the supervisor has stored nothing for {silent_s:.0f} s: it, its disk or a lock hangs"
    return {"since": str(to_iso(now - int(silent_s * SECOND))), "why": why}


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""
