"""The walk finds what there is to find, by the shortest way, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from campaign.explorer import Model, explore

Label = tuple[Any, ...]
Tokens = tuple[int, int]


def steps(state: Tokens) -> Iterator[tuple[Label, Tokens]]:
    """Two tokens that each go from 0 to 3, and may fall from 1 into a pit."""
    for which in (0, 1):
        at = state[which]
        if 0 <= at < 3:
            yield ("token", "goes on"), _moved(state, which, at + 1)
        if at == 1:
            yield ("token", "falls"), _moved(state, which, -1)


def _moved(state: Tokens, which: int, to: int) -> Tokens:
    return (to, state[1]) if which == 0 else (state[0], to)


WALK: Model[Tokens] = Model(
    beginning=(0, 0),
    steps=steps,
    key=lambda state: state,
    breach=lambda before, label, after: None,
    is_over=lambda state: 3 in state,
    is_fault=lambda before, after: False,
    told=lambda label: " ".join(label),
)


def test_every_state_is_met_once() -> None:
    found = explore(replace(WALK, is_over=lambda state: True))
    assert (found.states, found.is_whole, found.breach) == (25, True, None)
    assert found.fired == {"goes on": 30, "falls": 10}


def test_states_that_need_not_be_told_apart_are_met_once() -> None:
    found = explore(replace(WALK, is_over=lambda state: True, key=lambda state: (min(state), max(state))))
    assert found.states == 15


def test_the_first_breach_is_told_by_a_shortest_way() -> None:
    found = explore(replace(WALK, breach=lambda before, label, after: "both fell" if after == (-1, -1) else None))
    assert found.breach == "both fell"
    assert sorted(found.trace) == ["token falls"] * 2 + ["token goes on"] * 2
    assert not found.is_whole


def test_a_state_from_which_nothing_leads_to_the_end_is_a_breach() -> None:
    found = explore(WALK)
    assert found.breach
    assert "invariant 1" in found.breach
    assert len(found.trace) == 4, "both have fallen, the shortest way"


def test_what_need_not_happen_leads_nowhere() -> None:
    found = explore(replace(WALK, is_fault=lambda before, after: 2 in before and 3 in after))
    assert found.breach
    assert not found.trace, "without it, the end is out of reach from the beginning on"


def test_a_walk_can_be_cut_short() -> None:
    found = explore(WALK, most_states=10)
    assert 10 <= found.states <= 12
    assert not found.is_whole
