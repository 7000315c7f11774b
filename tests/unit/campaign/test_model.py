"""The model of the agent: no order of steps breaks a promise, and none of its rules could be left out."""

from __future__ import annotations

from collections import Counter

import pytest

from campaign.explorer import Found, explore
from campaign.model.mutations import MUTATIONS, Mutation, broken
from campaign.model.whole import SHORT, model


@pytest.fixture(scope="module")
def found() -> list[Found]:
    return [explore(model(scope)) for scope in SHORT]


def test_no_reachable_state_breaks_a_promise(found: list[Found]) -> None:
    assert [each.lines() for each in found if each.breach is not None] == []
    assert all(each.is_whole for each in found)


def test_the_walk_is_not_vacuous(found: list[Found]) -> None:
    fired = sum((each.fired for each in found), Counter[str]())

    assert sum(each.states for each in found) > 50_000
    assert len(fired) > 20
    assert min(fired.values()) > 0


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.words)
def test_a_rule_left_out_is_noticed(mutation: Mutation) -> None:
    assert broken(mutation).breach is not None


def test_there_are_the_mutations_that_matter() -> None:
    assert len(MUTATIONS) >= 20
