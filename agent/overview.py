"""How governor and operators stand, for `stats` and for answers to commands."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agent.clock import SECOND, to_iso
from agent.config import Config
from agent.degraded import degraded
from agent.governance.settings import Settings
from agent.governance.state import GovernorState
from agent.store import SqliteStore
from agent.store.values import Command, Standing

EVERYTHING = "*"
ORDERS = frozenset({"pause", "unpause", "scale"})


def governor_of(store: SqliteStore, config: Config) -> dict[str, Any]:
    """{"limit", "max", "paused_until", "reasons"}: how many attempts may run now, and why not more."""
    standing = store.oversight.standing()
    if store.supervisor_pid() is None:
        standing = wanted(store, standing)
    settings = Settings.from_config(config.governance, config.telemetry, config.bulk)
    settings = settings.scaled(standing.max) if standing.max else settings
    stored = store.oversight.governor()
    state = GovernorState.from_json(stored) if stored else GovernorState.initial(settings)
    until = state.paused_until
    is_stopped = EVERYTHING in standing.paused
    return {
        "limit": 0 if is_stopped else state.effective_limit(settings),
        "max": settings.max_concurrent,
        "paused_until": to_iso(round(until * SECOND) if until is not None else standing.paused.get(EVERYTHING)),
        "reasons": [*state.reasons, *_operators_orders(standing)],
    }


def degraded_of(store: SqliteStore, config: Config, now: int) -> dict[str, str] | None:
    """{"since", "why"}: why the agent does not work now; None when it does, or when nobody supervises."""
    sampled_at = store.oversight.sampled_at() or 0
    return degraded(store.supervisor_pid(), sampled_at, now, config.telemetry.sample_interval_s)


def held_up(store: SqliteStore, config: Config, type_: str | None, now: int) -> str | None:
    """Why no task of a type begins, or, for None, those that run do not go on; the same words as long as that lasts."""
    if store.supervisor_pid() is None:
        return "no supervisor runs, so this waits until one does: start one with `resume`"
    if degraded_of(store, config, now):
        return "the supervisor cannot work: `stats` says why"
    if type_ is None:
        return None
    paused = lasting(store.oversight.standing(), now).paused
    for scope in (EVERYTHING, type_):
        if scope in paused:
            return f"paused by an operator until {to_iso(paused[scope]) or '`unpause`'}"
    stored = store.oversight.governor()
    state = GovernorState.from_json(stored) if stored else None
    is_paused = state is not None and state.paused_until is not None
    return f"paused by the governor after {state.breaker.cause}: it goes on by itself" if state and is_paused else None


def target_of(standing: Standing, config: Config, is_applied: bool) -> dict[str, Any]:
    """{"applied", "paused", "max"}: what operators want, and whether a supervisor has obeyed."""
    paused = {scope: to_iso(until) for scope, until in sorted(standing.paused.items())}
    return {"applied": is_applied, "paused": paused, "max": standing.max or config.bulk.max_concurrent}


def spelled(scope: str) -> str:
    """What is paused, for people."""
    return "everything" if scope == EVERYTHING else scope


def _operators_orders(standing: Standing) -> list[str]:
    orders = [(f"paused by an operator: {spelled(scope)}", until) for scope, until in sorted(standing.paused.items())]
    if standing.max:
        orders.append((f"scaled by an operator to {standing.max} workers", standing.max_until))
    return [order + (f" until {to_iso(until)}" if until else "") for order, until in orders]


def wanted(store: SqliteStore, standing: Standing) -> Standing:
    """The orders with what waits for the next supervisor."""
    for command in store.oversight.commands():
        standing = changed(standing, command) if command.verb in ORDERS and not command.flaw else standing
    return standing


def changed(standing: Standing, command: Command) -> Standing:
    """The orders after a command. Pure."""
    detail = command.detail
    until = detail.get("until")
    until = until if isinstance(until, int) else None
    scope = str(detail.get("type") or EVERYTHING)
    if command.verb == "scale":
        most = detail.get("max")
        return replace(standing, max=most if isinstance(most, int) else None, max_until=until)
    if command.verb == "pause":
        return replace(standing, paused={**standing.paused, scope: until})
    paused = {} if scope == EVERYTHING else {each: end for each, end in standing.paused.items() if each != scope}
    return replace(standing, paused=paused)


def lasting(standing: Standing, now: int) -> Standing:
    """The orders that have not ended. Pure."""
    paused = {scope: until for scope, until in standing.paused.items() if until is None or until > now}
    if standing.max_until is not None and standing.max_until <= now:
        standing = replace(standing, max=None, max_until=None)
    return standing if len(paused) == len(standing.paused) else replace(standing, paused=paused)
