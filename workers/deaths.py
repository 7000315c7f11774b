"""What a worker's end says of the task that it ran. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from agent.store.values import Death

# Signals that anybody may send; every other one is the process's own doing.
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


@dataclass(frozen=True, slots=True)
class End:
    """How a worker ended. `status`: exit code, or minus the signal; None when nobody saw it.

    `is_ours`: we ended it for a reason that is not the task's (shutdown, eviction, the supervisor's own end).
    """

    status: int | None
    is_ours: bool = False
    is_out_of_memory: bool = False


def judge_end(end: End) -> tuple[Death, str]:
    """What it counts as, and a sentence for the attempt's record."""
    if end.is_ours:
        return Death.LOST, "the worker was ended by the agent while the handler ran"
    if end.status is None:
        return Death.LOST, "the worker was lost with its fork server or supervisor while the handler ran"
    if end.is_out_of_memory:
        return Death.CRASHED, "the worker ran out of memory while the handler ran"
    if end.status >= 0:
        return Death.CRASHED, f"the worker exited with code {end.status} while the handler ran"
    name = _signal_name(-end.status)
    if -end.status in FROM_OUTSIDE:
        return Death.KILLED, f"the worker was killed by {name} while the handler ran"
    return Death.CRASHED, f"the worker died of {name} while the handler ran"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
