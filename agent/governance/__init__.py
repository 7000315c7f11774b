"""The governor: a pure controller that turns what is observed into decisions about how much may run.

`step(settings, state, observation)` walks through its regions in order; each is a module with one pure function or two:
*limit* throttles and recovers by CPU and memory, *bursts* pauses and probes after errors, *review* asks for a human.
Nothing here reads a clock, a file or a random number, or logs: whoever calls joins the readings into an `Observation`,
stores state and decisions together, then acts on them. So a restart changes nothing, and any stretch can be replayed.

Why it is so
- The governor keeps its own time, moved only by `Observation.elapsed`; setting the wall clock cannot reach a timer.
- Dead band, quorum, settling and the ceiling exist because bare thresholds swing for ever on healthy CPU-bound work.
- A missing reading means hold: it is neither "too high" nor "fine".
- The limit and the gate are orthogonal: a pause does not change the limit, and what finishes during it is not judged.
- A new region is a module with a function of the same shape, a field of `GovernorState` with a default, and one line in
  `governor.REGIONS`.
"""

from __future__ import annotations

from agent.governance.decision import Decision, Escalate, LimitChanged, Paused, Probing, Resumed
from agent.governance.governor import step
from agent.governance.observation import ErrorSignature, Observation
from agent.governance.settings import Settings
from agent.governance.state import GovernorState

__all__ = [
    "Decision",
    "ErrorSignature",
    "Escalate",
    "GovernorState",
    "LimitChanged",
    "Observation",
    "Paused",
    "Probing",
    "Resumed",
    "Settings",
    "step",
]
