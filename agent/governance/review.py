"""Region R, review: ask a human when pauses repeat, once per episode.

An episode opens with the pause that makes it too many within the review window, and closes when a whole review window
has passed without another. The governor goes on probing meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from agent.clock import SECOND, to_iso
from agent.governance.decision import Decision, Escalate
from agent.governance.observation import Observation, mean, merge_signatures
from agent.governance.settings import Settings
from agent.governance.state import GovernorState, Pause

LONGEST_LOG = 20  # pauses remembered, unless more are needed to escalate: the state is stored with every sample


def consider(
    settings: Settings, state: GovernorState, _observation: Observation
) -> tuple[GovernorState, tuple[Decision, ...]]:
    """Close an episode that has been quiet, or open one."""
    wanted = max(1, settings.human_review_after_pause_bursts)
    pauses = _recent(settings, state)[-max(wanted, LONGEST_LOG) :]
    quiet = not pauses and state.breaker.phase == "closed"
    episode = None if quiet else state.review.episode
    state = replace(state, review=replace(state.review, pauses=pauses, episode=episode))
    if episode is not None or len(pauses) < wanted:
        return state, ()
    return _escalate(settings, state)


def _recent(settings: Settings, state: GovernorState) -> tuple[Pause, ...]:
    since = state.now - settings.human_review_window_s
    return tuple(pause for pause in state.review.pauses if pause.began > since)


def _escalate(settings: Settings, state: GovernorState) -> tuple[GovernorState, tuple[Decision, ...]]:
    number = state.review.episodes + 1
    episode = f"review-{number}-{state.review.pauses[0].began_at:.0f}"
    review = replace(state.review, episode=episode, episodes=number)
    decision = Escalate(episode=episode, payload=_payload(settings, state, episode))
    return replace(state, review=review), (decision,)


def _payload(settings: Settings, state: GovernorState, episode: str) -> dict[str, Any]:
    """The facts, ready for JSON: wall times are ISO 8601, durations seconds, readings percent."""
    pauses, regulator = state.review.pauses, state.regulator
    signatures = merge_signatures(pause.signatures for pause in pauses)
    return {
        "episode": episode,
        "since": _iso(pauses[0].began_at),
        "review_window_s": settings.human_review_window_s,
        "pauses": [{"at": _iso(p.began_at), "duration_s": p.duration, "errors": p.errors} for p in pauses],
        "errors": [
            {"error": f"{kind}: {message}", "count": times, "type": kind, "sample_task_id": task_id}
            for kind, times, task_id, message in signatures
        ],
        "tasks": [signature.sample_task_id for signature in signatures],
        "window": _window_statistics(settings, state),
        "limit": regulator.limit,
        "max_concurrent": settings.max_concurrent,
        "ceiling": regulator.ceiling if state.now < regulator.ceiling_until else None,
    }


def _iso(at: float) -> str | None:
    return to_iso(round(at * SECOND))


def _window_statistics(settings: Settings, state: GovernorState) -> dict[str, Any]:
    return {
        "seconds": settings.window_s,
        "samples": len(state.samples),
        "cpu_pct": _summary([sample.cpu for sample in state.samples]),
        "mem_pct": _summary([sample.memory for sample in state.samples]),
    }


def _summary(readings: Sequence[float | None]) -> dict[str, float] | None:
    known = [reading for reading in readings if reading is not None]
    return {"mean": round(mean(known), 1), "max": max(known)} if known else None
