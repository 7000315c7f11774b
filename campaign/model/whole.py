"""The model put together, and how much of it is walked through."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.explorer import Model
from campaign.model import ends, stops, supervisor, workers
from campaign.model.promises import breach, is_finished
from campaign.model.rules import Rules
from campaign.model.state import Faults, State, Steps, beginning, key
from campaign.model.words import told


@dataclass(frozen=True, slots=True)
class Scope:
    """So many tasks and workers, and how often something may happen that need not."""

    faults: Faults
    tasks: int = 2
    workers: int = 2

    def __str__(self) -> str:
        may = [f"{n} {name.replace('_', ' ')}" for name, n in self.faults._asdict().items() if n]
        return f"{self.tasks} tasks, {self.workers} workers; {', '.join(may) or 'nothing goes wrong'}"


def model(scope: Scope, rules: Rules | None = None) -> Model[State]:
    """The agent within a scope; by other rules than its own, if some are given."""
    kept = rules or Rules()

    def steps(state: State) -> Steps:
        yield from workers.act(kept, state)
        yield from supervisor.act(kept, state)
        yield from supervisor.operate(kept, state)
        yield from stops.act(kept, state)
        yield from ends.act(kept, state)

    return Model(
        beginning(scope.tasks, scope.workers, scope.faults), steps, key, breach, is_finished, _is_fault, told
    )


def _is_fault(before: State, after: State) -> bool:
    return before.left != after.left


SHORT = (
    Scope(Faults(death=1, crash=1)),
    Scope(Faults(death=1, crash=1, fork_server_death=1), tasks=1),
    Scope(Faults(death=1, large_result=1, leave=1), workers=1),
    Scope(Faults(take_back=1)),
    Scope(Faults(error=1, lag=1, trouble=1, retry=1), tasks=1),
    Scope(Faults(trouble=1, leave=1), workers=1),
    Scope(Faults(stop=1, lag=1), tasks=1, workers=1),
    Scope(Faults(freeze=2), tasks=1, workers=1),
    Scope(Faults(freeze=1, cancel=1), tasks=1, workers=1),
    Scope(Faults(cancel=2, retry=1, deadline=1), tasks=1, workers=1),
    Scope(Faults(cancel=1, cont=1), tasks=1, workers=1),
    Scope(Faults(freeze=1, stop=1, cont=1), tasks=1, workers=1),
)
"""A few seconds, for the test suite: every step there is happens in one of these."""

FULL = (
    Scope(Faults(death=2, crash=1, fork_server_death=1, leave=1)),
    Scope(Faults(take_back=1, death=1, lag=1)),
    Scope(Faults(take_back=2, crash=1)),
    Scope(Faults(take_back=2, freeze=1), tasks=1),
    Scope(Faults(error=1, lag=1, retry=1, death=1)),
    Scope(Faults(trouble=2, death=1, large_result=1)),
    Scope(Faults(freeze=1, death=1), tasks=1),
    Scope(Faults(freeze=1)),
    Scope(Faults(freeze=2, cancel=1), tasks=1, workers=1),
    Scope(Faults(freeze=1, cancel=1), workers=1),
    Scope(Faults(cancel=1, death=1, retry=1), tasks=1),
    Scope(Faults(cancel=1)),
    Scope(Faults(cancel=1, deadline=1, error=1), workers=1),
    Scope(Faults(cancel=1, stop=1, cont=1), workers=1),
    Scope(Faults(freeze=1, stop=1, cont=1, crash=1), tasks=1, workers=1),
    Scope(Faults(death=2, crash=1, freeze=1, cancel=1), tasks=1, workers=1),
)
"""Each a round of a whole campaign."""
