"""An exhaustive walk through a model: breadth first, so that the first breach found is a shortest one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound=Hashable)
Label = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Model(Generic[S]):
    """What to walk through.

    `steps`: all that can happen next; `key`: the same for states that need not be told apart; `breach`: what a step
    (before, label, after) breaks; `is_over`: a state in which nothing is left to do; `is_fault`: a step that need not
    happen, and that nothing may depend on; `told`: a step in words.
    """

    beginning: S
    steps: Callable[[S], Iterable[tuple[Label, S]]]
    key: Callable[[S], S]
    breach: Callable[[S, Label, S], str | None]
    is_over: Callable[[S], bool]
    is_fault: Callable[[S, S], bool]
    told: Callable[[Label], str] = str


@dataclass(slots=True)
class Found:
    """What a walk has found. `trace`: the shortest way to the breach. `fired`: how often what was done."""

    states: int = 0
    transitions: int = 0
    seconds: float = 0.0
    depth: int = 0
    breach: str | None = None
    trace: list[str] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    is_whole: bool = False  # every reachable state was seen

    def lines(self) -> list[str]:
        """The breach, step by step, for people."""
        return [str(self.breach), *(f"{number:3}. {step}" for number, step in enumerate(self.trace, 1))]


def explore(model: Model[S], most_states: int = 10_000_000) -> Found:
    """Walk until everything was seen, a promise is broken, or `most_states` are known.

    Where nothing is broken and all was seen, it looks for a state from which no way without further faults leads to one
    that is over: that is a breach, too.
    """
    began = time.perf_counter()
    walk = _Walk(model)
    found = walk.run(most_states)
    if found.breach is None and found.is_whole:
        walk.find_stuck()
    found.seconds = time.perf_counter() - began
    return found


class _Walk(Generic[S]):
    def __init__(self, model: Model[S]) -> None:
        self.model = model
        self.found = Found(states=1)
        self.numbers: dict[S, int] = {model.key(model.beginning): 0}
        self.ways: list[tuple[int, Label]] = [(0, ())]  # from which state each was met first, and how
        self.back: list[list[int]] = [[]]  # from which states a step without a fault leads here
        self.over: list[int] = []

    def run(self, most_states: int) -> Found:
        """Breadth first."""
        layer = [(0, self.model.beginning)]
        while layer:
            following: list[tuple[int, S]] = []
            for number, state in layer:
                if self._expand(number, state, following) or self.found.states > most_states:
                    return self.found
            layer = following
            self.found.depth += 1
        self.found.is_whole = True
        return self.found

    def _expand(self, number: int, state: S, following: list[tuple[int, S]]) -> bool:
        """Take every step from a state; whether one of them breaks a promise."""
        model, numbers, fired = self.model, self.numbers, self.found.fired
        if model.is_over(state):
            self.over.append(number)
        for label, after in model.steps(state):
            self.found.transitions += 1
            fired[label[1]] += 1
            self.found.breach = model.breach(state, label, after)
            if self.found.breach:
                self.found.trace = [*self._way_to(number), model.told(label)]
                return True
            place = model.key(after)
            known = numbers.get(place)
            if known is None:
                known = numbers[place] = len(self.ways)
                self.ways.append((number, label))
                self.back.append([])
                following.append((known, after))
                self.found.states += 1
            if not model.is_fault(state, after):
                self.back[known].append(number)
        return False

    def find_stuck(self) -> None:
        """Walk back from where all is over: who is not met is stuck."""
        met = bytearray(len(self.ways))
        front = self.over
        for number in front:
            met[number] = True
        while front:
            following = []
            for number in front:
                for before in self.back[number]:
                    if not met[before]:
                        met[before] = True
                        following.append(before)
            front = following
        stuck = met.find(0)
        if stuck >= 0:
            self.found.breach = "from here nothing leads to the end of all tasks, if no more goes wrong (invariant 1)"
            self.found.trace = self._way_to(stuck)

    def _way_to(self, number: int) -> list[str]:
        trace: list[str] = []
        while number:
            number, label = self.ways[number]
            trace.append(self.model.told(label))
        return trace[::-1]
