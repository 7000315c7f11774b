"""Worlds, one a test or shared by the tests of a module that say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.integration.world")

from tests.integration.world import MakeWorld, World  # noqa: E402 (only what is imported later is rewritten)


@pytest.fixture
def make_world(data_dir: Path) -> Iterator[MakeWorld]:
    """Makes the test's world, with some settings changed."""
    made: list[World] = []

    def make(**settings: object) -> World:
        made.append(World(data_dir, **settings))
        return made[-1]

    yield make
    for world in made:
        world.close()
